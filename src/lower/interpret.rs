//! The reference interpreter: what a lowered network means, in the plainest loops, sums in f64.
//!
//! It is the specification that the emitted code is held to, and far too slow for anything else.
//! Tensors are in the layout of emitted code: `[h][w][c]`, `[groups][tokens][dim]`.

use super::ir::{Kernel, Step, TensorId};
use super::Bound;
use crate::graph::{Act, Fact, Window};

/// Runs a network on one image `[h][w][c]` and gives its result; missing elements of `input` count
/// as zero.
pub fn interpret(bound: &Bound, input: &[f32]) -> Vec<f32> {
    let lowered = &bound.lowered;
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); lowered.tensors.len()];
    if let Some(v) = values.get_mut(lowered.input.0) {
        *v = input.to_vec();
    }
    for step in &lowered.steps {
        let y = run(bound, step, &values);
        if let Some(v) = values.get_mut(step.output.0) {
            *v = y;
        }
    }
    values.get(lowered.output.0).cloned().unwrap_or_default()
}

/// One value of a tensor; zero beyond its end.
fn at(x: &[f32], i: usize) -> f64 {
    x.get(i).copied().map_or(0.0, f64::from)
}

fn run(bound: &Bound, step: &Step, values: &[Vec<f32>]) -> Vec<f32> {
    let lowered = &bound.lowered;
    let value = |t: Option<&TensorId>| t.and_then(|t| values.get(t.0)).map_or(&[][..], Vec::as_slice);
    let slot = |i: usize| {
        let id = step.slots.get(i).copied();
        id.and_then(|id| bound.array(id)).map_or(&[][..], |a| a.data.as_slice())
    };
    let x = value(step.inputs.first());
    let b = value(step.inputs.get(1));
    let facts = lowered.input_facts(step);
    let fact = facts.first().copied().unwrap_or(Fact::Vector { n: 0 });
    let out = lowered.fact(step.output);
    let (c, m) = (fact.channels(), out.channels());
    // Every output element: f(row, channel).
    let each = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        (0..out.rows()).flat_map(|r| (0..m).map(move |o| f(r, o))).collect()
    };
    let (w0, w1) = (slot(0), slot(1));
    let y: Vec<f64> = match step.kernel {
        Kernel::Conv { window, groups, .. } => {
            let (depth, per_group) = (c / groups.max(1), m / groups.max(1));
            let k = window.kernel;
            each(&|r, o| {
                let first = o / per_group.max(1) * depth;
                let taps = positions(&window, fact, out, r);
                at(w1, o)
                    + taps
                        .iter()
                        .map(|&(ky, kx, pixel)| {
                            (0..depth)
                                .map(|i| {
                                    at(x, pixel * c + first + i) * at(w0, ((o * depth + i) * k + ky) * k + kx)
                                })
                                .sum::<f64>()
                        })
                        .sum::<f64>()
            })
        }
        Kernel::Linear { .. } => {
            each(&|r, o| at(w1, o) + (0..c).map(|i| at(x, r * c + i) * at(w0, o * c + i)).sum::<f64>())
        }
        Kernel::Affine => each(&|r, o| at(x, r * c + o) * at(w0, o) + at(w1, o)),
        Kernel::LayerNorm { eps } => {
            let row = |r: usize| (0..c).map(move |i| at(x, r * c + i));
            each(&|r, o| {
                let mean = row(r).sum::<f64>() / c as f64;
                let variance = row(r).map(|v| (v - mean) * (v - mean)).sum::<f64>() / c as f64;
                (at(x, r * c + o) - mean) / (variance + f64::from(eps)).sqrt() * at(w0, o) + at(w1, o)
            })
        }
        Kernel::AttentionCore { heads, head_dim } => attention(x, fact, heads, head_dim),
        Kernel::Activation(act) => x.iter().map(|&v| apply(act, f64::from(v))).collect(),
        Kernel::Softmax => {
            x.chunks(c.max(1)).flat_map(|row| softmax(row.iter().map(|&v| v.into()))).collect()
        }
        Kernel::MaxPool(window) => each(&|r, o| {
            let taps = positions(&window, fact, out, r);
            taps.iter().map(|&(_, _, p)| at(x, p * c + o)).reduce(f64::max).unwrap_or(0.0)
        }),
        Kernel::AvgPool(window) => each(&|r, o| {
            let taps = positions(&window, fact, out, r);
            taps.iter().map(|&(_, _, p)| at(x, p * c + o)).sum::<f64>() / taps.len().max(1) as f64
        }),
        Kernel::GlobalAvgPool => {
            let rows = fact.rows();
            each(&|_, o| (0..rows).map(|r| at(x, r * c + o)).sum::<f64>() / rows as f64)
        }
        Kernel::Add => each(&|r, o| at(x, r * m + o) + at(b, r * m + o)),
        Kernel::Mul => each(&|r, o| at(x, r * m + o) * at(b, r * m + o)),
        Kernel::AddChannels => each(&|r, o| at(x, r * m + o) + at(b, o)),
        Kernel::MulChannels => each(&|r, o| at(x, r * m + o) * at(b, o)),
        Kernel::Concat => {
            let source = |o: usize| {
                let mut first = 0;
                for (i, f) in facts.iter().enumerate() {
                    if o < first + f.channels() {
                        return (value(step.inputs.get(i)), f.channels(), o - first);
                    }
                    first += f.channels();
                }
                (&[][..], 0, 0)
            };
            each(&|r, o| {
                let (x, c, o) = source(o);
                at(x, r * c + o)
            })
        }
        Kernel::MatMul => {
            let (n, k) = sides(fact);
            each(&|r, o| {
                let g = r / n.max(1);
                (0..k).map(|i| at(x, r * k + i) * at(b, (g * k + i) * m + o)).sum::<f64>()
            })
        }
        Kernel::Transpose => {
            let (n, k) = sides(fact);
            each(&|r, o| at(x, (r / k.max(1) * n + o) * k + r % k.max(1)))
        }
        Kernel::Unfold { patch } => {
            let Fact::Map { h, w, .. } = fact else { return Vec::new() };
            each(&|r, o| match pixel_of_token(h, w, patch, r) {
                (row, column) if row < h && column < w => at(x, (row * w + column) * c + o),
                _ => 0.0,
            })
        }
        Kernel::Fold => {
            let Fact::Tokens { from: Some(p), .. } = fact else { return Vec::new() };
            let mut y = vec![0.0; out.elements()];
            for (r, token) in x.chunks(c.max(1)).enumerate() {
                let (row, column) = pixel_of_token(p.h, p.w, p.patch, r);
                if row < p.h && column < p.w {
                    let pixel = y.iter_mut().skip((row * p.w + column) * c);
                    pixel.zip(token).for_each(|(y, &v)| *y = f64::from(v));
                }
            }
            y
        }
        Kernel::Flatten => x.iter().map(|&v| f64::from(v)).collect(),
    };
    y.into_iter().map(|v| step.act.map_or(v, |act| apply(act, v)) as f32).collect()
}

