//! `hytc bench SPEC --target ..`: emitted code measured on an emulated target.

use super::common::{error, failed, open, out, point, print_json, PointArgs, PrecisionArg, SpecArgs};
use super::{exit, Done, Failure};
use crate::lower::plan;
use crate::project::{Design, LockState, Project};
use crate::quant::interpret::interpret;
use crate::quant::{calibrate, Calibration};
use crate::target::{measure, Board, Measured, BOARDS};
use crate::weights::Weights;
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) const AFTER: &str = "Examples:
  hytc bench specs/mobilenet_v1.hyt --target cortex-m4 --precision int8
  hytc bench specs/fashion.hyt --target cortex-m7 --precision int8 --point mixer=attention --json

Targets: cortex-m0, cortex-m4, cortex-m7, cortex-m55, riscv32. QEMU counts instructions, not cycles.
The outputs are compared with the integer interpreter; a difference ends with exit code 4.
`scripts/setup-cross.sh` installs the compiler and QEMU.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
#[group(skip)]
pub(super) struct Args {
    /// The spec, a .hyt file
    spec: Option<PathBuf>,
    #[command(flatten)]
    point: PointArgs,
    /// The emulated target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// The numbers of the emitted code; only int8 can be measured
    #[arg(long, value_enum, default_value = "int8")]
    precision: PrecisionArg,
    /// Weights (safetensors), as `hytc train --out` writes them [default: the locked ones, or random]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Images to run, at least one
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = super::common::at_least_one)]
    images: usize,
    /// Print JSON: `instructions`, `arena_bytes`, `flash_bytes`, `code_bytes`, `constant_bytes`,
    /// `stack_bytes`, `layers`, `identical`
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let names = BOARDS.map(|b| b.name).join(", ");
    let (Some(spec), Some(target)) = (&args.spec, &args.target) else {
        let help = format!("write `hytc bench SPEC --target NAME` with one of {names}");
        return Err(Failure::new(format!(
            "{}\n  = help: {help}",
            error("there is no spec and target to measure")
        )));
    };
    let Some(board) = Board::named(target) else {
        return Err(Failure::new(error(format!("there is no target `{target}`; there are {names}"))));
    };
    if args.precision == PrecisionArg::Float {
        return Err(Failure::new(error("only int8 code can be measured; write `--precision int8`")));
    }
    let project = open(&SpecArgs { spec: spec.clone() })?;
    let (point, origin) = point(&project, &args.point)?;
    let design = project.design(&point).map_err(failed(&project))?;
    let (mut weights, whose) = weights(&project, &design, args)?;
    let bound = project.bind_int8(&design, &weights).map_err(failed(&project))?;
    let (images, which) = images(&project, args.images);
    if Calibration::load(&bound.lowered, &weights).is_none() {
        calibrate(&bound, &images).map_err(failed(&project))?.store(&bound.lowered, &mut weights);
    }
    let network = project.quantise(&bound, &weights).map_err(failed(&project))?;
    let scale = network.scale(network.lowered().input());
    let quantised: Vec<i8> = images.iter().map(|&x| scale.quantise_f32(x)).collect();
    let places = plan(network.lowered(), 1);
    let metadata = project.crate_metadata(crate::check::spec::Precision::Int8);
    let found =
        measure(&network, &places, &metadata, board, &quantised).map_err(|e| Failure::new(error(e)))?;
    let size = design.network.input_fact().elements().max(1);
    let wanted: Vec<i8> = quantised.chunks(size).flat_map(|image| interpret(&network, image)).collect();
    let identical = wanted == found.outputs;
    if args.json {
        let mut value = serde_json::to_value(&found).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.insert("identical".into(), identical.into());
            map.insert("images".into(), (images.len() / size).into());
            map.insert("decisions".into(), project.checked.space.describe(&point).into());
        }
        print_json(&value)?;
    } else {
        out(format_args!("{}: {origin}, {whose} weights, int8 on {}", project.name(), board.about))?;
        out(format_args!("{}", table(&found)))?;
        let same = if identical { "bit-identical to" } else { "DIFFERENT from" };
        out(format_args!(
            "results on {} {which} images {same} the integer interpreter",
            images.len() / size
        ))?;
    }
    Ok(if identical { ExitCode::SUCCESS } else { ExitCode::from(exit::DIFFERENT) })
}

fn table(m: &Measured) -> String {
    let mut text =
        format!("\n{:<44} {:<16} {:>12} {:>12} {:>6}\n", "step", "kernel", "MACs", "instructions", "each");
    let each = |n: u64, macs: u64| match macs {
        0 => String::new(),
        macs => format!("{:.2}", n as f64 / macs as f64),
    };
    let mut macs = 0;
    for l in &m.layers {
        macs += l.macs;
        let name: String = l.name.chars().rev().take(44).collect::<Vec<_>>().into_iter().rev().collect();
        let ratio = each(l.instructions, l.macs);
        text += &format!("{name:<44} {:<16} {:>12} {:>12} {ratio:>6}\n", l.kind, l.macs, l.instructions);
    }
    let ratio = each(m.instructions, macs);
    text += &format!("{:<44} {:<16} {macs:>12} {:>12} {ratio:>6}\n\n", "all", "", m.instructions);
    text += &format!(
        "arena {} bytes, stack {} bytes, flash {} bytes (code {}, constants {})",
        m.arena_bytes, m.stack_bytes, m.flash_bytes, m.code_bytes, m.constant_bytes
    );
    text
}

/// The weights to measure with, and a word for them.
fn weights(project: &Project, design: &Design, args: &Args) -> Result<(Weights, &'static str), Failure> {
    if let Some(path) = &args.weights {
        let unusable = |why: String| Failure::new(error(format!("`{}`: {why}", path.display())));
        let bytes = std::fs::read(path).map_err(|e| unusable(e.to_string()))?;
        let weights = Weights::from_safetensors(&bytes).map_err(|e| unusable(e.to_string()))?;
        weights.check(&design.network).map_err(|e| unusable(e.to_string()))?;
        return Ok((weights, "given"));
    }
    if let LockState::Current(lock) | LockState::Stale(lock, _) = project.lock(None)? {
        if lock.network == design.network.hash() {
            if let Ok(weights) = project.locked_weights(&lock, design) {
                return Ok((weights, "trained"));
            }
        }
    }
    Ok((Weights::random(&design.network, 1), "random"))
}

/// Normalised images, and a word for them: test images where they can be read, else random pixels.
fn images(project: &Project, count: usize) -> (Vec<f32>, &'static str) {
    #[cfg(feature = "train")]
    {
        let task = &project.checked.spec.task;
        if let Ok(data) = crate::data::load_test(task, project.dir()) {
            let pipeline = crate::data::Pipeline::new(task);
            let size = data.image_len().max(1);
            let count = count.min(data.labels.len());
            let mut images = vec![0.0; count * size];
            for (i, out) in images.chunks_mut(size).enumerate() {
                pipeline.plain(&data, i * data.labels.len() / count.max(1), out);
            }
            return (images, "test");
        }
    }
    use rand::{RngExt, SeedableRng};
    let task = &project.checked.spec.task;
    let (h, w, c) = task.input;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let normal = |i: usize, p: u8| {
        let of = |v: &[f32], missing: f32| v.get(i % c.max(1)).or(v.last()).copied().unwrap_or(missing);
        (f32::from(p) / 255.0 - of(&task.mean, 0.0)) / of(&task.std, 1.0)
    };
    ((0..count * h * w * c).map(|i| normal(i, rng.random())).collect(), "random")
}
