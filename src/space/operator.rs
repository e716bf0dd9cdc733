//! The operators of the language: their parameters, and the graph operator that a call makes.

use super::value::Value;
use crate::graph::{Act, Fact, Op, Padding, Window};

/// The largest whole number that an operator takes.
const MOST: u32 = 1 << 24;

/// An operator by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Conv,
    DwConv,
    Linear,
    BatchNorm,
    LayerNorm,
    Activation(Act),
    Softmax,
    MaxPool,
    AvgPool,
    GlobalAvgPool,
    Attention,
    Transpose,
    Unfold,
    Fold,
    Flatten,
    Dropout,
    Identity,
}

/// Types of values in the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Number,
    Bool,
    Text,
    Block,
    /// `"same"`, `"valid"` or a number.
    Padding,
    /// Anything: what an error was made of.
    Any,
}

impl Type {
    /// As messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::Number => "a number",
            Type::Bool => "a truth value",
            Type::Text => "a text",
            Type::Block => "an operator or block",
            Type::Padding => "`same`, `valid` or a number",
            Type::Any => "anything",
        }
    }

    /// Whether a value of type `given` can stand where this is wanted.
    pub(crate) fn takes(self, given: Type) -> bool {
        self == given
            || self == Type::Any
            || given == Type::Any
            || (self == Type::Padding && matches!(given, Type::Text | Type::Number))
    }
}

/// An argument that an operator cannot take.
pub(crate) struct Wrong {
    /// Its parameter's position.
    pub(crate) argument: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: String,
    /// Whether it would be right with another input.
    pub(crate) by_input: bool,
}

impl Wrong {
    fn new(argument: usize, message: String, help: impl Into<String>) -> Wrong {
        Wrong { argument, message, help: help.into(), by_input: false }
    }
}

/// A parameter of an operator.
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) ty: Type,
    pub(crate) required: bool,
}

const fn need(name: &'static str) -> Signature {
    Signature { name, ty: Type::Number, required: true }
}
const fn may(name: &'static str, ty: Type) -> Signature {
    Signature { name, ty, required: false }
}

const CONV: &[Signature] = &[
    need("width"),
    need("kernel"),
    may("stride", Type::Number),
    may("groups", Type::Number),
    may("dilation", Type::Number),
    may("padding", Type::Padding),
    may("bias", Type::Bool),
];
const DWCONV: &[Signature] = &[
    need("kernel"),
    may("stride", Type::Number),
    may("dilation", Type::Number),
    may("padding", Type::Padding),
    may("bias", Type::Bool),
    may("multiplier", Type::Number),
];
const POOL: &[Signature] = &[need("kernel"), may("stride", Type::Number), may("padding", Type::Padding)];

