//! The reference interpreter of quantised networks: docs/arithmetic.md in the plainest code, sums in
//! 64 or 128 bits. Tensors are in the layout of emitted code: `[h][w][c]`, `[groups][tokens][dim]`.
//!
//! It shares nothing with the kernels but the numbers of a rescaling.

use super::{Dense, Quantised, QuantisedOp, QuantisedStep, Scale};
use crate::graph::{Fact, Window};
use crate::lower::interpret::{pixel_of_token, positions, sides};
use crate::lower::ir::{Kernel, Step};
use hytc_kernels::int8::requantise::Rescale;

/// Runs a network on one quantised image `[h][w][c]`; missing elements count as zero.
pub fn interpret(network: &Quantised, input: &[i8]) -> Vec<i8> {
    let mut values = tensors(network, input);
    let output = values.get_mut(network.lowered.output.0);
    output.map(std::mem::take).unwrap_or_default()
}

/// The integers of all tensors of one inference, by [`TensorId`](crate::lower::ir::TensorId).
pub fn tensors(network: &Quantised, input: &[i8]) -> Vec<Vec<i8>> {
    let lowered = &network.lowered;
    let mut values: Vec<Vec<i8>> = vec![Vec::new(); lowered.tensors.len()];
    if let Some(v) = values.get_mut(lowered.input.0) {
        *v = input.to_vec();
    }
    for (step, quantised) in lowered.steps.iter().zip(&network.steps) {
        let y = run(network, step, quantised, &values);
        if let Some(v) = values.get_mut(step.output.0) {
            *v = y;
        }
    }
    values
}

/// Runs a network on one normalised image of f32, and gives real scores.
pub fn interpret_f32(network: &Quantised, image: &[f32]) -> Vec<f32> {
    let (input, output) = (network.scale(network.lowered.input), network.scale(network.lowered.output));
    let quantised: Vec<i8> = image.iter().map(|&v| input.quantise_f32(v)).collect();
    interpret(network, &quantised).into_iter().map(|q| output.real(q.into()) as f32).collect()
}

/// `floor((a * M + 2^(T-1)) / 2^T)`, saturated to 32 bits.
fn requantise(a: i64, r: Rescale) -> i64 {
    let exact = (i128::from(a) * i128::from(r.multiplier) + (1i128 << (r.shift - 1))) >> r.shift;
    exact.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i64
}

fn sat(x: i64) -> i8 {
    x.clamp(-128, 127) as i8
}

/// One value of a tensor; zero beyond its end.
fn at(x: &[i8], i: usize) -> i64 {
    x.get(i).copied().map_or(0, i64::from)
}

fn look(table: &[i8; 256], q: i8) -> i8 {
    table.get((i32::from(q) + 128) as usize).copied().unwrap_or(0)
}

