//! Verification: the trained network, the ONNX file in a foreign runtime, and the compiled crate
//! compute the same on the test images.

use super::{Event, PipelineError, Watch};
use crate::emit::rust::{crate_name, harness_main};
use crate::graph::Fact;
use crate::project::{Design, Project};
use crate::train::forward;
use crate::verify::{compare, run_tract, Agreement};
use crate::weights::Weights;
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
    /// One a form.
    pub comparisons: Vec<Comparison>,
}

impl Verified {
    /// Whether all agree within the tolerance.
    pub fn passed(&self) -> bool {
        self.comparisons.iter().all(|c| c.agreement.within(self.tolerance))
    }
}

/// Compares all forms of a network on images, `inputs` being normalised `[image][h][w][c]`.
/// `onnxruntime` names a Python that has it, to compare with that too.
///
/// # Errors
/// If a form cannot be made or run.
pub fn verify(
    project: &Project,
    design: &Design,
    weights: &Weights,
    inputs: &[f32],
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
        let theirs =
            crate::verify::run_onnxruntime(python, &onnx, &planar, count, (c, h, w)).map_err(other)?;
        add("ONNX in ONNX Runtime", &theirs)?;
    }
    note("compiling and running the Rust crate");
    let files = project.crate_files(design, &bound).map_err(PipelineError::Diagnostics)?;
    let folder = std::env::temp_dir().join(format!("hytc-verify-{}-{}", project.name(), std::process::id()));
    let theirs = files
        .iter()
        .try_for_each(|f| crate::project::write_atomic(&folder.join(&f.path), f.text.as_bytes()))
        .map_err(PipelineError::from)
        .and_then(|()| run_crate(&folder, &crate_name(project.name()), inputs));
    let _ = std::fs::remove_dir_all(&folder);
    add("Rust crate", &theirs?)?;
    Ok(Verified { images: count, tolerance, comparisons })
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

/// Compiles the crate in `folder` with a small program around it, and runs that on the images.
fn run_crate(folder: &Path, name: &str, inputs: &[f32]) -> Result<Vec<f32>, PipelineError> {
    let other =
        |e: &dyn std::fmt::Display| PipelineError::Other(format!("the emitted crate cannot be run: {e}"));
    let main = folder.join("main.rs");
    std::fs::write(&main, harness_main(name)).map_err(|e| other(&e))?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
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
    compile(Command::new(&rustc).arg("--extern").arg(external).arg("-o").arg(&program).arg(&main))?;
    let mut child =
        Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|e| other(&e))?;
    let bytes: Vec<u8> = inputs.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut results = Vec::new();
    let (mut stdin, mut stdout) = match (child.stdin.take(), child.stdout.take()) {
        (Some(i), Some(o)) => (i, o),
        _ => return Err(other(&"no pipes")),
    };
    // Written beside reading: either pipe may fill up.
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(&bytes));
        stdout.read_to_end(&mut results)
    })
    .map_err(|e| other(&e))?;
    let status = child.wait().map_err(|e| other(&e))?;
    if !status.success() {
        return Err(other(&status));
    }
    Ok(results.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap_or_default())).collect())
}
