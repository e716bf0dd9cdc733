//! Recycling of large arrays.
//!
//! A training step needs the same arrays as the one before. Given back to the system and asked for
//! again, their pages are mapped and zeroed anew every time, which took a third of a step. Every
//! thread keeps its own stock; it is freed with the thread, and a training has its own threads.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Arrays below this many elements are not worth it.
const SMALL: usize = 4096;

thread_local! {
    static STOCK: RefCell<BTreeMap<usize, Vec<Vec<f32>>>> = const { RefCell::new(BTreeMap::new()) };
}

/// An array of `n` elements of any value, to be overwritten.
pub(crate) fn scratch(n: usize) -> Vec<f32> {
    if n < SMALL {
        return vec![0.0; n];
    }
    let found = STOCK.with_borrow_mut(|stock| {
        // Not a much larger one, which another call may need.
        let (&capacity, list) = stock.range_mut(n..=n + n / 4).next()?;
        let array = list.pop();
        if list.is_empty() {
            stock.remove(&capacity);
        }
        array
    });
    let mut array = found.unwrap_or_else(|| {
        // Batches differ in size a little.
        let step = (n.next_power_of_two() / 16).max(1);
        Vec::with_capacity(n.next_multiple_of(step))
    });
    array.resize(n, 0.0);
    array
}

/// An array of `n` zeros.
pub(crate) fn zeros(n: usize) -> Vec<f32> {
    if n < SMALL {
        return vec![0.0; n];
    }
    let mut array = scratch(n);
    array.fill(0.0);
    array
}

/// A copy.
pub(crate) fn copy(of: &[f32]) -> Vec<f32> {
    let mut array = scratch(of.len());
    array.copy_from_slice(of);
    array
}

/// Takes an array back.
pub(crate) fn recycle(array: Vec<f32>) {
    let capacity = array.capacity();
    if capacity >= SMALL {
        STOCK.with_borrow_mut(|stock| stock.entry(capacity).or_default().push(array));
    }
}
