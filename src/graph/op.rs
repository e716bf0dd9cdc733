//! The operators of a network, with their attributes, and what each makes of its input shapes.

use super::fact::Fact;
use std::fmt;

/// Element-wise non-linearities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// `max(0, x)`
    Relu,
    /// `min(6, max(0, x))`
    Relu6,
    /// `x * sigmoid(x)` (arXiv 1702.03118)
    Silu,
    /// `x / 2 * (1 + erf(x / sqrt 2))`, the exact form (arXiv 1606.08415)
    Gelu,
    /// `x * min(6, max(0, x + 3)) / 6` (arXiv 1905.02244)
    HardSwish,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
}

impl Act {
    /// All of them.
    pub const ALL: [Act; 6] = [Act::Relu, Act::Relu6, Act::Silu, Act::Gelu, Act::HardSwish, Act::Sigmoid];

    /// The name in the language.
    pub fn name(self) -> &'static str {
        match self {
            Act::Relu => "relu",
            Act::Relu6 => "relu6",
            Act::Silu => "silu",
            Act::Gelu => "gelu",
            Act::HardSwish => "hard_swish",
            Act::Sigmoid => "sigmoid",
        }
    }
}

/// Zero padding of a map: rows above and below, columns left and right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns right.
    pub right: usize,
}

/// A sliding window over a map, square in kernel, stride and dilation. The padding is explicit:
/// `padding = same` of the language has been resolved with the input's size, in TensorFlow's way
/// (output `ceil(size / stride)`, the odd row or column of padding at the bottom and right).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Side of the kernel.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Distance between the kernel's taps.
    pub dilation: usize,
    /// Zero padding. Max pooling ignores padded positions; average pooling does not count them.
    pub padding: Padding,
}

impl Window {
    /// Output height and width for an input; `None` if the kernel does not fit.
    pub fn output(&self, h: usize, w: usize) -> Option<(usize, usize)> {
        let reach = self.dilation.checked_mul(self.kernel.checked_sub(1)?)?.checked_add(1)?;
        let p = self.padding;
        let side = |n: usize, pad: usize| {
            Some(n.checked_add(pad)?.checked_sub(reach)?.checked_div(self.stride)? + 1)
        };
        Some((side(h, p.top + p.bottom)?, side(w, p.left + p.right)?))
    }

    /// The explicit padding that `same` means for an input of `h` x `w`.
    pub fn same(kernel: usize, stride: usize, dilation: usize, h: usize, w: usize) -> Padding {
        let total = |n: usize| {
            let out = n.div_ceil(stride.max(1));
            let reach = dilation * kernel.saturating_sub(1) + 1;
            (out.saturating_sub(1) * stride + reach).saturating_sub(n)
        };
        let (v, u) = (total(h), total(w));
        Padding { top: v / 2, bottom: v - v / 2, left: u / 2, right: u - u / 2 }
    }
}

/// One operator. Weights are not here: [`Op::params`] says which it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// The image, a map.
    Input,
    /// 2-D convolution over a map. `groups == input channels` is a depthwise convolution.
    Conv {
        /// Output channels.
        out: usize,
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Channel groups; divides input and output channels.
        groups: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Dense layer on the feature dimension of a vector or of every token.
    Linear {
        /// Output features.
        out: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch normalisation over the feature dimension of a map, tokens, or vector (arXiv 1502.03167).
    BatchNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// Layer normalisation over the feature dimension of tokens or a vector (arXiv 1607.06450).
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// Element-wise non-linearity, any shape.
    Activation(Act),
    /// Softmax over the feature dimension of tokens or a vector.
    Softmax,
    /// Maximum over windows of a map.
    MaxPool(Window),
    /// Mean over windows of a map; padded positions are not counted.
    AvgPool(Window),
    /// Mean over all positions of a map (result: vector of channels), or over all tokens of all
    /// groups (result: vector of features).
    GlobalAvgPool,
    /// Multi-head self-attention within each group of tokens (arXiv 1706.03762): queries, keys and
    /// values of `heads * head_dim` by linear layers with bias, `softmax(q k^T / sqrt(head_dim)) v`
    /// per head, heads concatenated, a linear layer with bias back to the input's features.
    Attention {
        /// Heads.
        heads: usize,
        /// Features of one head.
        head_dim: usize,
    },
    /// Sum of two or more inputs of one shape; a vector is broadcast over a map's positions.
    Add,
    /// Product of two inputs of one shape; a vector is broadcast over a map's positions (squeeze
    /// and excite). The vector, where there is one, is the second input.
    Mul,
    /// Concatenation of two or more inputs along the feature dimension.
    Concat,
    /// Per group of tokens: `[n x k] [k x m]`; the first input's `dim` is the second's `tokens`.
    MatMul,
    /// Per group of tokens: swaps tokens and features.
    Transpose,
    /// A map cut into patches, each pixel position of a patch a group, each patch a token
    /// (MobileViT, arXiv 2110.02178): group `py * patch + px`, token `by * columns + bx` is the
    /// pixel `(by * patch + py, bx * patch + px)`. Zero-padded at the bottom and right.
    Unfold {
        /// Side of a patch.
        patch: usize,
    },
    /// The inverse of [`Op::Unfold`], cropped to the original map.
    Fold,
    /// A map or tokens as one vector, in the order of emitted code: `[h][w][c]`,
    /// `[groups][tokens][dim]`.
    Flatten,
    /// Zeroes elements at random while training, nothing afterwards.
    Dropout {
        /// Probability of a zero.
        p: f32,
    },
}

/// How a parameter starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Uniform in ±sqrt(6 / fan_in) (He et al., arXiv 1502.01852), for layers before a ReLU kind.
    He {
        /// Inputs of one output.
        fan_in: usize,
    },
    /// Uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), for attention.
    Glorot {
        /// Inputs of one output.
        fan_in: usize,
        /// Outputs.
        fan_out: usize,
    },
    /// A constant.
    Const(f32),
}

