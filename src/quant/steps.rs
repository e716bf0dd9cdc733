//! Integers for every step.

use super::calibrate::{Calibration, Range};
use super::clear;
use super::scale::{add_factors, rescale, round, Scale};
use super::{Dense, Quantised, QuantisedOp, QuantisedStep};
use crate::codes;
use crate::diag::Diagnostic;
use crate::graph::{Act, Fact};
use crate::lower::interpret::apply;
use crate::lower::ir::{Kernel, Step};
use crate::lower::Bound;
use hytc_kernels::int8::requantise::Rescale;

/// Quantises a network whose input has the scale `input` (see [`Scale::of_pixels`]).
///
/// # Errors
/// All steps that cannot be quantised: [`codes::CALIBRATION`] where no scale holds their values,
/// [`codes::QUANTISE`] where integers would overflow or a factor is out of all proportion.
pub fn quantise(
    bound: &Bound,
    calibration: &Calibration,
    input: Scale,
) -> Result<Quantised, Vec<Diagnostic>> {
    let lowered = &bound.lowered;
    let mut found = Vec::new();
    let mut scales = vec![Scale::SOFTMAX; lowered.tensors.len()];
    if let Some(s) = scales.get_mut(lowered.input.0) {
        *s = input;
    }
    let mut steps = Vec::new();
    for (i, step) in lowered.steps.iter().enumerate() {
        let work = Work { bound, calibration, scales: &scales, step, index: i };
        match work.run() {
            Ok((quantised, output)) => {
                steps.push(quantised);
                if let Some(s) = scales.get_mut(step.output.0) {
                    *s = output;
                }
            }
            Err(d) => {
                found.push(*d);
                // What follows is looked at with some scale, to find all that is wrong.
                if let Some(s) = scales.get_mut(step.output.0) {
                    *s = Scale { scale: 1.0 / 128.0, zero: 0 };
                }
            }
        }
    }
    if found.is_empty() {
        Ok(Quantised { lowered: lowered.clone(), scales, steps })
    } else {
        Err(found)
    }
}

/// Whether a step's activation is a table; otherwise saturation is the activation, or there is none.
pub fn has_table(step: &Step) -> bool {
    match (step.kernel, step.act) {
        (Kernel::Activation(_), _) => true,
        (_, None) => false,
        (Kernel::MaxPool(_) | Kernel::AvgPool(_) | Kernel::Softmax, Some(_)) => true,
        (_, Some(act)) => !matches!(act, Act::Relu | Act::Relu6),
    }
}

type Checked<T> = Result<T, Box<Diagnostic>>;

struct Work<'a> {
    bound: &'a Bound,
    calibration: &'a Calibration,
    scales: &'a [Scale],
    step: &'a Step,
    index: usize,
}

