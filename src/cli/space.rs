//! `hytc space`

use super::common::{open, out, print_json, say, SpecArgs};
use super::Done;
use crate::space::{DecisionKind, SearchSpace, Size};
use rand::SeedableRng;
use std::collections::HashSet;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc space specs/hytnas.hyt
  hytc space specs/fashion.hyt --sample 3
  hytc space specs/fashion.hyt --json | jq -r .size";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Also print so many random points
    #[arg(long, value_name = "N", default_value_t = 0)]
    sample: usize,
    /// Seed of the random points
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON: `size` (a string; exact if `exact`), `decisions`, `sample`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let space = &project.checked.space;
    let size = space.size();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(args.seed);
    let sample: Vec<_> = (0..args.sample).map(|_| space.sample(&mut rng)).collect();
    let different = sample.iter().collect::<HashSet<_>>().len();
    let sample: Vec<_> = sample.iter().map(|p| space.describe(p)).collect();
    if different < sample.len() && !matches!(&size, Size::Exact(n) if *n < sample.len().into()) {
        say(format_args!(
            "note: only {different} of the {} points are different: the constraints leave few",
            sample.len()
        ));
    }
    if args.json {
        let decisions: Vec<_> = space
            .decisions()
            .iter()
            .map(|d| {
                let kind = if matches!(d.kind, DecisionKind::Ordinal(_)) { "ordinal" } else { "categorical" };
                serde_json::json!({"path": d.path, "values": d.values, "kind": kind})
            })
            .collect();
        let exact = matches!(size, Size::Exact(_));
        print_json(&serde_json::json!({
            "size": size.to_string(), "exact": exact, "decisions": decisions, "sample": sample,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = space.decisions().iter().map(|d| d.path.len()).max().unwrap_or(0);
    for d in space.decisions() {
        out(format_args!("{:width$}  {}", d.path, d.values.join(" ")))?;
    }
    let count = space.decisions().len();
    let plural = if count == 1 { "" } else { "s" };
    out(format_args!("{count} decision{plural}, {}", super::common::points(&size)))?;
    for point in sample {
        out(format_args!("{}", serde_json::Value::Object(point)))?;
    }
    Ok(ExitCode::SUCCESS)
}
