//! The QDQ model gives, in ONNX Runtime, the integers of the interpreter to within one step.
#![allow(clippy::unwrap_used)]

mod common;

use common::int8::{convolutions, hybrid, mobilenet, quantised};
use common::net::images;
use common::python::onnx_check;
use common::random_net::random_net;
use hytc::emit::onnx::{emit_int8, Metadata};
use hytc::graph::{Fact, Network};
use hytc::quant::interpret::interpret_f32;
use std::path::Path;

/// Writes a case; false for a random network that no scale holds.
fn write(directory: &Path, name: &str, network: &Network, count: usize) -> bool {
    let Some(q) = quantised(network, 7) else { return false };
    let input = network.input_fact();
    let Fact::Map { c, h, w } = input else { panic!("not a map") };
    let images = images(input, count, 11);
    let expected: Vec<f32> =
        images.chunks(input.elements()).flat_map(|image| interpret_f32(&q, image)).collect();
    let planes = images
        .chunks(input.elements())
        .flat_map(|image| (0..c).flat_map(move |channel| image.iter().skip(channel).step_by(c).copied()));
    let floats = |v: Vec<f32>| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let directory = directory.join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).unwrap();
    let model = emit_int8(&q, &Metadata::default()).unwrap();
    put("model.onnx", &model);
    put("input.f32", &floats(planes.collect()));
    put("expected.f32", &floats(expected));
    let elements: usize = q
        .steps()
        .iter()
        .map(|s| match &s.op {
            hytc::quant::QuantisedOp::Dense(d) => d.weight.len() + d.bias.len(),
            hytc::quant::QuantisedOp::LayerNorm { weight, bias, .. } => weight.len() + bias.len(),
            _ => 0,
        })
        .sum();
    let step = f64::from(q.scale(q.lowered().output()).scale);
    let about = serde_json::json!({
        "batch": count,
        "input": [c, h, w],
        "params": elements,
        // One step, and what f32 rounds.
        "tolerance": step * 1.001,
    });
    put("case.json", about.to_string().as_bytes());
    true
}

/// `HYTC_RANDOM_NETS` says how many random networks there are besides.
#[test]
fn within_one_step() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let mut cases = 0;
    for (name, network, count) in
        [("mobilenet", mobilenet(), 4), ("convolutions", convolutions(), 20), ("hybrid", hybrid(), 20)]
    {
        cases += usize::from(write(at, name, &network, count));
    }
    assert_eq!(cases, 3);
    let count: u64 = std::env::var("HYTC_RANDOM_NETS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    for seed in 0..count {
        cases += usize::from(write(at, &format!("random {seed}"), &random_net(seed), 4));
    }
    let (ok, report) = onnx_check(at);
    let rows = report["rows"].as_array().cloned().unwrap_or_default();
    let bad: Vec<String> = rows.iter().filter(|r| r["ok"] != true).map(ToString::to_string).collect();
    if !bad.is_empty() {
        let kept = directory.keep();
        panic!("{} of {cases} cases, kept in {}:\n{}", bad.len(), kept.display(), bad.join("\n"));
    }
    assert!(ok && report["cases"] == cases, "{report}");
}
