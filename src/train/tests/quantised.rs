//! Training with the rounding of int8.

use super::*;
use crate::lower::{lower, Bound};
use crate::quant::interpret::interpret_f32;
use crate::quant::{calibrate, quantise, Quantised, Scale};
use crate::train::net::{values, Mode, Model, Plan};
use crate::weights::Weights;
use burn::tensor::Device;

fn images(data: &TrainData, which: &[u32]) -> Vec<f32> {
    let size = data.images.image_len();
    let mut all = vec![0.0; which.len() * size];
    for (&i, out) in which.iter().zip(all.chunks_mut(size)) {
        data.pipeline.plain(&data.images, i as usize, out);
    }
    all
}

fn quantised(bound: &Bound, data: &TrainData) -> Quantised {
    let calibration = calibrate(bound, &images(data, &data.train)).expect("calibrates");
    let scale = Scale::of_pixels(&data.pipeline.mean, &data.pipeline.std).expect("a scale");
    quantise(bound, &calibration, scale).expect("quantises")
}

/// What the rounding plan gives, and what the integers do.
fn both(bound: &Bound, network: &Quantised, data: &TrainData) -> (Vec<f32>, Vec<f32>) {
    let slots = bound.lowered.slots().iter().zip(&bound.arrays);
    let weights = Weights(slots.map(|(s, a)| (s.name.clone(), a.clone())).collect());
    let plan = Arc::new(Plan::quantised(network));
    let model = Model::new(plan, &weights, &Device::flex());
    let input = images(data, &data.validation);
    let batch = data.validation.len();
    let rounded = model.run(values(input.clone(), batch, &Device::flex()), batch, Mode::Infer).0;
    let integers = input.chunks(data.images.image_len()).flat_map(|x| interpret_f32(network, x));
    (rounded.into_data().try_to_vec::<f32>().expect("floats"), integers.collect())
}

/// The plan rounds where the int8 network does, in every kind of step.
#[test]
fn the_plan_gives_what_the_integers_give() {
    let data = squares(80, 4);
    let network = everything(INPUT, 4);
    let mut weights = Weights::random(&network, 3);
    // Biases are corrected for the rounding of weights, which the plan does not do: fewer layers of
    // small means make the comparison sharp.
    let bound = lower(&network).bind(&weights).expect("binds");
    let calibration = calibrate(&bound, &images(&data, &data.train)).expect("calibrates").without_means();
    calibration.store(&bound.lowered, &mut weights);
    let scale = Scale::of_pixels(&data.pipeline.mean, &data.pipeline.std).expect("a scale");
    let q = quantise(&bound, &calibration, scale).expect("quantises");
    let (rounded, integers) = both(&bound, &q, &data);
    let step = q.scale(q.lowered().output()).scale;
    let apart: Vec<f32> = rounded.iter().zip(&integers).map(|(a, b)| (a - b).abs() / step).collect();
    let mean = apart.iter().sum::<f32>() / apart.len() as f32;
    let worst = apart.iter().copied().fold(0.0, f32::max);
    println!("steps of the output apart: {mean} in the mean, at most {worst}");
    assert!(mean < 0.5 && worst < 4.0, "{mean} {worst}");
    // Without the rounding it is farther away.
    let plain = forward(&network, &weights, &images(&data, &data.validation), data.validation.len());
    let plain = plain.expect("runs");
    let far: f32 = plain.iter().zip(&integers).map(|(a, b)| (a - b).abs() / step).sum();
    assert!(far / integers.len() as f32 > 2.0 * mean, "{} {mean}", far / integers.len() as f32);
}

/// Two convolutions, and what is needed to classify.
fn plain_network() -> Network {
    let relu = |g: &mut Graph, x: Wire, out: usize, stride: usize| {
        let Fact::Map { h, w, .. } = x.1 else { panic!("a map") };
        let padding = Window::same(3, stride, 1, h, w);
        let window = Window { kernel: 3, stride, dilation: 1, padding };
        let x = add(g, Op::Conv { out, window, groups: 1, bias: false }, &[x]);
        let x = add(g, Op::BatchNorm { eps: 1e-3 }, &[x]);
        add(g, Op::Activation(Act::Relu), &[x])
    };
    let mut g = Graph::default();
    let x = (g.add_input(Span::default()), INPUT);
    let x = relu(&mut g, x, 8, 2);
    let x = relu(&mut g, x, 8, 2);
    let x = add(&mut g, Op::Flatten, &[x]);
    let x = add(&mut g, Op::Linear { out: 4, bias: true }, &[x]);
    g.set_output(x.0);
    g.validate(INPUT).expect("a network")
}

fn right(network: &Quantised, data: &TrainData) -> f64 {
    let input = images(data, &data.validation);
    let labels = data.validation.iter().map(|&i| usize::from(data.images.labels[i as usize]));
    let best = |scores: Vec<f32>| (0..4).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let images = input.chunks(data.images.image_len()).zip(labels);
    let right = images.filter(|(x, label)| best(interpret_f32(network, x)) == Some(*label)).count();
    right as f64 / data.validation.len() as f64
}

/// A network whose channels differ so much in size that int8 ruins it, is repaired by fine-tuning, in the
/// same way with any number of threads; the scales stay.
#[test]
fn fine_tuning_repairs() {
    let (network, data) = (plain_network(), squares(240, 4));
    let trained = train(&network, &data, &config(12), 1, 1, &()).expect("trains");
    let mut bound = lower(&network).bind(&trained.weights).expect("binds");
    // A channel of the first convolution is made so large, and read so little, that the others drown.
    let row = bound.arrays[0].data.len() / 8;
    bound.arrays[0].data[..row].iter_mut().for_each(|w| *w *= 512.0);
    bound.arrays[1].data[0] *= 512.0;
    for (i, w) in bound.arrays[2].data.iter_mut().enumerate() {
        if i / 9 % 8 == 0 {
            *w /= 512.0;
        }
    }
    let q = quantised(&bound, &data);
    let before = right(&q, &data);
    let config = Training { learning_rate: 2e-3, ..config(10) };
    let tune = |threads| fine_tune(&bound, &q, &data, &config, 1, threads, &()).expect("tunes");
    let tuned = tune(1);
    let calibration = calibrate(&bound, &images(&data, &data.train)).expect("calibrates").without_means();
    let again = quantise(&tuned, &calibration, q.scale(q.lowered().input())).expect("quantises");
    let after = right(&again, &data);
    println!("{:?} float, {before} in int8, {after} fine-tuned", trained.validation_accuracy);
    assert!(trained.validation_accuracy > Some(0.9) && before < 0.8 && after > 0.9);
    assert_eq!(tune(2), tuned, "the threads do not matter");
    assert_eq!(again.scale(again.lowered().output()), q.scale(q.lowered().output()));
}
