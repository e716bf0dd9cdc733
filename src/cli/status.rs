//! `hytc status`

use super::common::{error, open, out, print_json, with_decisions, SpecArgs};
use super::progress::Screen;
use super::search::failure;
use super::{Done, Failure};
use crate::pipeline::{self, PipelineError, Status};
use crate::search::report::show;
use crate::search::JournalError;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc status specs/fashion.hyt
  hytc status specs/fashion.hyt --json | jq .models

Works while the search runs. A model is checked by foretelling each result from all others: a rank
correlation near 1 and shares near 50 % and 90 % mean that its suggestions can be trusted.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Print JSON: `trials`, `done`, `stopped`, `failed`, `front`, `reference`, `hypervolume`, `history`,
    /// `shares`, `models`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let status = pipeline::status(&project, &Screen::new()).map_err(|e| match e {
        PipelineError::Study(JournalError::Io { path, source })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            let m = format!("there is no study yet (`{}`); `hytc search` begins one", path.display());
            Failure::new(error(m))
        }
        other => failure(&project, other),
    })?;
    if args.json {
        print_json(&with_decisions(&project, &status))?;
    } else {
        out(text(&status).trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(status: &Status) -> String {
    let s = &status.summary;
    let mut page = format!(
        "{}: {} of {} trials told, {} running, {} stopped early, {} failed\n",
        status.algorithm,
        s.done + s.stopped + s.failed.len(),
        status.budget,
        s.pending,
        s.stopped,
        s.failed.len()
    );
    for (number, reason) in s.failed.iter().rev().take(3).rev() {
        page += &format!("  trial {number} failed: {reason}\n");
    }
    if !s.front.is_empty() {
        page += &format!("\nfront\n{}", status.table);
        let reference: Vec<String> = s
            .objectives
            .iter()
            .zip(&s.reference)
            .map(|(o, v)| format!("{} {}", o.name, show(o.quantity, *v)))
            .collect();
        page += &format!("\nhypervolume to ({})\n", reference.join(", "));
        let last = s.history.len().saturating_sub(1);
        let mut told = None;
        for part in 1..=6 {
            let at = last * part / 6;
            if let (Some(v), true) = (s.history.get(at), told.replace(at) != Some(at)) {
                let share = if s.hypervolume > 0.0 { 100.0 * v / s.hypervolume } else { 0.0 };
                page += &format!("  after {:4} trials  {v:.6}  {share:5.1} % of now\n", at + 1);
            }
        }
    }
    page += "\nbudget                trials    done  stopped  failed  steps  on the front\n";
    for b in &status.shares {
        page += &format!(
            "  {:18} {:7} {:7} {:8} {:7} {:6} {:13}\n",
            b.source, b.trials, b.done, b.stopped, b.failed, b.steps, b.on_front
        );
    }
    page += "\nmodels, leave-one-out  results  rank correlation  in 50 %  in 90 %\n";
    if status.models.is_empty() {
        page += "  (fewer than five results)\n";
    }
    for m in &status.models {
        let name = if m.logarithmic { format!("log {}", m.name) } else { m.name.clone() };
        page += &format!(
            "  {name:20} {:8} {:17.2} {:7.0} % {:6.0} %\n",
            m.results,
            m.rank_correlation,
            100.0 * m.within_50,
            100.0 * m.within_90
        );
    }
    page
}
