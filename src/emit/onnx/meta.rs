//! What an ONNX file says about itself: names, hashes, classes, how to prepare an image.

use super::OPSET;
use crate::graph::Fact;
use crate::lower::Lowered;
use crate::source::{Sources, Span};
use onnx_protobuf::StringStringEntryProto;
use serde_json::json;
use std::collections::BTreeMap;

/// What the file records beside the network. All of it may be empty.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// The spec's name, without directory and extension.
    pub spec: String,
    /// SHA-256 of the spec in hexadecimal digits.
    pub spec_hash: String,
    /// The network's structural hash, [`crate::graph::Network::hash`].
    pub network_hash: String,
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
    /// Subtracted from pixels scaled to 0..1, one per channel.
    pub mean: Vec<f32>,
    /// Divides afterwards, one per channel.
    pub std: Vec<f32>,
    /// The spec's texts; with them, nodes name the line they come from.
    pub sources: Option<Sources>,
    /// More entries, such as the accuracy.
    pub extra: BTreeMap<String, String>,
}

impl Metadata {
    /// `fashion.hyt:23`, or nothing where the source is not known. The directory is left out, so
    /// that the file does not depend on where it was compiled.
    pub(super) fn place(&self, span: Span) -> Option<String> {
        let sources = self.sources.as_ref().filter(|_| span.end > 0)?;
        let name = &sources.get(span.file)?.name;
        let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
        Some(format!("{base}:{}", sources.line_column(span).0))
    }
}

pub(super) fn graph_name(meta: &Metadata) -> String {
    if meta.spec.is_empty() {
        "network".to_string()
    } else {
        meta.spec.clone()
    }
}

/// A sentence for whoever opens the file in a viewer.
pub(super) fn summary(lowered: &Lowered, params: usize, int8: bool, meta: &Metadata) -> String {
    let shape = |id: crate::lower::ir::TensorId| {
        lowered.tensors.get(id.0).map_or(String::new(), |t| t.fact.to_string())
    };
    let mut text = format!(
        "{}: {} -> {}, {params} parameters{}, batch norm folded, opset {OPSET}.",
        graph_name(meta),
        shape(lowered.input),
        shape(lowered.output),
        if int8 { " in int8 (QDQ)" } else { "" },
    );
    if !meta.mean.is_empty() {
        text += " Input pixels are scaled to 0..1, then (x - mean) / std per channel; see the metadata.";
    }
    text
}

/// The model's key-value pairs, sorted by key.
pub(super) fn properties(meta: &Metadata, input: Option<Fact>) -> Vec<StringStringEntryProto> {
    let mut all = meta.extra.clone();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            all.insert(key.to_string(), value);
        }
    };
    put("spec", meta.spec.clone());
    put("spec_sha256", meta.spec_hash.clone());
    put("network_hash", meta.network_hash.clone());
    if !meta.classes.is_empty() {
        put("classes", json!(meta.classes).to_string());
    }
    if let Some(Fact::Map { c, h, w }) = input {
        let (color, pixels) = match c {
            1 => ("GRAY", "Gray8"),
            3 => ("RGB", "Rgb8"),
            _ => ("planes", ""),
        };
        let preprocessing = json!({
            "layout": "NCHW",
            "color_order": color,
            "height": h,
            "width": w,
            "scale": "1/255",
            "mean": numbers(&meta.mean),
            "std": numbers(&meta.std),
            "formula": "(pixel / 255 - mean[channel]) / std[channel]",
        });
        put("preprocessing", preprocessing.to_string());
        // The key that ONNX itself defines (docs/MetadataProps.md of the ONNX repository).
        put("Image.BitmapPixelFormat", pixels.to_string());
    }
    all.into_iter()
        .map(|(key, value)| StringStringEntryProto { key, value, ..StringStringEntryProto::default() })
        .collect()
}

/// The shortest decimals that read back as the same f32, rather than f64's long ones.
fn numbers(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| x.to_string().parse().unwrap_or(f64::from(*x))).collect()
}
