//! `hytc train`

use super::common::{error, failed, open, out, print_json, SpecArgs};
use super::point::{point, PointArgs};
use super::progress::Screen;
use super::{Done, Failure};
use crate::pipeline::{Event, Watch};
use crate::train::{evaluate, train, Control, Progress};
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc train specs/mobilenet_v1.hyt --out mobilenet.safetensors
  hytc train specs/fashion.hyt --point mixer=attention --epochs 5

Trains as `final { .. }` says. The lock is left alone: `hytc compile` makes that.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    point: PointArgs,
    /// Epochs, instead of the spec's
    #[arg(long, value_name = "N", value_parser = super::common::at_least_one)]
    epochs: Option<usize>,
    /// Seed of the weights and of the order of the images [default: the search's]
    #[arg(long)]
    seed: Option<u64>,
    /// Write the weights (safetensors) to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON: `accuracy` (test), `validation_accuracy`, `history`
    #[arg(long)]
    json: bool,
}

struct Told<'a>(&'a Screen);

impl Control for Told<'_> {
    fn progress(&self, progress: &Progress) {
        self.0.event(Event::Progress { trial: None, progress });
    }

    fn stop(&self) -> bool {
        self.0.stop()
    }
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let spec = &project.checked.spec;
    let (point, origin) = point(&project, &args.point)?;
    let design = project.design(&point).map_err(failed(&project))?;
    let screen = Screen::new();
    let work = super::search::read(&project, &screen)?;
    let mut config = spec.finish.clone();
    config.epochs = args.epochs.unwrap_or(config.epochs);
    let seed = args.seed.unwrap_or(spec.search.seed);
    screen.event(Event::Start { trial: None, what: origin.to_string() });
    let trained = train(&design.network, &work.data, &config, seed, 0, &Told(&screen));
    screen.clear();
    let fail = |e: crate::train::TrainError| super::search::failure(&project, e.into());
    let trained = trained.map_err(fail)?;
    let mut accuracy = None;
    if spec.task.test.is_some() {
        let test = crate::data::load_test(&spec.task, project.dir())
            .map_err(|e| Failure::new(error(format!("{e}\n  = help: {}", e.help()))))?;
        accuracy = Some(
            evaluate(&design.network, &trained.weights, &test, &work.data.pipeline, 0)
                .map_err(fail)?
                .accuracy,
        );
    }
    if let Some(path) = &args.out {
        let bytes = trained.weights.to_safetensors().map_err(|e| Failure::new(error(e)))?;
        crate::project::write_atomic(path, &bytes)?;
    }
    if args.json {
        print_json(&serde_json::json!({
            "decisions": project.checked.space.describe(&point),
            "accuracy": accuracy,
            "validation_accuracy": trained.validation_accuracy,
            "best_epoch": trained.best_epoch,
            "history": trained.history,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for e in &trained.history {
        let validation = e.validation_accuracy.map_or("-".to_string(), |a| format!("{:.2} %", a * 100.0));
        out(format_args!("epoch {:3}  loss {:.4}  validation {validation}", e.epoch, e.train_loss))?;
    }
    if let Some(a) = accuracy {
        out(format_args!("test accuracy {:.2} % (weights of epoch {})", a * 100.0, trained.best_epoch))?;
    }
    Ok(ExitCode::SUCCESS)
}
