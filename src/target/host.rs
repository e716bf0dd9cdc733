//! Measuring emitted code on the machine that hytc runs on: the time of an inference and of its steps,
//! in one thread. Times are of the machine and the moment: no two runs give the same.

use super::build::{Compiler, Kind};
use super::{failed, kind, BenchError, Folder};
use crate::emit::rust::{crate_name, emit_int8_traced, emit_traced, EmittedFile, Metadata};
use crate::lower::{Bound, Lowered, Plan};
use crate::quant::Quantised;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// How to build and how long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether the compiler may use all instructions of this machine (`-C target-cpu=native`).
    pub native: bool,
    /// Seconds of measuring: half for whole inferences, half step by step; before them a fifth of it unmeasured.
    pub seconds: f64,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Timed {
    /// `host`
    pub target: &'static str,
    /// What was built for: `x86_64, target-cpu=native`.
    pub about: String,
    /// The median of the times of an inference.
    pub nanoseconds: u64,
    /// The fastest inference.
    pub fastest_nanoseconds: u64,
    /// How many inferences were timed.
    pub repetitions: usize,
    /// The arena, the input in it.
    pub arena_bytes: usize,
    /// Step by step.
    pub layers: Vec<TimedLayer>,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct TimedLayer {
    /// Its name.
    pub name: String,
    /// Its kernel.
    pub kind: String,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// The median of its times, the clock being read before and after it.
    pub nanoseconds: u64,
}

/// Builds a network of int8 for this machine and times it on quantised images (at least one); gives the
/// results on all of them too.
///
/// # Errors
/// See [`BenchError`].
pub fn measure_int8(
    network: &Quantised,
    plan: &Plan,
    metadata: &Metadata,
    images: &[i8],
    options: Options,
) -> Result<(Timed, Vec<i8>), BenchError> {
    let files = emit_int8_traced(network, plan, metadata).map_err(failed)?;
    let bytes: Vec<u8> = images.iter().map(|&q| q as u8).collect();
    let target = Target { lowered: network.lowered(), arena: plan.arena_bytes, number: "i8" };
    let (timed, outputs) = measure(&target, &files, metadata, &bytes, options)?;
    Ok((timed, outputs.into_iter().map(|b| b as i8).collect()))
}

/// The same in floating point.
///
/// # Errors
/// See [`BenchError`].
pub fn measure_float(
    bound: &Bound,
    plan: &Plan,
    metadata: &Metadata,
    images: &[f32],
    options: Options,
) -> Result<(Timed, Vec<f32>), BenchError> {
    let files = emit_traced(bound, plan, metadata).map_err(failed)?;
    let bytes: Vec<u8> = images.iter().flat_map(|x| x.to_le_bytes()).collect();
    let target = Target { lowered: &bound.lowered, arena: plan.arena_bytes, number: "f32" };
    let (timed, outputs) = measure(&target, &files, metadata, &bytes, options)?;
    let (numbers, _) = outputs.as_chunks::<4>();
    Ok((timed, numbers.iter().map(|b| f32::from_le_bytes(*b)).collect()))
}

/// What is timed: the schedule, the size of its arena, the type of its numbers.
struct Target<'a> {
    lowered: &'a Lowered,
    arena: usize,
    number: &'static str,
}

fn measure(
    target: &Target<'_>,
    files: &[EmittedFile],
    metadata: &Metadata,
    images: &[u8],
    options: Options,
) -> Result<(Timed, Vec<u8>), BenchError> {
    let &Target { lowered, arena, number } = target;
    let name = crate_name(&metadata.name);
    let folder = Folder::new(&format!("host-{name}"))?;
    let cpu = options.native.then(|| "-Ctarget-cpu=native".to_string());
    let compiler = Compiler::native(cpu.into_iter().collect(), number);
    let image = compiler.program(&folder.0, files, &name, Kind::Timed)?;
    std::fs::write(folder.0.join("images"), images)?;
    let mut command = Command::new(&image);
    command.arg(options.seconds.to_string()).current_dir(&folder.0);
    super::build::run(&mut command, "timing the network")?;
    let outputs = std::fs::read(folder.0.join("outputs"))?;
    let times = times(&folder.0)?;
    let [repetitions, nanoseconds, fastest, steps @ ..] = times.as_slice() else {
        return Err(BenchError::Tool { what: "timing the network".into(), said: "it gave no times".into() });
    };
    if steps.len() != lowered.steps().len() {
        let said = format!("it gave {} times for {} steps", steps.len(), lowered.steps().len());
        return Err(BenchError::Tool { what: "timing the network".into(), said });
    }
    let layers = lowered.steps().iter().zip(steps).map(|(step, &nanoseconds)| TimedLayer {
        name: step.name.clone(),
        kind: kind(lowered, step).into(),
        macs: lowered.step_macs(step),
        nanoseconds,
    });
    let built_for = if options.native { "target-cpu=native" } else { "the baseline of its architecture" };
    let timed = Timed {
        target: "host",
        about: format!("{}, {built_for}", std::env::consts::ARCH),
        nanoseconds: *nanoseconds,
        fastest_nanoseconds: *fastest,
        repetitions: *repetitions as usize,
        arena_bytes: arena,
        layers: layers.collect(),
    };
    Ok((timed, outputs))
}

fn times(folder: &Path) -> Result<Vec<u64>, BenchError> {
    let text = std::fs::read_to_string(folder.join("times"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}
