//! Tests that look into the file. That it computes the right thing is tested in `tests/onnx.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{emit, Metadata, INPUT, OPSET, OUTPUT};
use crate::codes;
use crate::graph::{Act, Fact, Network, Op, Padding, Window};
use crate::lower::ir::{SlotId, TensorId};
use crate::lower::testing::{mobilenet, Net};
use crate::lower::{lower, Bound};
use crate::source::{FileId, Sources, Span};
use crate::weights::Weights;
use onnx_protobuf::{Message, ModelProto};
use std::collections::BTreeSet;

fn bound(network: &Network) -> Bound {
    lower(network).bind(&Weights::random(network, 1)).unwrap()
}

fn read(bound: &Bound, meta: &Metadata) -> ModelProto {
    ModelProto::parse_from_bytes(&emit(bound, meta).unwrap()).unwrap()
}

fn code(bound: &Bound) -> &'static str {
    let found = emit(bound, &Metadata::default()).unwrap_err();
    assert!(found.iter().all(|d| !d.help.is_empty()));
    found[0].code
}

/// A net with attention, to have constants and several layouts.
fn attentive() -> Network {
    let (mut n, x) = Net::new(4, 5, 3);
    let x = n.conv(x, 4, 3, 1, 1);
    let x = n.bn_act(x, Act::Gelu);
    let t = n.op(Op::Unfold { patch: 2 }, &[x]);
    let t = n.op(Op::Attention { heads: 2, head_dim: 3 }, &[t]);
    let x = n.op(Op::Fold, &[t]);
    let x = n.op(Op::BatchNorm { eps: 1e-3 }, &[x]);
    let x = n.op(Op::GlobalAvgPool, &[x]);
    let x = n.op(Op::Linear { out: 2, bias: true }, &[x]);
    n.finish(x)
}

#[test]
fn mobilenet_holds_its_parameters_and_nothing_else() {
    let network = mobilenet();
    let model = read(&bound(&network), &Metadata::default());
    let graph = model.graph.unwrap();
    let held: i64 = graph.initializer.iter().map(|t| t.dims.iter().product::<i64>()).sum();
    assert_eq!(held, 210_850);
    assert_eq!((model.ir_version, model.opset_import[0].version), (8, OPSET));
    assert_eq!(model.producer_name, "hytc");
    // 27 convolutions, each with its ReLU; mean, flatten, classifier.
    let ops: Vec<&str> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
    assert_eq!(ops.iter().filter(|o| **o == "Conv").count(), 27);
    assert_eq!(ops.iter().filter(|o| **o == "Relu").count(), 27);
    assert_eq!(ops[54..], ["GlobalAveragePool", "Flatten", "Gemm"]);
}

