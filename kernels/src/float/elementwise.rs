//! Sums and products of two tensors, or of a map and a vector of its channels.

/// `y[i] = act(a[i] + b[i])`.
pub fn add(a: &[f32], b: &[f32], y: &mut [f32], act: impl Fn(f32) -> f32 + Copy) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y = act(a + b);
    }
}

/// `y[i] = act(y[i] + b[i])`.
pub fn add_in_place(y: &mut [f32], b: &[f32], act: impl Fn(f32) -> f32 + Copy) {
    for (y, b) in y.iter_mut().zip(b) {
        *y = act(*y + b);
    }
}

/// `y[i] = act(a[i] * b[i])`.
pub fn mul(a: &[f32], b: &[f32], y: &mut [f32], act: impl Fn(f32) -> f32 + Copy) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y = act(a * b);
    }
}

/// `y[i] = act(y[i] * b[i])`.
pub fn mul_in_place(y: &mut [f32], b: &[f32], act: impl Fn(f32) -> f32 + Copy) {
    for (y, b) in y.iter_mut().zip(b) {
        *y = act(*y * b);
    }
}

/// `y[r][c] = act(a[r][c] + v[c])` for every row; rows are as long as `v`.
pub fn add_channels(a: &[f32], v: &[f32], y: &mut [f32], act: impl Fn(f32) -> f32 + Copy) {
    let n = v.len().max(1);
    for (y, a) in y.chunks_exact_mut(n).zip(a.chunks_exact(n)) {
        add(a, v, y, act);
    }
}

/// `y[r][c] = act(y[r][c] + v[c])`.
pub fn add_channels_in_place(y: &mut [f32], v: &[f32], act: impl Fn(f32) -> f32 + Copy) {
    for y in y.chunks_exact_mut(v.len().max(1)) {
        add_in_place(y, v, act);
    }
}

/// `y[r][c] = act(a[r][c] * v[c])` for every row; rows are as long as `v`.
pub fn mul_channels(a: &[f32], v: &[f32], y: &mut [f32], act: impl Fn(f32) -> f32 + Copy) {
    let n = v.len().max(1);
    for (y, a) in y.chunks_exact_mut(n).zip(a.chunks_exact(n)) {
        mul(a, v, y, act);
    }
}

/// `y[r][c] = act(y[r][c] * v[c])`.
pub fn mul_channels_in_place(y: &mut [f32], v: &[f32], act: impl Fn(f32) -> f32 + Copy) {
    for y in y.chunks_exact_mut(v.len().max(1)) {
        mul_in_place(y, v, act);
    }
}
