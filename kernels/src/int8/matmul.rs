//! Products of matrices that are both activations, and transposition.

use super::requantise::Rescale;
use super::shape::rolled;

/// The shape of a product of matrices.
#[derive(Clone, Copy)]
pub struct MatMul {
    /// Rows of the first.
    pub rows: usize,
    /// Columns of the first, rows of the second.
    pub inner: usize,
    /// Columns of the second.
    pub columns: usize,
    /// Zero of the first.
    pub zero_a: i32,
    /// Zero of the second.
    pub zero_b: i32,
    /// The product's scale.
    pub rescale: Rescale,
    /// The product's zero.
    pub zero: i32,
}

/// `y[g][i][j] = sum over k of a[g][i][k] * b[g][k][j]`; `a` is `[groups][rows][inner]`, `b`
/// `[groups][inner][columns]`, `y` `[groups][rows][columns]`. Where `b` is empty it is `a`.
#[inline(never)]
pub fn matmul(a: &[i8], y: &mut [i8], b: &[i8], s: &MatMul) {
    let b = if b.is_empty() { a } else { b };
    let (n, k, m) = (s.rows.max(1), s.inner.max(1), s.columns.max(1));
    let groups = a
        .chunks_exact((n * k).max(1))
        .zip(b.chunks_exact((k * m).max(1)));
    for ((a, b), y) in groups.zip(y.chunks_exact_mut((n * m).max(1))) {
        for (a, y) in a.chunks_exact(k).zip(y.chunks_exact_mut(m)) {
            for (j, y) in y.iter_mut().enumerate() {
                let column = b.get(j..).unwrap_or_default().iter().step_by(m);
                let mut sum = 0;
                for (a, b) in a.iter().zip(column) {
                    rolled();
                    sum += (i32::from(*a) - s.zero_a) * (i32::from(*b) - s.zero_b);
                }
                *y = s.rescale.to(sum, s.zero);
            }
        }
    }
}

/// The shape of a transposition.
#[derive(Clone, Copy)]
pub struct Transpose {
    /// Rows of the input.
    pub rows: usize,
    /// Columns of the input.
    pub columns: usize,
}

/// `y[g][j][i] = x[g][i][j]`; `x` is `[groups][rows][columns]`.
#[inline(never)]
pub fn transpose(x: &[i8], y: &mut [i8], s: &Transpose) {
    let (n, m) = (s.rows.max(1), s.columns.max(1));
    let groups = x.chunks_exact((n * m).max(1));
    for (x, y) in groups.zip(y.chunks_exact_mut((n * m).max(1))) {
        for (j, y) in y.chunks_exact_mut(n).enumerate() {
            let column = x.get(j..).unwrap_or_default().iter().step_by(m);
            for (y, x) in y.iter_mut().zip(column) {
                rolled();
                *y = *x;
            }
        }
    }
}
