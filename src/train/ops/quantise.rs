//! Rounding to eight bits in the forward pass, as the int8 network does; the backward pass takes the
//! rounding for the identity (the straight-through estimator, arXiv 1308.3432; arXiv 1712.05877).

use crate::quant::Scale;
use crate::train::kernels::{memory, par};
use crate::train::tape::{Call, Forward, Operation};
use std::sync::Arc;

/// Elements that a thread handles at a time.
const PORTION: usize = 1 << 14;

/// Half a step, and a little: a mean that lies between two steps is rounded up in integers, and must be where
/// 32 bits have lost its last digit.
const HALF: f32 = 0.5 + 1.0 / 8192.0;

/// A tensor of activations through its scale. Values that saturate get no gradient.
#[derive(Debug, Clone)]
pub(crate) struct Round(pub Scale);

impl Operation for Round {
    fn forward(&self, _: usize, inputs: &[&[f32]]) -> Forward {
        let Scale { scale, zero } = self.0;
        let (lowest, highest) = ((-128 - zero) as f32, (127 - zero) as f32);
        let mut value = memory::scratch(inputs[0].len());
        par::portions(&mut value, PORTION, |i, out| {
            for (y, x) in out.iter_mut().zip(&inputs[0][i * PORTION..]) {
                *y = (x / scale + HALF).floor().clamp(lowest, highest) * scale;
            }
        });
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let Scale { scale, zero } = self.0;
        let (lowest, highest) = ((-128 - zero) as f32 - 0.5, (127 - zero) as f32 + 0.5);
        par::portions(grad, PORTION, |i, g| {
            for (g, x) in g.iter_mut().zip(&call.inputs[0][i * PORTION..]) {
                if !(lowest..=highest).contains(&(x / scale)) {
                    *g = 0.0;
                }
            }
        });
        vec![Some(std::mem::take(grad))]
    }
}

/// A layer whose weights (its second input) are rounded first, symmetrically, with a scale for every
/// output.
#[derive(Debug, Clone)]
pub(crate) struct Rounded {
    /// The layer.
    pub layer: Arc<dyn Operation>,
    /// Its outputs.
    pub outputs: usize,
    /// Whether outputs are the last dimension of the weights rather than the first.
    pub last: bool,
}

impl Rounded {
    fn weights(&self, weights: &[f32]) -> Vec<f32> {
        let taps = (weights.len() / self.outputs.max(1)).max(1);
        let output = |i: usize| if self.last { i % self.outputs } else { i / taps };
        let mut scales = vec![0.0f32; self.outputs];
        for (i, w) in weights.iter().enumerate() {
            scales[output(i)] = scales[output(i)].max(w.abs());
        }
        scales.iter_mut().for_each(|s| *s /= 127.0);
        let round = |(i, &w): (usize, &f32)| match scales[output(i)] {
            // NaN stays NaN.
            0.0 => w,
            s => (w / s).round() * s,
        };
        weights.iter().enumerate().map(round).collect()
    }
}

impl Operation for Rounded {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let weights = self.weights(inputs[1]);
        let mut all = inputs.to_vec();
        all[1] = &weights;
        self.layer.forward(batch, &all)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let weights = self.weights(call.inputs[1]);
        let mut inputs = call.inputs.to_vec();
        inputs[1] = &weights;
        self.layer.backward(&Call { inputs: &inputs, ..*call }, grad)
    }
}
