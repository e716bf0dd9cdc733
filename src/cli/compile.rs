//! `hytc compile`

use super::common::{error, failed, open, out, print_json, say, usage, write_all, SpecArgs};
use super::{exit, Done, Failure};
use crate::check::spec::Precision;
use crate::project::{Artifact, Design, Lock, LockState, Project};
use crate::quant::Calibration;
use crate::weights::Weights;
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc compile specs/fashion.hyt              search, train, emit; the second time emit from the lock
  hytc compile specs/fashion.hyt --locked     for build machines: fail rather than search
  hytc compile specs/fashion.hyt --research   search anew, with a fresh study

Writes beside the spec: SPEC.lock and SPEC.safetensors (keep both under version control), and
NAME.study/ (the journal; an interrupted compile continues from it). Writes into --out:
NAME.onnx, NAME/ (the crate), NAME.json (what was chosen, and the front). In NAME.json, `accuracy`
is of the test images for what was chosen, and of the validation images after the trial's short
training for the points of `front`; `accuracy_int8` is what the chosen network has left of it in int8.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// The folder for what is emitted
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// Fail if the lock is missing or not current, rather than search
    #[arg(long, conflicts_with = "research")]
    locked: bool,
    /// Search anew even if the lock is current; the old study is kept under another name
    #[arg(long)]
    research: bool,
    /// Trials at a time, at most the spec's `workers` [default: these]
    #[arg(long, value_name = "N", value_parser = super::common::at_least_one)]
    workers: Option<usize>,
    /// Print what was chosen as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    if args.out.exists() && !args.out.is_dir() {
        let m = format!("`--out {}` is a file, the results need a folder", args.out.display());
        return Err(usage(m, "name a folder; what does not exist is made"));
    }
    let data = data_hash(&project)?;
    let (mut lock, design, mut weights) = match project.lock(data.as_deref())? {
        LockState::Current(lock) if !args.research => {
            let design = project.locked_design(&lock).map_err(failed(&project))?;
            let weights = project.locked_weights(&lock, &design)?;
            say(format_args!("{} is current: emitting from it", project.lock_path().display()));
            if data.is_none() && lock.data.is_some() {
                say("the images are not here, so they were not compared with those of the lock");
            }
            (*lock, design, weights)
        }
        state => {
            let missing = matches!(state, LockState::Missing);
            let why = match state {
                LockState::Missing => vec!["it does not exist".to_string()],
                LockState::Stale(_, why) => why,
                LockState::Current(_) => Vec::new(),
            };
            if args.locked {
                let path = project.lock_path();
                let m = match missing {
                    true => format!("`{}` does not exist", path.display()),
                    false => format!("`{}` is not current: {}", path.display(), why.join("; ")),
                };
                let help = "run `hytc compile` without --locked, and commit the new lock";
                return Err(Failure::new(format!("{}\n  = help: {help}", error(m))).code(exit::NOT_LOCKED));
            }
            // Better to hear of a folder that cannot be written to now than after the search.
            std::fs::create_dir_all(&args.out).map_err(|e| crate::project::io(&args.out, "made", e))?;
            make(&project, args, &why)?
        }
    };
    if project.wants(Precision::Int8) {
        let bound = project.bind_int8(&design, &weights).map_err(failed(&project))?;
        if Calibration::load(&bound.lowered, &weights).is_none() {
            calibrate(&project, &design, &mut weights)?;
            lock.chosen.metrics.set_int8(None);
        }
        if lock.chosen.metrics.current_int8().is_none() {
            measure(&project, args.locked, &mut lock, &design, &weights)?;
        }
    }
    let files = project.artifacts(&design, &weights, &lock).map_err(failed(&project))?;
    write_all(&args.out, &files)?;
    if args.json {
        let summary = files.iter().find(|f| f.path.extension().is_some_and(|e| e == "json"));
        let value: serde_json::Value =
            summary.and_then(|f| serde_json::from_slice(&f.bytes).ok()).unwrap_or_default();
        print_json(&value)?;
    } else {
        print_summary(&project, args, &lock, &files)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_summary(project: &Project, args: &Args, lock: &Lock, files: &[Artifact]) -> Result<(), Failure> {
    let m = &lock.chosen.metrics;
    out(format_args!("chosen:"))?;
    for (path, value) in &lock.chosen.decisions {
        out(format_args!("  {path} = {value}"))?;
    }
    let int8 = match m.current_int8() {
        Some(a) => format!(" ({:.2} % in int8)", a * 100.0),
        None if project.wants(Precision::Int8) => " (not measured in int8)".to_string(),
        None => String::new(),
    };
    let accuracy = m.accuracy * 100.0;
    out(format_args!("  accuracy {accuracy:.2} %{int8}, {} parameters, {} MACs", m.params, m.macs))?;
    out(format_args!(
        "  RAM {:.1} KiB, flash {:.1} KiB",
        m.ram_bytes as f64 / 1024.0,
        m.flash_bytes as f64 / 1024.0
    ))?;
    for (device, ms) in &m.latency_ms {
        out(format_args!("  {ms:.2} ms on {device} (predicted)"))?;
    }
    let mut wrote = Vec::new();
    for f in files {
        match f.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            None => wrote.push(args.out.join(&f.path).display().to_string()),
            Some(_) => {
                let folder = f.path.components().next().map_or(f.path.as_path(), |c| c.as_os_str().as_ref());
                wrote.push(format!("{}/ (crate)", args.out.join(folder).display()));
            }
        }
    }
    wrote.dedup();
    out(format_args!("wrote {}", wrote.join(", ")))
}

