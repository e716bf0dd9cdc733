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

/// Every kind of step, few of them after each other: a rounding that falls the other way grows on its way
/// through a network.
fn few_steps() -> Vec<Network> {
    type Build = fn(&mut Graph, Wire) -> Wire;
    let builds: [Build; 6] = [
        |g, x| conv(g, x, 6, 3, 2, 1),
        |g, x| {
            let x = conv(g, x, 6, 1, 1, 1);
            let window = Window { kernel: 2, stride: 2, dilation: 1, padding: Default::default() };
            let a = add(g, Op::MaxPool(window), &[x]);
            let b = add(g, Op::AvgPool(window), &[x]);
            add(g, Op::Concat, &[a, b])
        },
        |g, x| {
            let x = conv(g, x, 6, 3, 2, 1);
            let y = conv(g, x, 6, 3, 1, 6);
            let z = conv(g, x, 6, 3, 1, 2);
            let x = add(g, Op::Mul, &[y, z]);
            let s = add(g, Op::GlobalAvgPool, &[x]);
            let x = add(g, Op::Mul, &[x, s]);
            add(g, Op::Add, &[x, s])
        },
        |g, x| {
            let x = add(g, Op::BatchNorm { eps: 1e-3 }, &[x]);
            let x = add(g, Op::Activation(Act::Relu), &[x]);
            let y = add(g, Op::Activation(Act::HardSwish), &[x]);
            add(g, Op::Add, &[x, y])
        },
        |g, x| {
            let x = conv(g, x, 6, 3, 2, 1);
            let t = add(g, Op::Unfold { patch: 2 }, &[x]);
            let t = add(g, Op::LayerNorm { eps: 1e-5 }, &[t]);
            let t = add(g, Op::Attention { heads: 2, head_dim: 3 }, &[t]);
            add(g, Op::Fold, &[t])
        },
        |g, x| {
            let t = add(g, Op::Unfold { patch: 1 }, &[x]);
            let u = add(g, Op::Linear { out: 4, bias: true }, &[t]);
            let u = add(g, Op::Softmax, &[u]);
            let v = add(g, Op::Transpose, &[u]);
            add(g, Op::MatMul, &[v, u])
        },
    ];
    let network = |build: Build| {
        let mut g = Graph::default();
        let x = (g.add_input(Span::default()), INPUT);
        let x = build(&mut g, x);
        let x = add(&mut g, Op::Flatten, &[x]);
        let x = add(&mut g, Op::Linear { out: 4, bias: false }, &[x]);
        g.set_output(x.0);
        g.validate(INPUT).expect("a network")
    };
    builds.into_iter().map(network).collect()
}

/// The plan rounds where the int8 network does.
#[test]
fn the_plan_gives_what_the_integers_give() {
    let data = squares(80, 4);
    for (i, network) in few_steps().iter().enumerate() {
        let weights = Weights::random(network, 3);
        let bound = lower(network).bind(&weights).expect("binds");
        // Biases are corrected for the rounding of weights, which the plan does not do.
        let calibration = calibrate(&bound, &images(&data, &data.train)).expect("calibrates").without_means();
        let scale = Scale::of_pixels(&data.pipeline.mean, &data.pipeline.std).expect("a scale");
        let q = quantise(&bound, &calibration, scale).expect("quantises");
        let (rounded, integers) = both(&bound, &q, &data);
        let step = q.scale(q.lowered().output()).scale;
        let apart = |other: &[f32]| -> (f32, f32) {
            let all: Vec<f32> = other.iter().zip(&integers).map(|(a, b)| (a - b).abs() / step).collect();
            (all.iter().sum::<f32>() / all.len() as f32, all.iter().copied().fold(0.0, f32::max))
        };
        let plain = forward(network, &weights, &images(&data, &data.validation), data.validation.len());
        let (mean, worst) = apart(&rounded);
        let (far, _) = apart(&plain.expect("runs"));
        println!("network {i}: {mean} steps in the mean, at most {worst}; without rounding {far}");
        assert!(mean < 0.2 && worst < 1.01 && mean < 0.5 * far, "network {i}: {mean} {worst} {far}");
    }
}
