//! Products of matrices that are both activations, and transposition.

use super::tile::{multiply_add, TILE};

/// `y[g][i][j] = act(sum over k of a[g][i][k] * b[g][k][j])`; `a` is `[groups][n][k]`, `b`
/// `[groups][k][m]`, `y` `[groups][n][m]`.
pub fn matmul(
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
    [n, k, m]: [usize; 3],
    act: impl Fn(f32) -> f32 + Copy,
) {
    let (n, k, m) = (n.max(1), k.max(1), m.max(1));
    let groups = a
        .chunks_exact((n * k).max(1))
        .zip(b.chunks_exact((k * m).max(1)));
    for ((a, b), y) in groups.zip(y.chunks_exact_mut((n * m).max(1))) {
        for (a, y) in a.chunks_exact(k).zip(y.chunks_exact_mut(m)) {
            let mut at = 0;
            let (blocks, rest) = y.as_chunks_mut::<TILE>();
            for y in blocks {
                let mut acc = [0.0; TILE];
                for (a, b) in a.iter().zip(b.get(at..).unwrap_or_default().chunks(m)) {
                    if let Some(b) = b.first_chunk() {
                        multiply_add(&mut acc, *a, b);
                    }
                }
                *y = acc.map(act);
                at += TILE;
            }
            for y in rest {
                let column = b.get(at..).unwrap_or_default().chunks(m);
                let products = a
                    .iter()
                    .zip(column)
                    .map(|(a, b)| a * b.first().unwrap_or(&0.0));
                *y = act(products.sum());
                at += 1;
            }
        }
    }
}

/// `y[g][j][i] = x[g][i][j]`; `x` is `[groups][n][m]`.
pub fn transpose(x: &[f32], y: &mut [f32], n: usize, m: usize) {
    let (n, m) = (n.max(1), m.max(1));
    for (x, y) in x
        .chunks_exact((n * m).max(1))
        .zip(y.chunks_exact_mut((n * m).max(1)))
    {
        for (j, y) in y.chunks_exact_mut(n).enumerate() {
            let column = x.get(j..).unwrap_or_default().iter().step_by(m);
            for (y, x) in y.iter_mut().zip(column) {
                *y = *x;
            }
        }
    }
}
