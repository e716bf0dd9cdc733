//! Layer normalisation (arXiv 1607.06450).

use super::math::rsqrt;

/// `y[r][i] = (x[r][i] - mean) / sqrt(variance + eps) * weight[i] + bias[i]`, mean and (biased)
/// variance over the row; rows are as long as `weight`.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32], eps: f32) {
    let n = weight.len().max(1);
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        let (mean, scale) = statistics(x, eps);
        for (((y, x), weight), bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
            *y = (x - mean) * scale * weight + bias;
        }
    }
}

/// [`layer_norm`] with the result in the place of its input.
pub fn layer_norm_in_place(y: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    for y in y.chunks_exact_mut(weight.len().max(1)) {
        let (mean, scale) = statistics(y, eps);
        for ((y, weight), bias) in y.iter_mut().zip(weight).zip(bias) {
            *y = (*y - mean) * scale * weight + bias;
        }
    }
}

/// The mean of a row, and one over its standard deviation; in two passes, because the mean of
/// squares less the square of the mean cancels.
fn statistics(x: &[f32], eps: f32) -> (f32, f32) {
    let share = 1.0 / x.len() as f32;
    let mean = x.iter().sum::<f32>() * share;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() * share;
    (mean, rsqrt(variance + eps))
}
