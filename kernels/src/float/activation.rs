//! Non-linearities, as functions of one number and over slices.

use super::math::{erfc, exp};

/// `x`, where a kernel's result needs no activation.
#[inline(always)]
pub fn identity(x: f32) -> f32 {
    x
}

/// `max(0, x)`.
#[inline(always)]
pub fn relu(x: f32) -> f32 {
    if x < 0.0 {
        0.0
    } else {
        x
    }
}

/// `min(6, max(0, x))`.
#[inline(always)]
pub fn relu6(x: f32) -> f32 {
    let x = relu(x);
    if x > 6.0 {
        6.0
    } else {
        x
    }
}

/// `x min(6, max(0, x + 3)) / 6` (arXiv 1905.02244).
#[inline(always)]
pub fn hard_swish(x: f32) -> f32 {
    x * relu6(x + 3.0) * (1.0 / 6.0)
}

/// `1 / (1 + e^-x)`.
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `x / (1 + e^-x)` (arXiv 1702.03118).
#[inline]
pub fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

/// `x / 2 (1 + erf(x / sqrt 2))` (arXiv 1606.08415), the exact form.
#[inline]
pub fn gelu(x: f32) -> f32 {
    let negative = x < 0.0;
    let half = 0.5 * erfc(if negative { -x } else { x } * core::f32::consts::FRAC_1_SQRT_2);
    x * if negative { half } else { 1.0 - half }
}

/// `y[i] = act(x[i])`.
pub fn map(x: &[f32], y: &mut [f32], act: impl Fn(f32) -> f32 + Copy) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = act(*x);
    }
}

/// `y[i] = act(y[i])`.
pub fn map_in_place(y: &mut [f32], act: impl Fn(f32) -> f32 + Copy) {
    for y in y {
        *y = act(*y);
    }
}
