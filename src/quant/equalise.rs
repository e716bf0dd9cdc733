//! Cross-layer equalisation (arXiv 1906.04721): between two layers of weights, each channel is divided
//! by a factor and the weights that read it are multiplied by it. The network computes the same; its
//! channels then share the one scale of their tensor better.
//!
//! Weights have a scale for every output channel, so what the first layer's weights look like does not
//! matter, and the ranges to be balanced are those of the activations, as in SmoothQuant (arXiv
//! 2211.10438). Factors are powers of two: in floating point nothing changes, not even a bit.

use super::calibrate::calibrate;
use super::forward::Forward;
use super::interpret::interpret_f32;
use super::scale::Scale;
use super::steps::quantise;
use crate::diag::Diagnostic;
use crate::graph::{Act, Fact};
use crate::lower::ir::{Kernel, Step, TensorId};
use crate::lower::{Bound, Lowered};

/// Images on which the choice is made.
const IMAGES: usize = 32;
/// What part of the error must remain at most for a pair to be equalised: a smaller gain is chance.
const GAIN: f64 = 0.98;
/// Factors lie between 2^-LIMIT and 2^LIMIT.
const LIMIT: f64 = 8.0;

/// The network with those pairs of layers equalised that make the error of its int8 results smaller,
/// on (a part of) the images, which are as in [`calibrate`]; taken in the order of the schedule, each
/// with the choices before it.
///
/// # Errors
/// As [`calibrate`].
pub fn equalise(bound: &Bound, images: &[f32], input: Scale) -> Result<Bound, Vec<Diagnostic>> {
    let lowered = &bound.lowered;
    let size = lowered.fact(lowered.input).elements().max(1);
    let count = images.len() / size;
    let step = count.div_ceil(IMAGES).max(1);
    let images: Vec<f32> = images.chunks(size).step_by(step).flatten().copied().collect();
    calibrate(bound, &images)?;
    let forward = Forward::new(bound);
    let wanted: Vec<Vec<f32>> = images.chunks(size).map(|image| forward.run(image, |_, _, _| ())).collect();
    let mut best = bound.clone();
    let mut least = error(&best, &images, size, &wanted, input);
    for pair in pairs(lowered) {
        let candidate = pair.equalised(&best, &images, size);
        if candidate == best {
            continue;
        }
        let found = error(&candidate, &images, size, &wanted, input);
        if found < GAIN * least {
            (best, least) = (candidate, found);
        }
    }
    Ok(best)
}

/// The sum of squared errors of a network's int8 results; infinite where it cannot be quantised.
fn error(bound: &Bound, images: &[f32], size: usize, wanted: &[Vec<f32>], input: Scale) -> f64 {
    let network = calibrate(bound, images).and_then(|c| quantise(bound, &c, input));
    let Ok(network) = network else { return f64::INFINITY };
    let of = |(image, wanted): (&[f32], &Vec<f32>)| -> f64 {
        let found = interpret_f32(&network, image);
        found.iter().zip(wanted).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    };
    images.chunks(size).zip(wanted).map(of).sum()
}

/// Two layers of weights, by their steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    first: usize,
    second: usize,
}

/// The pairs between which each channel can be scaled: what the first gives has one reader, and on
/// the way are only steps that keep channels apart and pass a positive factor on.
fn pairs(lowered: &Lowered) -> Vec<Pair> {
    let reads = lowered.reads();
    let linear = |act: Option<Act>| matches!(act, None | Some(Act::Relu));
    let mut pairs = Vec::new();
    for (first, step) in lowered.steps.iter().enumerate() {
        let layer = matches!(
            step.kernel,
            Kernel::Conv { .. } | Kernel::Linear { .. } | Kernel::Affine | Kernel::LayerNorm { .. }
        );
        if !layer || !linear(step.act) {
            continue;
        }
        let mut value = step.output;
        while reads.get(value.0) == Some(&1) && value != lowered.output {
            let reader = lowered.steps.iter().position(|s| s.inputs.contains(&value));
            let Some((second, reader)) = reader.and_then(|i| Some((i, lowered.steps.get(i)?))) else { break };
            if columns(lowered, reader).is_some() {
                pairs.push(Pair { first, second });
                break;
            }
            let passes = matches!(
                reader.kernel,
                Kernel::MaxPool(_)
                    | Kernel::AvgPool(_)
                    | Kernel::GlobalAvgPool
                    | Kernel::Unfold { .. }
                    | Kernel::Fold
                    | Kernel::Activation(Act::Relu)
            );
            if !passes || !linear(reader.act) {
                break;
            }
            value = reader.output;
        }
    }
    pairs
}

