//! Random networks for property tests: sequences and branches of every operator of the graph, with
//! shapes that fit. The same seed gives the same network.
#![allow(dead_code)]

use super::net::{padded, plain, same, Net, Value};
use hytc::graph::{Act, Fact, Network, Op, Window};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Values get no more channels or features than this.
const MAX_CHANNELS: usize = 24;
/// Flattening larger values would make the classifier dominate.
const MAX_FLAT: usize = 600;

/// A random network over small images (1 to 4 channels, sides of 5 to 14), which gives a vector of
/// 2 to 10 logits.
pub fn random_net(seed: u64) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (c, h, w) = (rng.random_range(1..=4), rng.random_range(5..=14), rng.random_range(5..=14));
    let (net, x) = Net::new(c, h, w);
    let mut g = Generator { net, rng };
    let steps = g.rng.random_range(2..=7);
    let x = g.maps(x, steps);
    let x = g.flattened(x);
    let x = g.vectors(x);
    let classes = g.rng.random_range(2..=10);
    let x = g.net.linear(x, classes);
    g.net.finish(x)
}

struct Generator {
    net: Net,
    rng: ChaCha8Rng,
}

impl Generator {
    fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.random_range(0..from.len())]
    }

    fn act(&mut self) -> Act {
        self.one_of(&Act::ALL)
    }

    fn width(&mut self) -> usize {
        self.rng.random_range(1..=MAX_CHANNELS / 2)
    }

    /// Perhaps a norm, perhaps an activation.
    fn finish_layer(&mut self, mut x: Value) -> Value {
        if self.rng.random_bool(0.5) {
            x = self.net.op(Op::BatchNorm { eps: 1e-3 }, &[x]);
        }
        if self.rng.random_bool(0.6) {
            let act = self.act();
            x = self.net.act(x, act);
        }
        x
    }

    /// A window that fits a map: of any kernel, stride, dilation and padding, even or not.
    fn window(&mut self, x: Value, pooling: bool) -> Window {
        let Fact::Map { h, w, .. } = x.1 else { panic!("not a map") };
        for _ in 0..50 {
            let kernel = self.one_of(&[1, 2, 3, 3, 4, 5]);
            let stride = self.one_of(&[1, 1, 1, 2, 2, 3]);
            let dilation = self.one_of(&[1, 1, 1, 2, 3]);
            let window = match self.rng.random_range(0..3) {
                0 => same(x, kernel, stride, dilation),
                1 => Window { dilation, ..plain(kernel, stride) },
                _ => {
                    let pads = [0; 4].map(|_| self.rng.random_range(0..=kernel));
                    padded(kernel, stride, dilation, pads)
                }
            };
            let fits = window.output(h, w).is_some_and(|(a, b)| a > 0 && b > 0 && a * b <= 400);
            if fits && !(pooling && sees_padding_only(&window, h, w)) {
                return window;
            }
        }
        plain(1, 1)
    }

    fn maps(&mut self, mut x: Value, steps: usize) -> Value {
        for _ in 0..steps {
            x = self.map_step(x, 2);
        }
        x
    }

    /// One step on a map; `depth` limits branches within branches.
    fn map_step(&mut self, x: Value, depth: usize) -> Value {
        let c = x.1.channels();
        match self.rng.random_range(0..if depth == 0 { 6 } else { 14 }) {
            0 | 1 => {
                let window = self.window(x, false);
                let out = self.width();
                self.conv(x, out, window)
            }
            2 => {
                let window = self.window(x, false);
                let multiplier = if c * 2 <= MAX_CHANNELS { self.one_of(&[1, 1, 2]) } else { 1 };
                let bias = self.rng.random_bool(0.5);
                let x = self.net.op(Op::Conv { out: c * multiplier, window, groups: c, bias }, &[x]);
                self.finish_layer(x)
            }
            3 => {
                let window = self.window(x, true);
                let op = self.one_of(&[Op::MaxPool(window), Op::AvgPool(window)]);
                self.net.op(op, &[x])
            }
            4 => {
                let x = self.net.op(Op::BatchNorm { eps: 1e-5 }, &[x]);
                self.finish_layer(x)
            }
            5 => {
                let act = self.act();
                let x = self.net.act(x, act);
                self.net.op(Op::Dropout { p: 0.2 }, &[x])
            }
            6 => {
                let hidden = self.width();
                self.net.squeeze_excite(x, hidden)
            }
            7 | 8 => self.join(x, depth),
            9 => {
                let mut branches = vec![x];
                while branches.iter().map(|b| b.1.channels()).sum::<usize>() < MAX_CHANNELS / 2 {
                    let out = self.width();
                    let window = same(x, self.one_of(&[1, 3]), 1, 1);
                    branches.push(self.conv(x, out, window));
                }
                if branches.len() == 1 {
                    branches.push(x);
                }
                let x = self.net.op(Op::Concat, &branches);
                self.finish_layer(x)
            }
            10 => {
                // A vector added to a map.
                let v = self.net.op(Op::GlobalAvgPool, &[x]);
                let v = self.net.linear(v, c);
                let x = self.net.op(Op::Add, &[x, v]);
                self.finish_layer(x)
            }
            _ => {
                let patch = self.rng.random_range(1..=4);
                let t = self.net.op(Op::Unfold { patch }, &[x]);
                let steps = self.rng.random_range(0..=3);
                let t = self.tokens(t, steps);
                self.net.op(Op::Fold, &[t])
            }
        }
    }

    fn conv(&mut self, x: Value, out: usize, window: Window) -> Value {
        let c = x.1.channels();
        let common: Vec<usize> = (1..=c).filter(|g| c.is_multiple_of(*g) && out.is_multiple_of(*g)).collect();
        let groups = if self.rng.random_bool(0.4) { self.one_of(&common) } else { 1 };
        let bias = self.rng.random_bool(0.5);
        let x = self.net.op(Op::Conv { out, window, groups, bias }, &[x]);
        self.finish_layer(x)
    }

    /// A sum or a product of branches that keep the map's shape.
    fn join(&mut self, x: Value, depth: usize) -> Value {
        let branch = |g: &mut Self| {
            let (kernel, dilation) = (g.one_of(&[1, 2, 3, 5]), g.one_of(&[1, 2]));
            let window = same(x, kernel, 1, dilation);
            let mut y = g.conv(x, x.1.channels(), window);
            if depth > 0 && g.rng.random_bool(0.4) {
                y = g.join(y, depth - 1);
            }
            y
        };
        let first = branch(self);
        let joined = match self.rng.random_range(0..5) {
            0 => self.net.op(Op::Mul, &[x, first]),
            1 => {
                let second = branch(self);
                self.net.op(Op::Add, &[first, x, second])
            }
            2 => {
                let second = branch(self);
                self.net.op(Op::Add, &[first, second])
            }
            _ => self.net.op(Op::Add, &[x, first]),
        };
        self.finish_layer(joined)
    }

    /// Steps on tokens that can still be folded afterwards.
    fn tokens(&mut self, mut x: Value, steps: usize) -> Value {
        for _ in 0..steps {
            let dim = x.1.channels();
            x = match self.rng.random_range(0..9) {
                0 => self.net.op(Op::LayerNorm { eps: 1e-5 }, &[x]),
                1 => {
                    let out = self.width();
                    let bias = self.rng.random_bool(0.5);
                    let x = self.net.op(Op::Linear { out, bias }, &[x]);
                    self.finish_layer(x)
                }
                2 | 3 => {
                    let (heads, head_dim) = (self.rng.random_range(1..=4), self.rng.random_range(1..=6));
                    self.net.op(Op::Attention { heads, head_dim }, &[x])
                }
                4 => {
                    let (heads, head_dim) = (self.rng.random_range(1..=3), self.rng.random_range(1..=4));
                    self.net.transformer(x, heads, head_dim, dim + 3)
                }
                5 => {
                    let width = self.width();
                    self.net.hand_made_attention(x, width)
                }
                6 => self.net.op(Op::Softmax, &[x]),
                7 if 2 * dim <= MAX_CHANNELS => {
                    let y = self.net.linear(x, dim);
                    self.net.op(Op::Concat, &[x, y])
                }
                7 => {
                    let y = self.net.linear(x, dim);
                    self.net.op(Op::Mul, &[x, y])
                }
                _ => self.finish_layer(x),
            };
        }
        x
    }

    fn flattened(&mut self, x: Value) -> Value {
        if x.1.elements() <= MAX_FLAT && self.rng.random_bool(0.4) {
            return self.net.op(Op::Flatten, &[x]);
        }
        if self.rng.random_bool(0.3) {
            let t = self.net.op(Op::Unfold { patch: 2 }, &[x]);
            let t = if self.rng.random_bool(0.5) { self.net.op(Op::Transpose, &[t]) } else { t };
            let flat = t.1.elements() <= MAX_FLAT && self.rng.random_bool(0.5);
            return self.net.op(if flat { Op::Flatten } else { Op::GlobalAvgPool }, &[t]);
        }
        self.net.op(Op::GlobalAvgPool, &[x])
    }

    fn vectors(&mut self, mut x: Value) -> Value {
        for _ in 0..self.rng.random_range(0..=3) {
            x = match self.rng.random_range(0..7) {
                0 => {
                    let out = self.width();
                    let bias = self.rng.random_bool(0.5);
                    let x = self.net.op(Op::Linear { out, bias }, &[x]);
                    self.finish_layer(x)
                }
                1 => self.net.op(Op::LayerNorm { eps: 1e-5 }, &[x]),
                2 => self.net.op(Op::BatchNorm { eps: 1e-3 }, &[x]),
                3 => self.net.op(Op::Softmax, &[x]),
                4 => {
                    let y = self.net.linear(x, x.1.channels());
                    let op = self.one_of(&[Op::Add, Op::Mul]);
                    self.net.op(op, &[x, y])
                }
                5 => {
                    let out = self.width();
                    let y = self.net.linear(x, out);
                    self.net.op(Op::Concat, &[x, y])
                }
                _ => self.finish_layer(x),
            };
        }
        x
    }
}

/// Whether some window of a pooling has no tap inside the map, so that it has no result.
fn sees_padding_only(window: &Window, h: usize, w: usize) -> bool {
    let Some((oh, ow)) = window.output(h, w) else { return true };
    let empty = |n: usize, before: usize, outputs: usize| {
        (0..outputs).any(|o| {
            let mut taps = (0..window.kernel).map(|t| o * window.stride + t * window.dilation);
            !taps.any(|at| (before..before + n).contains(&at))
        })
    };
    empty(h, window.padding.top, oh) || empty(w, window.padding.left, ow)
}
