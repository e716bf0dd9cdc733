//! The space as a resolved program: names are slots, calls are bound, types are checked.
//!
//! Running it with a value for every decision gives one network ([`super::run`]); walking it over all
//! branches gives the decisions ([`super::explore`]). Only `crate::check` makes programs.

use super::operator::Operator;
use crate::graph::Fact;
use crate::source::Span;
use crate::syntax::ast::{Binary, Unary};
use std::sync::Arc;

/// A whole space.
#[derive(Debug, Clone)]
pub struct Program {
    /// Blocks by index.
    pub(crate) blocks: Vec<Block>,
    /// The space's own statements.
    pub(crate) body: Body,
    /// Slots of the space's frame.
    pub(crate) slots: usize,
    /// The image.
    pub(crate) input: Fact,
    /// Number of classes: the width that the result must have.
    pub(crate) classes: usize,
    /// Where the space stands.
    pub(crate) span: Span,
}

/// A block definition.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) name: Arc<str>,
    pub(crate) params: Vec<Param>,
    pub(crate) slots: usize,
    pub(crate) body: Body,
}

/// A parameter; its slot is its position.
#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) default: Option<Expr>,
}

/// Statements, constraints last: they may speak of any decision made before them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    pub(crate) statements: Vec<Statement>,
    pub(crate) constraints: Vec<Expr>,
}

#[derive(Debug, Clone)]
pub(crate) enum Statement {
    Let { slot: usize, value: Expr },
    Chain(Vec<Element>),
}

#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) label: Option<Arc<str>>,
    pub(crate) kind: ElementKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum ElementKind {
    Stage(Call),
    Residual { condition: Option<Expr>, body: Body },
    Parallel { join: Join, branches: Vec<(Option<Arc<str>>, Vec<Element>)> },
    Repeat { name: Option<Arc<str>>, count: Count, index: Option<usize>, body: Body },
    OneOf { name: Arc<str>, branches: Vec<(Arc<str>, Vec<Element>)> },
    Optional { name: Arc<str>, body: Body },
    When { condition: Expr, then: Body, otherwise: Body },
    Group(Body),
}

/// How parallel branches are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    Add,
    Mul,
    Concat,
    MatMul,
}

/// How often a body is repeated.
#[derive(Debug, Clone)]
pub(crate) enum Count {
    /// The value of an expression.
    Given(Expr),
    /// A decision of its own among these counts.
    Searched(Vec<usize>),
}

/// Something to apply, with arguments by parameter position.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) callee: Callee,
    /// Where.
    pub(crate) span: Span,
    pub(crate) args: Vec<(usize, Expr)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Callee {
    Operator(Operator),
    Block(usize),
    /// A variable that holds one of the others.
    Slot(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    Number(f64),
    Bool(bool),
    Text(Arc<str>),
    Slot(usize),
    /// `in.channels` and its like.
    Input(Field),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Function(Function, Vec<Expr>),
    Choice {
        name: Arc<str>,
        shared: bool,
        options: Vec<(Arc<str>, Expr)>,
    },
    /// An operator or block as a value, with the arguments it already has.
    Block(Box<Call>),
    /// In constraints: the value of the decision whose path ends so.
    Decision(Vec<String>),
}

/// What can be asked of the value that flows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Channels,
    Height,
    Width,
    Tokens,
    Groups,
}

/// Functions of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Min,
    Max,
    Floor,
    Ceil,
    Round,
    Abs,
    Sqrt,
    Log2,
    Pow2Floor,
    Pow2Ceil,
    RoundTo,
}

impl Function {
    /// Name and number of arguments.
    pub(crate) const ALL: [(&'static str, Function, std::ops::RangeInclusive<usize>); 11] = [
        ("min", Function::Min, 1..=16),
        ("max", Function::Max, 1..=16),
        ("floor", Function::Floor, 1..=1),
        ("ceil", Function::Ceil, 1..=1),
        ("round", Function::Round, 1..=1),
        ("abs", Function::Abs, 1..=1),
        ("sqrt", Function::Sqrt, 1..=1),
        ("log2", Function::Log2, 1..=1),
        ("pow2_floor", Function::Pow2Floor, 1..=1),
        ("pow2_ceil", Function::Pow2Ceil, 1..=1),
        ("round_to", Function::RoundTo, 2..=2),
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, f, _)| *f == self).map_or("function", |(n, ..)| n)
    }

    /// The value for these arguments; `None` where it is not defined.
    pub(crate) fn apply(self, x: &[f64]) -> Option<f64> {
        let a = x.first().copied()?;
        let value = match self {
            Function::Min => x.iter().copied().fold(f64::INFINITY, f64::min),
            Function::Max => x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Function::Floor => a.floor(),
            Function::Ceil => a.ceil(),
            Function::Round => a.round(),
            Function::Abs => a.abs(),
            Function::Sqrt => a.sqrt(),
            Function::Log2 => a.log2(),
            Function::Pow2Floor if a >= 1.0 => a.log2().floor().exp2(),
            Function::Pow2Ceil if a > 0.0 => a.log2().ceil().exp2(),
            Function::Pow2Floor | Function::Pow2Ceil => return None,
            // Widths are rounded to the nearest multiple, but never to 0.
            Function::RoundTo => {
                let to = x.get(1).copied().filter(|t| *t > 0.0)?;
                ((a / to).round() * to).max(to)
            }
        };
        value.is_finite().then_some(value)
    }
}
