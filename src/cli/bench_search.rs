//! `hytc bench search`

use super::common::{error, out, unknown};
use super::{Done, Failure};
use crate::bench::{quartiles, Bench, Run, Sources, PROBLEMS};
use crate::check::spec::{Algorithm, Surrogate};
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc bench search --problem hytnas
  hytc bench search --problem nb201 --seeds 3 --json
  hytc bench search --problem hytnas --trials 500 --seeds 1     how suggestion time grows

`scripts/peers` runs other optimisers on the same problems.";

/// Evaluations after which tables say the hypervolume.
const MARKS: [usize; 9] = [30, 50, 60, 80, 100, 120, 200, 300, 500];

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// Only this problem: hytnas, nb201, nb201-3, c2dtlz2, wfg4-2, wfg4-4, wfg5-2, wfg5-4
    #[arg(long, value_name = "NAME")]
    problem: Option<String>,
    /// Studies of each problem
    #[arg(long, default_value_t = 10, value_name = "N")]
    seeds: u64,
    /// The first of the seeds
    #[arg(long, default_value_t = 0, value_name = "N")]
    from: u64,
    /// Evaluations of a study [default: 120 for hytnas, else 100]
    #[arg(long, value_name = "N")]
    trials: Option<usize>,
    /// The algorithm, as in a spec's `search`
    #[arg(long, default_value = "mobo", value_name = "NAME")]
    algorithm: String,
    /// The models of `mobo`: auto, gp or forest
    #[arg(long, default_value = "auto", value_name = "NAME")]
    surrogate: String,
    /// Trials that fill the space first [default: as the engine chooses]
    #[arg(long, value_name = "N")]
    initial: Option<usize>,
    /// The folder with the problems' data
    #[arg(long, env = "HYTC_SHARED", default_value = "../shared", value_name = "DIR")]
    shared: PathBuf,
    /// A Python with numpy, pandas and scikit-learn, for `hytnas`
    #[arg(long, env = "HYTC_PYTHON", default_value = "python3", value_name = "PROGRAM")]
    python: String,
    /// Print one JSON object a problem: `problem`, `algorithm`, `reference`, `runs` with `seed`,
    /// `hypervolume` after each evaluation, `suggest_seconds` in all, `seconds` of each suggestion
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let algorithm = Algorithm::named(&args.algorithm)
        .ok_or_else(|| unknown("search algorithm", &args.algorithm, &Algorithm::ALL.map(|a| a.name())))?;
    let surrogate = Surrogate::named(&args.surrogate)
        .ok_or_else(|| unknown("surrogate", &args.surrogate, &Surrogate::ALL.map(|s| s.name())))?;
    let names: Vec<&str> = match &args.problem {
        Some(name) if !PROBLEMS.contains(&name.as_str()) => return Err(unknown("problem", name, &PROBLEMS)),
        Some(name) => vec![name],
        None => PROBLEMS.to_vec(),
    };
    let sources = Sources { shared: args.shared.clone(), python: args.python.clone() };
    let fail = |e: crate::bench::BenchError| Failure::new(error(e));
    // Whatever is missing is said before hours are spent.
    let benches: Vec<Bench> =
        names.iter().map(|n| Bench::open(n, &sources)).collect::<Result<_, _>>().map_err(fail)?;
    for mut bench in benches {
        let mut runs = Vec::new();
        for seed in args.from..args.from.saturating_add(args.seeds) {
            let mut settings = bench.settings(algorithm, args.trials.unwrap_or(bench.trials), seed);
            settings.surrogate = surrogate;
            if let Some(initial) = args.initial {
                settings.initial = initial.max(1);
            }
            runs.push(bench.run(settings).map_err(fail)?);
        }
        if args.json {
            let value = serde_json::json!({
                "problem": bench.name, "algorithm": algorithm.name(), "reference": bench.reference, "runs": runs,
            });
            out(format_args!("{value}"))?;
        } else {
            out(format_args!("{}", table(&bench, algorithm, &runs)))?;
        }
    }
    if let (false, Some(kib)) = (args.json, peak_memory()) {
        out(format_args!("peak memory of this process: {} MB", kib / 1000))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Median and quartiles of hypervolume, and the median time of the last five suggestions, after some
/// numbers of evaluations.
fn table(bench: &Bench, algorithm: Algorithm, runs: &[Run]) -> String {
    let reference: Vec<String> = bench.reference.iter().map(f64::to_string).collect();
    let mut out = format!(
        "{}, {}, {} seeds: hypervolume to ({})\n{:>11}  {:>10}  {:>23}  {:>13}\n",
        bench.name,
        algorithm.name(),
        runs.len(),
        reference.join(", "),
        "evaluations",
        "median",
        "quartiles",
        "ms/suggestion"
    );
    for mark in MARKS {
        let at: Vec<f64> = runs.iter().filter_map(|r| r.hypervolume.get(mark - 1)).copied().collect();
        if at.is_empty() {
            continue;
        }
        let [low, median, high] = quartiles(&at).map(|v| format!("{v:.*}", if v < 1000.0 { 4 } else { 0 }));
        let times: Vec<f64> =
            runs.iter().filter_map(|r| r.seconds.get(mark - 5..mark)).flatten().copied().collect();
        let ms = 1e3 * quartiles(&times)[1];
        out += &format!("{mark:>11}  {median:>10}  {:>23}  {ms:>13.1}\n", format!("{low} - {high}"));
    }
    out
}

/// The most memory that this process has held, in KiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}
