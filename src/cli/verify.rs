//! `hytc verify`

use super::common::{error, failed, open, out, print_json, SpecArgs};
use super::emitted::{self, Emitted};
use super::progress::Screen;
use super::{exit, Done, Failure};
use crate::pipeline::{verify, Images, Verified};
use crate::project::LockState;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc verify specs/fashion.hyt
  hytc verify specs/fashion.hyt --images 100 --onnxruntime venv/bin/python

The ONNX file runs in tract, which is part of hytc, and with --onnxruntime in ONNX Runtime too. The crate is
compiled with rustc. What the spec emits in int8 is compared with the integer interpreter: the crate must
equal it, ONNX (only with --onnxruntime) may differ by one step of the output's scale; where a network has
layer norm, softmax or attention, one score in a hundred by up to eight. What is compared is
what the lock emits; files in --out must be the same to the byte. Exit code 4 if a logit differs by more
than --tolerance, in int8 by more than that, or if a file in --out is another.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Test images to compare on [default: all]
    #[arg(long, value_name = "N", value_parser = super::common::at_least_one)]
    images: Option<usize>,
    /// Largest difference of a logit in floating point
    #[arg(long, default_value_t = 1e-4, value_parser = tolerance)]
    tolerance: f64,
    /// A Python with numpy and onnxruntime, to compare with ONNX Runtime too
    #[arg(long, value_name = "PYTHON")]
    onnxruntime: Option<PathBuf>,
    /// The folder of what was emitted [default: `out`, if it holds anything of this spec]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON: `images`, `comparisons`, `emitted` (`nothing`, `current` or `other`)
    #[arg(long)]
    json: bool,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x >= 0.0 => Ok(x),
        Ok(_) => Err("it must be a number of at least 0".to_string()),
        Err(e) => Err(format!("{e}")),
    }
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let spec = &project.checked.spec;
    let lock = match project.lock(None)? {
        LockState::Current(lock) => lock,
        LockState::Missing => {
            let m = format!("`{}` does not exist: there is nothing to verify", project.lock_path().display());
            return Err(Failure::new(format!("{}\n  = help: run `hytc compile` first", error(m))));
        }
        LockState::Stale(_, why) => {
            let m = format!("`{}` is not current: {}", project.lock_path().display(), why.join("; "));
            return Err(Failure::new(format!("{}\n  = help: run `hytc compile` first", error(m))));
        }
    };
    let design = project.locked_design(&lock).map_err(failed(&project))?;
    let weights = project.locked_weights(&lock, &design)?;
    let files = project.artifacts(&design, &weights, &lock).map_err(failed(&project))?;
    let folder = args.out.as_deref().unwrap_or(Path::new("out"));
    let emitted = emitted::compare(folder, &files)?;
    if args.out.is_some() && emitted == Emitted::Nothing {
        let m = format!("`{}` holds nothing that was emitted from this spec", folder.display());
        return Err(Failure::new(format!("{}\n  = help: run `hytc compile` first", error(m))));
    }
    let test = crate::data::load_test(&spec.task, project.dir())
        .map_err(|e| Failure::new(format!("{}\n  = help: {}", error(&e), e.help())))?;
    let count = args.images.unwrap_or(test.len()).min(test.len());
    let pipeline = crate::data::Pipeline::new(&spec.task);
    let mut inputs = vec![0.0; count * test.image_len()];
    for (i, out) in inputs.chunks_mut(test.image_len().max(1)).enumerate() {
        pipeline.plain(&test, i, out);
    }
    let screen = Screen::new();
    let labels = test.labels.get(..count).unwrap_or_default();
    let images = Images { inputs: &inputs, labels };
    let result =
        verify(&project, &design, &weights, images, args.tolerance, args.onnxruntime.as_deref(), &screen);
    screen.clear();
    let verified = result.map_err(|e| super::search::failure(&project, e))?;
    if args.json {
        let mut value = serde_json::to_value(&verified).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            let word = match &emitted {
                Emitted::Nothing => "nothing",
                Emitted::Current => "current",
                Emitted::Other(_) => "other",
            };
            map.insert("emitted".into(), word.into());
        }
        print_json(&value)?;
    } else {
        table(&verified)?;
    }
    if let Emitted::Other(wrong) = &emitted {
        return Err(Failure::new(emitted::complaint(wrong)).code(exit::DIFFERENT));
    }
    if verified.passed() {
        if !args.json {
            out(match &emitted {
                Emitted::Current => format!("{} files in {} are these forms", files.len(), folder.display()),
                _ => format!(
                    "{} holds nothing of this spec: what the lock emits was compared",
                    folder.display()
                ),
            })?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let m = format!("the forms differ by more than {}, or in int8 by more than they may", args.tolerance);
    Err(Failure::new(error(m)).code(exit::DIFFERENT))
}

fn table(verified: &Verified) -> Result<(), Failure> {
    let percent = |x: f64| format!("{:.2} %", x * 100.0);
    out(format_args!(
        "{} test images, against the trained network in burn (accuracy {}):",
        verified.images,
        percent(verified.accuracy)
    ))?;
    out(format_args!("{:22} {:>14} {:>14} {:>10}", "", "max difference", "mean", "agreement"))?;
    for c in &verified.comparisons {
        let a = &c.agreement;
        out(format_args!(
            "{:22} {:>14.2e} {:>14.2e} {:>10}",
            c.what,
            a.max_difference,
            a.mean_difference,
            percent(a.argmax_agreement)
        ))?;
    }
    let Some(int8) = &verified.int8 else { return Ok(()) };
    out(format_args!(
        "in int8, against the integer interpreter (accuracy {}, {:+.2} points):",
        percent(int8.accuracy),
        (int8.accuracy - verified.accuracy) * 100.0
    ))?;
    out(format_args!(
        "{:22} {:>14} {:>11} {:>11} {:>10} {:>10}",
        "", "most steps", "differing", "beyond one", "agreement", "accuracy"
    ))?;
    for c in &int8.comparisons {
        out(format_args!(
            "{:22} {:>14} {:>11} {:>11} {:>10} {:>10}",
            c.what,
            c.steps.largest,
            format!("{:.3} %", c.steps.differing * 100.0),
            format!("{:.3} %", c.steps.beyond_one * 100.0),
            percent(c.steps.argmax_agreement),
            percent(c.accuracy)
        ))?;
    }
    if int8.onnx_not_run {
        out("the ONNX file in int8 was not run: give --onnxruntime a Python that has ONNX Runtime")?;
    }
    Ok(())
}
