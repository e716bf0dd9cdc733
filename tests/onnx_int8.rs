//! The QDQ model gives, in ONNX Runtime, the integers of the interpreter to within one step.
#![allow(clippy::unwrap_used)]

mod common;

use common::int8::{convolutions, count, hybrid, mobilenet, points, quantised};
use common::net::images;
use common::python::onnx_check;
use common::random_net::random_net;
use hytc::emit::onnx::{emit_int8, Metadata};
use hytc::graph::{Fact, Network};
use hytc::project::{LockState, Project};
use hytc::quant::interpret::{interpret_f32, tensors};
use hytc::quant::{calibrate, quantise, Quantised, QuantisedOp};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Of the integers of a step, given the same inputs, how many may differ in ONNX Runtime: of steps that
/// compute irrational numbers, which no choice of scales keeps clear of ties.
const IRRATIONAL: f64 = 1e-5;
/// Of all others. Measured were none of 42 million; runtimes may add up in another order.
const CLEAR: f64 = 2e-7;

/// A network, and images in its numbers.
struct Case {
    name: String,
    q: Quantised,
    images: Vec<f32>,
}

impl Case {
    /// With random weights and images; `None` for a random network that no scale holds.
    fn random(name: &str, network: &Network, count: usize) -> Option<Case> {
        let q = quantised(network, 7)?;
        Some(Case { name: name.into(), q, images: images(network.input_fact(), count, 11) })
    }

    fn input(&self) -> Fact {
        self.q.lowered().fact(self.q.lowered().input())
    }

    fn count(&self) -> usize {
        self.images.len() / self.input().elements()
    }
}

fn write(directory: &Path, case: &Case) {
    let (name, q, images, count) = (&case.name, &case.q, &case.images, case.count());
    let input = case.input();
    let Fact::Map { c, h, w } = input else { panic!("not a map") };
    let expected: Vec<f32> =
        images.chunks(input.elements()).flat_map(|image| interpret_f32(q, image)).collect();
    let planes = images
        .chunks(input.elements())
        .flat_map(|image| (0..c).flat_map(move |channel| image.iter().skip(channel).step_by(c).copied()));
    let floats = |v: Vec<f32>| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let directory = directory.join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).unwrap();
    let model = emit_int8(q, &Metadata::default()).unwrap();
    put("model.onnx", &model);
    put("input.f32", &floats(planes.collect()));
    put("expected.f32", &floats(expected));
    let elements: usize = q
        .steps()
        .iter()
        .map(|s| match &s.op {
            QuantisedOp::Dense(d) => d.weight.len() + d.bias.len(),
            QuantisedOp::LayerNorm { weight, bias, .. } => weight.len() + bias.len(),
            _ => 0,
        })
        .sum();
    // The first image, step by step, maps with their channels first.
    let image: Vec<i8> =
        images.iter().take(input.elements()).map(|&x| q.scale(q.lowered().input()).quantise_f32(x)).collect();
    let (mut steps, mut bytes) = (Vec::new(), Vec::new());
    let lowered = q.lowered();
    let made = lowered.steps().iter().map(|s| s.output);
    let values = tensors(q, &image);
    for id in std::iter::once(lowered.input()).chain(made) {
        let (fact, value, scale) = (lowered.fact(id), &values[id.0], q.scale(id));
        let (c, shape) = match fact {
            Fact::Map { c, h, w } => (c, vec![c, h, w]),
            Fact::Tokens { groups, tokens, dim, .. } => (1, vec![groups, tokens, dim]),
            Fact::Vector { n } => (1, vec![n]),
        };
        bytes.extend((0..c).flat_map(|i| value.iter().skip(i).step_by(c).map(|&q| q as u8)));
        let name = &lowered.tensor(id).unwrap().name;
        // One before a table is as much behind it as two neighbours of the table are apart.
        let maker = lowered.steps().iter().zip(q.steps()).find(|(s, _)| s.output == id);
        let kind = maker.map_or("input", |(s, _)| s.kernel.name(lowered.input_facts(s)[0]));
        let table = maker.and_then(|(_, s)| s.table.as_ref());
        let apart = |t: &hytc::quant::Table| t.windows(2).map(|w| w[0].abs_diff(w[1])).max();
        let tolerance = table.and_then(apart).map_or(1, |jump| jump.max(1));
        let about = serde_json::json!({
            "name": name, "shape": shape, "scale": scale.scale, "zero": scale.zero, "tolerance": tolerance,
            "kind": kind,
        });
        steps.push(about);
    }
    put("steps.i8", &bytes);
    let step = f64::from(q.scale(q.lowered().output()).scale);
    let about = serde_json::json!({
        "batch": count,
        "input": [c, h, w],
        "params": elements,
        "steps": steps,
        // One step, and what f32 rounds.
        "tolerance": step * 1.001,
    });
    put("case.json", about.to_string().as_bytes());
}