impl Work<'_> {
    fn wrong(&self, what: &str) -> Box<Diagnostic> {
        let m = format!("`{}` cannot be computed in int8: {what}", self.step.name);
        let help = "train again with more weight decay, or emit with `precision = float`";
        Box::new(Diagnostic::error(codes::QUANTISE, self.step.span, m).help(help))
    }

    fn input(&self, i: usize) -> Scale {
        let id = self.step.inputs.get(i);
        id.and_then(|t| self.scales.get(t.0)).copied().unwrap_or(Scale::SOFTMAX)
    }

    fn fact(&self, i: usize) -> Fact {
        self.step.inputs.get(i).map_or(Fact::Vector { n: 0 }, |&t| self.bound.lowered.fact(t))
    }

    fn slot(&self, i: usize) -> &[f32] {
        let id = self.step.slots.get(i).copied();
        id.and_then(|id| self.bound.array(id)).map_or(&[][..], |a| a.data.as_slice())
    }

    /// The scale of a range that calibration found.
    fn scale(&self, ranges: &[Range]) -> Checked<Scale> {
        let range = ranges.get(self.index).copied();
        let Some(range) = range else { return Err(self.wrong("it was not calibrated")) };
        Scale::of(range.lo, range.hi).ok_or_else(|| {
            let m = format!(
                "`{}` gives values from {:e} to {:e}, which no int8 scale holds",
                self.step.name, range.lo, range.hi
            );
            let help = "its weights are of no use: train again, with a lower learning rate";
            Box::new(Diagnostic::error(codes::CALIBRATION, self.step.span, m).help(help))
        })
    }

    fn rescale(&self, factor: f64) -> Checked<Rescale> {
        rescale(factor).ok_or_else(|| {
            let m = format!("its result is {factor:e} times finer than its sums");
            self.wrong(&m)
        })
    }

    /// The step's integers, and the scale of its output.
    fn run(&self) -> Checked<(QuantisedStep, Scale)> {
        let x = self.input(0);
        let (before, act) = match self.step.kernel {
            Kernel::MaxPool(_)
            | Kernel::AvgPool(_)
            | Kernel::Transpose
            | Kernel::Unfold { .. }
            | Kernel::Fold
            | Kernel::Flatten => (x, self.step.act),
            Kernel::Softmax => (Scale::SOFTMAX, self.step.act),
            Kernel::Activation(act) => (x, Some(act)),
            _ if has_table(self.step) => (self.scale(&self.calibration.before)?, self.step.act),
            _ => (self.scale(&self.calibration.output)?, None),
        };
        let before = match self.step.kernel {
            Kernel::Concat => clear_of_ties(before, |y| {
                let inputs = (0..self.step.inputs.len()).map(|i| self.input(i).margin(y, |v| v));
                inputs.fold(0.5, f64::min)
            }),
            Kernel::Add | Kernel::AddChannels => clear::sum(x, self.input(1), before),
            Kernel::Mul | Kernel::MulChannels | Kernel::MatMul | Kernel::GlobalAvgPool => {
                clear::product(before, |y| self.factor(y))
            }
            _ => before,
        };
        let op = self.op(before)?;
        let (table, output) = match act {
            None => (None, before),
            Some(act) => {
                let output = self.scale(&self.calibration.output)?;
                let output = clear_of_ties(output, |y| before.margin(y, |v| apply(act, v)));
                (Some(before.table(output, |v| apply(act, v))), output)
            }
        };
        Ok((QuantisedStep { op, before, table }, output))
    }

    /// What the step multiplies its exact sums by, where that is one number.
    fn factor(&self, y: Scale) -> f64 {
        let (sx, sy) = (f64::from(self.input(0).scale), f64::from(y.scale));
        match self.step.kernel {
            Kernel::GlobalAvgPool => sx / (self.fact(0).rows().max(1) as f64 * sy),
            _ => sx * f64::from(self.input(1).scale) / sy,
        }
    }

    fn op(&self, y: Scale) -> Checked<QuantisedOp> {
        let (x, b) = (self.input(0), self.input(1));
        let (sx, sb, sy) = (f64::from(x.scale), f64::from(b.scale), f64::from(y.scale));
        let fact = self.fact(0);
        let op = match self.step.kernel {
            Kernel::Conv { groups, .. } => QuantisedOp::Dense(self.dense(x, y, groups)?),
            Kernel::Linear { .. } => QuantisedOp::Dense(self.dense(x, y, 1)?),
            Kernel::Affine => QuantisedOp::Dense(self.dense(x, y, fact.channels())?),
            Kernel::LayerNorm { eps } => self.layer_norm(x, y, eps)?,
            Kernel::AttentionCore { head_dim, .. } => {
                let tokens = if let Fact::Tokens { tokens, .. } = fact { tokens } else { 1 };
                if tokens > 1 << 16 || head_dim > 1 << 15 {
                    return Err(self.wrong("it has more than 65536 tokens, or 32768 features in a head"));
                }
                QuantisedOp::Attention {
                    score: self.rescale(exponents(sx * sx / (head_dim.max(1) as f64).sqrt()))?,
                    drop: log2_ceil(tokens).saturating_sub(1),
                    value: self.rescale(sx * 2f64.powi(-23) / sy)?,
                }
            }
            Kernel::Softmax => {
                if fact.channels() > 1 << 16 {
                    return Err(self.wrong("it has more than 65536 features"));
                }
                QuantisedOp::Softmax {
                    rescale: self.rescale(exponents(sx))?,
                    drop: log2_ceil(fact.channels()).saturating_sub(1),
                }
            }
            Kernel::MaxPool(_) | Kernel::AvgPool(_) => QuantisedOp::Pool,
            Kernel::GlobalAvgPool => {
                if fact.rows() > 1 << 23 {
                    return Err(self.wrong("its mean is over more than 2^23 values"));
                }
                QuantisedOp::GlobalAvgPool(self.rescale(self.factor(y))?)
            }
            Kernel::Add | Kernel::AddChannels => {
                let factors = add_factors(sx / sy, sb / sy);
                let (a, b, shift) = factors.ok_or_else(|| {
                    self.wrong("its result is more than 32768 times finer than what it adds")
                })?;
                QuantisedOp::Add { a, b, shift }
            }
            Kernel::Mul | Kernel::MulChannels => QuantisedOp::Mul(self.rescale(self.factor(y))?),
            Kernel::MatMul => {
                if fact.channels() > 1 << 15 {
                    return Err(self.wrong("its sums are of more than 32768 products"));
                }
                QuantisedOp::MatMul(self.rescale(self.factor(y))?)
            }
            Kernel::Concat => {
                let table = |i: usize| {
                    let from = self.input(i);
                    (from != y).then(|| from.table(y, |v| v))
                };
                QuantisedOp::Concat((0..self.step.inputs.len()).map(table).collect())
            }
            Kernel::Activation(_)
            | Kernel::Transpose
            | Kernel::Unfold { .. }
            | Kernel::Fold
            | Kernel::Flatten => QuantisedOp::Move,
        };
        Ok(op)
    }

    /// A layer of weights, with bias correction.
    fn dense(&self, x: Scale, y: Scale, groups: usize) -> Checked<Dense> {
        let (weights, biases) = (self.slot(0), self.slot(1));
        let outputs = self.bound.lowered.fact(self.step.output).channels().max(1);
        let taps = (weights.len() / outputs).max(1);
        let (sx, sy) = (f64::from(x.scale), f64::from(y.scale));
        let means = self.step.inputs.first().and_then(|t| self.calibration.means.get(t.0));
        let means = means.map_or(&[][..], Vec::as_slice);
        let depth = (means.len() / groups.max(1)).max(1);
        // Elements of a weight for one input channel: the kernel's positions.
        let area = (taps / depth).max(1);
        let mut dense = Dense {
            weight: Vec::with_capacity(weights.len()),
            weight_scale: Vec::new(),
            bias: Vec::new(),
            rescale: Vec::new(),
        };
        for (o, row) in weights.chunks(taps).enumerate() {
            let bias = biases.get(o).copied().map_or(0.0, f64::from);
            if !bias.is_finite() || row.iter().any(|w| !w.is_finite()) {
                return Err(self.wrong("a weight is infinite or not a number"));
            }
            let largest = row.iter().fold(0.0f64, |m, &w| m.max(f64::from(w).abs()));
            let mut scale = (largest / 127.0).max(bias.abs() / (sx * f64::from(1 << 30)));
            if scale == 0.0 {
                scale = sy / (sx * f64::from(1 << 16));
            }
            let scale = clear::weight(scale, y, |weight| factor_of(x, weight, y));
            let first = o / (outputs / groups.max(1)).max(1) * depth;
            let (mut sum, mut size, mut lost) = (0i64, 0i64, 0.0);
            for (i, &w) in row.iter().enumerate() {
                let w = f64::from(w);
                let q = (w / scale).round().clamp(-127.0, 127.0);
                dense.weight.push(q as i8);
                sum += q as i64;
                size += q.abs() as i64;
                lost += (w - q * scale) * means.get(first + i / area).copied().unwrap_or(0.0);
            }
            let real = round((bias + lost) / (sx * scale));
            let bias = real as i64 - i64::from(x.zero) * sum;
            if bias.abs().saturating_add(size * 128) >= 1 << 31 {
                return Err(self.wrong("its sums do not fit 32 bits"));
            }
            dense.weight_scale.push(scale);
            dense.bias.push(bias as i32);
            dense.rescale.push(self.rescale(factor_of(x, scale, y))?);
        }
        Ok(dense)
    }

    fn layer_norm(&self, x: Scale, y: Scale, eps: f32) -> Checked<QuantisedOp> {
        let (weights, biases) = (self.slot(0), self.slot(1));
        let n = weights.len();
        if n > 1 << 15 {
            return Err(self.wrong("it has more than 32768 features"));
        }
        if weights.iter().chain(biases).any(|w| !w.is_finite()) {
            return Err(self.wrong("a weight is infinite or not a number"));
        }
        let fraction = 30 - log2_ceil(n).div_ceil(2);
        let (sx, sy) = (f64::from(x.scale), f64::from(y.scale));
        let largest = |v: &[f32]| v.iter().fold(0.0f64, |m, &w| m.max((f64::from(w) / sy).abs()));
        let (weight, bias) = (largest(weights), largest(biases));
        let factor = |shift: u32| 2f64.powi(32 + shift as i32 - fraction as i32);
        // Factors of 31 bits, biases of 30: no sum of a product's upper half and a bias overflows.
        let fits = |&shift: &u32| {
            let one = 2f64.powi(shift as i32);
            round(weight * factor(shift)) < 2f64.powi(31) && (bias + 1.0) * one < 2f64.powi(30)
        };
        let Some(shift) = (1..=28).rev().find(fits) else {
            return Err(self.wrong("its result is more than 500000 times finer than its weights"));
        };
        let eps = 65536.0 * (n * n) as f64 * f64::from(eps) / (sx * sx);
        if eps >= 2f64.powi(60) {
            return Err(self.wrong("its input is far smaller than its `eps`"));
        }
        let half = 1 << (shift - 1);
        let biases = biases.iter().map(|&b| round(f64::from(b) / sy * 2f64.powi(shift as i32)) as i32 + half);
        Ok(QuantisedOp::LayerNorm {
            weight: weights.iter().map(|&w| round(f64::from(w) / sy * factor(shift)) as i32).collect(),
            bias: biases.collect(),
            eps: round(eps) as u64,
            fraction,
            shift,
        })
    }
}