/// How the weights of a layer meet the channels it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// Every output has weights for all: `[out, in, area]`.
    Mixed,
    /// Every output has one channel: `[c, area]`.
    Own,
}

fn columns(lowered: &Lowered, step: &Step) -> Option<Columns> {
    let input = step.inputs.first().map_or(Fact::Vector { n: 0 }, |&t| lowered.fact(t));
    match step.kernel {
        Kernel::Conv { groups: 1, .. } | Kernel::Linear { .. } => Some(Columns::Mixed),
        Kernel::Conv { .. } if step.kernel.is_plain_depthwise(input, lowered.fact(step.output)) => {
            Some(Columns::Own)
        }
        Kernel::Affine => Some(Columns::Own),
        _ => None,
    }
}

impl Pair {
    fn equalised(self, bound: &Bound, images: &[f32], size: usize) -> Bound {
        let steps = &bound.lowered.steps;
        let (Some(first), Some(second)) = (steps.get(self.first), steps.get(self.second)) else {
            return bound.clone();
        };
        let Some(columns) = columns(&bound.lowered, second) else { return bound.clone() };
        let ranges = self.ranges(bound, first.output, images, size);
        let channels = ranges.len().max(1);
        let mut out = bound.clone();
        // Each channel of what the second reads: its elements in the weights.
        let Some(weights) = second.slots.first().and_then(|s| out.arrays.get_mut(s.0)) else { return out };
        let area = match columns {
            Columns::Own => weights.data.len() / channels,
            Columns::Mixed => weights.shape.iter().skip(2).product::<usize>(),
        };
        let channel = |i: usize| i / area.max(1) % channels;
        let mut largest = vec![0.0f64; channels];
        for (i, w) in weights.data.iter().enumerate() {
            if let Some(l) = largest.get_mut(channel(i)) {
                *l = l.max(f64::from(w.abs()));
            }
        }
        let widest = ranges.iter().fold(0.0f64, |a, &b| a.max(b));
        let factor = |(&range, &weight): (&f64, &f64)| {
            let ideal = match columns {
                Columns::Mixed => (range / weight).sqrt(),
                // Its weights have a scale for every channel: all channels are made as wide.
                Columns::Own => range / widest,
            };
            let exponent = ideal.log2().round();
            if exponent.is_finite() {
                exponent.clamp(-LIMIT, LIMIT).exp2() as f32
            } else {
                1.0
            }
        };
        let factors: Vec<f32> = ranges.iter().zip(&largest).map(factor).collect();
        let of = |c: usize| factors.get(c).copied().unwrap_or(1.0);
        weights.data.iter_mut().enumerate().for_each(|(i, w)| *w *= of(channel(i)));
        // Weights and biases of the first have their outputs first.
        for slot in &first.slots {
            let Some(array) = out.arrays.get_mut(slot.0) else { continue };
            let row = (array.data.len() / channels).max(1);
            array.data.iter_mut().enumerate().for_each(|(i, w)| *w /= of(i / row));
        }
        out
    }

    /// By channel the largest magnitude of a tensor.
    fn ranges(self, bound: &Bound, tensor: TensorId, images: &[f32], size: usize) -> Vec<f64> {
        let mut ranges = vec![0.0f64; bound.lowered.fact(tensor).channels()];
        let forward = Forward::new(bound);
        for image in images.chunks(size) {
            forward.run(image, |i, _, values| {
                if i == self.first {
                    for row in values.chunks(ranges.len().max(1)) {
                        ranges.iter_mut().zip(row).for_each(|(r, v)| *r = r.max(f64::from(v.abs())));
                    }
                }
            });
        }
        ranges
    }
}