/// Calibrates weights of an earlier version, which carry none.
#[cfg(feature = "train")]
fn calibrate(project: &Project, design: &Design, weights: &mut Weights) -> Result<(), Failure> {
    let screen = super::progress::Screen::new();
    let work = super::search::read(project, &screen)?;
    let done = crate::pipeline::calibrate(project, design, &work.data, weights);
    screen.clear();
    done.map_err(|e| super::search::failure(project, e))
}

/// Measures int8 where the lock does not say what it is worth (it was written before int8 was asked
/// for, or by a hytc whose int8 computes otherwise), and adds it to the lock, unless that must stay as
/// it is.
#[cfg(feature = "train")]
fn measure(
    project: &Project,
    locked: bool,
    lock: &mut Lock,
    design: &Design,
    weights: &Weights,
) -> Result<(), Failure> {
    let task = &project.checked.spec.task;
    let metrics = &lock.chosen.metrics;
    if metrics.accuracy_int8.is_some() {
        let of = match metrics.int8_revision {
            Some(revision) => format!("of revision {revision} of its arithmetic"),
            None => "of an arithmetic without a revision".to_string(),
        };
        let revision = crate::quant::REVISION;
        say(format_args!("the lock's accuracy of int8 is {of}, this hytc computes by revision {revision}"));
    }
    if crate::data::absent(task, project.dir()) {
        say("the images are not here: the accuracy of int8 was not measured");
        return Ok(());
    }
    let screen = super::progress::Screen::new();
    let data = match (&task.test, &task.train) {
        (None, Some(_)) => Some(super::search::read(project, &screen)?.data),
        _ => None,
    };
    screen.note("measuring int8");
    let found = crate::pipeline::measure_int8(project, design, weights, data.as_ref());
    screen.clear();
    let fail = |e| super::search::failure(project, e);
    lock.chosen.metrics.set_int8(found.map_err(fail)?);
    // With the weights: they may have been calibrated just now.
    match lock.chosen.metrics.accuracy_int8 {
        Some(_) if !locked => crate::pipeline::pin(project, lock, weights).map_err(fail),
        _ => Ok(()),
    }
}

#[cfg(not(feature = "train"))]
fn measure(_: &Project, _: bool, _: &mut Lock, _: &Design, _: &Weights) -> Result<(), Failure> {
    say("this hytc was built without the feature `train`: the accuracy of int8 was not measured");
    Ok(())
}

/// Without data nothing is calibrated; what that means is said when it is emitted.
#[cfg(not(feature = "train"))]
fn calibrate(_: &Project, _: &Design, _: &mut Weights) -> Result<(), Failure> {
    Ok(())
}

/// The hash of the data; `None` where they are not on this machine, as a build machine's need not be.
#[cfg(feature = "train")]
fn data_hash(project: &Project) -> Result<Option<String>, Failure> {
    let task = &project.checked.spec.task;
    if task.train.is_none() || crate::data::absent(task, project.dir()) {
        return Ok(None);
    }
    super::search::fingerprint(project).map(Some)
}

#[cfg(not(feature = "train"))]
fn data_hash(_: &Project) -> Result<Option<String>, Failure> {
    Ok(None)
}

#[cfg(not(feature = "train"))]
fn make(_: &Project, _: &Args, why: &[String]) -> Result<(Lock, Design, Weights), Failure> {
    let m = format!(
        "the lock is not current ({}), and this hytc was built without the feature `train`",
        why.join("; ")
    );
    Err(Failure::new(error(m)).code(exit::NOT_LOCKED))
}

#[cfg(feature = "train")]
fn make(project: &Project, args: &Args, why: &[String]) -> Result<(Lock, Design, Weights), Failure> {
    use super::progress::Screen;
    if !why.is_empty() {
        say(format_args!("{}: {}, so the space is searched", project.lock_path().display(), why.join("; ")));
    }
    let screen = Screen::new();
    super::search::prepare(project)?;
    let work = super::search::read(project, &screen)?;
    let searched = if project.checked.spec.evaluate.is_some() {
        super::search::outside(project, args.research, args.workers, &screen)?
    } else {
        let workers = super::search::at_a_time(project, args.workers);
        let burn = crate::pipeline::Burn::new(project, &work.data, &work.hash, workers);
        super::search::search(project, &burn, args.research, args.workers, &screen)?
    };
    say(format_args!("\n{}", searched.table));
    let finished = crate::pipeline::finish(project, &searched, &work.data, &work.hash, &screen);
    screen.clear();
    let finished = finished.map_err(|e| super::search::failure(project, e))?;
    super::search::research_done(project);
    let limits = &project.checked.spec.goal.requirements;
    for r in limits.iter().filter(|r| r.at_least && finished.lock.chosen.metrics.accuracy < r.limit) {
        let (line, _) = project.sources.line_column(r.span);
        say(format_args!(
            "warning: the chosen network reaches {:.2} % on the test images, less than line {line} requires",
            finished.lock.chosen.metrics.accuracy * 100.0
        ));
    }
    Ok((finished.lock, finished.design, finished.weights))
}
