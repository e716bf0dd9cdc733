//! Verification: the trained network, the ONNX file in a foreign runtime, and the compiled crate
//! compute the same on the test images; in int8 the integer interpreter, the compiled crate, and the
//! ONNX file.

use super::{Event, PipelineError, Watch};
use crate::check::spec::{EmitTarget, Precision};
use crate::emit::rust::{crate_name, harness_main, harness_main_int8, EmittedFile};
use crate::graph::Fact;
use crate::lower::ir::Kernel;
use crate::lower::Lowered;
use crate::project::{Design, Project};
use crate::quant::interpret::interpret;
use crate::train::forward;
use crate::verify::{argmax, compare, compare_steps, run_onnxruntime, run_tract, Agreement, Steps};
use crate::weights::Weights;
use rayon::prelude::*;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// One comparison with the trained network.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// What was compared.
    pub what: String,
    /// How well it agrees.
    #[serde(flatten)]
    pub agreement: Agreement,
}

/// All comparisons.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Verified {
    /// Images compared.
    pub images: usize,
    /// Largest difference allowed on the logits.
    pub tolerance: f64,
    /// The part of these images that the trained network classifies rightly.
    pub accuracy: f64,
    /// One a form.
    pub comparisons: Vec<Comparison>,
    /// The forms in int8, where the spec emits any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub int8: Option<VerifiedInt8>,
}

impl Verified {
    /// Whether all agree within the tolerance, and those in int8 within theirs.
    pub fn passed(&self) -> bool {
        let mut int8 = self.int8.iter().flat_map(|i| &i.comparisons);
        self.comparisons.iter().all(|c| c.agreement.within(self.tolerance)) && int8.all(|c| c.passed)
    }
}

/// All comparisons with the integer interpreter.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct VerifiedInt8 {
    /// The part of the images that the integer interpreter classifies rightly.
    pub accuracy: f64,
    /// What a step of the results is worth.
    pub scale: f64,
    /// One a form.
    pub comparisons: Vec<ComparisonInt8>,
    /// Whether the spec emits ONNX in int8 and it was not run, for want of ONNX Runtime.
    pub onnx_not_run: bool,
}

/// The part of the results that may be more than a step apart, by up to [`FURTHEST`] steps, in a runtime that
/// computes layer norms, softmax or attention in 32-bit floating point: where one of these meets a tie, a step in
/// the middle of the network can become several at its end. See `docs/arithmetic.md`.
const BEYOND: f64 = 0.01;
/// The most steps that such a result may be off.
const FURTHEST: u32 = 8;

/// One comparison with the integer interpreter.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ComparisonInt8 {
    /// What was compared.
    pub what: String,
    /// How many steps a result may differ by: none for the crate, one for ONNX.
    pub allowed: u32,
    /// The part of the results, in 0..1, that may differ by up to eight steps all the same: in ONNX, of networks with
    /// layer norm, softmax or attention.
    pub allowed_beyond: f64,
    /// Whether no more differ.
    pub passed: bool,
    /// The part of the images that this form classifies rightly.
    pub accuracy: f64,
    /// How well it agrees.
    #[serde(flatten)]
    pub steps: Steps,
}

/// Whether steps are within what is allowed: the crate is exact, ONNX Runtime within a step, but for the
/// part `beyond`.
fn agrees(steps: &Steps, allowed: u32, beyond: f64) -> bool {
    steps.largest <= allowed || beyond > 0.0 && steps.largest <= FURTHEST && steps.beyond_one <= beyond
}

/// Whether a network has operators whose integers no scale keeps clear of ties.
fn is_irrational(lowered: &Lowered) -> bool {
    let irrational =
        |k: &Kernel| matches!(k, Kernel::LayerNorm { .. } | Kernel::AttentionCore { .. } | Kernel::Softmax);
    lowered.steps().iter().any(|s| irrational(&s.kernel))
}

/// What to compare on.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// Normalised, `[image][h][w][c]`.
    pub inputs: &'a [f32],
    /// By image the class.
    pub labels: &'a [u16],
}

