//! `hytc bench SPEC --target ..`: emitted code measured on an emulated target, or on this machine.

use super::common::{error, failed, open, out, print_json, unknown, usage, PrecisionArg, SpecArgs};
use super::point::{point, PointArgs};
use super::{exit, Done, Failure};
use crate::check::spec::Precision;
use crate::emit::rust::Metadata;
use crate::lower::plan;
use crate::project::{Design, LockState, Project};
use crate::quant::interpret::interpret;
use crate::quant::{calibrate, Calibration, Quantised};
use crate::target::{measure, BenchError, Board, Measured, BOARDS};
use crate::weights::Weights;
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) const AFTER: &str = "Examples:
  hytc bench specs/mobilenet_v1.hyt --target cortex-m4 --precision int8
  hytc bench specs/fashion.hyt --target aarch64 --images 200 --point mixer=attention --json
  hytc bench specs/vww.hyt --target host --precision float --native
  hytc bench specs/vww.hyt --target host --peers venv/bin/python

Targets: cortex-m0, cortex-m4, cortex-m7, cortex-m55, riscv32, aarch64, armv7, and host, this machine.
All but the last run in QEMU, which counts instructions, not cycles; on the host time is measured, in one
thread. The outputs are compared with the integer interpreter, floats with the reference interpreter;
a difference ends with exit code 4. `scripts/setup-cross.sh` installs the compiler and QEMU.";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
#[group(skip)]
pub(super) struct Args {
    /// The spec, a .hyt file
    spec: Option<PathBuf>,
    #[command(flatten)]
    point: PointArgs,
    /// The target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// The numbers of the emitted code; float only on the host [default: int8]
    #[arg(long, value_enum)]
    precision: Option<PrecisionArg>,
    /// Weights (safetensors), as `hytc train --out` writes them [default: the locked ones, or random]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Images to run, at least one
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = super::common::at_least_one)]
    images: usize,
    /// On the host: build for this very processor (`-C target-cpu=native`)
    #[arg(long)]
    pub(super) native: bool,
    /// On the host: seconds of measuring, half of them whole inferences, half step by step [default: 2]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,
    /// On the host: time hytc's float and int8 code beside ONNX Runtime's and tract's; a Python with numpy
    /// and onnxruntime (tract is part of hytc with the feature `verify`)
    #[arg(long, value_name = "PYTHON")]
    peers: Option<PathBuf>,
    /// Print JSON: `instructions`, `arena_bytes`, `flash_bytes`, `code_bytes`, `constant_bytes`,
    /// `stack_bytes`, `layers`, `identical`; on the host `nanoseconds`, `fastest_nanoseconds`,
    /// `repetitions`, `arena_bytes`, `layers`, `identical` (float: `largest_difference`);
    /// with `--peers` a list of `engine`, `precision`, `nanoseconds`, `fastest_nanoseconds`, `repetitions`
    #[arg(long)]
    pub(super) json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && (0.01..=3600.0).contains(&x) => Ok(x),
        Ok(_) => Err("it must be from 0.01 to 3600".to_string()),
        Err(e) => Err(format!("{e}")),
    }
}

pub(super) fn run(args: &Args) -> Done {
    let names: Vec<&str> = BOARDS.iter().map(|b| b.name).chain(["host"]).collect();
    let (Some(spec), Some(target)) = (&args.spec, &args.target) else {
        let help = format!("write `hytc bench SPEC --target NAME` with one of {}", names.join(", "));
        let near = args.spec.as_ref().and_then(|s| s.to_str()).and_then(search_meant);
        let near = near.map_or(String::new(), |n| format!("did you mean `hytc bench {n}`? Else "));
        let missing = match args.spec {
            None => "there is no spec: what is to be measured?",
            Some(_) => "`--target` is missing: where is it to be measured?",
        };
        return Err(usage(missing, near + &help));
    };
    let board = Board::named(target);
    if board.is_none() && target != "host" {
        return Err(unknown("target", target, &names));
    }
    let emulated = board.is_some();
    if emulated && args.precision == Some(PrecisionArg::Float) {
        let help = "leave `--precision` out, or write `--target host`";
        return Err(usage("emulated targets run int8 only", help));
    }
    if emulated && (args.native || args.peers.is_some() || args.seconds.is_some()) {
        let m = "`--native`, `--peers` and `--seconds` go with `--target host` only";
        return Err(usage(m, "leave them out: on emulated targets instructions are counted, once"));
    }
    if args.peers.is_some() && (args.native || args.precision.is_some()) {
        let m = "`--native` and `--precision` do not go with `--peers`";
        let help =
            "leave them out: float and int8 are measured, both with `-C target-cpu=native` and without";
        return Err(usage(m, help));
    }
    let bench = Bench::new(args, spec)?;
    if let (None, Some(python)) = (board, &args.peers) {
        return bench.peers(python);
    }
    match (board, args.precision) {
        (Some(board), _) => bench.emulated(board),
        (None, Some(PrecisionArg::Float)) => bench.host_float(),
        (None, _) => bench.host_int8(),
    }
}

/// What of `hytc bench search` may have been meant by a word in the place of the spec.
#[cfg(feature = "search")]
fn search_meant(word: &str) -> Option<String> {
    use crate::syntax::nearest;
    let verb = nearest(word, ["search"]).map(str::to_string);
    verb.or_else(|| nearest(word, crate::bench::PROBLEMS).map(|p| format!("search --problem {p}")))
}

#[cfg(not(feature = "search"))]
fn search_meant(_: &str) -> Option<String> {
    None
}

pub(super) fn bench_failed(e: BenchError) -> Failure {
    Failure::new(error(e))
}

