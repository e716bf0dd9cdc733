//! A dense layer on every row; with the rows of a map, a pointwise convolution.

use super::channels::Channels;
use super::dot::{dot, dot_2x2};

/// A dense layer.
#[derive(Clone, Copy)]
pub struct Linear<'a> {
    /// `[outputs][inputs]`.
    pub weight: &'a [i8],
    /// Biases and factors of the outputs.
    pub channels: Channels<'a>,
    /// Features of a row of the input.
    pub inputs: usize,
    /// Features of a row of the output.
    pub outputs: usize,
}

/// `y[r][o] = finish(bias[o] + sum over i of x[r][i] * weight[o][i])` for all rows `r`; `x` is
/// `[rows][inputs]`, `y` `[rows][outputs]`.
#[inline(never)]
pub fn linear(x: &[i8], y: &mut [i8], s: &Linear) {
    let (inputs, outputs) = (s.inputs.max(1), s.outputs.max(1));
    let xs = x.chunks((2 * inputs).max(1));
    for (x, y) in xs.zip(y.chunks_mut((2 * outputs).max(1))) {
        match (x.split_at_checked(inputs), y.split_at_mut_checked(outputs)) {
            (Some((x0, x1)), Some((y0, y1))) if y1.len() == outputs => {
                two_rows([x0, x1], s.weight, &s.channels, y0, y1);
            }
            _ => one_row(x, s.weight, &s.channels, y),
        }
    }
}

/// All outputs of two rows.
#[inline(never)]
pub fn two_rows(x: [&[i8]; 2], weight: &[i8], channels: &Channels, y0: &mut [i8], y1: &mut [i8]) {
    let inputs = x[0].len().max(1);
    let (biases, _) = channels.bias.as_chunks::<2>();
    let (multipliers, _) = channels.multiplier.as_chunks::<2>();
    let (shifts, _) = channels.shift.as_chunks::<2>();
    let (pairs0, odd0) = y0.as_chunks_mut::<2>();
    let (pairs1, odd1) = y1.as_chunks_mut::<2>();
    let mut weights = weight.chunks_exact((2 * inputs).max(1));
    let factors = biases.iter().zip(multipliers).zip(shifts);
    let outputs = pairs0.iter_mut().zip(pairs1).zip(weights.by_ref());
    for (((y0, y1), w), (([b0, b1], [m0, m1]), [s0, s1])) in outputs.zip(factors) {
        let (w0, w1) = w.split_at_checked(inputs).unwrap_or_default();
        let [a, b, c, d] = dot_2x2([*b0, *b1, *b0, *b1], x, [w0, w1]);
        *y0 = [channels.one(a, *m0, *s0), channels.one(b, *m1, *s1)];
        *y1 = [channels.one(c, *m0, *s0), channels.one(d, *m1, *s1)];
    }
    if let Some(last) = channels
        .bias
        .len()
        .checked_sub(1)
        .and_then(|last| channels.part(last, 1))
    {
        one_row(x[0], weights.remainder(), &last, odd0);
        one_row(x[1], weights.remainder(), &last, odd1);
    }
}

/// All outputs of one row.
#[inline(never)]
pub fn one_row(x: &[i8], weight: &[i8], channels: &Channels, y: &mut [i8]) {
    let weights = weight.chunks_exact(x.len().max(1));
    let factors = channels
        .bias
        .iter()
        .zip(channels.multiplier)
        .zip(channels.shift);
    for ((y, w), ((bias, multiplier), shift)) in y.iter_mut().zip(weights).zip(factors) {
        *y = channels.one(dot(*bias, x, w), *multiplier, *shift);
    }
}
