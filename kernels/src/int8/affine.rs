//! Scale and shift of channels: a batch norm that could not be folded into its neighbour.

use super::channels::Channels;
use super::shape::copy;

/// A factor and what else there is for every channel.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    /// Factors.
    pub weight: &'a [i8],
    /// Biases and factors of the results.
    pub channels: Channels<'a>,
}

/// `y[r][c] = finish(bias[c] + x[r][c] * weight[c])` for every row; rows are as long as `weight`.
/// Where `x` is empty, `y` is the input too.
#[inline(never)]
pub fn affine(x: &[i8], y: &mut [i8], s: &Affine) {
    copy(x, y);
    let channels = &s.channels;
    for y in y.chunks_exact_mut(s.weight.len().max(1)) {
        let factors = channels.multiplier.iter().zip(channels.shift);
        let all = y.iter_mut().zip(s.weight).zip(channels.bias).zip(factors);
        for (((y, w), bias), (multiplier, shift)) in all {
            *y = channels.one(bias + i32::from(*y) * i32::from(*w), *multiplier, *shift);
        }
    }
}
