//! Element by element.

use crate::graph::Act;
use crate::train::kernels::{act, memory, par};
use crate::train::tape::{Call, Forward, Operation};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A non-linearity.
#[derive(Debug, Clone)]
pub(crate) struct Activation(pub Act);

/// Elements that a thread handles at a time.
const PORTION: usize = 1 << 14;

impl Operation for Activation {
    fn forward(&self, _: usize, inputs: &[&[f32]]) -> Forward {
        let mut value = memory::scratch(inputs[0].len());
        par::portions(&mut value, PORTION, |i, out| {
            act::apply(self.0, &inputs[0][i * PORTION..i * PORTION + out.len()], out);
        });
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        par::portions(grad, PORTION, |i, g| {
            act::chain(self.0, &call.inputs[0][i * PORTION..i * PORTION + g.len()], g);
        });
        vec![Some(std::mem::take(grad))]
    }
}

/// The product of two values of one shape.
#[derive(Debug, Clone)]
pub(crate) struct Multiply;

impl Operation for Multiply {
    fn forward(&self, _: usize, inputs: &[&[f32]]) -> Forward {
        Forward::of(inputs[0].iter().zip(inputs[1]).map(|(a, b)| a * b).collect())
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let db = call.wants(1).then(|| grad.iter().zip(call.inputs[0]).map(|(g, a)| g * a).collect());
        for (g, b) in grad.iter_mut().zip(call.inputs[1]) {
            *g *= b;
        }
        vec![Some(std::mem::take(grad)), db]
    }
}

/// A vector per image joined to every position of a map. Inputs: map `[rows][c]`, vector `[c]`.
#[derive(Debug, Clone)]
pub(crate) struct Broadcast {
    /// Channels.
    pub channels: usize,
    /// Positions.
    pub rows: usize,
    /// Product rather than sum.
    pub multiply: bool,
}

impl Operation for Broadcast {
    fn forward(&self, _: usize, inputs: &[&[f32]]) -> Forward {
        let c = self.channels;
        let mut value = memory::copy(inputs[0]);
        for (image, v) in value.chunks_exact_mut(self.rows * c).zip(inputs[1].chunks_exact(c)) {
            for row in image.chunks_exact_mut(c) {
                for (x, v) in row.iter_mut().zip(v) {
                    *x = if self.multiply { *x * v } else { *x + v };
                }
            }
        }
        Forward::of(value)
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let c = self.channels;
        let mut dv = vec![0.0; call.inputs[1].len()];
        let images = grad.chunks_exact_mut(self.rows * c).zip(call.inputs[0].chunks_exact(self.rows * c));
        let vectors = call.inputs[1].chunks_exact(c).zip(dv.chunks_exact_mut(c));
        for ((g, x), (v, dv)) in images.zip(vectors) {
            for (g, x) in g.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                for i in 0..c {
                    if self.multiply {
                        dv[i] += g[i] * x[i];
                        g[i] *= v[i];
                    } else {
                        dv[i] += g[i];
                    }
                }
            }
        }
        vec![Some(std::mem::take(grad)), Some(dv)]
    }
}

/// Zeroes elements with probability `p` and scales the others by `1 / (1 - p)`. Each image's
/// pattern depends on the seed and on its place in the batch.
#[derive(Debug, Clone)]
pub(crate) struct Dropout {
    /// Probability of a zero.
    pub p: f32,
    /// Of this layer in this step.
    pub seed: u64,
}

impl Operation for Dropout {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let mut saved = memory::scratch(inputs[0].len());
        let n = saved.len() / batch.max(1);
        let kept = 1.0 / (1.0 - self.p).max(f32::EPSILON);
        par::portions(&mut saved, n, |i, mask| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(i as u64);
            mask.iter_mut().for_each(|m| *m = if rng.random::<f32>() < self.p { 0.0 } else { kept });
        });
        let value = inputs[0].iter().zip(&saved).map(|(x, m)| x * m).collect();
        Forward { value, saved }
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        for (g, m) in grad.iter_mut().zip(call.saved) {
            *g *= m;
        }
        vec![Some(std::mem::take(grad))]
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}
