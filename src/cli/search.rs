//! `hytc search`, and what `compile` shares with it.

use super::common::{error, open, out, print_json, rendered, say, with_decisions, SpecArgs};
use super::progress::Screen;
use super::{exit, Done, Failure};
#[cfg(feature = "train")]
use crate::check::spec::Task;
#[cfg(feature = "train")]
use crate::codes;
#[cfg(feature = "train")]
use crate::diag::Diagnostic;
use crate::pipeline::{self, Command, Evaluator, PipelineError, Searched};
use crate::project::Project;
use crate::search::journal::Journal;
use crate::search::JournalError;
#[cfg(feature = "train")]
use crate::source::Span;
#[cfg(feature = "train")]
use crate::train::TrainData;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc search specs/fashion.hyt
  hytc search specs/fashion.hyt --json | jq .front

Trials are trained with burn, or evaluated by the program that `evaluate command(..)` names. The journal is in NAME.study/ beside the spec; the front is drawn to NAME.study/front.svg.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Begin a fresh study; the old one is kept under another name
    #[arg(long)]
    research: bool,
    /// Trials at a time, at most the spec's `workers` [default: these]
    #[arg(long, value_name = "N", value_parser = super::common::at_least_one)]
    workers: Option<usize>,
    /// Print the study's summary as JSON: `front` (each point with `decisions`, `values`, `trial`),
    /// `trials`, `done`, `stopped`, `failed`, `reference`, `hypervolume`, `history`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let screen = Screen::new();
    prepare(&project)?;
    let searched = if project.checked.spec.evaluate.is_some() {
        outside(&project, args.research, args.workers, &screen)?
    } else {
        inside(&project, args, &screen)?
    };
    research_done(&project);
    if args.json {
        print_json(&with_decisions(&project, &searched.summary))?;
    } else {
        out(format_args!("{}", searched.table))?;
        for p in &searched.summary.front {
            let decisions = serde_json::Value::Object(project.checked.space.describe(&p.point));
            out(format_args!("trial {}: {decisions}", p.trial))?;
        }
        out(format_args!("\n* is chosen; drawn to {}", project.study_path().join("front.svg").display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// With the program that the spec names.
pub(super) fn outside(
    project: &Project,
    research: bool,
    workers: Option<usize>,
    screen: &Screen,
) -> Result<Searched, Failure> {
    let command = match Command::new(project) {
        Ok(Some(command)) => command,
        Ok(None) => return Err(Failure::new(error("the spec names no program"))),
        Err(e) => return Err(failure(project, e)),
    };
    let searched = search(project, &command, research, workers, screen);
    command.close();
    searched
}

/// With burn.
#[cfg(feature = "train")]
fn inside(project: &Project, args: &Args, screen: &Screen) -> Result<Searched, Failure> {
    let work = read(project, screen)?;
    let burn = pipeline::Burn::new(project, &work.data, &work.hash, at_a_time(project, args.workers));
    search(project, &burn, args.research, args.workers, screen)
}

#[cfg(not(feature = "train"))]
fn inside(_: &Project, _: &Args, _: &Screen) -> Result<Searched, Failure> {
    let m = "this hytc was built without the feature `train`, so it cannot train\n  \
             = help: name a program that can: `evaluate command(\"python3\", \"train.py\") { .. }`";
    Err(Failure::new(error(m)))
}

/// How many trials run at a time.
#[cfg(feature = "train")]
pub(super) fn at_a_time(project: &Project, asked: Option<usize>) -> usize {
    let most = project.checked.spec.search.workers;
    asked.unwrap_or(most).clamp(1, most.max(1))
}

/// What trainings need.
#[cfg(feature = "train")]
pub(super) struct Work {
    pub(super) data: TrainData,
    pub(super) hash: String,
}

/// Refuses a spec that no network can meet.
pub(super) fn prepare(project: &Project) -> Result<(), Failure> {
    let impossible = project.impossible();
    let text = rendered(&impossible, &project.sources);
    if crate::diag::has_errors(&impossible) {
        return Err(Failure::new(text));
    }
    if !text.is_empty() {
        say(text);
    }
    Ok(())
}

/// Stands in a study's folder from `--research` to its result, so that the same command, interrupted,
/// goes on with the fresh study instead of putting that aside too.
fn research_mark(project: &Project) -> std::path::PathBuf {
    project.study_path().join("research")
}

fn begin_research(project: &Project, screen: &Screen) -> Result<(), Failure> {
    let mark = research_mark(project);
    if mark.exists() {
        screen.note("continuing the interrupted --research");
        return Ok(());
    }
    put_aside(project)?;
    let why = "`--research` began this study; the mark goes when it has its result\n";
    Ok(crate::project::write_atomic(&mark, why.as_bytes())?)
}

/// The work that `--research` asked for has its result: the next one begins afresh.
pub(super) fn research_done(project: &Project) {
    let _ = std::fs::remove_file(research_mark(project));
}

/// Reads the training images.
#[cfg(feature = "train")]
pub(super) fn read(project: &Project, screen: &Screen) -> Result<Work, Failure> {
    let task = &project.checked.spec.task;
    if task.train.is_none() {
        let help = match project.checked.spec.evaluate {
            None => "add `train = folder(\"images/train\")`",
            Some(_) => "the program evaluates trials, but what is emitted is trained by hytc: add `train = folder(\"images/train\")`; `hytc search --json` prints the front for a training elsewhere",
        };
        let d = Diagnostic::error(codes::MISSING, task.span, "the task names no training images").help(help);
        return Err(Failure::new(rendered(&[d], &project.sources)));
    }
    screen.note("reading the images");
    let train = task.train.as_ref().map_or(task.span, |t| t.span);
    let data = TrainData::load(task, project.dir(), project.checked.spec.search.seed)
        .map_err(|e| data_failure(project, &e, train))?;
    // Better to hear of bad test images now than after the search.
    if let Some(test) = &task.test {
        crate::data::load_test(task, project.dir()).map_err(|e| data_failure(project, &e, test.span))?;
    }
    let hash = fingerprint(project)?;
    Ok(Work { data, hash })
}

/// The hash of the data.
#[cfg(feature = "train")]
pub(super) fn fingerprint(project: &Project) -> Result<String, Failure> {
    let task = &project.checked.spec.task;
    crate::data::fingerprint(task, project.dir()).map_err(|e| {
        // The place is that of the images that cannot be read.
        let train_only = Task { test: None, ..task.clone() };
        let source = match crate::data::fingerprint(&train_only, project.dir()) {
            Ok(_) => &task.test,
            Err(_) => &task.train,
        };
        data_failure(project, &e, source.as_ref().map_or(task.span, |s| s.span))
    })
}

#[cfg(feature = "train")]
fn data_failure(project: &Project, e: &crate::data::DataError, span: Span) -> Failure {
    Failure::new(rendered(&[e.diagnostic(span)], &project.sources))
}

/// Searches; where the study on disk is of another spec, or `research` is asked for, it is put aside
/// first.
pub(super) fn search(
    project: &Project,
    evaluator: &dyn Evaluator,
    research: bool,
    workers: Option<usize>,
    screen: &Screen,
) -> Result<Searched, Failure> {
    if research {
        begin_research(project, screen)?;
    }
    let workers = workers.unwrap_or(project.checked.spec.search.workers);
    let go = || pipeline::search(project, evaluator, workers, screen);
    let mut result = go();
    if let Err(PipelineError::Study(e @ JournalError::Other { .. })) = &result {
        screen.note(&e.to_string());
        put_aside(project)?;
        result = go();
    }
    screen.clear();
    result.map_err(|e| failure(project, e))
}

/// Renames the study's folder, so that nothing is lost.
fn put_aside(project: &Project) -> Result<(), Failure> {
    let path = project.study_path();
    if !path.exists() {
        return Ok(());
    }
    if Journal::is_in_use(&path.join("journal.jsonl")) {
        return Err(Failure::new(error(JournalError::Locked(path))));
    }
    let free = (1..).map(|n| path.with_extension(format!("study.{n}"))).find(|p| !p.exists());
    let Some(free) = free else { return Ok(()) };
    std::fs::rename(&path, &free)
        .map_err(|e| Failure::new(error(format!("`{}` cannot be renamed: {e}", path.display()))))?;
    say(format_args!("the old study is kept as {}", free.display()));
    Ok(())
}

/// A failure of the pipeline as the command line tells it.
pub(super) fn failure(project: &Project, e: PipelineError) -> Failure {
    match e {
        PipelineError::Stopped => {
            Failure::new("stopped; run the same command again to continue").code(exit::STOPPED)
        }
        PipelineError::Diagnostics(found) => Failure::new(rendered(&found, &project.sources)),
        PipelineError::Project(e) => e.into(),
        #[cfg(feature = "train")]
        PipelineError::Train(e @ crate::train::TrainError::Diverged { .. }) => {
            let help = "lower `learning_rate` in `final`, or raise `warmup`; the search itself is kept";
            Failure::new(format!("{}\n  = help: {help}", error(e)))
        }
        other => Failure::new(error(other)),
    }
}
