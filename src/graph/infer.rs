//! Shape inference: one function, used while a network is built and again by the validator.

use super::fact::{Fact, Patches};
use super::op::{Op, ShapeError};

type Inferred = Result<Fact, ShapeError>;

pub(super) fn infer(op: &Op, inputs: &[Fact]) -> Inferred {
    let wanted = match op {
        Op::Input => 0..=0,
        Op::Mul | Op::MatMul => 2..=2,
        Op::Add | Op::Concat => 2..=usize::MAX,
        _ => 1..=1,
    };
    if !wanted.contains(&inputs.len()) {
        return Err(ShapeError::new(
            format!("`{}` cannot take {} inputs", op.name(), inputs.len()),
            "join branches with `parallel add`, `mul`, `concat` or `matmul`",
        ));
    }
    let Some(&x) = inputs.first() else {
        return Err(ShapeError::new(
            "the input of the network has no shape",
            "give `input = image(h, w, c)`",
        ));
    };
    let out = match *op {
        Op::Input | Op::Activation(_) | Op::Dropout { .. } | Op::BatchNorm { .. } => x,
        Op::Conv { out, window, groups, .. } => {
            let (c, h, w) = map(op, x)?;
            positive(op, "width", out)?;
            if groups == 0 || c % groups != 0 || out % groups != 0 {
                return Err(ShapeError::new(
                    format!("{groups} groups do not divide {c} input and {out} output channels"),
                    format!("choose `groups` among the common divisors of {c} and {out}"),
                ));
            }
            let (h, w) = slide(op, &window, h, w)?;
            Fact::Map { c: out, h, w }
        }
        Op::Linear { out, .. } => {
            positive(op, "width", out)?;
            if let Fact::Map { c, h, w } = x {
                return Err(ShapeError::new(
                    format!("`linear` takes a vector or tokens, this is a feature map of {c}x{h}x{w}"),
                    "put `global_avg_pool` or `flatten` before it, or use `conv(width, 1)`",
                ));
            }
            x.with_channels(out)
        }
        Op::LayerNorm { .. } | Op::Softmax => {
            if let Fact::Map { .. } = x {
                return Err(ShapeError::new(
                    format!("`{}` takes a vector or tokens, this is a feature map of {x}", op.name()),
                    "use `batch_norm` on maps, or `unfold` the map into tokens first",
                ));
            }
            x
        }
        Op::MaxPool(window) | Op::AvgPool(window) => {
            let (c, h, w) = map(op, x)?;
            let (h, w) = slide(op, &window, h, w)?;
            Fact::Map { c, h, w }
        }
        Op::GlobalAvgPool => {
            if let Fact::Vector { .. } = x {
                return Err(ShapeError::new(
                    "`global_avg_pool` takes a feature map or tokens, this is a vector already",
                    "remove it",
                ));
            }
            Fact::Vector { n: x.channels() }
        }
        Op::Attention { heads, head_dim } => {
            tokens(op, x)?;
            positive(op, "heads", heads)?;
            positive(op, "head_dim", head_dim)?;
            x
        }
        Op::Add | Op::Mul => {
            for &y in inputs.iter().skip(1) {
                let broadcast = matches!((x, y), (Fact::Map { c, .. }, Fact::Vector { n }) if c == n);
                if !same_shape(x, y) && !broadcast {
                    return Err(ShapeError::new(
                        format!("`{}` cannot join {x} ({}) and {y} ({})", op.name(), x.kind(), y.kind()),
                        "give the branches one shape, for instance with `conv(width, 1, stride)`",
                    ));
                }
            }
            x
        }
        Op::Concat => {
            let mut channels = 0usize;
            for &y in inputs {
                if !same_shape(x.with_channels(1), y.with_channels(1)) {
                    return Err(ShapeError::new(
                        format!("`concat` cannot join {x} ({}) and {y} ({})", x.kind(), y.kind()),
                        "branches may differ in channels, but not in height, width or tokens",
                    ));
                }
                channels += y.channels();
            }
            x.with_channels(channels)
        }
        Op::MatMul => match (x, inputs.get(1)) {
            (
                Fact::Tokens { groups, tokens, dim, .. },
                Some(&Fact::Tokens { groups: g, tokens: k, dim: m, .. }),
            ) if groups == g && dim == k => Fact::Tokens { groups, tokens, dim: m, from: None },
            (_, y) => {
                let y = y.copied().unwrap_or(x);
                return Err(ShapeError::new(
                    format!("`matmul` cannot multiply {x} ({}) by {y} ({})", x.kind(), y.kind()),
                    "both must be tokens of as many groups, the first's features as many as the second's tokens",
                ));
            }
        },
        Op::Transpose => {
            let (groups, tokens, dim, _) = tokens(op, x)?;
            Fact::Tokens { groups, tokens: dim, dim: tokens, from: None }
        }
        Op::Unfold { patch } => {
            let (c, h, w) = map(op, x)?;
            positive(op, "patch", patch)?;
            let from = Patches { h, w, patch };
            let (rows, columns) = from.grid();
            Fact::Tokens { groups: patch * patch, tokens: rows * columns, dim: c, from: Some(from) }
        }
        Op::Fold => {
            let (groups, tokens, dim, from) = tokens(op, x)?;
            match from {
                Some(p) if groups == p.patch * p.patch && tokens == p.grid().0 * p.grid().1 => {
                    Fact::Map { c: dim, h: p.h, w: p.w }
                }
                _ => {
                    return Err(ShapeError::new(
                        format!("`fold` cannot make a map of {x}: these tokens are not the patches of one"),
                        "fold what `unfold` gave; `transpose` and `matmul` lose the patches' places",
                    ));
                }
            }
        }
        Op::Flatten => Fact::Vector { n: x.elements() },
    };
    in_proportion(op, inputs, out)?;
    Ok(out)
}

