//! The training loss.

use super::norm::softmax;
use crate::train::kernels::memory;
use crate::train::tape::{Call, Forward, Operation};
use std::sync::Arc;

/// Mean cross entropy of softmax(logits) with smoothed labels: `1 - smoothing` for the label and
/// `smoothing` spread evenly over the other classes. Saves the gradient.
#[derive(Debug, Clone)]
pub(crate) struct CrossEntropy {
    /// Classes.
    pub classes: usize,
    /// One per image.
    pub labels: Arc<Vec<u16>>,
    /// Part of a label that is spread.
    pub smoothing: f32,
}

impl Operation for CrossEntropy {
    fn forward(&self, batch: usize, inputs: &[&[f32]]) -> Forward {
        let c = self.classes;
        let spread = if c > 1 { self.smoothing / (c - 1) as f32 } else { 0.0 };
        let kept = if c > 1 { 1.0 - self.smoothing } else { 1.0 };
        let mut saved = memory::copy(inputs[0]);
        let mut loss = 0.0f64;
        let images = inputs[0].chunks_exact(c).zip(saved.chunks_exact_mut(c));
        for ((logits, p), &label) in images.zip(self.labels.iter()) {
            let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let log_sum = logits.iter().map(|x| (x - top).exp()).sum::<f32>().ln() + top;
            softmax(p);
            for (class, (x, p)) in logits.iter().zip(p).enumerate() {
                let target = if class == usize::from(label) { kept } else { spread };
                loss += f64::from(target * (log_sum - x));
                *p = (*p - target) / batch as f32;
            }
        }
        Forward { value: vec![(loss / batch.max(1) as f64) as f32], saved }
    }

    fn backward(&self, call: &Call, grad: &mut Vec<f32>) -> Vec<Option<Vec<f32>>> {
        let g = grad.first().copied().unwrap_or(1.0);
        vec![Some(call.saved.iter().map(|s| s * g).collect())]
    }

    fn rows(&self, _: usize) -> usize {
        1
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}
