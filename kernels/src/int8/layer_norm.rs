//! Layer norm over the features of a row (arXiv 1607.06450).

use super::requantise::{reciprocal, saturate};
use super::shape::{copy, rolled};

/// What a layer norm knows.
#[derive(Clone, Copy)]
pub struct LayerNorm<'a> {
    /// Factors to the output's scale, with `32 + shift - fraction` fractional bits.
    pub weight: &'a [i32],
    /// Biases in the output's scale, with `shift` fractional bits, and a half.
    pub bias: &'a [i32],
    /// `2^16 * n^2 * eps / scale^2` for rows of `n` and the input's scale.
    pub eps: u64,
    /// Fractional bits of the normalised values.
    pub fraction: u32,
    /// Fractional bits of the results before they are rounded.
    pub shift: u32,
    /// The output's zero.
    pub zero: i32,
}

/// `y[r][i] = weight[i] * normalised(x[r][i]) + bias[i]`; rows are as long as `weight`. Where `x` is
/// empty, `y` is the input too.
#[inline(never)]
pub fn layer_norm(x: &[i8], y: &mut [i8], s: &LayerNorm) {
    copy(x, y);
    for y in y.chunks_exact_mut(s.weight.len().max(1)) {
        row(y, s);
    }
}

#[inline(always)]
fn row(y: &mut [i8], s: &LayerNorm) {
    let n = y.len() as i32;
    let (mut sum, mut squares) = (0, 0);
    for q in y.iter() {
        let q = i32::from(*q);
        sum += q;
        squares += q * q;
    }
    let spread = i64::from(n) * i64::from(squares) - i64::from(sum) * i64::from(sum);
    let variance = ((spread as u64) << 16).saturating_add(s.eps).max(1 << 16);
    let zeros = variance.leading_zeros() & !1;
    let root = square_root(variance << zeros);
    let inverse = reciprocal(63, root.max(1)).min(u64::from(u32::MAX));
    let shift = 55 - zeros / 2 - s.fraction;
    let half = 1i64 << (shift - 1);
    for ((q, weight), bias) in y.iter_mut().zip(s.weight).zip(s.bias) {
        rolled();
        let centred = i64::from(n * i32::from(*q) - sum);
        let normalised = ((centred * inverse as i64 + half) >> shift) as i32;
        let high = ((i64::from(normalised) * i64::from(*weight)) >> 32) as i32;
        *q = saturate(((high + bias) >> s.shift) + s.zero);
    }
}

/// The integer part of a square root, digit by digit.
#[inline(always)]
fn square_root(x: u64) -> u32 {
    let (mut rest, mut root, mut bit) = (x, 0u64, 1u64 << 62);
    while bit != 0 {
        rolled();
        if rest >= root + bit {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
        bit >>= 2;
    }
    root as u32
}
