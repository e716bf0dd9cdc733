//! How much a step computes.

use super::ir::{Kernel, Step};
use super::Lowered;
use crate::graph::Fact;

impl Lowered {
    /// Multiply-accumulate operations of a step: convolutions, dense layers and the matrix products
    /// of attention, exactly. A convolution has `positions * out * k * k * in / groups`, padded
    /// positions counted as the field does. Biases, activations, norms and pooling are no MACs.
    pub fn step_macs(&self, step: &Step) -> u64 {
        let product = |f: &[usize]| f.iter().fold(1u64, |n, &x| n.saturating_mul(x as u64));
        let output = self.fact(step.output);
        let Some(input) = step.inputs.first().map(|&t| self.fact(t)) else { return 0 };
        match (step.kernel, input) {
            (Kernel::Conv { window, groups, .. }, _) => {
                let per_group = input.channels() / groups.max(1);
                product(&[output.rows(), output.channels(), window.kernel, window.kernel, per_group])
            }
            (Kernel::Linear { .. }, _) => product(&[output.rows(), output.channels(), input.channels()]),
            (Kernel::AttentionCore { heads, head_dim }, Fact::Tokens { groups, tokens, .. }) => {
                product(&[2, groups, heads, tokens, tokens, head_dim])
            }
            (Kernel::MatMul, _) => product(&[output.rows(), output.channels(), input.channels()]),
            _ => 0,
        }
    }

    /// Multiply-accumulate operations of one inference.
    pub fn macs(&self) -> u64 {
        self.steps.iter().map(|s| self.step_macs(s)).fold(0, u64::saturating_add)
    }
}

impl Kernel {
    /// A word for tables: `conv`, `depthwise`, `pointwise`, `linear`, ... `input` is the fact of the
    /// step's first input.
    pub fn name(&self, input: Fact) -> &'static str {
        match self {
            Kernel::Conv { .. } if self.is_depthwise(input) => "depthwise",
            Kernel::Conv { .. } if self.is_pointwise() => "pointwise",
            Kernel::Conv { .. } => "conv",
            Kernel::Linear { .. } => "linear",
            Kernel::Affine => "affine",
            Kernel::LayerNorm { .. } => "layer_norm",
            Kernel::AttentionCore { .. } => "attention",
            Kernel::Activation(act) => act.name(),
            Kernel::Softmax => "softmax",
            Kernel::MaxPool(_) => "max_pool",
            Kernel::AvgPool(_) => "avg_pool",
            Kernel::GlobalAvgPool => "global_avg_pool",
            Kernel::Add | Kernel::AddChannels => "add",
            Kernel::Mul | Kernel::MulChannels => "mul",
            Kernel::Concat => "concat",
            Kernel::MatMul => "matmul",
            Kernel::Transpose => "transpose",
            Kernel::Unfold { .. } => "unfold",
            Kernel::Fold => "fold",
            Kernel::Flatten => "flatten",
        }
    }

    /// Whether this is a convolution with one input channel per group.
    pub fn is_depthwise(&self, input: Fact) -> bool {
        matches!(self, Kernel::Conv { groups, .. } if *groups > 1 && *groups == input.channels())
    }

    /// Whether this is a depthwise convolution with one output of each channel.
    pub fn is_plain_depthwise(&self, input: Fact, output: Fact) -> bool {
        self.is_depthwise(input) && output.channels() == input.channels()
    }

    /// Whether this is a 1x1 convolution with stride 1, no padding and one group: a dense layer on
    /// every position.
    pub fn is_pointwise(&self) -> bool {
        matches!(self, Kernel::Conv { window, groups: 1, .. }
            if window.kernel == 1 && window.stride == 1 && window.padding == Default::default())
    }
}