/// Compares all forms of a network that its spec emits on images. `onnxruntime` names a Python that
/// has it, to compare with that too; it is needed to compare ONNX in int8.
///
/// # Errors
/// If a form cannot be made or run.
pub fn verify(
    project: &Project,
    design: &Design,
    weights: &Weights,
    images: Images<'_>,
    tolerance: f64,
    onnxruntime: Option<&Path>,
    watch: &dyn Watch,
) -> Result<Verified, PipelineError> {
    let Fact::Map { c, h, w } = design.network.input_fact() else {
        return Err(PipelineError::Other("the input is not an image".into()));
    };
    let classes = design.network.output_fact().elements();
    let other = PipelineError::Other;
    let note = |what: &str| watch.event(Event::Note(what.to_string()));
    note("running the trained network in burn");
    let inputs = images.inputs;
    let per_image = (c * h * w).max(1);
    let count = inputs.len() / per_image;
    let mut trained = Vec::with_capacity(count * classes);
    for chunk in inputs.chunks(per_image * 100) {
        trained.extend(forward(&design.network, weights, chunk, chunk.len() / per_image)?);
    }
    let bound = project.bind(design, weights).map_err(PipelineError::Diagnostics)?;
    let onnx = project.onnx(design, &bound, None).map_err(PipelineError::Diagnostics)?;
    let planar = channels_first(inputs, c, h * w);
    let mut comparisons = Vec::new();
    let mut add = |what: &str, theirs: &[f32]| -> Result<(), PipelineError> {
        let agreement = compare(&trained, theirs, classes).map_err(other)?;
        comparisons.push(Comparison { what: what.to_string(), agreement });
        Ok(())
    };
    note("running the ONNX file in tract");
    add("ONNX in tract", &run_tract(&onnx, &planar, count, (c, h, w)).map_err(other)?)?;
    if let Some(python) = onnxruntime {
        note("running the ONNX file in ONNX Runtime");
        let theirs = run_onnxruntime(python, &onnx, &planar, count, (c, h, w)).map_err(other)?;
        add("ONNX in ONNX Runtime", &theirs)?;
    }
    note("compiling and running the Rust crate");
    let files = project.crate_files(design, &bound).map_err(PipelineError::Diagnostics)?;
    let name = crate_name(project.name());
    let bytes: Vec<u8> = inputs.iter().flat_map(|x| x.to_le_bytes()).collect();
    let theirs = run_crate(&files, &name, &harness_main(&name), &bytes)?;
    let theirs = theirs.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap_or_default()));
    add("Rust crate", &theirs.collect::<Vec<f32>>())?;
    let accuracy = accuracy(&trained, images.labels, classes);
    let int8 = match project.wants(Precision::Int8) {
        true => Some(int8(project, design, weights, images, &planar, onnxruntime, watch)?),
        false => None,
    };
    Ok(Verified { images: count, tolerance, accuracy, comparisons, int8 })
}

/// The forms in int8 that the spec emits, against the integer interpreter.
fn int8(
    project: &Project,
    design: &Design,
    weights: &Weights,
    images: Images<'_>,
    planar: &[f32],
    onnxruntime: Option<&Path>,
    watch: &dyn Watch,
) -> Result<VerifiedInt8, PipelineError> {
    let diagnostics = PipelineError::Diagnostics;
    let note = |what: &str| watch.event(Event::Note(what.to_string()));
    let bound = project.bind_int8(design, weights).map_err(diagnostics)?;
    let network = project.quantise(&bound, weights).map_err(diagnostics)?;
    let lowered = network.lowered();
    let (input, output) = (network.scale(lowered.input()), network.scale(lowered.output()));
    let (fact, classes) = (lowered.fact(lowered.input()), lowered.fact(lowered.output()).elements());
    note("running the integer interpreter");
    let pixels: Vec<i8> = images.inputs.par_iter().map(|&v| input.quantise_f32(v)).collect();
    let size = fact.elements().max(1);
    let ours: Vec<Vec<i8>> = pixels.par_chunks(size).map(|image| interpret(&network, image)).collect();
    let ours: Vec<f32> = ours.into_iter().flatten().map(|q| output.real(q.into()) as f32).collect();
    let scale = f64::from(output.scale);
    let mut comparisons = Vec::new();
    let mut add =
        |what: &str, allowed: u32, allowed_beyond: f64, theirs: &[f32]| -> Result<(), PipelineError> {
            let steps = compare_steps(&ours, theirs, classes, scale).map_err(PipelineError::Other)?;
            let accuracy = accuracy(theirs, images.labels, classes);
            let passed = agrees(&steps, allowed, allowed_beyond);
            let what = what.to_string();
            comparisons.push(ComparisonInt8 { what, allowed, allowed_beyond, passed, accuracy, steps });
            Ok(())
        };
    let emits = |target: EmitTarget| {
        let wanted = (target, Precision::Int8);
        project.checked.spec.emits.iter().any(|e| (e.target, e.precision) == wanted)
    };
    if emits(EmitTarget::Rust) {
        note("compiling and running the Rust crate in int8");
        let files = project.crate_files_int8(&network).map_err(diagnostics)?;
        let name = crate_name(&project.crate_metadata(Precision::Int8).name);
        let bytes: Vec<u8> = pixels.iter().map(|&q| q as u8).collect();
        let theirs = run_crate(&files, &name, &harness_main_int8(&name), &bytes)?;
        let theirs = theirs.into_iter().map(|q| output.real(i32::from(q as i8)) as f32);
        add("Rust crate", 0, 0.0, &theirs.collect::<Vec<f32>>())?;
    }
    let mut onnx_not_run = false;
    if emits(EmitTarget::Onnx) {
        match (onnxruntime, fact) {
            (Some(python), Fact::Map { c, h, w }) => {
                note("running the ONNX file in int8 in ONNX Runtime");
                let onnx = project.onnx_int8(design, &network, None).map_err(diagnostics)?;
                let count = images.inputs.len() / size;
                let theirs = run_onnxruntime(python, &onnx, planar, count, (c, h, w));
                let beyond = if is_irrational(lowered) { BEYOND } else { 0.0 };
                add("ONNX in ONNX Runtime", 1, beyond, &theirs.map_err(PipelineError::Other)?)?;
            }
            _ => onnx_not_run = true,
        }
    }
    let accuracy = accuracy(&ours, images.labels, classes);
    Ok(VerifiedInt8 { accuracy, scale, comparisons, onnx_not_run })
}

