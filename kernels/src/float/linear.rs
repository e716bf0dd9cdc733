//! A dense layer on every row; with the rows of a map, a pointwise convolution.

use super::tile::{four_rows, one_row, TILE};

/// `y[r][o] = act(bias[o] + sum over i of x[r][i] * weight[o][i])` for all rows `r`.
///
/// `x` is `[rows][inputs]`, `y` is `[rows][outputs]`. `weight` is tiled (see [`super::tile`]) with
/// `inputs` taps. `bias` has an element for each output, or is empty: zero.
pub fn linear(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
    inputs: usize,
    outputs: usize,
    act: impl Fn(f32) -> f32 + Copy,
) {
    let (inputs, outputs) = (inputs.max(1), outputs.max(1));
    let mut xs = x.chunks_exact((TILE * inputs).max(1));
    let mut ys = y.chunks_exact_mut((TILE * outputs).max(1));
    for (x, y) in xs.by_ref().zip(ys.by_ref()) {
        let (x0, x) = x.split_at_checked(inputs).unwrap_or_default();
        let (x1, x) = x.split_at_checked(inputs).unwrap_or_default();
        let (x2, x3) = x.split_at_checked(inputs).unwrap_or_default();
        let (y0, y) = y.split_at_mut_checked(outputs).unwrap_or_default();
        let (y1, y) = y.split_at_mut_checked(outputs).unwrap_or_default();
        let (y2, y3) = y.split_at_mut_checked(outputs).unwrap_or_default();
        let blocks = outputs / TILE * TILE;
        let (tiled, single) = weight.split_at_checked(blocks * inputs).unwrap_or_default();
        let mut at = 0;
        for w in tiled.chunks_exact((TILE * inputs).max(1)) {
            let b = bias
                .get(at..)
                .and_then(|b| b.first_chunk::<TILE>())
                .copied();
            let mut acc = [b.unwrap_or_default(); TILE];
            four_rows(&mut acc, [x0, x1, x2, x3], w.as_chunks().0);
            for (y, a) in [&mut *y0, &mut *y1, &mut *y2, &mut *y3]
                .into_iter()
                .zip(acc)
            {
                if let Some(y) = y.get_mut(at..).and_then(|y| y.first_chunk_mut::<TILE>()) {
                    *y = a.map(act);
                }
            }
            at += TILE;
        }
        for w in single.chunks_exact(inputs) {
            let mut acc = [[bias.get(at).copied().unwrap_or_default()]; TILE];
            four_rows(&mut acc, [x0, x1, x2, x3], w.as_chunks().0);
            for (y, [a]) in [&mut *y0, &mut *y1, &mut *y2, &mut *y3]
                .into_iter()
                .zip(acc)
            {
                if let Some(y) = y.get_mut(at) {
                    *y = act(a);
                }
            }
            at += 1;
        }
    }
    let rest = xs.remainder().chunks_exact(inputs);
    for (x, y) in rest.zip(ys.into_remainder().chunks_exact_mut(outputs)) {
        row(x, weight, bias, y, act);
    }
}

/// One row; the length of `x` is the number of inputs, that of `y` the number of outputs.
fn row(x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32], act: impl Fn(f32) -> f32 + Copy) {
    let inputs = x.len().max(1);
    let (blocks, rest) = y.as_chunks_mut::<TILE>();
    let (tiled, single) = weight
        .split_at_checked(blocks.len() * TILE * inputs)
        .unwrap_or_default();
    let mut bias = bias.iter().copied();
    for (y, w) in blocks
        .iter_mut()
        .zip(tiled.chunks_exact((TILE * inputs).max(1)))
    {
        let mut acc = [(); TILE].map(|()| bias.next().unwrap_or_default());
        one_row(&mut acc, x, w.as_chunks().0);
        *y = acc.map(act);
    }
    for (y, w) in rest.iter_mut().zip(single.chunks_exact(inputs)) {
        let mut acc = [bias.next().unwrap_or_default()];
        one_row(&mut acc, x, w.as_chunks().0);
        let [a] = acc;
        *y = act(a);
    }
}
