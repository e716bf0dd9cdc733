//! ONNX: a bound network as the bytes of an `.onnx` file.
//!
//! Opset 17, IR version 8, 32-bit floats (<https://onnx.ai/onnx/operators/>). The graph has one input
//! `input` of `[N, C, H, W]` and one output `logits` of `[N, classes]`; `N`, the batch, is symbolic.
//! Only weights are initialisers, each slot of the lowered network exactly once, so that the
//! elements of all initialisers add up to the network's parameters; shapes and scalars are
//! `Constant` nodes. The same network and metadata give the same bytes.

mod build;
mod kernels;
mod meta;
mod quantise;
#[cfg(test)]
mod tests;

pub use meta::Metadata;

use crate::codes;
use crate::diag::Diagnostic;
use crate::lower::{Bound, Lowered};
use crate::quant::Quantised;
use crate::source::Span;
use build::{Builder, Source};
use onnx_protobuf::{GraphProto, Message, ModelProto, OperatorSetIdProto};

/// Name of the graph's input.
pub const INPUT: &str = "input";
/// Name of the graph's output.
pub const OUTPUT: &str = "logits";
/// Version of the operator set.
pub const OPSET: i64 = 17;
/// Version of the file format.
pub const IR_VERSION: i64 = 8;

/// Protobuf messages end at 2 GiB; this leaves room for everything but the weights.
const MAX_WEIGHT_BYTES: usize = 2_000_000_000;

/// The network as an ONNX file. The input holds images normalised as `meta` says.
///
/// # Errors
/// - [`codes::ONNX_WEIGHTS`]: a weight is not finite, or all of them exceed the format's 2 GiB.
/// - [`codes::ONNX_WINDOW`]: a window of a pooling lies in the padding only, so that it has no
///   maximum or mean.
/// - [`codes::ONNX_DEFECT`]: the lowered network contradicts itself, which is a defect of hytc.
pub fn emit(bound: &Bound, meta: &Metadata) -> Result<Vec<u8>, Vec<Diagnostic>> {
    check_weights(bound)?;
    let params = bound.arrays.iter().map(|a| a.data.len()).sum();
    write(&bound.lowered, Source::Float(&bound.arrays), params, meta)
}

/// The quantised network as an ONNX file in QDQ form: floats go in and come out, as with [`emit`];
/// every tensor between goes through int8. ONNX Runtime gives the integers of
/// [`crate::quant::interpret`] to within a step of the result's scale, where there is layer norm, softmax or
/// attention nearly always (`docs/arithmetic.md`).
///
/// # Errors
/// As [`emit`].
pub fn emit_int8(network: &Quantised, meta: &Metadata) -> Result<Vec<u8>, Vec<Diagnostic>> {
    write(network.lowered(), Source::Int8(network), quantise::elements(network), meta)
}

fn write(
    lowered: &Lowered,
    source: Source<'_>,
    params: usize,
    meta: &Metadata,
) -> Result<Vec<u8>, Vec<Diagnostic>> {
    let mut builder = Builder::new(lowered, source, meta).map_err(|d| vec![*d])?;
    let mut found = Vec::new();
    for step in &lowered.steps {
        if let Err(d) = kernels::step(&mut builder, step) {
            found.push(*d);
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    let parts = builder.finish().map_err(|d| vec![*d])?;
    let input = lowered.tensors.get(lowered.input.0).map(|t| t.fact);
    let graph = GraphProto {
        name: meta::graph_name(meta),
        doc_string: meta::summary(lowered, params, matches!(source, Source::Int8(_)), meta),
        node: parts.nodes,
        initializer: parts.initializers,
        input: vec![parts.input],
        output: vec![parts.output],
        value_info: parts.values,
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { version: OPSET, ..OperatorSetIdProto::default() }],
        producer_name: env!("CARGO_PKG_NAME").to_string(),
        producer_version: env!("CARGO_PKG_VERSION").to_string(),
        model_version: 1,
        metadata_props: meta::properties(meta, input),
        graph: Some(graph).into(),
        ..ModelProto::default()
    };
    model.write_to_bytes().map_err(|e| vec![defect(Span::default(), format!("ONNX cannot be written: {e}"))])
}

/// Every slot has an array of its shape, with finite elements.
fn check_weights(bound: &Bound) -> Result<(), Vec<Diagnostic>> {
    let slots = &bound.lowered.slots;
    if slots.len() != bound.arrays.len() {
        let m = format!("{} weight slots have {} arrays", slots.len(), bound.arrays.len());
        return Err(vec![defect(Span::default(), m)]);
    }
    let mut found = Vec::new();
    let mut bytes = 0usize;
    for (id, (slot, array)) in slots.iter().zip(&bound.arrays).enumerate() {
        let span = bound
            .lowered
            .steps
            .iter()
            .find(|s| s.slots.iter().any(|slot| slot.0 == id))
            .map_or(Span::default(), |s| s.span);
        let wanted: usize = slot.shape.iter().product();
        if array.data.len() != wanted || array.shape != slot.shape {
            let m = format!(
                "`{}` should have shape {:?}, its array has {:?}",
                slot.name, slot.shape, array.shape
            );
            found.push(defect(span, m));
        }
        let bad = array.data.iter().filter(|x| !x.is_finite()).count();
        if bad > 0 {
            let m = format!("{bad} of the {wanted} numbers of `{}` are infinite or not a number", slot.name);
            let help = "the training diverged: lower its `learning_rate`, or train anew";
            found.push(Diagnostic::error(codes::ONNX_WEIGHTS, span, m).help(help));
        }
        bytes = bytes.saturating_add(wanted.saturating_mul(4));
    }
    if bytes > MAX_WEIGHT_BYTES {
        let m = format!("the weights take {bytes} bytes, more than an ONNX file can hold");
        let help = "reduce the widths: an ONNX file without side files is limited to 2 GiB";
        found.push(Diagnostic::error(codes::ONNX_WEIGHTS, Span::default(), m).help(help));
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(found)
    }
}

/// Why a step cannot be written; boxed, because results are passed often and faults hardly ever.
type Fault = Box<Diagnostic>;

/// A contradiction within the lowered network.
fn defect(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(codes::ONNX_DEFECT, span, message).help("this is a defect of hytc: please report it")
}

fn fault(span: Span, message: impl Into<String>) -> Fault {
    Box::new(defect(span, message))
}