impl Operator {
    /// All operators that can be called by name.
    pub(crate) const NAMES: [(&'static str, Operator); 22] = [
        ("conv", Operator::Conv),
        ("dwconv", Operator::DwConv),
        ("linear", Operator::Linear),
        ("batch_norm", Operator::BatchNorm),
        ("layer_norm", Operator::LayerNorm),
        ("relu", Operator::Activation(Act::Relu)),
        ("relu6", Operator::Activation(Act::Relu6)),
        ("silu", Operator::Activation(Act::Silu)),
        ("gelu", Operator::Activation(Act::Gelu)),
        ("hard_swish", Operator::Activation(Act::HardSwish)),
        ("sigmoid", Operator::Activation(Act::Sigmoid)),
        ("softmax", Operator::Softmax),
        ("max_pool", Operator::MaxPool),
        ("avg_pool", Operator::AvgPool),
        ("global_avg_pool", Operator::GlobalAvgPool),
        ("attention", Operator::Attention),
        ("transpose", Operator::Transpose),
        ("unfold", Operator::Unfold),
        ("fold", Operator::Fold),
        ("flatten", Operator::Flatten),
        ("dropout", Operator::Dropout),
        ("identity", Operator::Identity),
    ];

    /// The operator of this name.
    pub(crate) fn find(name: &str) -> Option<Operator> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|&(_, o)| o)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, o)| *o == self).map_or("operator", |&(n, _)| n)
    }

    /// Its parameters in the order of positional arguments.
    pub(crate) fn signature(self) -> &'static [Signature] {
        match self {
            Operator::Conv => CONV,
            Operator::DwConv => DWCONV,
            Operator::Linear => const { &[need("width"), may("bias", Type::Bool)] },
            Operator::BatchNorm | Operator::LayerNorm => const { &[may("eps", Type::Number)] },
            Operator::MaxPool | Operator::AvgPool => POOL,
            Operator::Attention => const { &[need("heads"), may("head_dim", Type::Number)] },
            Operator::Unfold => const { &[need("patch")] },
            Operator::Dropout => const { &[need("p")] },
            _ => &[],
        }
    }

    /// How the channels and the positions of the result depend on the arguments: whether the
    /// feature dimension is given by the arguments alone.
    pub(crate) fn sets_channels(self) -> bool {
        matches!(self, Operator::Conv | Operator::Linear)
    }

    /// The graph operator for these arguments, each with its parameter's position, and this input; `None` for
    /// `identity`. Shapes are checked later, by [`Op::infer`].
    ///
    /// # Errors
    /// The first argument that is wrong.
    pub(crate) fn make(self, args: &[(usize, Value)], input: Fact) -> Result<Option<Op>, Wrong> {
        let given = |i: usize| args.iter().find(|(at, _)| *at == i).map(|(_, v)| v);
        let whole = |i: usize, default: usize| match given(i) {
            None => Ok(default),
            Some(Value::Number(x)) if *x >= 1.0 && x.fract() == 0.0 && *x <= f64::from(MOST) => {
                Ok(*x as usize)
            }
            Some(v) => {
                let name = self.signature().get(i).map_or("argument", |s| s.name);
                let help = match v {
                    Value::Number(x) if *x >= 1.0 && (x.fract() == 0.0 || x.is_infinite()) => {
                        format!("`{name}` must be at most {MOST}")
                    }
                    _ => format!(
                        "`{name}` must be a whole number of at least 1; use `floor`, `round` or `round_to(x, 8)`"
                    ),
                };
                Err(Wrong::new(i, format!("`{name}` of `{}` is {v}", self.name()), help))
            }
        };
        let number = |i: usize, default: f64| match given(i) {
            Some(Value::Number(x)) => *x,
            _ => default,
        };
        let flag = |i: usize, default: bool| match given(i) {
            Some(Value::Bool(b)) => *b,
            _ => default,
        };
        let window = |kernel: usize, stride: usize, dilation: usize, i: usize, default: &str| {
            let (h, w) = match input {
                Fact::Map { h, w, .. } => (h, w),
                _ => (kernel, kernel),
            };
            let padding = match given(i) {
                Some(Value::Number(p)) if *p >= 0.0 && p.fract() == 0.0 && *p < 1024.0 => {
                    let p = *p as usize;
                    Padding { top: p, left: p, bottom: p, right: p }
                }
                Some(Value::Text(t)) if &**t == "same" => Window::same(kernel, stride, dilation, h, w),
                Some(Value::Text(t)) if &**t == "valid" => Padding::default(),
                None if default == "same" => Window::same(kernel, stride, dilation, h, w),
                None => Padding::default(),
                Some(v) => {
                    let message = format!("`padding` of `{}` is {v}", self.name());
                    return Err(Wrong::new(
                        i,
                        message,
                        "padding is `same`, `valid`, or a whole number of pixels",
                    ));
                }
            };
            Ok(Window { kernel, stride, dilation, padding })
        };
        let channels = input.channels();
        Ok(Some(match self {
            Operator::Conv => {
                let (kernel, stride, dilation) = (whole(1, 1)?, whole(2, 1)?, whole(4, 1)?);
                Op::Conv {
                    out: whole(0, 1)?,
                    window: window(kernel, stride, dilation, 5, "same")?,
                    groups: whole(3, 1)?,
                    bias: flag(6, true),
                }
            }
            Operator::DwConv => {
                let (kernel, stride, dilation) = (whole(0, 1)?, whole(1, 1)?, whole(2, 1)?);
                Op::Conv {
                    out: channels * whole(5, 1)?,
                    window: window(kernel, stride, dilation, 3, "same")?,
                    groups: channels,
                    bias: flag(4, true),
                }
            }
            Operator::Linear => Op::Linear { out: whole(0, 1)?, bias: flag(1, true) },
            Operator::BatchNorm | Operator::LayerNorm => {
                let eps = number(0, 1e-5);
                if !(eps > 0.0 && eps < 1.0) {
                    let help = "it must lie between 0 and 1, for instance 1e-5";
                    return Err(Wrong::new(0, format!("`eps` is {eps}"), help));
                }
                if self == Operator::BatchNorm {
                    Op::BatchNorm { eps: eps as f32 }
                } else {
                    Op::LayerNorm { eps: eps as f32 }
                }
            }
            Operator::Activation(a) => Op::Activation(a),
            Operator::Softmax => Op::Softmax,
            Operator::MaxPool | Operator::AvgPool => {
                let kernel = whole(0, 1)?;
                let window = window(kernel, whole(1, kernel)?, 1, 2, "valid")?;
                if self == Operator::MaxPool {
                    Op::MaxPool(window)
                } else {
                    Op::AvgPool(window)
                }
            }
            Operator::GlobalAvgPool => Op::GlobalAvgPool,
            Operator::Attention => {
                let heads = whole(0, 1)?;
                if given(1).is_none() && !channels.is_multiple_of(heads) {
                    let m = format!("{heads} heads do not divide {channels} features");
                    let help = format!(
                        "choose among the divisors of {channels}, say `where heads divides ..` in the space, \
                         or give `head_dim`"
                    );
                    return Err(Wrong { by_input: true, ..Wrong::new(0, m, help) });
                }
                Op::Attention { heads, head_dim: whole(1, channels / heads)? }
            }
            Operator::Transpose => Op::Transpose,
            Operator::Unfold => Op::Unfold { patch: whole(0, 1)? },
            Operator::Fold => Op::Fold,
            Operator::Flatten => Op::Flatten,
            Operator::Dropout => {
                let p = number(0, 0.0);
                if !(0.0..1.0).contains(&p) {
                    let help = "a probability from 0 up to, but not, 1";
                    return Err(Wrong::new(0, format!("`p` of `dropout` is {p}"), help));
                }
                if p == 0.0 {
                    return Ok(None);
                }
                Op::Dropout { p: p as f32 }
            }
            Operator::Identity => return Ok(None),
        }))
    }
}
