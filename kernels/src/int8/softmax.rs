//! Softmax; its result has the scale 1/256 and the zero -128.

use super::exp::{exp, Shares};
use super::requantise::Rescale;
use super::shape::{copy, rolled};

/// The shape of a softmax.
#[derive(Clone, Copy)]
pub struct Softmax {
    /// Elements of a row.
    pub n: usize,
    /// Turns steps of the input into `2^-24`.
    pub rescale: Rescale,
    /// Bits that the exponentials lose, so that their sum has at most 32.
    pub drop: u32,
}

/// Softmax of every row. Where `x` is empty, `y` is the input too.
#[inline(never)]
pub fn softmax(x: &[i8], y: &mut [i8], s: &Softmax) {
    copy(x, y);
    for y in y.chunks_exact_mut(s.n.max(1)) {
        let max = y.iter().copied().max().map_or(0, i32::from);
        let power = |q: i8| exp(s.rescale.apply(max - i32::from(q))) >> s.drop;
        let mut sum = 0;
        for q in y.iter() {
            rolled();
            sum += power(*q);
        }
        let shares = Shares::of(sum.max(1));
        for q in y {
            rolled();
            *q = (shares.share(power(*q), 8) as i32 - 128).min(127) as i8;
        }
    }
}
