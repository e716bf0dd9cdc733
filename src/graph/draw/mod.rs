//! Networks for people: a table, Graphviz's language, a drawing. Pure functions from a network to
//! text; the same network gives the same text.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod dot;
mod layout;
mod svg;
mod table;
#[cfg(test)]
mod tests;

pub use dot::dot;
pub use svg::svg;
pub use table::text;

use super::{NodeView, Op};

/// What an operator is about; decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Terminal,
    Convolution,
    Dense,
    Attention,
    Norm,
    Activation,
    Pooling,
    Join,
    Move,
    Dropout,
}

impl Kind {
    fn of(op: &Op) -> Kind {
        match op {
            Op::Input => Kind::Terminal,
            Op::Conv { .. } => Kind::Convolution,
            Op::Linear { .. } => Kind::Dense,
            Op::Attention { .. } => Kind::Attention,
            Op::BatchNorm { .. } | Op::LayerNorm { .. } => Kind::Norm,
            Op::Activation(_) | Op::Softmax => Kind::Activation,
            Op::MaxPool(_) | Op::AvgPool(_) | Op::GlobalAvgPool => Kind::Pooling,
            Op::Add | Op::Mul | Op::Concat | Op::MatMul => Kind::Join,
            Op::Transpose | Op::Unfold { .. } | Op::Fold | Op::Flatten => Kind::Move,
            Op::Dropout { .. } => Kind::Dropout,
        }
    }

    /// The words of the legend.
    fn name(self) -> &'static str {
        match self {
            Kind::Terminal => "input, output",
            Kind::Convolution => "convolution",
            Kind::Dense => "linear",
            Kind::Attention => "attention",
            Kind::Norm => "normalisation",
            Kind::Activation => "activation",
            Kind::Pooling => "pooling",
            Kind::Join => "joining branches",
            Kind::Move => "moving data",
            Kind::Dropout => "dropout",
        }
    }

    /// Colours of the area and of the line around it.
    fn colors(self) -> (&'static str, &'static str) {
        match self {
            Kind::Terminal => ("#e9edf2", "#46566b"),
            Kind::Convolution => ("#d6e6fb", "#2f6fbe"),
            Kind::Dense => ("#d2efec", "#1d857b"),
            Kind::Attention => ("#ffe2c4", "#c8690f"),
            Kind::Norm => ("#e8dffa", "#7350b8"),
            Kind::Activation => ("#dcf3d6", "#468a34"),
            Kind::Pooling => ("#fdf1bf", "#a68406"),
            Kind::Join => ("#fbdce4", "#bd3a61"),
            Kind::Move => ("#ececec", "#777777"),
            Kind::Dropout => ("#f6f6f6", "#a0a0a0"),
        }
    }
}

/// Numbers of a node that training changes: running statistics are not among them.
fn params(view: &NodeView<'_>) -> usize {
    let sizes = view.params().into_iter().filter(|p| p.trained);
    sizes.map(|p| p.shape.iter().fold(1usize, |n, &d| n.saturating_mul(d))).fold(0, usize::saturating_add)
}

/// `1234567` as `1,234,567`.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