/// More values or weights than this are a mistake, and counting them could overflow.
const LIMIT: usize = 1 << 31;

/// Refuses what no machine could hold.
fn in_proportion(op: &Op, inputs: &[Fact], out: Fact) -> Result<(), ShapeError> {
    let product = |sides: &[usize]| sides.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let too_many = |sides: &[usize]| product(sides).is_none_or(|n| n > LIMIT);
    let sides = match out {
        Fact::Map { c, h, w } => [c, h, w],
        Fact::Tokens { groups, tokens, dim, .. } => [groups, tokens, dim],
        Fact::Vector { n } => [n, 1, 1],
    };
    if too_many(&sides) {
        return Err(ShapeError::new(
            format!("a {} of {out} is too large", out.kind()),
            "reduce width or size",
        ));
    }
    let channels = inputs.first().map_or(0, Fact::channels);
    let weights = match *op {
        Op::Conv { out, window, groups, .. } => {
            too_many(&[out, channels / groups.max(1), window.kernel, window.kernel])
        }
        Op::Linear { out, .. } => too_many(&[out, channels]),
        Op::Attention { heads, head_dim } => too_many(&[heads, head_dim, 3, channels]),
        _ => false,
    };
    if weights {
        return Err(ShapeError::new(
            format!("`{}` would have more than {LIMIT} weights", op.label()),
            "reduce its width, kernel or heads, or what flows into it",
        ));
    }
    Ok(())
}

/// Equal but for the memory of where tokens came from.
fn same_shape(a: Fact, b: Fact) -> bool {
    match (a, b) {
        (Fact::Tokens { groups, tokens, dim, .. }, Fact::Tokens { groups: g, tokens: t, dim: d, .. }) => {
            (groups, tokens, dim) == (g, t, d)
        }
        _ => a == b,
    }
}

fn map(op: &Op, x: Fact) -> Result<(usize, usize, usize), ShapeError> {
    match x {
        Fact::Map { c, h, w } => Ok((c, h, w)),
        Fact::Tokens { .. } => Err(ShapeError::new(
            format!("`{}` takes a feature map, these are tokens of {x}", op.name()),
            "put `fold` before it, or use `linear`",
        )),
        Fact::Vector { .. } => Err(ShapeError::new(
            format!("`{}` takes a feature map, this is a vector of {x}", op.name()),
            "move it before `global_avg_pool` or `flatten`",
        )),
    }
}

fn tokens(op: &Op, x: Fact) -> Result<(usize, usize, usize, Option<Patches>), ShapeError> {
    match x {
        Fact::Tokens { groups, tokens, dim, from } => Ok((groups, tokens, dim, from)),
        _ => Err(ShapeError::new(
            format!("`{}` takes tokens, this is a {} of {x}", op.name(), x.kind()),
            "put `unfold(patch)` before it",
        )),
    }
}

fn positive(op: &Op, what: &str, value: usize) -> Result<(), ShapeError> {
    if value == 0 {
        return Err(ShapeError::new(
            format!("`{what}` of `{}` is 0", op.name()),
            "it must be a whole number of at least 1",
        ));
    }
    Ok(())
}

fn slide(op: &Op, window: &super::op::Window, h: usize, w: usize) -> Result<(usize, usize), ShapeError> {
    for (what, value) in [("kernel", window.kernel), ("stride", window.stride), ("dilation", window.dilation)]
    {
        positive(op, what, value)?;
    }
    window.output(h, w).filter(|&(a, b)| a > 0 && b > 0).ok_or_else(|| {
        ShapeError::new(
            format!("a {k}x{k} window of `{}` does not fit a map of {h}x{w}", op.name(), k = window.kernel),
            "reduce the kernel or the strides before it, or use `padding = same`",
        )
    })
}
