//! Which blocks a block applies, to find recursion.

use crate::space::program::{
    Block, Body, Call, Callee, Count, Element, ElementKind, Expr, ExprKind, Statement,
};

/// The indices of the blocks that a block mentions.
pub(super) fn of_block(block: &Block) -> Vec<usize> {
    let mut out = Vec::new();
    for p in &block.params {
        p.default.iter().for_each(|d| expr(d, &mut out));
    }
    body(&block.body, &mut out);
    out
}

fn body(b: &Body, out: &mut Vec<usize>) {
    for s in &b.statements {
        match s {
            Statement::Let { value, .. } => expr(value, out),
            Statement::Chain(c) => c.iter().for_each(|e| element(e, out)),
        }
    }
}

fn element(e: &Element, out: &mut Vec<usize>) {
    match &e.kind {
        ElementKind::Stage(c) => call(c, out),
        ElementKind::Residual { condition, body: b } => {
            condition.iter().for_each(|c| expr(c, out));
            body(b, out);
        }
        ElementKind::Parallel { branches, .. } => {
            branches.iter().flat_map(|(_, c)| c).for_each(|e| element(e, out));
        }
        ElementKind::OneOf { branches, .. } => {
            branches.iter().flat_map(|(_, c)| c).for_each(|e| element(e, out))
        }
        ElementKind::Repeat { count, body: b, .. } => {
            if let Count::Given(e) = count {
                expr(e, out);
            }
            body(b, out);
        }
        ElementKind::Optional { body: b, .. } | ElementKind::Group(b) => body(b, out),
        ElementKind::When { condition, then, otherwise } => {
            expr(condition, out);
            body(then, out);
            body(otherwise, out);
        }
    }
}

fn call(c: &Call, out: &mut Vec<usize>) {
    if let Callee::Block(i) = c.callee {
        out.push(i);
    }
    c.args.iter().for_each(|(_, e)| expr(e, out));
}

fn expr(e: &Expr, out: &mut Vec<usize>) {
    match &e.kind {
        ExprKind::Unary(_, x) => expr(x, out),
        ExprKind::Binary(_, a, b) => [a, b].into_iter().for_each(|x| expr(x, out)),
        ExprKind::If(a, b, c) => [a, b, c].into_iter().for_each(|x| expr(x, out)),
        ExprKind::Function(_, args) => args.iter().for_each(|x| expr(x, out)),
        ExprKind::Choice { options, .. } => options.iter().for_each(|(_, x)| expr(x, out)),
        ExprKind::Block(c) => call(c, out),
        _ => {}
    }
}
