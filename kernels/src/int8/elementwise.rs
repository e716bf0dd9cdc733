//! Sums and products of two tensors, or of a map and a vector of its channels.
//!
//! `y` is the first tensor when they begin, unless `x` is; it is then copied. `z` is the second one,
//! or, where it is empty, `x`. The second is added to or multiplied with every run of its length.

use super::requantise::{saturate, Rescale};
use super::shape::copy;

/// How two tensors are added: `y = zero + (a * qa + b * qb + offset) / 2^(shift + 15)`. Both factors and the
/// offset, which holds a half and both zeros, are split into what is above 15 bits and these: all sums are of
/// 32 bits.
#[derive(Clone, Copy)]
pub struct Add {
    /// Factor of the first: the bits from 15 up, those below.
    pub a: [i32; 2],
    /// Factor of the second.
    pub b: [i32; 2],
    /// `2^(shift + 14)` less both factors times their tensors' zeros.
    pub offset: [i32; 2],
    /// The common shift, less 15.
    pub shift: u32,
    /// The sum's zero.
    pub zero: i32,
}

/// How two tensors are multiplied.
#[derive(Clone, Copy)]
pub struct Mul {
    /// Zero of the first.
    pub zero_a: i32,
    /// Zero of the second.
    pub zero_b: i32,
    /// The product's scale.
    pub rescale: Rescale,
    /// The product's zero.
    pub zero: i32,
}

/// `y[i] = f(y[i], second[i])`.
#[inline(always)]
fn change(x: &[i8], y: &mut [i8], z: &[i8], f: impl Fn(i32, i32) -> i8) {
    copy(x, y);
    let second = if z.is_empty() { x } else { z };
    for y in y.chunks_exact_mut(second.len().max(1)) {
        for (y, b) in y.iter_mut().zip(second) {
            *y = f(i32::from(*y), i32::from(*b));
        }
    }
}

/// The sum of two tensors, or of a map and a vector.
#[inline(never)]
pub fn add(x: &[i8], y: &mut [i8], z: &[i8], s: &Add) {
    let Add {
        a,
        b,
        offset,
        shift,
        zero,
    } = *s;
    change(x, y, z, |p, q| {
        let low = p * a[1] + q * b[1] + offset[1];
        let high = p * a[0] + q * b[0] + offset[0] + (low >> 15);
        saturate((high >> shift) + zero)
    });
}

/// The product of two tensors, or of a map and a vector.
#[inline(never)]
pub fn mul(x: &[i8], y: &mut [i8], z: &[i8], s: &Mul) {
    change(x, y, z, |p, q| {
        s.rescale.to((p - s.zero_a) * (q - s.zero_b), s.zero)
    });
}
