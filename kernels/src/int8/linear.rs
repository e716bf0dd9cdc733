//! A dense layer on every row; with the rows of a map, a pointwise convolution.

use super::channels::Channels;
use super::dot::{dot, dot_1x2, dot_2x2};

/// `y[r][o] = finish(bias[o] + sum over i of x[r][i] * weight[o][i])` for all rows `r`.
///
/// `x` is `[rows][inputs]`, `weight` `[outputs][inputs]`, `y` `[rows][outputs]`. `WIDE`: see
/// [`Channels`].
#[inline(never)]
pub fn linear<const WIDE: bool>(
    x: &[i8],
    weight: &[i8],
    channels: &Channels,
    y: &mut [i8],
    inputs: usize,
    outputs: usize,
) {
    let (inputs, outputs) = (inputs.max(1), outputs.max(1));
    let mut xs = x.chunks_exact((2 * inputs).max(1));
    let mut ys = y.chunks_exact_mut((2 * outputs).max(1));
    for (x, y) in xs.by_ref().zip(ys.by_ref()) {
        let rows = x.split_at_checked(inputs).unwrap_or_default();
        let (y0, y1) = y.split_at_mut_checked(outputs).unwrap_or_default();
        two_rows::<WIDE>([rows.0, rows.1], weight, channels, 0, y0, y1);
    }
    let rest = xs.remainder().chunks_exact(inputs);
    for (x, y) in rest.zip(ys.into_remainder().chunks_exact_mut(outputs)) {
        one_row::<WIDE>(x, weight, channels, 0, y);
    }
}

/// All outputs of two rows; the first output is channel `first`.
#[inline(never)]
pub fn two_rows<const WIDE: bool>(
    x: [&[i8]; 2],
    weight: &[i8],
    channels: &Channels,
    first: usize,
    y0: &mut [i8],
    y1: &mut [i8],
) {
    let inputs = x[0].len().max(1);
    let mut at = first;
    let (pairs, rest) = y0.as_chunks_mut::<2>();
    let (pairs1, rest1) = y1.as_chunks_mut::<2>();
    let mut ws = weight.chunks_exact((2 * inputs).max(1));
    for ((y0, y1), w) in pairs.iter_mut().zip(pairs1).zip(ws.by_ref()) {
        let [c0, c1] = channels.block(at);
        let (w0, w1) = w.split_at_checked(inputs).unwrap_or_default();
        let acc = [c0.bias, c1.bias, c0.bias, c1.bias];
        let [a, b, c, d] = dot_2x2(acc, x, [w0, w1]);
        *y0 = [c0.finish::<WIDE>(a), c1.finish::<WIDE>(b)];
        *y1 = [c0.finish::<WIDE>(c), c1.finish::<WIDE>(d)];
        at += 2;
    }
    for ((y0, y1), w) in rest
        .iter_mut()
        .zip(rest1)
        .zip(ws.remainder().chunks_exact(inputs))
    {
        let [channel] = channels.block(at);
        *y0 = channel.finish::<WIDE>(dot(channel.bias, x[0], w));
        *y1 = channel.finish::<WIDE>(dot(channel.bias, x[1], w));
        at += 1;
    }
}

/// All outputs of one row.
#[inline(never)]
pub fn one_row<const WIDE: bool>(
    x: &[i8],
    weight: &[i8],
    channels: &Channels,
    first: usize,
    y: &mut [i8],
) {
    let inputs = x.len().max(1);
    let mut at = first;
    let (pairs, rest) = y.as_chunks_mut::<2>();
    let mut ws = weight.chunks_exact((2 * inputs).max(1));
    for (y, w) in pairs.iter_mut().zip(ws.by_ref()) {
        let [c0, c1] = channels.block(at);
        let (w0, w1) = w.split_at_checked(inputs).unwrap_or_default();
        let [a, b] = dot_1x2([c0.bias, c1.bias], x, [w0, w1]);
        *y = [c0.finish::<WIDE>(a), c1.finish::<WIDE>(b)];
        at += 2;
    }
    for (y, w) in rest.iter_mut().zip(ws.remainder().chunks_exact(inputs)) {
        let [channel] = channels.block(at);
        *y = channel.finish::<WIDE>(dot(channel.bias, x, w));
        at += 1;
    }
}
