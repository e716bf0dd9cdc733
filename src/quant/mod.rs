//! Quantisation: from a bound network and calibration images to a network of int8.
//!
//! [`calibrate`] runs the network in floating point and says what every tensor holds; [`quantise`]
//! gives every tensor a scale and every step its integers; [`interpret`](interpret::interpret) says
//! what the result computes. The contract is docs/arithmetic.md.
//!
//! Invariant: a [`Quantised`] is complete and sound: every step has integers, no accumulator can
//! overflow. Only [`quantise`] makes one. What cannot be quantised is reported all at once.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod calibrate;
mod clear;
mod equalise;
mod forward;
mod histogram;
pub mod interpret;
mod scale;
mod steps;
#[cfg(test)]
mod tests;
mod tuned;

pub use calibrate::{calibrate, Calibration, Range};
pub use equalise::equalise;
pub use histogram::Method;
pub use scale::{Scale, Table};
pub use steps::{has_table, quantise};
pub use tuned::{clear_tuned, load_tuned, store_tuned};

use crate::lower::ir::TensorId;
use crate::lower::Lowered;
use hytc_kernels::int8::requantise::Rescale;

/// The revision of the arithmetic: counted up with every change after which some network computes other
/// integers from the same weights and calibration (scales, kernels, tables, corrected biases). A lock
/// says in which revision its accuracy of int8 was measured.
pub const REVISION: u32 = 1;

/// A network of int8. Made only by [`quantise`].
#[derive(Debug, Clone)]
pub struct Quantised {
    pub(crate) lowered: Lowered,
    pub(crate) scales: Vec<Scale>,
    pub(crate) steps: Vec<QuantisedStep>,
}

/// The integers of one step of the schedule.
#[derive(Debug, Clone)]
pub struct QuantisedStep {
    /// What it computes.
    pub op: QuantisedOp,
    /// The scale of its result before `table`; without a table that of its output.
    pub before: Scale,
    /// Maps its result to its output: an activation that saturation is not.
    pub table: Option<Table>,
}

/// Integers of a convolution, a dense layer, or a norm that was not folded.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Weights in the order of the slot: `[out, in / groups, k, k]`, `[out, in]`, `[c]`.
    pub weight: Vec<i8>,
    /// By output channel: the value of a step of its weights.
    pub weight_scale: Vec<f64>,
    /// By output channel, with the input's zero in them.
    pub bias: Vec<i32>,
    /// By output channel.
    pub rescale: Vec<Rescale>,
}

/// What a quantised step computes; shapes are those of the [`Lowered`] step.
#[derive(Debug, Clone)]
pub enum QuantisedOp {
    /// Convolution, linear, batch norm alone.
    Dense(Dense),
    /// Layer norm.
    LayerNorm {
        /// By feature, in steps of the output, with `32 + shift - fraction` fractional bits.
        weight: Vec<i32>,
        /// By feature, in steps of the output, with `shift` fractional bits; a half is added.
        bias: Vec<i32>,
        /// `round(2^16 * n^2 * eps / scale^2)`.
        eps: u64,
        /// Fractional bits of normalised values.
        fraction: u32,
        /// Fractional bits of results before they are rounded.
        shift: u32,
    },
    /// The core of attention.
    Attention {
        /// From products to `2^-24`.
        score: Rescale,
        /// Bits that exponentials lose.
        drop: u32,
        /// To the output, from values with 23 fractional bits.
        value: Rescale,
    },
    /// Softmax.
    Softmax {
        /// From steps of the input to `2^-24`.
        rescale: Rescale,
        /// Bits that exponentials lose.
        drop: u32,
    },
    /// Maximum or mean over windows, in the input's scale.
    Pool,
    /// Mean over all rows.
    GlobalAvgPool(Rescale),
    /// Sum.
    Add {
        /// Factor of the first tensor.
        a: i32,
        /// Factor of the second.
        b: i32,
        /// Of both.
        shift: u32,
    },
    /// Element-wise product.
    Mul(Rescale),
    /// Product of matrices.
    MatMul(Rescale),
    /// Concatenation; by input the table to the output's scale, where it differs.
    Concat(Vec<Option<Table>>),
    /// The same integers elsewhere, or in the same place with a table: transpose, fold, activations.
    Move,
}

impl Quantised {
    /// The schedule.
    pub fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// The integers, by step of the schedule.
    pub fn steps(&self) -> &[QuantisedStep] {
        &self.steps
    }

    /// The scale of a tensor.
    pub fn scale(&self, tensor: TensorId) -> Scale {
        self.scales.get(tensor.0).copied().unwrap_or(Scale::SOFTMAX)
    }

    /// Bytes of all weights, biases, multipliers, shifts and tables in flash, exactly.
    pub fn constant_bytes(&self) -> usize {
        self.steps.iter().map(QuantisedStep::constant_bytes).sum()
    }
}

impl QuantisedStep {
    /// Bytes of its constants in flash.
    pub fn constant_bytes(&self) -> usize {
        let own = match &self.op {
            // Four of the bias, four of the multiplier, one of the shift.
            QuantisedOp::Dense(d) => d.weight.len() + 9 * d.bias.len(),
            QuantisedOp::LayerNorm { weight, bias, .. } => 4 * weight.len() + 4 * bias.len(),
            QuantisedOp::Concat(tables) => 256 * tables.iter().flatten().count(),
            _ => 0,
        };
        own + if self.table.is_some() { 256 } else { 0 }
    }
}
