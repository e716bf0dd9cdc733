//! Softmax over the features of every row.

use super::math::exp;

/// `y[r][i] = e^x[r][i] / sum over j of e^x[r][j]` for rows of `n`.
pub fn softmax(x: &[f32], y: &mut [f32], n: usize) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = *x;
    }
    softmax_in_place(y, n);
}

/// [`softmax`] with the result in the place of its input.
pub fn softmax_in_place(y: &mut [f32], n: usize) {
    for y in y.chunks_exact_mut(n.max(1)) {
        let share = 1.0 / exponentials(y);
        for y in y {
            *y *= share;
        }
    }
}

/// Replaces a row by `e^(y - max)`, which cannot overflow, and gives the sum.
pub fn exponentials(y: &mut [f32]) -> f32 {
    let max = y
        .iter()
        .fold(f32::MIN, |max, &y| if y > max { y } else { max });
    for y in y.iter_mut() {
        *y = exp(*y - max);
    }
    y.iter().sum()
}
