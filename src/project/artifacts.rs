//! What a compilation gives out, as files in memory.

use super::{Design, Lock, Project};
use crate::check::spec::{EmitTarget, Precision};
use crate::codes;
use crate::diag::Diagnostic;
use crate::emit::{onnx, rust};
use crate::lower::{plan, prune, Bound};
use crate::quant::{load_tuned, quantise, Calibration, Quantised, Scale};
use crate::weights::{Weights, WeightsError};
use std::path::PathBuf;

/// A file to write, relative to the output folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub bytes: Vec<u8>,
}

fn misfit(e: &WeightsError) -> Vec<Diagnostic> {
    let d = Diagnostic::error(codes::WEIGHTS, crate::source::Span::default(), e.to_string());
    vec![d.help("train anew")]
}

impl Project {
    /// The lowered network with its weights.
    ///
    /// # Errors
    /// If the weights do not fit.
    pub fn bind(&self, design: &Design, weights: &Weights) -> Result<Bound, Vec<Diagnostic>> {
        design.lowered.bind(weights).map_err(|e| misfit(&e))
    }

    /// [`Project::bind`] without channels that are constant or never read, and with the weights that
    /// int8 has of its own: what int8 begins with.
    ///
    /// # Errors
    /// If the weights do not fit.
    pub fn bind_int8(&self, design: &Design, weights: &Weights) -> Result<Bound, Vec<Diagnostic>> {
        load_tuned(prune(&self.bind(design, weights)?), weights).map_err(|e| misfit(&e))
    }

    fn onnx_metadata(&self, design: &Design, accuracy: Option<f64>) -> onnx::Metadata {
        let task = &self.checked.spec.task;
        onnx::Metadata {
            spec: self.name().to_string(),
            spec_hash: self.spec_hash(),
            network_hash: design.network.hash(),
            classes: task.classes.clone(),
            mean: task.mean.clone(),
            std: task.std.clone(),
            sources: Some(self.sources.clone()),
            extra: accuracy.map(|a| ("test_accuracy".to_string(), format!("{a:.4}"))).into_iter().collect(),
        }
    }

    /// What emitted Rust says of itself.
    pub fn rust_metadata(&self) -> rust::Metadata {
        let task = &self.checked.spec.task;
        rust::Metadata {
            name: self.name().to_string(),
            classes: task.classes.clone(),
            mean: task.mean.clone(),
            std: task.std.clone(),
            spec_hash: self.spec_hash(),
            version: env!("CARGO_PKG_VERSION").to_string(),
        }
    }

    /// `<name>.onnx`
    ///
    /// # Errors
    /// What cannot be emitted.
    pub fn onnx(
        &self,
        design: &Design,
        bound: &Bound,
        accuracy: Option<f64>,
    ) -> Result<Vec<u8>, Vec<Diagnostic>> {
        onnx::emit(bound, &self.onnx_metadata(design, accuracy))
    }

    /// The files of the crate, relative to its folder.
    ///
    /// # Errors
    /// What cannot be emitted.
    pub fn crate_files(
        &self,
        design: &Design,
        bound: &Bound,
    ) -> Result<Vec<rust::EmittedFile>, Vec<Diagnostic>> {
        rust::emit(bound, &design.plan, &self.rust_metadata())
    }

    /// `<name>-int8.onnx`
    ///
    /// # Errors
    /// What cannot be emitted.
    pub fn onnx_int8(
        &self,
        design: &Design,
        network: &Quantised,
        accuracy: Option<f64>,
    ) -> Result<Vec<u8>, Vec<Diagnostic>> {
        onnx::emit_int8(network, &self.onnx_metadata(design, accuracy))
    }

    /// The files of the crate in int8, relative to its folder.
    ///
    /// # Errors
    /// What cannot be emitted.
    pub fn crate_files_int8(&self, network: &Quantised) -> Result<Vec<rust::EmittedFile>, Vec<Diagnostic>> {
        rust::emit_int8(network, &plan(network.lowered(), 1), &self.crate_metadata(Precision::Int8))
    }

    /// Whether the spec asks for something in this precision.
    pub fn wants(&self, precision: Precision) -> bool {
        self.checked.spec.emits.iter().any(|e| e.precision == precision)
    }

    /// Whether Rust is emitted in int8 only.
    pub fn rust_is_int8(&self) -> bool {
        let rust = self.checked.spec.emits.iter().filter(|e| e.target == EmitTarget::Rust);
        let mut precisions = rust.map(|e| e.precision).peekable();
        precisions.peek().is_some() && precisions.all(|p| p == Precision::Int8)
    }

    /// The scale of images in int8.
    ///
    /// # Errors
    /// If `normalize` leaves them none.
    pub fn pixel_scale(&self) -> Result<Scale, Vec<Diagnostic>> {
        let task = &self.checked.spec.task;
        Scale::of_pixels(&task.mean, &task.std).ok_or_else(|| {
            let m = "the pixels after `normalize` have no int8 scale";
            let d = Diagnostic::error(codes::CALIBRATION, task.span, m);
            vec![d.help("correct `normalize` in the task")]
        })
    }

