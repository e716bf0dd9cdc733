//! Softmax; its result has the scale 1/256 and the zero -128.

use super::exp::exp;
use super::requantise::{reciprocal, Rescale};
use super::shape::{copy, rolled};

/// The shape of a softmax.
#[derive(Clone, Copy)]
pub struct Softmax {
    /// Elements of a row.
    pub n: usize,
    /// Turns steps of the input into 1/65536.
    pub rescale: Rescale,
}

/// Softmax of every row. Where `x` is empty, `y` is the input too.
#[inline(never)]
pub fn softmax(x: &[i8], y: &mut [i8], s: &Softmax) {
    copy(x, y);
    for y in y.chunks_exact_mut(s.n.max(1)) {
        let max = y.iter().copied().max().map_or(0, i32::from);
        let share = |q: i8| exp(s.rescale.apply(max - i32::from(q)));
        let mut sum = 0;
        for q in y.iter() {
            rolled();
            sum += share(*q);
        }
        let reciprocal = reciprocal(47, sum.max(1));
        for q in y {
            rolled();
            let part = (u64::from(share(*q)) * reciprocal + (1 << 38)) >> 39;
            *q = (part as i32 - 128).min(127) as i8;
        }
    }
}
