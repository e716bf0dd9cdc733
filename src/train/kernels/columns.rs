//! Loops over rows of channels: sums by channel, and channel-wise affine maps.
//!
//! Rows are short (8 to 100 channels). Where channels are treated independently, several rows are
//! handled as one long row, with the per-channel values repeated, so that the loops are long.

use super::act::{with_curve, Curve};
use super::simd::{fma, vectorized};
use crate::graph::Act;

/// Elements of a long row, about.
const LONG: usize = 64;

/// Repeats per-channel values to make a long row.
pub(crate) fn tile(values: &[f32]) -> Vec<f32> {
    let c = values.len().max(1);
    values.repeat(LONG.div_ceil(c))
}

/// The sum by channel of `x` (`[rows][c]`).
pub(crate) fn sums(x: &[f32], c: usize) -> Vec<f32> {
    let mut acc = tile(&vec![0.0; c]);
    vectorized!(FMA => {
        let _ = FMA;
        for row in x.chunks(acc.len()) {
            for (a, &x) in acc.iter_mut().zip(row) {
                *a += x;
            }
        }
    });
    fold(&acc, c)
}

/// The sum by channel of the squared distance from `mean`.
pub(crate) fn squared_distances(x: &[f32], mean: &[f32]) -> Vec<f32> {
    let c = mean.len();
    let mean = tile(mean);
    let mut acc = vec![0.0; mean.len()];
    vectorized!(FMA => {
        for row in x.chunks(mean.len()) {
            for ((a, &x), &m) in acc.iter_mut().zip(row).zip(&mean) {
                let d = x - m;
                *a = fma::<FMA>(d, d, *a);
            }
        }
    });
    fold(&acc, c)
}

fn fold(acc: &[f32], c: usize) -> Vec<f32> {
    let mut out = vec![0.0; c];
    for part in acc.chunks(c.max(1)) {
        for (o, &a) in out.iter_mut().zip(part) {
            *o += a;
        }
    }
    out
}

/// `y = act(x * scale + shift)`; `scale` and `shift` are [`tile`]d.
pub(crate) fn affine(act: Option<Act>, x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]) {
    with_curve!(act, C => vectorized!(FMA => {
        for (y, x) in y.chunks_mut(scale.len()).zip(x.chunks(scale.len())) {
            for (((y, &x), &a), &b) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                *y = C::at::<FMA>(fma::<FMA>(x, a, b));
            }
        }
    }));
}

/// The first half of the backward pass of a normalised, scaled and shifted value with a
/// non-linearity: multiplies `g` by the non-linearity's derivative, and gives the sums by channel of
/// `g` and of `g * (x - mean)`. The per-channel values are [`tile`]d.
pub(crate) fn affine_backward(
    act: Option<Act>,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    mean: &[f32],
    c: usize,
    g: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let n = scale.len();
    let mut sum = vec![0.0; n];
    let mut dot = vec![0.0; n];
    with_curve!(act, C => vectorized!(FMA => {
        for (g, x) in g.chunks_mut(n).zip(x.chunks(n)) {
            let (scale, shift, mean) = (&scale[..g.len()], &shift[..g.len()], &mean[..g.len()]);
            let (sum, dot) = (&mut sum[..g.len()], &mut dot[..g.len()]);
            let x = &x[..g.len()];
            for i in 0..g.len() {
                let d = g[i] * C::slope::<FMA>(fma::<FMA>(x[i], scale[i], shift[i]));
                g[i] = d;
                sum[i] += d;
                dot[i] = fma::<FMA>(d, x[i] - mean[i], dot[i]);
            }
        }
    }));
    (fold(&sum, c), fold(&dot, c))
}

/// `g = g * a + x * b + d` with [`tile`]d `a`, `b`, `d`: the second half.
pub(crate) fn blend(g: &mut [f32], x: &[f32], a: &[f32], b: &[f32], d: &[f32]) {
    vectorized!(FMA => {
        for (g, x) in g.chunks_mut(a.len()).zip(x.chunks(a.len())) {
            for ((((g, &x), &a), &b), &d) in g.iter_mut().zip(x).zip(a).zip(b).zip(d) {
                *g = fma::<FMA>(*g, a, fma::<FMA>(x, b, d));
            }
        }
    });
}
