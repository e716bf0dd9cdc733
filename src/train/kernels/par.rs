//! Division of work among the threads of the current rayon pool, in portions that do not depend on
//! their number.

use rayon::prelude::*;

/// Images of one portion.
pub(crate) const IMAGES: usize = 8;

/// Calls `f(i, portion i)` for the portions of `size` elements; the last may be shorter.
pub(crate) fn portions(out: &mut [f32], size: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let size = size.max(1);
    if rayon::current_num_threads() == 1 || out.len() <= size {
        out.chunks_mut(size).enumerate().for_each(|(i, o)| f(i, o));
    } else {
        out.par_chunks_mut(size).enumerate().for_each(|(i, o)| f(i, o));
    }
}

/// Like [`portions`], with a result for each, in order.
pub(crate) fn map_portions<T: Send>(
    out: &mut [f32],
    size: usize,
    f: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> Vec<T> {
    let size = size.max(1);
    if rayon::current_num_threads() == 1 || out.len() <= size {
        out.chunks_mut(size).enumerate().map(|(i, o)| f(i, o)).collect()
    } else {
        out.par_chunks_mut(size).enumerate().map(|(i, o)| f(i, o)).collect()
    }
}

/// `f` of every portion of [`IMAGES`] of `batch` images, as ranges, in order.
pub(crate) fn map_images<T: Send>(batch: usize, f: impl Fn(std::ops::Range<usize>) -> T + Sync) -> Vec<T> {
    let range = |i: usize| i * IMAGES..((i + 1) * IMAGES).min(batch);
    let n = batch.div_ceil(IMAGES);
    if rayon::current_num_threads() == 1 || n <= 1 {
        (0..n).map(|i| f(range(i))).collect()
    } else {
        (0..n).into_par_iter().map(|i| f(range(i))).collect()
    }
}

/// The element-wise sum of arrays, one after the other.
pub(crate) fn sum(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        for (t, p) in total.iter_mut().zip(&part) {
            *t += p;
        }
    }
    total
}