/// What is measured, and on which images.
pub(super) struct Bench<'a> {
    pub(super) args: &'a Args,
    pub(super) project: Project,
    point: crate::space::Point,
    pub(super) design: Design,
    pub(super) weights: Weights,
    /// For people: which network, whose weights.
    pub(super) origin: String,
    /// Normalised images.
    pub(super) images: Vec<f32>,
    pub(super) which: &'static str,
}

impl<'a> Bench<'a> {
    fn new(args: &'a Args, spec: &std::path::Path) -> Result<Bench<'a>, Failure> {
        let project = open(&SpecArgs { spec: spec.to_path_buf() })?;
        let (point, origin) = point(&project, &args.point)?;
        let design = project.design(&point).map_err(failed(&project))?;
        let (weights, whose) = weights(&project, &design, args)?;
        let origin = format!("{}: {origin}, {whose} weights", project.name());
        let (images, which) = images(&project, args.images);
        Ok(Bench { args, project, point, design, weights, origin, images, which })
    }

    /// The network in int8, and the images in its numbers.
    pub(super) fn quantised(&self) -> Result<(Quantised, Vec<i8>), Failure> {
        let project = &self.project;
        let mut weights = self.weights.clone();
        let bound = project.bind_int8(&self.design, &weights).map_err(failed(project))?;
        if Calibration::load(&bound.lowered, &weights).is_none() {
            let found = calibrate(&bound, &self.images).map_err(failed(project))?;
            found.store(&bound.lowered, &mut weights);
        }
        let network = project.quantise(&bound, &weights).map_err(failed(project))?;
        let scale = network.scale(network.lowered().input());
        let images = self.images.iter().map(|&x| scale.quantise_f32(x)).collect();
        Ok((network, images))
    }

    pub(super) fn seconds(&self) -> f64 {
        self.args.seconds.unwrap_or(2.0)
    }

    pub(super) fn image_size(&self) -> usize {
        self.design.network.input_fact().elements().max(1)
    }

    pub(super) fn image_count(&self) -> usize {
        self.images.len() / self.image_size()
    }

    pub(super) fn metadata(&self, precision: Precision) -> Metadata {
        self.project.crate_metadata(precision)
    }

    pub(super) fn interpreted(&self, network: &Quantised, images: &[i8]) -> Vec<i8> {
        images.chunks(self.image_size()).flat_map(|image| interpret(network, image)).collect()
    }

    /// Prints the figures, with what was found of the results.
    pub(super) fn json(
        &self,
        found: &impl serde::Serialize,
        key: &str,
        result: serde_json::Value,
    ) -> Result<(), Failure> {
        let mut value = serde_json::to_value(found).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.insert(key.into(), result);
            map.insert("images".into(), self.image_count().into());
            map.insert("decisions".into(), self.project.checked.space.describe(&self.point).into());
        }
        print_json(&value)
    }

    /// Says whether the results are those of the integer interpreter.
    pub(super) fn verdict(&self, identical: bool) -> Done {
        if !self.args.json {
            let same = if identical { "bit-identical to" } else { "DIFFERENT from" };
            let (count, which) = (self.image_count(), self.which);
            out(format_args!("results on {count} {which} images {same} the integer interpreter"))?;
        }
        Ok(if identical { ExitCode::SUCCESS } else { ExitCode::from(exit::DIFFERENT) })
    }

    fn emulated(&self, board: &'static Board) -> Done {
        let (network, images) = self.quantised()?;
        let places = plan(network.lowered(), 1);
        let found = measure(&network, &places, &self.metadata(Precision::Int8), board, &images)
            .map_err(bench_failed)?;
        let identical = self.interpreted(&network, &images) == found.outputs;
        if self.args.json {
            self.json(&found, "identical", identical.into())?;
        } else {
            out(format_args!("{}, int8 on {}", self.origin, board.about))?;
            out(format_args!("{}", emulated_table(&found)))?;
        }
        self.verdict(identical)
    }
}

fn emulated_table(m: &Measured) -> String {
    let rows = m.layers.iter().map(|l| (l.name.as_str(), l.kind.as_str(), l.macs, l.instructions));
    let text = table("instructions", rows, m.instructions);
    format!(
        "{text}\narena {} bytes, stack {} bytes, flash {} bytes (code {}, constants {})",
        m.arena_bytes, m.stack_bytes, m.flash_bytes, m.code_bytes, m.constant_bytes
    )
}

/// A line for each step (name, kernel, MACs, amount) and one for all.
pub(super) fn table<'a>(
    unit: &str,
    rows: impl Iterator<Item = (&'a str, &'a str, u64, u64)>,
    total: u64,
) -> String {
    let mut text = format!("\n{:<44} {:<16} {:>12} {unit:>12} {:>6}\n", "step", "kernel", "MACs", "each");
    let each = |n: u64, macs: u64| match macs {
        0 => String::new(),
        macs => format!("{:.2}", n as f64 / macs as f64),
    };
    let mut all = 0;
    for (name, kind, macs, amount) in rows {
        all += macs;
        let name: String = name.chars().rev().take(44).collect::<Vec<_>>().into_iter().rev().collect();
        text += &format!("{name:<44} {kind:<16} {macs:>12} {amount:>12} {:>6}\n", each(amount, macs));
    }
    text += &format!("{:<44} {:<16} {all:>12} {total:>12} {:>6}\n", "all", "", each(total, all));
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
            return Ok((project.locked_weights(&lock, design)?, "trained"));
        }
    }
    Ok((Weights::random(&design.network, 1), "random"))
}

/// Normalised images, and a word for them: test images where they can be read, else random pixels.
fn images(project: &Project, count: usize) -> (Vec<f32>, &'static str) {
    #[cfg(feature = "data")]
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
