//! Images per second while training and evaluating, for two representative networks:
//! `cargo bench --no-default-features --features train --bench train [-- burn]`.
//!
//! With one training on one thread, one on two threads, and two at a time on one thread each: what
//! the search does.

use hytc::check::spec::{Augment, Optimizer, Training};
use hytc::data::{Dataset, Pipeline};
use hytc::graph::{Act, Fact, Graph, Network, NodeId, Op, Window};
use hytc::source::Span;
use hytc::train::{evaluate, train, Control, Progress, TrainData};
use hytc::weights::Weights;
use std::sync::{Arc, Mutex};

type Wire = (NodeId, Fact);

struct Net(Graph);

impl Net {
    fn add(&mut self, op: Op, inputs: &[Wire]) -> Wire {
        self.0.add(op, op.name(), Span::default(), inputs).expect("fits")
    }

    fn conv(&mut self, x: Wire, out: usize, kernel: usize, stride: usize, groups: usize) -> Wire {
        let Fact::Map { h, w, .. } = x.1 else { panic!("a map") };
        let padding = Window::same(kernel, stride, 1, h, w);
        let window = Window { kernel, stride, dilation: 1, padding };
        let x = self.add(Op::Conv { out, window, groups, bias: false }, &[x]);
        self.add(Op::BatchNorm { eps: 1e-3 }, &[x])
    }

    fn silu(&mut self, x: Wire) -> Wire {
        self.add(Op::Activation(Act::Silu), &[x])
    }

    fn mbconv(&mut self, x: Wire, out: usize, expand: usize, stride: usize) -> Wire {
        let wide = x.1.channels() * expand;
        let y = self.conv(x, wide, 1, 1, 1);
        let y = self.silu(y);
        let y = self.conv(y, wide, 3, stride, wide);
        let y = self.silu(y);
        let y = self.conv(y, out, 1, 1, 1);
        if y.1 == x.1 {
            self.add(Op::Add, &[y, x])
        } else {
            y
        }
    }

    fn mobilevit(&mut self, x: Wire, dim: usize, depth: usize, heads: usize) -> Wire {
        let channels = x.1.channels();
        let y = self.conv(x, channels, 3, 1, 1);
        let y = self.silu(y);
        let y = self.conv(y, dim, 1, 1, 1);
        let mut t = self.add(Op::Unfold { patch: 2 }, &[y]);
        for _ in 0..depth {
            let n = self.add(Op::LayerNorm { eps: 1e-5 }, &[t]);
            let a = self.add(Op::Attention { heads, head_dim: dim / heads }, &[n]);
            t = self.add(Op::Add, &[t, a]);
            let n = self.add(Op::LayerNorm { eps: 1e-5 }, &[t]);
            let f = self.add(Op::Linear { out: 2 * dim, bias: true }, &[n]);
            let f = self.silu(f);
            let f = self.add(Op::Linear { out: dim, bias: true }, &[f]);
            t = self.add(Op::Add, &[t, f]);
        }
        let y = self.add(Op::Fold, &[t]);
        let y = self.conv(y, channels, 1, 1, 1);
        let y = self.silu(y);
        let y = self.add(Op::Concat, &[x, y]);
        let y = self.conv(y, channels, 3, 1, 1);
        self.silu(y)
    }

    fn finish(mut self, x: Wire, classes: usize, input: Fact) -> Network {
        let x = self.add(Op::GlobalAvgPool, &[x]);
        let x = self.add(Op::Linear { out: classes, bias: true }, &[x]);
        self.0.set_output(x.0);
        self.0.validate(input).expect("a network")
    }
}

fn start(input: Fact) -> (Net, Wire) {
    let mut g = Graph::default();
    let id = g.add_input(Span::default());
    (Net(g), (id, input))
}

/// conv 16 s2, two inverted residuals, one with stride 2 (28x28x1): a middling point of `fashion`.
fn small() -> Network {
    let input = Fact::Map { c: 1, h: 28, w: 28 };
    let (mut n, x) = start(input);
    let x = n.conv(x, 16, 3, 2, 1);
    let mut x = n.silu(x);
    for _ in 0..2 {
        x = n.mbconv(x, 16, 4, 1);
    }
    let x = n.mbconv(x, 32, 4, 2);
    n.finish(x, 10, input)
}

