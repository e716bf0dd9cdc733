//! The figures of a profile. Each says where it comes from.

use serde::de::{Deserializer, Error};
use serde::Deserialize;

/// A figure with its source.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The value, greater than zero.
    #[serde(deserialize_with = "positive")]
    pub value: f64,
    /// Where it comes from.
    #[serde(deserialize_with = "source")]
    pub source: String,
}

/// What one kind of work costs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Cycles for a unit of the work.
    #[serde(deserialize_with = "cycles")]
    pub cycles: f64,
    /// Cycles for every output besides (for attention: for every score, softmax included). Only for
    /// kinds that are counted by MAC.
    #[serde(default, deserialize_with = "per_output")]
    pub per_output: f64,
    /// Bytes of code of the kernel, once if a network uses it.
    #[serde(deserialize_with = "code_bytes")]
    pub code_bytes: f64,
    /// Where the figures come from.
    #[serde(deserialize_with = "source")]
    pub source: String,
}

/// What every layer costs, whatever it computes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Cycles.
    #[serde(deserialize_with = "cycles")]
    pub cycles: f64,
    /// Bytes of code.
    #[serde(deserialize_with = "code_bytes")]
    pub code_bytes: f64,
    /// Where the figures come from.
    #[serde(deserialize_with = "source")]
    pub source: String,
}

/// Kinds of work, in units of which a step's time is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// Convolution that is none of the next two; unit: MAC.
    Conv,
    /// 1x1 convolution, and a dense layer on two or more rows (tokens); unit: MAC.
    Pointwise,
    /// Depthwise convolution; unit: MAC.
    Depthwise,
    /// Dense layer on a vector; unit: MAC.
    Linear,
    /// The core of attention; unit: MAC, outputs: scores, with their softmax.
    Attention,
    /// Product of two activations; unit: MAC.
    Matmul,
    /// Sums, products, scale and shift, piecewise linear activations that are not fused; unit:
    /// output element.
    Elementwise,
    /// Sigmoid and SiLU, fused or not; unit: element.
    Sigmoid,
    /// GELU, fused or not; unit: element.
    Gelu,
    /// Pooling; unit: input element of a window.
    Pool,
    /// Softmax; unit: element.
    Softmax,
    /// Layer norm; unit: element.
    LayerNorm,
    /// Unfold, fold, transpose, concat; unit: output element.
    Copy,
}

/// What all kinds of work cost in one precision.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// See [`Work::Conv`].
    pub conv: Rate,
    /// See [`Work::Pointwise`].
    pub pointwise: Rate,
    /// See [`Work::Depthwise`].
    pub depthwise: Rate,
    /// See [`Work::Linear`].
    pub linear: Rate,
    /// See [`Work::Attention`].
    pub attention: Rate,
    /// See [`Work::Matmul`].
    pub matmul: Rate,
    /// See [`Work::Elementwise`].
    pub elementwise: Rate,
    /// See [`Work::Sigmoid`].
    pub sigmoid: Rate,
    /// See [`Work::Gelu`].
    pub gelu: Rate,
    /// See [`Work::Pool`].
    pub pool: Rate,
    /// See [`Work::Softmax`].
    pub softmax: Rate,
    /// See [`Work::LayerNorm`].
    pub layer_norm: Rate,
    /// See [`Work::Copy`].
    pub copy: Rate,
    /// Every layer.
    pub layer: Call,
}

impl Rates {
    /// The rate of a kind.
    pub fn of(&self, work: Work) -> &Rate {
        match work {
            Work::Conv => &self.conv,
            Work::Pointwise => &self.pointwise,
            Work::Depthwise => &self.depthwise,
            Work::Linear => &self.linear,
            Work::Attention => &self.attention,
            Work::Matmul => &self.matmul,
            Work::Elementwise => &self.elementwise,
            Work::Sigmoid => &self.sigmoid,
            Work::Gelu => &self.gelu,
            Work::Pool => &self.pool,
            Work::Softmax => &self.softmax,
            Work::LayerNorm => &self.layer_norm,
            Work::Copy => &self.copy,
        }
    }
}

// The reader's errors have the path of the figure and the place, but not the last key: these say it.

fn positive<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    match f64::deserialize(d)? {
        x if x.is_finite() && x > 0.0 => Ok(x),
        x => Err(D::Error::custom(format!("`value` is {x}, it must be greater than 0"))),
    }
}

/// A figure in whole bytes.
pub(super) fn bytes<'de, D: Deserializer<'de>>(d: D) -> Result<Figure, D::Error> {
    // The figure's own reader, with another rule for the value: an error there has its place.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Whole {
        #[serde(deserialize_with = "whole")]
        value: f64,
        #[serde(deserialize_with = "source")]
        source: String,
    }
    let Whole { value, source } = Whole::deserialize(d)?;
    Ok(Figure { value, source })
}

fn whole<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    match positive(d)? {
        x if x.fract() == 0.0 => Ok(x),
        x => Err(D::Error::custom(format!("`value` is {x}, it must be a whole number of bytes"))),
    }
}

fn not_negative<'de, D: Deserializer<'de>>(d: D, key: &str) -> Result<f64, D::Error> {
    match f64::deserialize(d)? {
        x if x.is_finite() && x >= 0.0 => Ok(x),
        x => Err(D::Error::custom(format!("`{key}` is {x}, it must be at least 0"))),
    }
}

fn cycles<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    not_negative(d, "cycles")
}

fn per_output<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    not_negative(d, "per_output")
}

fn code_bytes<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    not_negative(d, "code_bytes")
}

fn source<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let text = String::deserialize(d)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("`source` is empty: say where the figure comes from"));
    }
    Ok(text)
}
