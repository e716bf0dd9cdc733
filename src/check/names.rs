//! Small helpers about names: suggestions, and quick types of default values.

use crate::space::operator::{Operator, Type};
use crate::space::program::Function;
use crate::syntax::ast::{Binary, Expr, ExprKind, Segment, Unary};
use crate::syntax::nearest;

/// `did you mean ..?`, or what else to do.
pub(super) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    or: &str,
) -> String {
    match nearest(name, candidates) {
        Some(c) => format!("did you mean `{c}`?"),
        None => or.to_string(),
    }
}

/// Names that always mean the same value.
pub(super) const CONSTANTS: [(&str, Type); 5] = [
    ("same", Type::Text),
    ("valid", Type::Text),
    ("true", Type::Bool),
    ("false", Type::Bool),
    ("classes", Type::Number),
];

/// The type of a parameter by its default value, without looking names up.
pub(super) fn type_of_default(e: &Expr, params: &[(String, Type)], is_block: &dyn Fn(&str) -> bool) -> Type {
    match &e.kind {
        ExprKind::Number { .. } | ExprKind::Range { .. } => Type::Number,
        ExprKind::Text(_) => Type::Text,
        ExprKind::List(_) => Type::Any,
        ExprKind::Unary(Unary::Not, _) => Type::Bool,
        ExprKind::Unary(Unary::Minus, _) => Type::Number,
        ExprKind::Binary(op, ..) => binary_type(*op).1,
        ExprKind::If(_, a, _) => type_of_default(a, params, is_block),
        ExprKind::Choice { options, .. } => {
            options.first().map_or(Type::Any, |o| type_of_default(&o.value, params, is_block))
        }
        ExprKind::Call(name, _) if Function::ALL.iter().any(|(n, ..)| *n == name.name) => Type::Number,
        ExprKind::Call(..) => Type::Block,
        ExprKind::Path(segments) => match segments.as_slice() {
            [Segment::Name(n)] => {
                let constant = CONSTANTS.iter().find(|(c, _)| c == n).map(|c| c.1);
                let param = params.iter().find(|(p, _)| p == n).map(|p| p.1);
                constant.or(param).unwrap_or(if Operator::find(n).is_some() || is_block(n) {
                    Type::Block
                } else {
                    Type::Any
                })
            }
            _ => Type::Number,
        },
    }
}

/// What an operator takes and gives.
pub(super) fn binary_type(op: Binary) -> (Type, Type) {
    match op {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Mod => (Type::Number, Type::Number),
        Binary::Le | Binary::Ge | Binary::Lt | Binary::Gt | Binary::Divides => (Type::Number, Type::Bool),
        Binary::Eq | Binary::Ne => (Type::Any, Type::Bool),
        Binary::And | Binary::Or => (Type::Bool, Type::Bool),
    }
}