/// Of each case the images whose scores are within one step, from the image to the scores. That every
/// single step is within one, given the same inputs, is demanded of all.
fn compare(cases: &[(String, Network, usize)]) -> Vec<Images> {
    let random = |(name, network, count): &(String, Network, usize)| Case::random(name, network, *count);
    compare_all(&cases.iter().filter_map(random).collect::<Vec<_>>())
}

fn compare_all(cases: &[Case]) -> Vec<Images> {
    let directory = tempfile::tempdir().unwrap();
    for case in cases {
        write(directory.path(), case);
        if let Some(kept) = std::env::var_os("HYTC_KEEP_CASES") {
            write(Path::new(&kept), case);
        }
    }
    let (_, report) = onnx_check(directory.path());
    let rows = report["rows"].as_array().cloned().unwrap_or_default();
    let of = |what: &str| rows.iter().filter(|r| r["against"] == what).collect::<Vec<_>>();
    let (steps, fused, whole) = (of("steps"), of("steps, optimised"), of("expected.f32"));
    assert_eq!([steps.len(), fused.len(), whole.len()], [cases.len(); 3], "{report}");
    let bad = steps.iter().chain(&fused).filter(|r| r["ok"] != true);
    let bad: Vec<String> = bad.map(ToString::to_string).collect();
    if !bad.is_empty() {
        panic!("kept in {}:\n{}", directory.keep().display(), bad.join("\n"));
    }
    few(&steps, "off");
    few(&fused, "on");
    let images = |row: &&serde_json::Value| Images {
        within: row["images_within"].as_u64().unwrap() as usize,
        count: row["images"].as_u64().unwrap() as usize,
    };
    whole.iter().map(images).collect()
}

/// How many images of a case have scores within one step.
#[derive(Debug, PartialEq)]
struct Images {
    within: usize,
    count: usize,
}

/// Prints how many cases are within one step for all of their images, and gives their number.
fn all_within(what: &str, found: &[Images]) -> usize {
    let good = found.iter().filter(|i| i.within == i.count).count();
    let (within, count) = found.iter().fold((0, 0), |(a, b), i| (a + i.within, b + i.count));
    let cases = found.len();
    println!("{good} of {cases} {what} within one step from end to end, {within} of {count} images");
    good
}

/// Of the integers of all cases few differ, given the same inputs.
fn few(steps: &[&serde_json::Value], optimisations: &str) {
    let mut kinds = BTreeMap::<String, (u64, u64)>::new();
    for (kind, counts) in steps.iter().flat_map(|r| r["kinds"].as_object().unwrap()) {
        let sum = kinds.entry(kind.clone()).or_default();
        *sum = (sum.0 + counts[0].as_u64().unwrap(), sum.1 + counts[1].as_u64().unwrap());
    }
    println!("given the same inputs, with optimisations {optimisations}, by one step differ");
    for (kind, (differ, count)) in &kinds {
        println!("  {kind:16} {differ:8} of {count:10}: {:.1e}", *differ as f64 / *count as f64);
        let (some, rate) = match kind.as_str() {
            "attention" | "layer_norm" | "softmax" => (4.0, IRRATIONAL),
            _ => (1.0, CLEAR),
        };
        assert!(*differ as f64 <= some + rate * *count as f64, "{kind}: {differ} of {count}");
    }
}

