//! What a compilation gives out, as files in memory.

use super::{Design, Lock, Project};
use crate::check::spec::{EmitTarget, Precision};
use crate::codes;
use crate::diag::Diagnostic;
use crate::emit::{onnx, rust};
use crate::lower::Bound;
use crate::weights::Weights;
use std::path::PathBuf;

/// A file to write, relative to the output folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub bytes: Vec<u8>,
}

impl Project {
    /// The lowered network with its weights.
    ///
    /// # Errors
    /// If the weights do not fit.
    pub fn bind(&self, design: &Design, weights: &Weights) -> Result<Bound, Vec<Diagnostic>> {
        design.lowered.bind(weights).map_err(|e| {
            vec![Diagnostic::error(codes::WEIGHTS, crate::source::Span::default(), e.to_string())
                .help("train anew")]
        })
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

    /// Emissions that this version cannot make.
    pub fn unsupported(&self) -> Vec<Diagnostic> {
        let int8 = self.checked.spec.emits.iter().filter(|e| e.precision == Precision::Int8);
        int8.map(|e| {
            Diagnostic::error(codes::PRECISION, e.span, "int8 code cannot be emitted yet")
                .help("write `precision = float`, or leave it out")
        })
        .collect()
    }

    /// All that the spec asks for: `<name>.onnx`, the crate `<name>/`, `<name>.json`. A spec without
    /// `emit` gets both.
    ///
    /// # Errors
    /// What cannot be emitted, all of it.
    pub fn artifacts(
        &self,
        design: &Design,
        weights: &Weights,
        lock: &Lock,
    ) -> Result<Vec<Artifact>, Vec<Diagnostic>> {
        let unsupported = self.unsupported();
        if !unsupported.is_empty() {
            return Err(unsupported);
        }
        let bound = self.bind(design, weights)?;
        let emits = &self.checked.spec.emits;
        let wanted = |t: EmitTarget| emits.is_empty() || emits.iter().any(|e| e.target == t);
        let mut out = Vec::new();
        let name = self.name();
        if wanted(EmitTarget::Onnx) {
            let bytes = self.onnx(design, &bound, Some(lock.chosen.metrics.accuracy))?;
            out.push(Artifact { path: format!("{name}.onnx").into(), bytes });
        }
        if wanted(EmitTarget::Rust) {
            for f in self.crate_files(design, &bound)? {
                out.push(Artifact { path: PathBuf::from(name).join(f.path), bytes: f.text.into_bytes() });
            }
        }
        let mut summary = serde_json::json!({
            "name": name,
            "classes": self.checked.spec.task.classes,
            "spec_hash": self.spec_hash(),
            "hytc": env!("CARGO_PKG_VERSION"),
            "front": lock.front,
        });
        if let (Some(all), Ok(serde_json::Value::Object(chosen))) =
            (summary.as_object_mut(), serde_json::to_value(&lock.chosen))
        {
            all.extend(chosen);
        }
        let text = serde_json::to_string_pretty(&summary).unwrap_or_default() + "\n";
        out.push(Artifact { path: format!("{name}.json").into(), bytes: text.into_bytes() });
        Ok(out)
    }
}