/// `sx * sw / sy` as runtimes compute it: in 32 bits, where that is possible.
fn factor_of(x: Scale, weight: f64, y: Scale) -> f64 {
    let product = x.scale * weight as f32;
    let factor = product / y.scale;
    if product.is_normal() && factor.is_normal() {
        return factor.into();
    }
    f64::from(x.scale) * weight / f64::from(y.scale)
}

/// A scale, or one so much larger that no entry of a table made with it is within 1/1024 of a step of a
/// tie: who computes it in another precision, or rounds ties otherwise, finds the same table. `margin`
/// is the least distance from a tie.
fn clear_of_ties(scale: Scale, margin: impl Fn(Scale) -> f64) -> Scale {
    let candidates = (0..64).map(|k| Scale { scale: scale.scale * (1.0 + k as f32 / 4096.0), ..scale });
    let candidates = candidates.filter(|s| s.scale.is_finite());
    let mut best = (scale, -1.0);
    for candidate in candidates {
        let margin = margin(candidate);
        if margin > best.1 {
            best = (candidate, margin);
        }
        if margin > 1.0 / 1024.0 {
            break;
        }
    }
    best.0
}

/// A factor to `2^-24`. Beyond 2^28 every difference but none is an exponential of zero.
fn exponents(scale: f64) -> f64 {
    (scale * 2f64.powi(24)).min(f64::from(1 << 28))
}

/// `ceil(log2(n))`; 0 for 0.
fn log2_ceil(n: usize) -> u32 {
    n.max(1).next_power_of_two().trailing_zeros()
}