/// One parameter tensor of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name within the operator: `weight`, `bias`, `running_mean`, `qkv.weight`, ...
    pub name: &'static str,
    /// Its shape, as in PyTorch: convolution `[out, in / groups, k, k]`, linear `[out, in]`.
    pub shape: Vec<usize>,
    /// How it starts.
    pub init: Init,
    /// False for running statistics.
    pub trained: bool,
}

impl Op {
    /// The operator's name in the language; `dwconv` for a depthwise convolution is not
    /// distinguished here, see [`Op::label`].
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input => "input",
            Op::Conv { .. } => "conv",
            Op::Linear { .. } => "linear",
            Op::BatchNorm { .. } => "batch_norm",
            Op::LayerNorm { .. } => "layer_norm",
            Op::Activation(a) => a.name(),
            Op::Softmax => "softmax",
            Op::MaxPool(_) => "max_pool",
            Op::AvgPool(_) => "avg_pool",
            Op::GlobalAvgPool => "global_avg_pool",
            Op::Attention { .. } => "attention",
            Op::Add => "add",
            Op::Mul => "mul",
            Op::Concat => "concat",
            Op::MatMul => "matmul",
            Op::Transpose => "transpose",
            Op::Unfold { .. } => "unfold",
            Op::Fold => "fold",
            Op::Flatten => "flatten",
            Op::Dropout { .. } => "dropout",
        }
    }

    /// Name and attributes in one line: `conv 3x3 s2 -> 16`.
    pub fn label(&self) -> String {
        let window = |w: &Window| {
            let mut s = format!("{k}x{k}", k = w.kernel);
            if w.stride != 1 {
                s += &format!(" s{}", w.stride);
            }
            if w.dilation != 1 {
                s += &format!(" d{}", w.dilation);
            }
            s
        };
        match self {
            Op::Conv { out, window: w, groups, .. } => match *groups {
                1 => format!("conv {} -> {out}", window(w)),
                g if g == *out => format!("dwconv {} -> {out}", window(w)),
                g => format!("conv {} g{g} -> {out}", window(w)),
            },
            Op::Linear { out, .. } => format!("linear -> {out}"),
            Op::MaxPool(w) => format!("max_pool {}", window(w)),
            Op::AvgPool(w) => format!("avg_pool {}", window(w)),
            Op::Attention { heads, head_dim } => format!("attention {heads} x {head_dim}"),
            Op::Unfold { patch } => format!("unfold {patch}x{patch}"),
            Op::Dropout { p } => format!("dropout {p}"),
            other => other.name().to_string(),
        }
    }

    /// The output's fact, from the inputs' facts in the order of their ports.
    ///
    /// # Errors
    /// A sentence that says why the operator cannot take these inputs, without a full stop, and
    /// advice.
    pub fn infer(&self, inputs: &[Fact]) -> Result<Fact, ShapeError> {
        super::infer::infer(self, inputs)
    }

    /// The parameter tensors, given the input facts that [`Op::infer`] accepted.
    pub fn params(&self, inputs: &[Fact]) -> Vec<Param> {
        let cin = inputs.first().map_or(0, Fact::channels);
        let p = |name, shape: Vec<usize>, init| Param { name, shape, init, trained: true };
        match *self {
            Op::Conv { out, window, groups, bias } => {
                let per_group = cin / groups.max(1);
                let k = window.kernel;
                let mut v =
                    vec![p("weight", vec![out, per_group, k, k], Init::He { fan_in: per_group * k * k })];
                if bias {
                    v.push(p("bias", vec![out], Init::Const(0.0)));
                }
                v
            }
            Op::Linear { out, bias } => {
                let mut v = vec![p("weight", vec![out, cin], Init::Glorot { fan_in: cin, fan_out: out })];
                if bias {
                    v.push(p("bias", vec![out], Init::Const(0.0)));
                }
                v
            }
            Op::BatchNorm { .. } => vec![
                p("weight", vec![cin], Init::Const(1.0)),
                p("bias", vec![cin], Init::Const(0.0)),
                Param { name: "running_mean", shape: vec![cin], init: Init::Const(0.0), trained: false },
                Param { name: "running_var", shape: vec![cin], init: Init::Const(1.0), trained: false },
            ],
            Op::LayerNorm { .. } => {
                vec![p("weight", vec![cin], Init::Const(1.0)), p("bias", vec![cin], Init::Const(0.0))]
            }
            Op::Attention { heads, head_dim } => {
                let inner = heads * head_dim;
                vec![
                    p("qkv.weight", vec![3 * inner, cin], Init::Glorot { fan_in: cin, fan_out: inner }),
                    p("qkv.bias", vec![3 * inner], Init::Const(0.0)),
                    p("out.weight", vec![cin, inner], Init::Glorot { fan_in: inner, fan_out: cin }),
                    p("out.bias", vec![cin], Init::Const(0.0)),
                ]
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

/// Why an operator cannot take its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl ShapeError {
    /// A shape error.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        ShapeError { message: message.into(), help: help.into() }
    }
}