/// The positions of a window in the map: `(ky, kx, input row)` for output row `r`.
pub(crate) fn positions(window: &Window, input: Fact, out: Fact, r: usize) -> Vec<(usize, usize, usize)> {
    let (Fact::Map { h, w, .. }, Fact::Map { w: columns, .. }) = (input, out) else { return Vec::new() };
    let (oy, ox) = (r / columns.max(1), r % columns.max(1));
    let mut found = Vec::new();
    for ky in 0..window.kernel {
        for kx in 0..window.kernel {
            let iy = (oy * window.stride + ky * window.dilation).checked_sub(window.padding.top);
            let ix = (ox * window.stride + kx * window.dilation).checked_sub(window.padding.left);
            if let (Some(iy), Some(ix)) = (iy.filter(|&i| i < h), ix.filter(|&i| i < w)) {
                found.push((ky, kx, iy * w + ix));
            }
        }
    }
    found
}

/// Tokens and features.
pub(crate) fn sides(fact: Fact) -> (usize, usize) {
    match fact {
        Fact::Tokens { tokens, dim, .. } => (tokens, dim),
        other => (1, other.channels()),
    }
}

/// Row and column of the pixel that is token `r` of all groups' tokens.
pub(crate) fn pixel_of_token(h: usize, w: usize, patch: usize, r: usize) -> (usize, usize) {
    let patch = patch.max(1);
    let (rows, columns) = (h.div_ceil(patch), w.div_ceil(patch));
    let (g, t) = (r / (rows * columns).max(1), r % (rows * columns).max(1));
    (t / columns.max(1) * patch + g / patch, t % columns.max(1) * patch + g % patch)
}

fn attention(x: &[f32], fact: Fact, heads: usize, head_dim: usize) -> Vec<f64> {
    let Fact::Tokens { groups, tokens, .. } = fact else { return Vec::new() };
    let inner = heads * head_dim;
    // part 0: query, 1: key, 2: value
    let element = |g: usize, t: usize, part: usize, head: usize, i: usize| {
        at(x, (g * tokens + t) * 3 * inner + part * inner + head * head_dim + i)
    };
    let mut y = Vec::new();
    for g in 0..groups {
        for t in 0..tokens {
            for head in 0..heads {
                let score = |j: usize| {
                    let products =
                        (0..head_dim).map(|i| element(g, t, 0, head, i) * element(g, j, 1, head, i));
                    products.sum::<f64>() / (head_dim as f64).sqrt()
                };
                let share = softmax((0..tokens).map(score));
                for i in 0..head_dim {
                    y.push(share.iter().enumerate().map(|(j, p)| p * element(g, j, 2, head, i)).sum());
                }
            }
        }
    }
    y
}

fn softmax(row: impl Iterator<Item = f64>) -> Vec<f64> {
    let row: Vec<f64> = row.collect();
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = row.iter().map(|v| (v - max).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|v| v / sum).collect()
}

/// An activation in f64.
pub fn apply(act: Act, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match act {
        Act::Relu => x.max(0.0),
        Act::Relu6 => x.clamp(0.0, 6.0),
        Act::Silu => x * sigmoid(x),
        Act::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Act::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Act::Sigmoid => sigmoid(x),
    }
}

/// The error function: its Maclaurin series up to 3, beyond the continued fraction of its
/// complement (Abramowitz and Stegun 7.1.5 and 7.1.14).
pub fn erf(x: f64) -> f64 {
    let z = x.abs();
    let value = if z < 3.0 {
        let (mut term, mut sum) = (z, z);
        for n in 1..100 {
            let n = f64::from(n);
            term *= -z * z / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let tail = (1..60).rev().fold(z, |tail, n| z + f64::from(n) / 2.0 / tail);
        1.0 - (-z * z).exp() * std::f64::consts::FRAC_2_SQRT_PI / 2.0 / tail
    };
    value.copysign(x)
}
