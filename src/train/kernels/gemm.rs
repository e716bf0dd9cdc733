//! Matrix products for tall, narrow matrices: many rows (positions), few columns (channels).
//!
//! General packages spend much of their time copying such operands into panels. Here only the
//! small operand (the weights) is packed; the tall ones are read where they are.

use super::simd::{fma, lanes, lanes_mut, vectorized};

/// Columns of a panel: two vectors of AVX, one of AVX-512, four of NEON.
const PANEL: usize = 16;
/// Rows whose sums are held in registers at once.
const ROWS: usize = 6;

/// A `k x n` matrix in panels of [`PANEL`] columns, the last padded with zeros.
#[derive(Debug)]
pub(crate) struct Packed {
    k: usize,
    n: usize,
    data: Vec<f32>,
}

impl Packed {
    /// Packs the matrix whose element (i, j) is `b[i * row + j * column]`.
    pub fn new(k: usize, n: usize, b: &[f32], row: usize, column: usize) -> Packed {
        let mut data = vec![0.0; n.div_ceil(PANEL) * k * PANEL];
        for (p, panel) in data.chunks_exact_mut((k * PANEL).max(1)).enumerate() {
            let width = PANEL.min(n - p * PANEL);
            for (i, line) in panel.chunks_exact_mut(PANEL).enumerate() {
                for (j, x) in line.iter_mut().take(width).enumerate() {
                    *x = b[i * row + (p * PANEL + j) * column];
                }
            }
        }
        Packed { k, n, data }
    }

    /// Packs a row-major `k x n` matrix.
    pub fn plain(k: usize, n: usize, b: &[f32]) -> Packed {
        Packed::new(k, n, b, n, 1)
    }

    /// Packs the transpose of a row-major `n x k` matrix.
    pub fn transposed(k: usize, n: usize, b: &[f32]) -> Packed {
        Packed::new(k, n, b, 1, k)
    }
}

/// A tall matrix within a slice: row `r` starts at `r * stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tall<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// Distance of rows.
    pub stride: usize,
}

/// `out[r][j] = bias[j] + sum over i of a[r][i] * b[i][j]` for `rows` rows; row `r` of `out` starts
/// at `r * stride`.
pub(crate) fn rows(rows: usize, a: Tall, b: &Packed, bias: Option<&[f32]>, out: &mut [f32], stride: usize) {
    if rows > 0 && b.n > 0 {
        vectorized!(FMA => rows_in::<FMA>(rows, a, b, bias, out, stride));
    }
}

#[inline(always)]
fn rows_in<const FMA: bool>(
    rows: usize,
    a: Tall,
    b: &Packed,
    bias: Option<&[f32]>,
    out: &mut [f32],
    stride: usize,
) {
    let full = rows / ROWS * ROWS;
    for r in (0..full).step_by(ROWS) {
        block::<FMA, ROWS>(r, a, b, bias, out, stride);
    }
    for r in full..rows {
        block::<FMA, 1>(r, a, b, bias, out, stride);
    }
}

#[inline(always)]
fn block<const FMA: bool, const R: usize>(
    r: usize,
    a: Tall,
    b: &Packed,
    bias: Option<&[f32]>,
    out: &mut [f32],
    stride: usize,
) {
    let k = b.k;
    let lines: [&[f32]; R] = std::array::from_fn(|i| {
        let start = (r + i) * a.stride;
        &a.data[start..start + k]
    });
    for (p, panel) in b.data.chunks_exact((k * PANEL).max(1)).enumerate() {
        let column = p * PANEL;
        let width = PANEL.min(b.n - column);
        let mut start = [0.0; PANEL];
        if let Some(bias) = bias {
            start[..width].copy_from_slice(&bias[column..column + width]);
        }
        let mut acc = [start; R];
        for (i, line) in panel.chunks_exact(PANEL).enumerate() {
            let w = lanes::<PANEL>(line);
            for (acc, a) in acc.iter_mut().zip(&lines) {
                let x = a[i];
                for (s, &w) in acc.iter_mut().zip(w) {
                    *s = fma::<FMA>(x, w, *s);
                }
            }
        }
        for (i, acc) in acc.iter().enumerate() {
            let at = (r + i) * stride + column;
            if width == PANEL {
                *lanes_mut::<PANEL>(&mut out[at..]) = *acc;
            } else {
                out[at..at + width].copy_from_slice(&acc[..width]);
            }
        }
    }
}