#[test]
fn names_are_unique_and_say_where_they_come_from() {
    for network in [mobilenet(), attentive()] {
        let graph = read(&bound(&network), &Metadata::default()).graph.unwrap();
        let nodes: BTreeSet<&str> = graph.node.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(nodes.len(), graph.node.len());
        let made: Vec<&String> = graph.node.iter().flat_map(|n| &n.output).collect();
        let weights: Vec<&String> = graph.initializer.iter().map(|t| &t.name).collect();
        let all: BTreeSet<&String> = made.iter().chain(&weights).copied().collect();
        assert_eq!(all.len(), made.len() + weights.len());
        assert_eq!((graph.input[0].name.as_str(), graph.output[0].name.as_str()), (INPUT, OUTPUT));
        // Every value is made before it is read.
        let mut known: BTreeSet<&String> = weights.iter().copied().chain([&graph.input[0].name]).collect();
        for node in &graph.node {
            assert!(node.input.iter().all(|i| known.contains(i)), "{}", node.name);
            known.extend(&node.output);
        }
    }
    let graph = read(&bound(&attentive()), &Metadata::default()).graph.unwrap();
    let names: Vec<&str> = graph.node.iter().map(|n| n.name.as_str()).collect();
    for name in ["conv/Conv", "unfold/Pad", "attention.core/Softmax", "batch_norm_2/Mul", "linear"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    let first = graph.node.iter().find(|n| n.op_type == "Conv").unwrap();
    assert_eq!(first.doc_string, "conv 3x3, gelu: 3x4x5 -> 4x4x5");
}

#[test]
fn the_same_network_gives_the_same_bytes() {
    let network = attentive();
    let meta = Metadata { spec: "a".into(), classes: vec!["x".into(), "y".into()], ..Metadata::default() };
    assert_eq!(emit(&bound(&network), &meta).unwrap(), emit(&bound(&network), &meta).unwrap());
    let other = Metadata { spec: "b".into(), ..meta.clone() };
    assert_ne!(emit(&bound(&network), &meta).unwrap(), emit(&bound(&network), &other).unwrap());
}

#[test]
fn nodes_name_their_line() {
    let mut sources = Sources::default();
    let file = sources.add("some/dir/net.hyt", "one\ntwo\nthree\n");
    let mut bound = bound(&attentive());
    for step in &mut bound.lowered.steps {
        step.span = Span { file, start: 4, end: 7 };
    }
    let meta = Metadata { sources: Some(sources), ..Metadata::default() };
    let graph = read(&bound, &meta).graph.unwrap();
    let docs: Vec<&str> =
        graph.node.iter().map(|n| n.doc_string.as_str()).filter(|d| !d.is_empty()).collect();
    assert_eq!(docs.len(), bound.lowered.steps.len());
    assert!(docs.iter().all(|d| d.ends_with(" (net.hyt:2)")), "{docs:?}");
    // A span that is in no file is not a place.
    for step in &mut bound.lowered.steps {
        step.span = Span { file: FileId(7), start: 4, end: 7 };
    }
    let graph = read(&bound, &meta).graph.unwrap();
    assert!(graph.node.iter().all(|n| !n.doc_string.contains("net.hyt")));
}

#[test]
fn weights_that_cannot_be_written_are_refused() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut b = bound(&attentive());
        b.arrays[1].data[0] = bad;
        assert_eq!(code(&b), codes::ONNX_WEIGHTS);
    }
}

#[test]
fn a_window_over_nothing_is_refused() {
    let nothing = Window {
        kernel: 2,
        stride: 1,
        dilation: 1,
        padding: Padding { top: 2, left: 0, bottom: 0, right: 0 },
    };
    for op in [Op::MaxPool(nothing), Op::AvgPool(nothing)] {
        let (mut n, x) = Net::new(4, 4, 1);
        let y = n.op(op, &[x]);
        assert_eq!(code(&bound(&n.finish(y))), codes::ONNX_WINDOW);
    }
}

/// Whatever a lowered network that contradicts itself says, there is a diagnostic and no panic.
#[test]
fn contradictions_are_defects() {
    let good = bound(&attentive());
    type Change = (&'static str, fn(&mut Bound));
    let changes: [Change; 9] = [
        ("array missing", |b| drop(b.arrays.pop())),
        ("array short", |b| b.arrays[0].data.truncate(1)),
        ("array of another shape", |b| b.arrays[0].shape.reverse()),
        ("slot out of range", |b| b.lowered.steps[0].slots[0] = SlotId(99)),
        ("slot missing", |b| b.lowered.steps[0].slots.clear()),
        ("input out of range", |b| b.lowered.steps[0].inputs[0] = TensorId(99)),
        ("input never made", |b| b.lowered.steps[0].inputs = vec![b.lowered.output]),
        ("nothing makes the output", |b| drop(b.lowered.steps.pop())),
        ("wrong kind", |b| b.lowered.tensors[1].fact = Fact::Vector { n: 3 }),
    ];
    for (what, change) in changes {
        let mut b = good.clone();
        change(&mut b);
        assert_eq!(code(&b), codes::ONNX_DEFECT, "{what}");
    }
}
