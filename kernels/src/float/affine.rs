//! Scale and shift of channels: a batch norm that could not be folded into its neighbour.

/// `y[r][c] = act(x[r][c] * scale[c] + shift[c])` for every row; rows are as long as `scale`.
pub fn affine(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    y: &mut [f32],
    act: impl Fn(f32) -> f32 + Copy,
) {
    let n = scale.len().max(1);
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
            *y = act(x * scale + shift);
        }
    }
}

/// [`affine`] with the result in the place of its input.
pub fn affine_in_place(
    y: &mut [f32],
    scale: &[f32],
    shift: &[f32],
    act: impl Fn(f32) -> f32 + Copy,
) {
    for y in y.chunks_exact_mut(scale.len().max(1)) {
        for ((y, scale), shift) in y.iter_mut().zip(scale).zip(shift) {
            *y = act(*y * scale + shift);
        }
    }
}
