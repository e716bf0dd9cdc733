//! What int8 costs in accuracy: the trained network of `examples/classify` on Fashion-MNIST.
#![allow(clippy::unwrap_used)]

use hytc::check::spec::Precision;
use hytc::lower::interpret::interpret;
use hytc::project::{LockState, Project};
use hytc::quant::interpret::interpret_f32;
use hytc::quant::{calibrate, quantise, Scale};
use std::path::Path;
use std::process::Command;

/// The contents of an IDX file without its header.
fn idx(name: &str, header: usize) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist").join(name);
    let out = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(out.status.success());
    out.stdout[header..].to_vec()
}

fn best(scores: &[f32]) -> usize {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap()
}

#[test]
fn int8_costs_less_than_a_point() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/classify/fashion.hyt");
    let project = Project::open(&path).unwrap();
    let (LockState::Current(lock) | LockState::Stale(lock, _)) = project.lock(None).unwrap() else {
        panic!("no lock")
    };
    let design = project.locked_design(&lock).unwrap();
    let weights = project.locked_weights(&lock, &design).unwrap();
    let bound = project.bind(&design, &weights).unwrap();
    let task = &project.checked.spec.task;
    let (mean, std) = (task.mean[0], task.std[0]);
    let real =
        |pixels: &[u8]| -> Vec<f32> { pixels.iter().map(|&p| (f32::from(p) / 255.0 - mean) / std).collect() };
    let train = idx("train-images-idx3-ubyte.gz", 16);
    let spread: Vec<u8> =
        train.chunks(784).step_by(train.len() / 784 / 256).take(256).flatten().copied().collect();
    let calibration = calibrate(&bound, &real(&spread)).unwrap();
    let q = quantise(&bound, &calibration, Scale::of_pixels(&task.mean, &task.std).unwrap()).unwrap();
    let count: usize = std::env::var("HYTC_IMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let (images, labels) = (idx("test-images-idx3-ubyte.gz", 16), idx("test-labels-idx1-ubyte.gz", 8));
    let (mut float, mut int8, mut same) = (0, 0, 0);
    for (image, &label) in images.chunks(784).zip(&labels).take(count) {
        let image = real(image);
        let (a, b) = (best(&interpret(&bound, &image)), best(&interpret_f32(&q, &image)));
        float += usize::from(a == usize::from(label));
        int8 += usize::from(b == usize::from(label));
        same += usize::from(a == b);
    }
    let percent = |n: usize| 100.0 * n as f64 / count as f64;
    println!(
        "{count} images: float {:.2} %, int8 {:.2} %, same class {:.2} %",
        percent(float),
        percent(int8),
        percent(same)
    );
    assert!(percent(float) > 85.0 && percent(int8) > percent(float) - 1.0 && percent(same) > 97.0);
    assert!(!project.wants(Precision::Int8));
}
