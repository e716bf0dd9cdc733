//! Weights that int8 has of its own: equalised or fine-tuned ones, beside those of the
//! floating-point network in one file, as `int8.<slot>`.

use crate::lower::Bound;
use crate::weights::{Array, Weights, WeightsError};

const PREFIX: &str = "int8.";

/// Removes what [`store_tuned`] added.
pub fn clear_tuned(weights: &mut Weights) {
    weights.0.retain(|name, _| !name.starts_with(PREFIX));
}

/// Adds to `weights` the arrays of `tuned` that are not those of `bound`, the network without any;
/// those of before go.
pub fn store_tuned(bound: &Bound, tuned: &Bound, weights: &mut Weights) {
    clear_tuned(weights);
    let arrays = bound.arrays.iter().zip(&tuned.arrays).zip(&bound.lowered.slots);
    for ((_, array), slot) in arrays.filter(|((a, b), _)| a != b) {
        weights.0.insert(format!("{PREFIX}{}", slot.name), array.clone());
    }
}

/// The network with the arrays that [`store_tuned`] added.
///
/// # Errors
/// If one has another shape than the network's.
pub fn load_tuned(mut bound: Bound, weights: &Weights) -> Result<Bound, WeightsError> {
    for (slot, array) in bound.lowered.slots.iter().zip(&mut bound.arrays) {
        let name = format!("{PREFIX}{}", slot.name);
        match weights.0.get(&name) {
            Some(own) if fits(own, &array.shape) => *array = own.clone(),
            Some(own) => {
                let found = format!("{:?} with {} elements", own.shape, own.data.len());
                return Err(WeightsError::Mismatch { name, wanted: array.shape.clone(), found });
            }
            None => {}
        }
    }
    Ok(bound)
}

fn fits(array: &Array, shape: &[usize]) -> bool {
    array.shape == shape && array.data.len() == shape.iter().product::<usize>()
}
