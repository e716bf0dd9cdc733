//! Fine-tuning with the rounding of int8 gives back what coarse scales take.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

mod common;

use common::specs::checked;
use hytc::data::{hold_out, Dataset, Pipeline};
use hytc::lower::{lower, Bound};
use hytc::quant::{calibrate, quantise, Calibration, Quantised, Scale};
use hytc::space::SearchSpace;
use hytc::train::{fine_tune, train, TrainData};
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

const SPEC: &str = r#"task { input = image(10, 10, 1) classes = ["rows", "columns", "steps", "plain"] }
space {
    conv_bn(8, 3, act = silu)
    inverted_residual(8, expand = 2, stride = 2, act = silu)
    unfold(1) > transformer_encoder(depth = 1, heads = 2) > fold
    global_avg_pool > linear(classes)
}
final { epochs = 14, batch = 16, learning_rate = 0.01, int8 { loss = 1%, epochs = 8, learning_rate = 0.004 } }
emit rust { precision = int8 }
"#;

/// Stripes along an axis or both, or none, in noise.
fn data(task: &hytc::check::spec::Task) -> TrainData {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for i in 0..400usize {
        let class = i % 4;
        let shift: usize = rng.random_range(0..4);
        for at in 0..100 {
            let along = [at / 10, at % 10, at / 10 + at % 10, 0][class];
            let on = class < 3 && ((along + shift) / 2).is_multiple_of(2);
            let base = if class == 3 {
                100
            } else if on {
                130
            } else {
                70
            };
            pixels.push(rng.random_range(base - 45..base + 45) as u8);
        }
        labels.push(class as u16);
    }
    let (train, validation) = hold_out(&labels, &task.classes, 0.4, 1).unwrap();
    let images = Arc::new(Dataset { h: 10, w: 10, c: 1, pixels, labels });
    TrainData { images, train, validation, pipeline: Pipeline::new(task), classes: 4 }
}

/// The part of the held out images that int8 classifies rightly.
fn right(bound: &Bound, calibration: &Calibration, data: &TrainData) -> (f64, Quantised) {
    let input = Scale::of_pixels(&data.pipeline.mean, &data.pipeline.std).unwrap();
    let network = quantise(bound, calibration, input).unwrap();
    let found = hytc::pipeline::accuracy(&network, &data.images, &data.validation, &data.pipeline);
    (found, network)
}

#[test]
fn fine_tuning_gives_back_what_coarse_scales_take() {
    let checked = checked(SPEC);
    let spec = &checked.spec;
    let network = checked.space.network(&checked.space.sample(&mut common::specs::rng(1))).unwrap();
    let data = data(&spec.task);
    let trained = train(&network, &data, &spec.finish, 1, 0, &()).unwrap();
    let float = trained.validation_accuracy.unwrap();
    let bound = lower(&network).bind(&trained.weights).unwrap();
    // Pixels beyond all that there are: the scales of all tensors are too coarse by about this.
    let coarse = 32.0;
    let mut images = vec![0.0; data.train.len() * 100];
    for (&i, out) in data.train.iter().zip(images.chunks_mut(100)) {
        data.pipeline.plain(&data.images, i as usize, out);
        out.iter_mut().for_each(|v| *v *= coarse);
    }
    let calibration = calibrate(&bound, &images).unwrap().without_means();
    let (before, q) = right(&bound, &calibration, &data);
    let config = &spec.int8.as_ref().unwrap().train;
    let tune = |threads| fine_tune(&bound, &q, &data, config, 2, threads, &()).unwrap();
    let tuned = tune(1);
    let (after, _) = right(&tuned, &calibration, &data);
    println!("float {float}, int8 {before}, fine-tuned {after}");
    // Half of what is lost comes back; with levels as few as these not all can.
    assert!(float > 0.9 && before < float - 0.2, "{float} {before}");
    assert!(after - before > 0.5 * (float - before), "{float} {before} {after}");
    assert_eq!(tune(2), tuned, "the threads do not matter");
}