fn run(network: &Quantised, step: &Step, quantised: &QuantisedStep, values: &[Vec<i8>]) -> Vec<i8> {
    let lowered = &network.lowered;
    let value = |i: usize| {
        let id = step.inputs.get(i);
        id.and_then(|t| values.get(t.0)).map_or(&[][..], Vec::as_slice)
    };
    let scale = |i: usize| step.inputs.get(i).map_or(Scale::SOFTMAX, |&t| network.scale(t));
    let zero = |i: usize| i64::from(scale(i).zero);
    let (x, b) = (value(0), value(1));
    let (zx, zb, zy) = (zero(0), zero(1), i64::from(quantised.before.zero));
    let facts = lowered.input_facts(step);
    let fact = facts.first().copied().unwrap_or(Fact::Vector { n: 0 });
    let out = lowered.fact(step.output);
    let (c, m) = (fact.channels(), out.channels());
    // Every output element: f(row, channel).
    let each = |f: &dyn Fn(usize, usize) -> i8| -> Vec<i8> {
        (0..out.rows()).flat_map(|r| (0..m).map(move |o| f(r, o))).collect()
    };
    let window = |w: &Window, r: usize, o: usize| -> Vec<i64> {
        positions(w, fact, out, r).iter().map(|&(_, _, p)| at(x, p * c + o)).collect()
    };
    let mut y: Vec<i8> = match (&quantised.op, step.kernel) {
        (QuantisedOp::Dense(d), Kernel::Conv { window, groups, .. }) => {
            let groups = groups.max(1);
            let (area, depth, per_group) = (window.kernel * window.kernel, c / groups, m / groups);
            let mut y = Vec::with_capacity(out.elements());
            for (r, g) in (0..out.rows()).flat_map(|r| (0..groups).map(move |g| (r, g))) {
                // What no position of the map covers is padding.
                let mut patch = vec![zx; depth * area];
                for (ky, kx, pixel) in positions(&window, fact, out, r) {
                    let taps = patch.iter_mut().skip(ky * window.kernel + kx).step_by(area.max(1));
                    taps.enumerate().for_each(|(i, tap)| *tap = at(x, pixel * c + g * depth + i));
                }
                y.extend((g * per_group..(g + 1) * per_group).map(|o| dense(d, o, zy, &patch)));
            }
            y
        }
        (QuantisedOp::Dense(d), Kernel::Affine) => each(&|r, o| dense(d, o, zy, &[at(x, r * c + o)])),
        (QuantisedOp::Dense(d), _) => {
            let rows = x.chunks(c.max(1)).map(|row| row.iter().map(|&q| i64::from(q)).collect::<Vec<_>>());
            rows.flat_map(|row| (0..m).map(|o| dense(d, o, zy, &row)).collect::<Vec<_>>()).collect()
        }
        (QuantisedOp::LayerNorm { weight, bias, eps, fraction, shift }, _) => {
            let rows = x.chunks(c.max(1));
            rows.flat_map(|row| layer_norm(row, weight, bias, *eps, *fraction, *shift, zy)).collect()
        }
        (QuantisedOp::Attention { score, drop, value }, Kernel::AttentionCore { heads, head_dim }) => {
            attention(x, fact, [heads, head_dim], zx, zy, *score, *drop, *value)
        }
        (QuantisedOp::Softmax { rescale, drop }, _) => {
            x.chunks(c.max(1)).flat_map(|row| softmax(row, *rescale, *drop)).collect()
        }
        (QuantisedOp::Pool, Kernel::MaxPool(w)) => {
            each(&|r, o| window(&w, r, o).into_iter().max().map_or(zy as i8, sat))
        }
        (QuantisedOp::Pool, Kernel::AvgPool(w)) => each(&|r, o| {
            let values = window(&w, r, o);
            let (n, sum) = (values.len() as i64, values.iter().sum::<i64>());
            if n == 0 {
                zy as i8
            } else {
                sat((2 * sum + n).div_euclid(2 * n))
            }
        }),
        (QuantisedOp::GlobalAvgPool(r), _) => each(&|_, o| {
            let sum: i64 = (0..fact.rows()).map(|row| at(x, row * c + o) - zx).sum();
            sat(zy + requantise(sum, *r))
        }),
        (QuantisedOp::Add { a, b: second, shift }, kernel) => {
            let broadcast = kernel == Kernel::AddChannels;
            each(&|r, o| {
                let qb = if broadcast { at(b, o) } else { at(b, r * m + o) };
                let sum = i64::from(*a) * (at(x, r * m + o) - zx) + i64::from(*second) * (qb - zb);
                sat(zy + ((sum + (1 << (shift - 1))) >> shift))
            })
        }
        (QuantisedOp::Mul(rescale), kernel) => {
            let broadcast = kernel == Kernel::MulChannels;
            each(&|r, o| {
                let qb = if broadcast { at(b, o) } else { at(b, r * m + o) };
                sat(zy + requantise((at(x, r * m + o) - zx) * (qb - zb), *rescale))
            })
        }
        (QuantisedOp::MatMul(rescale), _) => {
            let (n, k) = sides(fact);
            each(&|r, o| {
                let g = r / n.max(1);
                let product = |i: usize| (at(x, r * k + i) - zx) * (at(b, (g * k + i) * m + o) - zb);
                sat(zy + requantise((0..k).map(product).sum(), *rescale))
            })
        }
        (QuantisedOp::Concat(tables), _) => each(&|r, o| {
            let mut first = 0;
            for (i, (fact, table)) in facts.iter().zip(tables).enumerate() {
                let width = fact.channels();
                if o < first + width {
                    let q = at(value(i), r * width + o - first) as i8;
                    return table.as_ref().map_or(q, |t| look(t, q));
                }
                first += width;
            }
            0
        }),
        (_, Kernel::Transpose) => {
            let (n, k) = sides(fact);
            each(&|r, o| at(x, (r / k.max(1) * n + o) * k + r % k.max(1)) as i8)
        }
        (_, Kernel::Unfold { patch }) => {
            let Fact::Map { h, w, .. } = fact else { return Vec::new() };
            each(&|r, o| match pixel_of_token(h, w, patch, r) {
                (row, column) if row < h && column < w => at(x, (row * w + column) * c + o) as i8,
                _ => zx as i8,
            })
        }
        (_, Kernel::Fold) => {
            let Fact::Tokens { from: Some(p), .. } = fact else { return Vec::new() };
            let mut y = vec![0; out.elements()];
            for (r, token) in x.chunks(c.max(1)).enumerate() {
                let (row, column) = pixel_of_token(p.h, p.w, p.patch, r);
                if row < p.h && column < p.w {
                    let pixel = y.iter_mut().skip((row * p.w + column) * c);
                    pixel.zip(token).for_each(|(y, &v)| *y = v);
                }
            }
            y
        }
        _ => x.to_vec(),
    };
    if let Some(table) = &quantised.table {
        y.iter_mut().for_each(|q| *q = look(table, *q));
    }
    y
}

