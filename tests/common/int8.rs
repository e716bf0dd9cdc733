//! Quantised networks to test with.
#![allow(dead_code)]

use super::net::{images, plain, same, Net};
use super::specs::{checked, rng};
use hytc::emit::rust::Metadata;
use hytc::graph::{Act, Network, Op};
use hytc::lower::lower;
use hytc::quant::{calibrate, quantise, Quantised, Scale};
use hytc::space::SearchSpace;
use hytc::weights::Weights;
use std::path::Path;

/// MobileNetV1 0.25, 96x96x3, 2 classes: MLPerf Tiny's network for visual wake words.
pub fn mobilenet() -> Network {
    let (mut n, x) = Net::new(3, 96, 96);
    let mut x = n.conv_bn(x, 8, 3, 2, Act::Relu);
    let blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)];
    for (out, stride) in blocks.into_iter().chain([(128, 1); 5]).chain([(256, 2), (256, 1)]) {
        x = n.dw_bn(x, 3, stride, Act::Relu);
        x = n.conv_bn(x, out, 1, 1, Act::Relu);
    }
    n.classify(x, 2)
}

/// Convolutions of every kind, with every activation; an in-place depthwise convolution.
pub fn convolutions() -> Network {
    let (mut n, x) = Net::new(3, 23, 18);
    let x = n.conv_bn(x, 10, 3, 2, Act::HardSwish);
    let x = n.dw_bn(x, 3, 1, Act::Relu6);
    let x = n.dw_bn(x, 5, 1, Act::Silu);
    let x = n.conv_bn(x, 33, 1, 1, Act::Relu);
    let x = n.dw_bn(x, 3, 2, Act::Gelu);
    let groups = same(x, 3, 1, 1);
    let x = n.conv(x, 33, groups, 11);
    let x = n.act(x, Act::Sigmoid);
    let dilated = same(x, 3, 1, 2);
    let x = n.conv(x, 8, dilated, 1);
    let double = same(x, 3, 1, 1);
    let x = n.op(Op::Conv { out: 16, window: double, groups: 8, bias: false }, &[x]);
    let x = n.op(Op::MaxPool(plain(2, 1)), &[x]);
    let x = n.op(Op::Flatten, &[x]);
    let x = n.linear(x, 21);
    n.classify(x, 5)
}

/// A MobileViT block on a map that the patch does not divide; sums, products, joins.
pub fn hybrid() -> Network {
    let (mut n, x) = Net::new(2, 11, 9);
    let x = n.conv_bn(x, 12, 3, 1, Act::Silu);
    let x = n.mobilevit(x, 12, 2, 2);
    let y = n.squeeze_excite(x, 5);
    let x = n.op(Op::Add, &[x, y]);
    let x = n.op(Op::BatchNorm { eps: 1e-3 }, &[x]);
    let window = same(x, 3, 1, 1);
    let p = n.op(Op::AvgPool(window), &[x]);
    let x = n.op(Op::Mul, &[x, p]);
    let t = n.op(Op::Unfold { patch: 4 }, &[x]);
    let t = n.hand_made_attention(t, 6);
    n.classify(t, 4)
}

/// Random points of `specs/<spec>.hyt`, by name.
pub fn points(spec: &str, count: u64) -> Vec<(String, Network)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("specs/{spec}.hyt"));
    let space = checked(&std::fs::read_to_string(path).unwrap()).space;
    let point = |seed| {
        let network = space.network(&space.sample(&mut rng(seed))).unwrap();
        (format!("{spec}_{seed}"), network)
    };
    (0..count).map(point).collect()
}

/// How many random networks or points a test takes: `HYTC_RANDOM_NETS`, or a few.
pub fn count(few: u64) -> u64 {
    std::env::var("HYTC_RANDOM_NETS").ok().and_then(|n| n.parse().ok()).unwrap_or(few)
}

/// What a crate says of itself.
pub fn metadata(name: &str, network: &Network) -> Metadata {
    let c = network.input_fact().channels();
    Metadata {
        name: name.into(),
        classes: (0..network.output_fact().elements()).map(|i| format!("class {i}")).collect(),
        mean: vec![0.5; c],
        std: vec![0.25; c],
        spec_hash: hytc::hash::sha256(name.as_bytes()),
        version: "0.1.0".into(),
    }
}

/// A network with random weights, quantised; `None` for the few random networks whose values no
/// scale holds.
pub fn quantised(network: &Network, seed: u64) -> Option<Quantised> {
    let bound = lower(network).bind(&Weights::random(network, seed)).unwrap();
    let calibration = calibrate(&bound, &images(network.input_fact(), 4, seed)).ok()?;
    let m = metadata("x", network);
    quantise(&bound, &calibration, Scale::of_pixels(&m.mean, &m.std).unwrap()).ok()
}

/// Random images in the network's numbers.
pub fn quantised_images(q: &Quantised, network: &Network, count: usize) -> Vec<i8> {
    let scale = q.scale(q.lowered().input());
    images(network.input_fact(), count, 11).into_iter().map(|x| scale.quantise_f32(x)).collect()
}