/// Adds to `out[i][j]` (row-major, `m x n`) the sum over `rows` rows of `a[r][i] * b[r][j]`: the
/// weight gradient of a dense layer.
pub(crate) fn outer(rows: usize, m: usize, n: usize, a: Tall, b: Tall, out: &mut [f32]) {
    vectorized!(FMA => outer_in::<FMA>(rows, m, n, a, b, out));
}

/// Rows that are summed at a time: their part of both matrices stays in the first cache.
const DEPTH: usize = 128;

#[inline(always)]
fn outer_in<const FMA: bool>(rows: usize, m: usize, n: usize, a: Tall, b: Tall, out: &mut [f32]) {
    for from in (0..rows).step_by(DEPTH) {
        let to = (from + DEPTH).min(rows);
        let mut j = 0;
        while j + 16 <= n {
            outer_columns::<FMA, 16>(from..to, m, n, j, a, b, out);
            j += 16;
        }
        if j + 8 <= n {
            outer_columns::<FMA, 8>(from..to, m, n, j, a, b, out);
            j += 8;
        }
        while j < n {
            outer_columns::<FMA, 1>(from..to, m, n, j, a, b, out);
            j += 1;
        }
    }
}

#[inline(always)]
fn outer_columns<const FMA: bool, const L: usize>(
    rows: std::ops::Range<usize>,
    m: usize,
    n: usize,
    j: usize,
    a: Tall,
    b: Tall,
    out: &mut [f32],
) {
    let mut i = 0;
    while i + 6 <= m {
        outer_block::<FMA, 6, L>(rows.clone(), n, i, j, a, b, out);
        i += 6;
    }
    match m - i {
        0 => {}
        1 => outer_block::<FMA, 1, L>(rows, n, i, j, a, b, out),
        2 => outer_block::<FMA, 2, L>(rows, n, i, j, a, b, out),
        3 => outer_block::<FMA, 3, L>(rows, n, i, j, a, b, out),
        4 => outer_block::<FMA, 4, L>(rows, n, i, j, a, b, out),
        _ => outer_block::<FMA, 5, L>(rows, n, i, j, a, b, out),
    }
}

#[inline(always)]
fn outer_block<const FMA: bool, const M: usize, const L: usize>(
    rows: std::ops::Range<usize>,
    n: usize,
    i: usize,
    j: usize,
    a: Tall,
    b: Tall,
    out: &mut [f32],
) {
    let mut acc = [[0.0f32; L]; M];
    for r in rows {
        let x = lanes::<M>(&a.data[r * a.stride + i..]);
        let y = lanes::<L>(&b.data[r * b.stride + j..]);
        for (acc, &x) in acc.iter_mut().zip(x) {
            for (s, &y) in acc.iter_mut().zip(y) {
                *s = fma::<FMA>(x, y, *s);
            }
        }
    }
    for (d, acc) in acc.iter().enumerate() {
        let line = lanes_mut::<L>(&mut out[(i + d) * n + j..]);
        for (o, s) in line.iter_mut().zip(acc) {
            *o += s;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| (((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5) - 1.0).collect()
    }

    #[test]
    fn products_agree_with_the_definition() {
        for (r, k, n) in [(1, 1, 1), (7, 5, 16), (13, 9, 24), (40, 16, 35), (150, 64, 10), (6, 3, 8)] {
            let (a, b, bias) = (noise(r * k, 1), noise(k * n, 2), noise(n, 3));
            let mut out = vec![0.0; r * n];
            rows(r, Tall { data: &a, stride: k }, &Packed::plain(k, n, &b), Some(&bias), &mut out, n);
            let mut turned = vec![0.0; r * n];
            let bt: Vec<f32> = (0..k * n).map(|i| b[(i % k) * n + i / k]).collect();
            rows(
                r,
                Tall { data: &a, stride: k },
                &Packed::transposed(k, n, &bt),
                Some(&bias),
                &mut turned,
                n,
            );
            assert_eq!(out, turned);
            for y in 0..r {
                for x in 0..n {
                    let want: f32 = bias[x] + (0..k).map(|i| a[y * k + i] * b[i * n + x]).sum::<f32>();
                    assert!((out[y * n + x] - want).abs() < 1e-4, "{r} {k} {n}");
                }
            }
            let g = noise(r * n, 4);
            let mut dw = vec![1.0; n * k];
            outer(r, n, k, Tall { data: &g, stride: n }, Tall { data: &a, stride: k }, &mut dw);
            for y in 0..n {
                for x in 0..k {
                    let want: f32 = 1.0 + (0..r).map(|i| g[i * n + y] * a[i * k + x]).sum::<f32>();
                    assert!((dw[y * k + x] - want).abs() < 1e-3, "{r} {k} {n}");
                }
            }
        }
    }
}
