//! `hytc status`

use super::common::{error, open, print_json, SpecArgs};
use super::{Done, Failure};
use crate::search::journal::Event;
use crate::search::report::show;
use crate::search::{Journal, JournalError, Settings, Spent, Study, StudyError, StudySummary, Trust};
use crate::space::Point;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc status specs/fashion.hyt
  hytc status specs/fashion.hyt --json | jq .trust

The journal is read without its lock, so that a running search can be watched.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Print JSON: `summary` (trials, front, reference, hypervolume, history), `spent`, `trust`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let path = project.study_path().join("journal.jsonl");
    let events = Journal::read(&path).map_err(|e| match e {
        JournalError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            let m = format!("there is no study of `{}` yet: {} is missing", project.name(), path.display());
            Failure::new(format!("{}\n  = help: `hytc search` begins one", error(m)))
        }
        e => Failure::new(error(e)),
    })?;
    let known = |p: &Point| project.known_point(p);
    let features = |p: &Point| project.features(p);
    let settings = Settings::from_spec(&project.checked.spec.search);
    let mut study =
        Study::new(&project.checked.space, &known, project.problem(), settings).with_features(&features);
    replay(&mut study, events).map_err(|e| {
        let m = format!("{} is of another version of the spec: {e}", path.display());
        Failure::new(error(m))
    })?;
    let (summary, spent, trust) = (study.summary(), study.spent(), study.trust());
    if args.json {
        print_json(&serde_json::json!({ "summary": summary, "spent": spent, "trust": trust }));
    } else {
        print!("{}", report(&study, &summary, spent, &trust));
    }
    Ok(ExitCode::SUCCESS)
}

fn replay(study: &mut Study, events: Vec<Event>) -> Result<(), StudyError> {
    for event in events {
        match event {
            Event::Study { .. } => {}
            Event::Asked(trial) => study.replay_asked(trial)?,
            Event::Told { number, outcome, curve } => {
                study.replay_curve(number, curve)?;
                study.tell(number, outcome)?;
            }
        }
    }
    Ok(())
}

fn report(study: &Study, summary: &StudySummary, spent: Spent, trust: &[Trust]) -> String {
    let mut out = format!(
        "{} trials of {}: {} with a result, {} failed, {} running\n",
        summary.trials,
        study.settings().trials,
        summary.done,
        summary.failed.len(),
        summary.pending
    );
    out += &format!(
        "by source: {} seed points, {} of the initial design, {} by {}, {} random\n",
        spent.seed,
        spent.initial,
        spent.chosen,
        study.settings().algorithm.name(),
        spent.random
    );
    for (number, reason) in summary.failed.iter().take(5) {
        out += &format!("trial {number} failed: {reason}\n");
    }
    if summary.front.is_empty() {
        return out + "no trial keeps all requirements yet\n";
    }
    let pairs = summary.objectives.iter().zip(&summary.reference);
    let reference: Vec<String> = pairs.map(|(o, r)| format!("{} {}", o.name, show(o.quantity, *r))).collect();
    out += &format!("\nfront (* is the chosen one)\n{}", study.front_table());
    out += &format!("\nhypervolume to ({}), in parts of the last\n", reference.join(", "));
    let last = summary.hypervolume.max(f64::MIN_POSITIVE);
    // Ten points of the history.
    let n = summary.history.len();
    let mut marks: Vec<usize> = (1..=10).map(|i| (n * i).div_ceil(10)).collect();
    marks.dedup();
    for mark in marks {
        let part = mark.checked_sub(1).and_then(|i| summary.history.get(i)).map_or(0.0, |v| v / last);
        out +=
            &format!("{mark:>6} {part:.3} {}\n", "#".repeat((40.0 * part.clamp(0.0, 1.0)).round() as usize));
    }
    if !trust.is_empty() {
        out += "\nmodels, each result predicted from all others\n";
        out += &format!(
            "{:24} {:>8} {:>17} {:>12} {:>12}\n",
            "", "results", "rank correlation", "within 50 %", "within 90 %"
        );
    }
    for t in trust {
        out += &format!(
            "{:24} {:>8} {:>17.2} {:>10.0} % {:>10.0} %\n",
            t.name,
            t.results,
            t.rank_correlation,
            100.0 * t.within_50,
            100.0 * t.within_90
        );
    }
    out
}
