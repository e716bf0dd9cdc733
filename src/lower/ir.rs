//! The lowered network: a schedule of kernel calls over numbered tensors and weight slots.
//!
//! It is the one description that costs, memory planning, ONNX and Rust emission all read. Batch
//! norm is folded, activations are fused, dropout is gone, attention is split into its three steps.
//! It is structure only: [`Slot`]s say how to compute each weight array from the trained weights,
//! and [`Lowered::bind`](super::Lowered::bind) does it.

use crate::graph::{Act, Fact, Window};
use crate::source::Span;

/// Index into [`Lowered::tensors`](super::Lowered).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// Index into [`Lowered::slots`](super::Lowered).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub usize);

/// An activation: what flows between steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Kind and shape.
    pub fact: Fact,
    /// The name of the step that makes it, or `input`.
    pub name: String,
}

/// A weight array of the lowered network, in PyTorch's layout (`[out, in / groups, k, k]`, `[out, in]`).
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// `<step name>.weight`, `.bias`, `.scale`, ...
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// How it comes from the trained weights.
    pub recipe: Recipe,
}

/// Names of the four arrays of a batch norm, and its epsilon.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Node name; the arrays are `<node>.weight`, `.bias`, `.running_mean`, `.running_var`.
    pub node: String,
    /// Added to the variance.
    pub eps: f32,
}

/// How a slot is computed from trained weights. With a norm: `s = gamma / sqrt(var + eps)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Recipe {
    /// The named parameter as it is.
    Copy(String),
    /// The named weight, each output channel (first dimension) times `s`.
    ScaledWeight(String, Norm),
    /// `(bias - mean) * s + beta`; `bias` is 0 where there is none.
    FoldedBias(Option<String>, Norm),
    /// `s` alone, of a norm that nothing precedes.
    NormScale(Norm),
    /// `beta - mean * s`.
    NormShift(Norm),
}

/// What a step computes. All shapes follow from the facts of its tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// Convolution; slots: weight, and bias if `bias`. Depthwise if `groups` equals the input
    /// channels, pointwise if the kernel is 1x1 with stride 1, no padding and one group.
    Conv {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Groups.
        groups: usize,
        /// Whether slot 1 is there: always after a batch norm was folded.
        bias: bool,
    },
    /// Dense layer on every row; slots: weight, and bias if `bias`.
    Linear {
        /// Whether slot 1 is there.
        bias: bool,
    },
    /// `x * scale + shift` per channel; slots: scale, shift.
    Affine,
    /// Layer norm over the feature dimension; slots: weight, bias.
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// The middle of attention: input tokens of `3 * heads * head_dim` features (all queries, all
    /// keys, all values; within each, head by head), output tokens of `heads * head_dim`.
    AttentionCore {
        /// Heads.
        heads: usize,
        /// Features of a head.
        head_dim: usize,
    },
    /// A non-linearity that could not be fused.
    Activation(Act),
    /// Softmax over the feature dimension.
    Softmax,
    /// Maximum over windows; padding ignored.
    MaxPool(Window),
    /// Mean over windows; padding not counted.
    AvgPool(Window),
    /// Mean over rows, to a vector.
    GlobalAvgPool,
    /// Sum of two tensors of one shape.
    Add,
    /// Sum of a map and a vector broadcast over positions (second input).
    AddChannels,
    /// Product of two tensors of one shape.
    Mul,
    /// Product of a map and a vector broadcast over positions (second input).
    MulChannels,
    /// Concatenation along the feature dimension.
    Concat,
    /// `[n x k] [k x m]` per group.
    MatMul,
    /// `[n x k]` to `[k x n]` per group.
    Transpose,
    /// Map to patch tokens.
    Unfold {
        /// Side of a patch.
        patch: usize,
    },
    /// Patch tokens to the map.
    Fold,
    /// A reinterpretation without movement in emitted code (`[h][w][c]` as a vector).
    Flatten,
}

/// One call of a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique: the name of the graph node it comes from, with a suffix where there are several.
    pub name: String,
    /// The line of the spec.
    pub span: Span,
    /// What it computes.
    pub kernel: Kernel,
    /// Applied to the result.
    pub act: Option<Act>,
    /// Tensors read, in order.
    pub inputs: Vec<TensorId>,
    /// Tensor written.
    pub output: TensorId,
    /// Weight arrays, in the order the kernel names them.
    pub slots: Vec<SlotId>,
}
