//! Softmax; its result has the scale 1/256 and the zero -128.

use super::exp::exp;
use super::requantise::Rescale;

/// Softmax of every row of `n`. `rescale` turns steps of the input into 1/65536.
#[inline(never)]
pub fn softmax(x: &[i8], y: &mut [i8], n: usize, rescale: Rescale) {
    for (x, y) in x.chunks_exact(n.max(1)).zip(y.chunks_exact_mut(n.max(1))) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = *x;
        }
        row(y, rescale);
    }
}

/// The same with the result over the input.
#[inline(never)]
pub fn softmax_in_place(y: &mut [i8], n: usize, rescale: Rescale) {
    for y in y.chunks_exact_mut(n.max(1)) {
        row(y, rescale);
    }
}

#[inline(always)]
fn row(y: &mut [i8], rescale: Rescale) {
    let max = y.iter().copied().max().map_or(0, i32::from);
    let share = |q: i8| exp(rescale.apply(max - i32::from(q)));
    let sum: u32 = y.iter().map(|q| share(*q)).sum();
    let reciprocal = (1 << 47) / u64::from(sum).max(1);
    for q in y {
        let part = (u64::from(share(*q)) * reciprocal + (1 << 38)) >> 39;
        *q = (part as i32 - 128).min(127) as i8;
    }
}