#[test]
fn known_networks_are_within_one_step() {
    let cases = [("mobilenet", mobilenet(), 4), ("convolutions", convolutions(), 20)];
    let found = compare(&cases.map(|(name, network, count)| (name.to_string(), network, count)));
    assert_eq!(all_within("networks", &found), 2, "{found:?}");
}

/// Points of the specs, with random weights. Where layer norm or attention comes so close to a tie that
/// 32 bits do not tell, that one step grows on its way through the layers behind it.
#[test]
fn points_are_within_one_step() {
    let cases = |spec, few| -> Vec<(String, Network, usize)> {
        points(spec, count(few)).into_iter().map(|(name, n)| (name, n, 2)).collect()
    };
    let found = compare(&cases("fashion", 6));
    let good = all_within("points of fashion", &found);
    assert!(good == found.len(), "{found:?}");
    let found = compare(&cases("hytnas", 12));
    let good = all_within("points of hytnas", &found);
    assert!(good * 5 >= found.len() * 4, "{found:?}");
}

#[test]
fn random_networks_are_within_one_step() {
    let net = |seed| (format!("random {seed}"), random_net(seed), 4);
    let mut cases: Vec<(String, Network, usize)> = (0..count(40)).map(net).collect();
    cases.push(("hybrid".into(), hybrid(), 20));
    let found = compare(&cases);
    let good = all_within("random networks", &found);
    assert!(good * 10 >= found.len() * 9, "{found:?}");
}

/// Three MobileViT blocks, on 96x96 pixels.
#[test]
fn vww_is_within_one_step() {
    let (name, network) = points("vww", 1).remove(0);
    let found = compare(&[(name, network, 8)]);
    all_within("points of vww", &found);
    assert!(found[0].within >= 7, "{found:?}");
}

/// Images of Fashion-MNIST, as the task of a project normalises them.
fn fashion(project: &Project, part: &str, step: usize, count: usize) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist").join(part);
    let out = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(out.status.success());
    let (mean, std) = (project.checked.spec.task.mean[0], project.checked.spec.task.std[0]);
    let pixels = out.stdout[16..].chunks(784).step_by(step).take(count).flatten();
    pixels.map(|&p| (f32::from(p) / 255.0 - mean) / std).collect()
}

/// Trained weights, images of the test set. `HYTC_TRAINED` names the spec of another locked network for
/// Fashion-MNIST, `HYTC_IMAGES` says how many images.
#[test]
fn a_trained_network_is_within_one_step() {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/classify/fashion.hyt");
    let path = std::env::var_os("HYTC_TRAINED").map_or_else(own, PathBuf::from);
    let project = Project::open(&path).unwrap();
    let (LockState::Current(lock) | LockState::Stale(lock, _)) = project.lock(None).unwrap() else {
        panic!("no lock")
    };
    let design = project.locked_design(&lock).unwrap();
    let weights = project.locked_weights(&lock, &design).unwrap();
    let bound = project.bind_int8(&design, &weights).unwrap();
    let calibration = calibrate(&bound, &fashion(&project, "train-images-idx3-ubyte.gz", 234, 256)).unwrap();
    let q = quantise(&bound, &calibration, project.pixel_scale().unwrap()).unwrap();
    let count = std::env::var("HYTC_IMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(500);
    let images = fashion(&project, "test-images-idx3-ubyte.gz", 1, count);
    let found = compare_all(&[Case { name: "trained".into(), q, images }]);
    all_within("trained networks", &found);
    assert!(found[0].within * 100 >= found[0].count * 99, "{found:?}");
}