/// The part of the images whose label has the largest logit (the first, if several).
fn accuracy(logits: &[f32], labels: &[u16], classes: usize) -> f64 {
    let rows = logits.chunks(classes.max(1)).zip(labels);
    let right = rows.filter(|(row, &label)| argmax(row) == Some(usize::from(label))).count();
    right as f64 / labels.len().max(1) as f64
}

/// `[n][pixels][c]` to `[n][c][pixels]`.
fn channels_first(inputs: &[f32], c: usize, pixels: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(inputs.len());
    for image in inputs.chunks(c * pixels) {
        for channel in 0..c {
            out.extend(image.iter().skip(channel).step_by(c));
        }
    }
    out
}

/// Compiles a crate with a small program around it, and runs that on the images.
fn run_crate(files: &[EmittedFile], name: &str, main: &str, images: &[u8]) -> Result<Vec<u8>, PipelineError> {
    let folder = std::env::temp_dir().join(format!("hytc-verify-{name}-{}", std::process::id()));
    let result = files
        .iter()
        .try_for_each(|f| crate::project::write_atomic(&folder.join(&f.path), f.text.as_bytes()))
        .map_err(PipelineError::from)
        .and_then(|()| compile_and_run(&folder, name, main, images));
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn compile_and_run(folder: &Path, name: &str, main: &str, images: &[u8]) -> Result<Vec<u8>, PipelineError> {
    let other =
        |e: &dyn std::fmt::Display| PipelineError::Other(format!("the emitted crate cannot be run: {e}"));
    let source = folder.join("main.rs");
    std::fs::write(&source, main).map_err(|e| other(&e))?;
    let rustc = std::env::var_os("RUSTC").filter(|p| !p.is_empty()).unwrap_or_else(|| "rustc".into());
    let library = folder.join(format!("lib{name}.rlib"));
    let program = folder.join("program");
    let compile = |arguments: &mut Command| {
        let out = arguments
            .args(["--edition", "2021", "-O"])
            .output()
            .map_err(|e| other(&format!("rustc: {e}")))?;
        if out.status.success() {
            return Ok(());
        }
        Err(other(&String::from_utf8_lossy(&out.stderr)))
    };
    compile(
        Command::new(&rustc)
            .args(["--crate-type", "lib", "--crate-name", name])
            .arg("-o")
            .arg(&library)
            .arg(folder.join("src/lib.rs")),
    )?;
    let external = format!("{name}={}", library.display());
    compile(Command::new(&rustc).arg("--extern").arg(external).arg("-o").arg(&program).arg(&source))?;
    let mut child =
        Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|e| other(&e))?;
    let mut results = Vec::new();
    let (mut stdin, mut stdout) = match (child.stdin.take(), child.stdout.take()) {
        (Some(i), Some(o)) => (i, o),
        _ => return Err(other(&"no pipes")),
    };
    // Written beside reading: either pipe may fill up.
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(images));
        stdout.read_to_end(&mut results)
    })
    .map_err(|e| other(&e))?;
    let status = child.wait().map_err(|e| other(&e))?;
    if !status.success() {
        return Err(other(&status));
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_results_may_be_a_little_further_off() {
        let of = |largest, beyond_one| Steps { largest, differing: 0.5, beyond_one, argmax_agreement: 1.0 };
        assert!(agrees(&of(1, 0.0), 1, 0.0) && agrees(&of(2, 0.009), 1, BEYOND));
        assert!(!agrees(&of(2, 0.001), 1, 0.0), "a network of convolutions");
        assert!(!agrees(&of(2, 0.011), 1, BEYOND), "too many");
        assert!(!agrees(&of(200, 0.005), 1, BEYOND), "too far");
        assert!(!agrees(&of(u32::MAX, 0.001), 1, BEYOND), "not a number");
        assert!(!agrees(&of(1, 0.0), 0, 0.0), "the crate");
    }
}