/// One output of a layer of weights; `input` holds the integers that its weights meet.
fn dense(d: &Dense, o: usize, zy: i64, input: &[i64]) -> i8 {
    let taps = d.weight.len() / d.bias.len().max(1);
    let row = d.weight.get(o * taps..(o + 1) * taps).unwrap_or_default();
    let sum: i64 = row.iter().zip(input).map(|(&w, &q)| i64::from(w) * q).sum();
    match (d.bias.get(o), d.rescale.get(o)) {
        (Some(&bias), Some(&r)) => sat(zy + requantise(i64::from(bias) + sum, r)),
        _ => 0,
    }
}

/// `2^30 * exp(-u / 2^24)` as two tables and a parabola between their entries give it.
fn exponential(u: i64) -> i64 {
    let entry = |x: f64| (2f64.powi(31) * (-x).exp() + 0.5).floor() as i64;
    if u >= 1 << 28 {
        return 0;
    }
    let (high, low) = (entry((u >> 22) as f64 / 4.0), entry(((u >> 17) & 31) as f64 / 128.0));
    let (e, x) = ((high * low) >> 32, u & 0x1_ffff);
    let less = (x << 8) - (((x >> 2) * (x >> 2)) >> 13);
    e - ((e * less) >> 32)
}

/// The shares of exponentials in their sum, with `bits` fractional bits.
fn shares(e: &[i64], bits: u32) -> Vec<i64> {
    let sum = e.iter().sum::<i64>().clamp(1, i64::from(u32::MAX)) as u32;
    let up = sum.leading_zeros();
    let inverse = (1i64 << 61) / (i64::from(sum) << up);
    e.iter().map(|e| (((e << up) * inverse) + (1 << (60 - bits))) >> (61 - bits)).collect()
}

fn softmax(row: &[i8], r: Rescale, drop: u32) -> Vec<i8> {
    let max = row.iter().copied().max().map_or(0, i64::from);
    let power = |&q: &i8| exponential(requantise(max - i64::from(q), r)) >> drop;
    let e: Vec<i64> = row.iter().map(power).collect();
    shares(&e, 8).into_iter().map(|share| sat(share - 128)).collect()
}

fn layer_norm(
    row: &[i8],
    weight: &[i32],
    bias: &[i32],
    eps: u64,
    fraction: u32,
    shift: u32,
    zy: i64,
) -> Vec<i8> {
    let n = row.len() as i128;
    let q: Vec<i128> = row.iter().map(|&q| i128::from(q)).collect();
    let sum: i128 = q.iter().sum();
    let squares: i128 = q.iter().map(|q| q * q).sum();
    let variance = (65536 * (n * squares - sum * sum) + i128::from(eps)).max(65536) as u64;
    let zeros = variance.leading_zeros() / 2 * 2;
    let root = u128::from(variance << zeros).isqrt();
    let inverse = ((1u128 << 63) / root).min(u128::from(u32::MAX)) as i128;
    let one = |((q, &w), &b): ((&i128, &i32), &i32)| {
        let to_fraction = 55 - zeros / 2 - fraction;
        let normalised = ((n * q - sum) * inverse + (1 << (to_fraction - 1))) >> to_fraction;
        let high = (normalised as i64 * i64::from(w)) >> 32;
        sat(zy + ((high + i64::from(b)) >> shift))
    };
    q.iter().zip(weight).zip(bias).map(one).collect()
}

#[allow(clippy::too_many_arguments)]
fn attention(
    x: &[i8],
    fact: Fact,
    [heads, head_dim]: [usize; 2],
    zx: i64,
    zy: i64,
    score: Rescale,
    drop: u32,
    value: Rescale,
) -> Vec<i8> {
    let Fact::Tokens { groups, tokens, .. } = fact else { return Vec::new() };
    let inner = heads * head_dim;
    // part 0: query, 1: key, 2: value
    let element = |g: usize, t: usize, part: usize, head: usize, i: usize| {
        at(x, (g * tokens + t) * 3 * inner + part * inner + head * head_dim + i) - zx
    };
    let mut y = Vec::new();
    for g in 0..groups {
        for t in 0..tokens {
            for head in 0..heads {
                let product = |j: usize| -> i64 {
                    (0..head_dim).map(|i| element(g, t, 0, head, i) * element(g, j, 1, head, i)).sum()
                };
                let scores: Vec<i64> = (0..tokens).map(product).collect();
                let max = scores.iter().copied().max().unwrap_or(0);
                let e: Vec<i64> =
                    scores.iter().map(|s| exponential(requantise(max - s, score)) >> drop).collect();
                let shares = shares(&e, 23);
                for i in 0..head_dim {
                    let terms = shares.iter().enumerate().map(|(j, p)| p * element(g, j, 2, head, i));
                    y.push(sat(zy + requantise(terms.sum(), value)));
                }
            }
        }
    }
    y
}
