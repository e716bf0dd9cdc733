//! Binding: the values of the slots, computed from trained weights by their recipes.

use super::ir::{Norm, Recipe, Slot};
use super::{Bound, Lowered};
use crate::weights::{Array, Weights, WeightsError};

impl Lowered {
    /// Computes every slot's array.
    ///
    /// # Errors
    /// The first parameter that is missing or has another shape than the network's.
    pub fn bind(&self, weights: &Weights) -> Result<Bound, WeightsError> {
        let arrays = self.slots.iter().map(|slot| compute(slot, weights)).collect::<Result<_, _>>()?;
        Ok(Bound { lowered: self.clone(), arrays })
    }
}

fn compute(slot: &Slot, weights: &Weights) -> Result<Array, WeightsError> {
    let channels = slot.shape.first().copied().unwrap_or(0);
    let data = match &slot.recipe {
        Recipe::Copy(name) => get(weights, name, &slot.shape)?.to_vec(),
        Recipe::ScaledWeight(name, norm) => {
            let n = Values::of(weights, norm, channels)?;
            let weight = get(weights, name, &slot.shape)?;
            let row = (weight.len() / channels.max(1)).max(1);
            weight
                .chunks(row)
                .zip(n.scale())
                .flat_map(|(chunk, s)| chunk.iter().map(move |&w| (f64::from(w) * s) as f32))
                .collect()
        }
        Recipe::FoldedBias(name, norm) => {
            let n = Values::of(weights, norm, channels)?;
            let zeros = vec![0.0; channels];
            let bias = match name {
                Some(name) => get(weights, name, &slot.shape)?,
                None => &zeros,
            };
            n.shift(bias)
        }
        Recipe::NormScale(norm) => {
            Values::of(weights, norm, channels)?.scale().into_iter().map(|s| s as f32).collect()
        }
        Recipe::NormShift(norm) => Values::of(weights, norm, channels)?.shift(&vec![0.0; channels]),
    };
    Ok(Array { shape: slot.shape.clone(), data })
}

/// The four arrays of a batch norm, and its epsilon.
struct Values<'a> {
    gamma: &'a [f32],
    beta: &'a [f32],
    mean: &'a [f32],
    var: &'a [f32],
    eps: f32,
}

impl<'a> Values<'a> {
    fn of(weights: &'a Weights, norm: &Norm, channels: usize) -> Result<Self, WeightsError> {
        let get = |param: &str| get(weights, &format!("{}.{param}", norm.node), &[channels]);
        Ok(Values {
            gamma: get("weight")?,
            beta: get("bias")?,
            mean: get("running_mean")?,
            var: get("running_var")?,
            eps: norm.eps,
        })
    }

    /// `s = gamma / sqrt(var + eps)`, in f64: folding should round once.
    fn scale(&self) -> Vec<f64> {
        let s = |(&g, &v): (&f32, &f32)| f64::from(g) / (f64::from(v) + f64::from(self.eps)).sqrt();
        self.gamma.iter().zip(self.var).map(s).collect()
    }

    /// `(bias - mean) * s + beta`.
    fn shift(&self, bias: &[f32]) -> Vec<f32> {
        let rest = self.mean.iter().zip(self.beta).zip(self.scale());
        bias.iter()
            .zip(rest)
            .map(|(&b, ((&m, &t), s))| ((f64::from(b) - f64::from(m)) * s + f64::from(t)) as f32)
            .collect()
    }
}

fn get<'a>(weights: &'a Weights, name: &str, shape: &[usize]) -> Result<&'a [f32], WeightsError> {
    let wrong = |found: String| WeightsError::Mismatch { name: name.into(), wanted: shape.to_vec(), found };
    let array = weights.0.get(name).ok_or_else(|| wrong("nothing".into()))?;
    if array.shape != shape || array.data.len() != shape.iter().product::<usize>() {
        return Err(wrong(format!("{:?} with {} elements", array.shape, array.data.len())));
    }
    Ok(&array.data)
}
