//! Values while a space runs.

use super::operator::Operator;
use std::fmt;
use std::sync::Arc;

/// A value of the language.
#[derive(Debug, Clone, PartialEq)]
// Copies of a value with a narrower tag stall: runs of a space take some 5 % longer.
#[repr(u64)]
pub(crate) enum Value {
    Number(f64),
    Bool(bool),
    Text(Arc<str>),
    Block(Arc<BlockValue>),
}

/// An operator or block with the arguments it already has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BlockValue {
    pub(crate) target: Target,
    pub(crate) args: Vec<(usize, Value)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Operator(Operator),
    Block(usize),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(x) => f.write_str(&crate::syntax::print_number(*x)),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Text(t) => write!(f, "{t}"),
            Value::Block(b) => match b.target {
                Target::Operator(o) => f.write_str(o.name()),
                Target::Block(_) => f.write_str("a block"),
            },
        }
    }
}
