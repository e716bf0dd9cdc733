//! `hytc search`, and what `compile` shares with it.

use super::common::{error, open, out, print_json, rendered, say, SpecArgs};
use super::progress::Screen;
use super::{exit, Done, Failure};
use crate::check::spec::Task;
use crate::codes;
use crate::diag::Diagnostic;
use crate::pipeline::{self, PipelineError, Searched};
use crate::project::Project;
use crate::search::JournalError;
use crate::source::Span;
use crate::train::TrainData;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc search specs/fashion.hyt
  hytc search specs/fashion.hyt --json | jq .front

The journal is in NAME.study/ beside the spec; the front is drawn to NAME.study/front.svg.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Begin a fresh study; the old one is kept under another name
    #[arg(long)]
    research: bool,
    /// Trainings at a time [default: the spec's `workers`]
    #[arg(long, value_name = "N", value_parser = super::common::at_least_one)]
    workers: Option<usize>,
    /// Print the study's summary as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let screen = Screen::new();
    let work = prepare(&project, args.research, &screen)?;
    let searched = search(&project, &work, args.workers, &screen)?;
    research_done(&project);
    if args.json {
        print_json(&searched.summary)?;
    } else {
        out(format_args!("{}", searched.table))?;
        out(format_args!("drawn to {}", project.study_path().join("front.svg").display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What trainings need.
pub(super) struct Work {
    pub(super) data: TrainData,
    pub(super) hash: String,
}

/// Reads the data; puts an old study aside if asked to, or if it is of another spec.
pub(super) fn prepare(project: &Project, research: bool, screen: &Screen) -> Result<Work, Failure> {
    let impossible = project.impossible();
    let text = rendered(&impossible, &project.sources);
    if crate::diag::has_errors(&impossible) {
        return Err(Failure::new(text));
    }
    if !text.is_empty() {
        say(text);
    }
    let work = read(project, screen)?;
    if research {
        begin_research(project, screen)?;
    }
    Ok(work)
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
pub(super) fn read(project: &Project, screen: &Screen) -> Result<Work, Failure> {
    let task = &project.checked.spec.task;
    if task.train.is_none() {
        let d = Diagnostic::error(codes::MISSING, task.span, "the task names no training images")
            .help("add `train = folder(\"images/train\")`");
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

fn data_failure(project: &Project, e: &crate::data::DataError, span: Span) -> Failure {
    Failure::new(rendered(&[e.diagnostic(span)], &project.sources))
}

/// Searches; where the study on disk is of another spec, it is put aside first.
pub(super) fn search(
    project: &Project,
    work: &Work,
    workers: Option<usize>,
    screen: &Screen,
) -> Result<Searched, Failure> {
    let workers = workers.unwrap_or(project.checked.spec.search.workers);
    let go = || pipeline::search(project, &work.data, &work.hash, workers, screen);
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
        other => Failure::new(error(other)),
    }
}
