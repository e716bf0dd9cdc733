//! Concatenation, copies.

/// `y[i] = x[i]`.
pub fn copy(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = *x;
    }
}

/// One input of a concatenation along the features: `y[r][offset + i] = x[r][i]`; `x` has rows of
/// `n` features, `y` of `total`.
pub fn concat(x: &[f32], y: &mut [f32], n: usize, total: usize, offset: usize) {
    for (x, y) in x
        .chunks_exact(n.max(1))
        .zip(y.chunks_exact_mut(total.max(1)))
    {
        copy(x, y.get_mut(offset..).unwrap_or_default());
    }
}
