//! Random networks that use every operator, with branches inside branches.

use super::{same, Net, Value};
use crate::graph::{Act, Fact, Network, Op};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The network of this seed.
pub(crate) fn network(seed: u64) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (net, x) = Net::new(rng.random_range(4..9), rng.random_range(4..9), rng.random_range(1..4));
    let mut g = Generator { net, rng };
    let mut x = x;
    for _ in 0..g.rng.random_range(1..5) {
        x = g.change(x);
        x = g.keep(x, 3);
    }
    x = match g.rng.random_range(0..4) {
        0 => return g.net.finish(x),
        1 => g.net.op(Op::Flatten, &[x]),
        _ => g.net.op(Op::GlobalAvgPool, &[x]),
    };
    x = g.keep(x, 2);
    if g.rng.random_bool(0.7) {
        x = g.net.op(Op::Linear { out: 3, bias: true }, &[x]);
    }
    g.net.finish(x)
}

struct Generator {
    net: Net,
    rng: ChaCha8Rng,
}

impl Generator {
    fn pick(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n)
    }

    fn some_act(&mut self) -> Op {
        Op::Activation(Act::ALL[self.pick(6)])
    }

    /// A map of another shape.
    fn change(&mut self, x: Value) -> Value {
        let kernel = [1, 2, 3][self.pick(3)];
        let stride = 1 + self.pick(2);
        let window = same(x, kernel, stride);
        let op = match self.pick(4) {
            0 => Op::MaxPool(window),
            1 => Op::AvgPool(window),
            _ => Op::Conv { out: 1 + self.pick(6), window, groups: 1, bias: self.rng.random_bool(0.5) },
        };
        self.net.op(op, &[x])
    }

    /// A value of the same shape, through one or a few operators and at most `depth` levels.
    fn keep(&mut self, x: Value, depth: usize) -> Value {
        let mut x = x;
        for _ in 0..1 + self.pick(3) {
            x = match x.1 {
                _ if depth > 0 && self.rng.random_bool(0.4) => self.branches(x, depth - 1),
                Fact::Map { .. } => self.on_map(x, depth),
                Fact::Tokens { .. } => self.on_tokens(x),
                Fact::Vector { .. } => self.on_vector(x),
            };
        }
        x
    }

    fn branches(&mut self, x: Value, depth: usize) -> Value {
        let y = self.keep(x, depth);
        match self.pick(6) {
            0 => self.net.op(Op::Add, &[x, y]),
            1 => {
                let z = self.keep(x, depth);
                self.net.op(Op::Add, &[y, x, z])
            }
            2 => {
                let z = self.keep(y, depth);
                self.net.op(Op::Mul, &[z, y])
            }
            3 => self.net.op(Op::Add, &[y, y]),
            4 if matches!(x.1, Fact::Map { .. }) => {
                let z = self.keep(x, depth);
                let v = self.net.op(Op::GlobalAvgPool, &[z]);
                let v = self.keep(v, depth);
                let op = if self.rng.random_bool(0.5) { Op::Mul } else { Op::Add };
                self.net.op(op, &[y, v])
            }
            _ => {
                let z = self.keep(x, depth);
                let joined = self.net.op(Op::Concat, &[y, x, z]);
                match x.1 {
                    Fact::Map { c, .. } => self.net.conv(joined, c, 1, 1, 1),
                    other => self.net.op(Op::Linear { out: other.channels(), bias: false }, &[joined]),
                }
            }
        }
    }

    fn on_map(&mut self, x: Value, depth: usize) -> Value {
        let c = x.1.channels();
        let op = match self.pick(8) {
            0 => Op::BatchNorm { eps: 1e-3 },
            1 => self.some_act(),
            2 => Op::Dropout { p: 0.1 },
            3 => Op::AvgPool(same(x, 3, 1)),
            4 => Op::MaxPool(same(x, 3, 1)),
            5 => {
                let patch = 1 + self.pick(3);
                let t = self.net.op(Op::Unfold { patch }, &[x]);
                let t = self.keep(t, depth.saturating_sub(1));
                return self.net.op(Op::Fold, &[t]);
            }
            _ => {
                let groups = if self.rng.random_bool(0.5) { c } else { 1 };
                let bias = self.rng.random_bool(0.5);
                let y = self.net.op(Op::Conv { out: c, window: same(x, 3, 1), groups, bias }, &[x]);
                return if self.rng.random_bool(0.7) { self.net.bn(y) } else { y };
            }
        };
        self.net.op(op, &[x])
    }

    fn on_tokens(&mut self, x: Value) -> Value {
        let dim = x.1.channels();
        let op = match self.pick(7) {
            0 => Op::BatchNorm { eps: 1e-3 },
            1 => self.some_act(),
            2 => Op::LayerNorm { eps: 1e-5 },
            3 => Op::Softmax,
            4 => Op::Linear { out: dim, bias: self.rng.random_bool(0.5) },
            5 => {
                let t = self.net.op(Op::Transpose, &[x]);
                let m = self.net.op(Op::MatMul, &[x, t]);
                let m = self.net.op(Op::Softmax, &[m]);
                let y = self.net.op(Op::MatMul, &[m, x]);
                return self.net.op(Op::Add, &[x, y]);
            }
            _ => Op::Attention { heads: 1 + self.pick(2), head_dim: 1 + self.pick(3) },
        };
        self.net.op(op, &[x])
    }

    fn on_vector(&mut self, x: Value) -> Value {
        let n = x.1.channels();
        let op = match self.pick(6) {
            0 => Op::BatchNorm { eps: 1e-3 },
            1 => self.some_act(),
            2 => Op::LayerNorm { eps: 1e-5 },
            3 => Op::Flatten,
            4 => Op::Dropout { p: 0.2 },
            _ => Op::Linear { out: n, bias: self.rng.random_bool(0.5) },
        };
        self.net.op(op, &[x])
    }
}
