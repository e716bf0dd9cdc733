//! The inner loop of dense kernels: four rows times four outputs in registers.
//!
//! Weights come *tiled*: outputs in blocks of [`TILE`], each block `[taps][TILE]`; outputs that fill
//! no block follow one by one, each `[taps]`. A step of the loop then loads four inputs and four
//! weights for sixteen multiply-accumulate operations, and four neighbouring accumulators make a
//! vector register where there are any.

/// Outputs of a block of weights, and rows computed at once.
pub const TILE: usize = 4;

/// `acc[p][o] += sum over i of x[p][i] * w[i][o]` for four rows.
#[inline(always)]
pub fn four_rows<const O: usize>(
    acc: &mut [[f32; O]; TILE],
    [x0, x1, x2, x3]: [&[f32]; TILE],
    w: &[[f32; O]],
) {
    let [mut a0, mut a1, mut a2, mut a3] = *acc;
    let inputs = x0.iter().zip(x1).zip(x2).zip(x3);
    for (w, (((x0, x1), x2), x3)) in w.iter().zip(inputs) {
        multiply_add(&mut a0, *x0, w);
        multiply_add(&mut a1, *x1, w);
        multiply_add(&mut a2, *x2, w);
        multiply_add(&mut a3, *x3, w);
    }
    *acc = [a0, a1, a2, a3];
}

/// The same for one row.
#[inline(always)]
pub fn one_row<const O: usize>(acc: &mut [f32; O], x: &[f32], w: &[[f32; O]]) {
    let mut a = *acc;
    for (w, x) in w.iter().zip(x) {
        multiply_add(&mut a, *x, w);
    }
    *acc = a;
}

/// `acc[o] += x * w[o]`.
#[inline(always)]
pub fn multiply_add<const O: usize>(acc: &mut [f32; O], x: f32, w: &[f32; O]) {
    for (a, w) in acc.iter_mut().zip(w) {
        *a += x * w;
    }
}