/// The same with a MobileViT block in place of the last.
fn small_hybrid() -> Network {
    let input = Fact::Map { c: 1, h: 28, w: 28 };
    let (mut n, x) = start(input);
    let x = n.conv(x, 16, 3, 2, 1);
    let mut x = n.silu(x);
    for _ in 0..2 {
        x = n.mbconv(x, 16, 4, 1);
    }
    let x = n.mobilevit(x, 32, 1, 2);
    n.finish(x, 10, input)
}

/// A hybrid for 96x96x3 with about 60,000 parameters.
fn large_hybrid() -> Network {
    let input = Fact::Map { c: 3, h: 96, w: 96 };
    let (mut n, x) = start(input);
    let x = n.conv(x, 16, 3, 2, 1);
    let x = n.silu(x);
    let x = n.mbconv(x, 16, 2, 1);
    let x = n.mbconv(x, 24, 4, 2);
    let x = n.mbconv(x, 32, 4, 2);
    let x = n.mobilevit(x, 32, 1, 4);
    n.finish(x, 2, input)
}

#[derive(Default)]
struct Rate(Mutex<f64>);

impl Control for Rate {
    fn progress(&self, p: &Progress) {
        if p.step == p.steps {
            *self.0.lock().expect("not poisoned") = p.images_per_second;
        }
    }
}

fn noise(network: &Network, images: usize) -> TrainData {
    let Fact::Map { c, h, w } = network.input_fact() else { panic!("a map") };
    let classes = network.output_fact().elements();
    let byte = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as u8;
    let data = Dataset {
        h,
        w,
        c,
        pixels: (0..images * h * w * c).map(byte).collect(),
        labels: (0..images).map(|i| (i % classes) as u16).collect(),
    };
    TrainData {
        images: Arc::new(data),
        train: (0..images as u32).collect(),
        validation: Vec::new(),
        pipeline: Pipeline { mean: vec![0.5; c], std: vec![0.5; c], augment: Augment::default() },
        classes,
    }
}

fn rate(network: &Network, data: &TrainData, config: &Training, threads: usize) -> f64 {
    let rate = Rate::default();
    train(network, data, config, 1, threads, &rate).expect("trains");
    rate.0.into_inner().expect("not poisoned")
}

fn main() {
    let cases = [
        ("28x28x1 convolutional", small(), 64, 2048),
        ("28x28x1 hybrid", small_hybrid(), 64, 2048),
        ("96x96x3 hybrid", large_hybrid(), 32, 192),
    ];
    let only = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    for (name, network, batch, images) in cases.iter().filter(|c| c.0.contains(&only)) {
        let data = noise(network, *images);
        let config = Training {
            epochs: 2,
            batch: *batch,
            optimizer: Optimizer::AdamW,
            learning_rate: 1e-3,
            weight_decay: 1e-4,
            warmup: 0.1,
            label_smoothing: 0.0,
            patience: 0,
            subset: 1.0,
        };
        let weights = Weights::init(network, 1);
        let params: usize = weights.0.values().map(|a| a.data.len()).sum();
        println!("{name}: {params} weights, batch {batch}");
        println!("  training, 1 thread            {:7.0} images/s", rate(network, &data, &config, 1));
        println!("  training, 2 threads           {:7.0} images/s", rate(network, &data, &config, 2));
        let two: f64 = std::thread::scope(|s| {
            let runs: Vec<_> = (0..2).map(|_| s.spawn(|| rate(network, &data, &config, 1))).collect();
            runs.into_iter().map(|r| r.join().expect("trains")).sum()
        });
        println!("  two trainings, 1 thread each  {two:7.0} images/s together");
        for threads in [1, 2] {
            let t = std::time::Instant::now();
            evaluate(network, &weights, &data.images, &data.pipeline, threads).expect("evaluates");
            let rate = *images as f64 / t.elapsed().as_secs_f64();
            println!("  evaluation, {threads} thread(s)       {rate:7.0} images/s");
        }
    }
}