    /// The network in int8, by the calibration that the weights carry. `bound` is that of
    /// [`Project::bind_int8`].
    ///
    /// # Errors
    /// If they carry none, or the network cannot be quantised.
    pub fn quantise(&self, bound: &Bound, weights: &Weights) -> Result<Quantised, Vec<Diagnostic>> {
        let emit = self.checked.spec.emits.iter().find(|e| e.precision == Precision::Int8);
        let span = emit.map_or(crate::source::Span::default(), |e| e.span);
        let wrong = |m: &str, help: &str| vec![Diagnostic::error(codes::CALIBRATION, span, m).help(help)];
        let input = self.pixel_scale()?;
        let calibration = Calibration::load(&bound.lowered, weights).ok_or_else(|| {
            let help = "run `hytc compile` where the data are, or train anew with `--research`";
            wrong("the weights carry no calibration for int8", help)
        })?;
        quantise(bound, &calibration, input)
    }

    /// [`Project::rust_metadata`] of the crate in a precision: that of int8 has a name of its own.
    pub fn crate_metadata(&self, precision: Precision) -> rust::Metadata {
        let mut metadata = self.rust_metadata();
        if precision == Precision::Int8 {
            metadata.name += "-int8";
        }
        metadata
    }

    /// All that the spec asks for: `<name>.onnx`, the crate `<name>/`, `<name>.json`; what is in int8
    /// is called `<name>-int8`. A spec without `emit` gets both forms in floating point.
    ///
    /// # Errors
    /// What cannot be emitted, all of it.
    pub fn artifacts(
        &self,
        design: &Design,
        weights: &Weights,
        lock: &Lock,
    ) -> Result<Vec<Artifact>, Vec<Diagnostic>> {
        let bound = self.bind(design, weights)?;
        let emits = &self.checked.spec.emits;
        let wanted = |target: EmitTarget, precision: Precision| match emits.is_empty() {
            true => precision == Precision::Float,
            false => emits.iter().any(|e| (e.target, e.precision) == (target, precision)),
        };
        let mut out = Vec::new();
        let mut forms = Vec::new();
        let name = self.name();
        let (float, int8) = (Some(lock.chosen.metrics.accuracy), lock.chosen.metrics.current_int8());
        let mut form = |path: String, precision: &str, accuracy: Option<f64>| {
            let accuracy = accuracy.filter(|a| a.is_finite());
            forms.push(serde_json::json!({ "path": path, "precision": precision, "accuracy": accuracy }));
        };
        if wanted(EmitTarget::Onnx, Precision::Float) {
            let bytes = self.onnx(design, &bound, float)?;
            out.push(Artifact { path: format!("{name}.onnx").into(), bytes });
            form(format!("{name}.onnx"), "float", float);
        }
        if wanted(EmitTarget::Rust, Precision::Float) {
            for f in self.crate_files(design, &bound)? {
                out.push(Artifact { path: PathBuf::from(name).join(f.path), bytes: f.text.into_bytes() });
            }
            form(format!("{name}/"), "float", float);
        }
        if self.wants(Precision::Int8) {
            let quantised = self.quantise(&self.bind_int8(design, weights)?, weights)?;
            if wanted(EmitTarget::Onnx, Precision::Int8) {
                let bytes = self.onnx_int8(design, &quantised, int8)?;
                out.push(Artifact { path: format!("{name}-int8.onnx").into(), bytes });
                form(format!("{name}-int8.onnx"), "int8", int8);
            }
            if wanted(EmitTarget::Rust, Precision::Int8) {
                let folder = PathBuf::from(format!("{name}-int8"));
                for f in self.crate_files_int8(&quantised)? {
                    out.push(Artifact { path: folder.join(f.path), bytes: f.text.into_bytes() });
                }
                form(format!("{name}-int8/"), "int8", int8);
            }
        }
        let mut summary = serde_json::json!({
            "name": name,
            "classes": self.checked.spec.task.classes,
            "spec_hash": self.spec_hash(),
            "hytc": env!("CARGO_PKG_VERSION"),
            "forms": forms,
            "front": lock.front,
        });
        if let (Some(all), Ok(serde_json::Value::Object(chosen))) =
            (summary.as_object_mut(), serde_json::to_value(&lock.chosen))
        {
            all.extend(chosen);
            // What is emitted says it; of another arithmetic it would be wrong.
            all.remove("int8_revision");
            all.remove("accuracy_int8");
            if self.wants(Precision::Int8) {
                // Null where it was not measured.
                all.insert("accuracy_int8".into(), int8.into());
            }
        }
        let text = serde_json::to_string_pretty(&summary).unwrap_or_default() + "\n";
        out.push(Artifact { path: format!("{name}.json").into(), bytes: text.into_bytes() });
        Ok(out)
    }
}
