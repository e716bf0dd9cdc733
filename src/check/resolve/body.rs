//! Bodies: statements, chains, and what they are made of.

use super::value::constant;
use super::Resolver;
use crate::check::names::did_you_mean;
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::space::operator::Type;
use crate::space::program::{Body, Count, Element, ElementKind, Join, Statement};
use crate::syntax::ast::{self, Ident};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Resolver<'_> {
    pub(super) fn body(&mut self, body: &ast::Body) -> Body {
        self.frame.scopes.push(BTreeMap::new());
        let mut out = Body::default();
        for s in &body.statements {
            self.frame.named.clear();
            match s {
                ast::Statement::Let { name, value } => {
                    let (value, ty) = self.value(value, &name.name);
                    let slot = self.define(name, ty);
                    out.statements.push(Statement::Let { slot, value });
                }
                ast::Statement::Where { .. } => {}
                ast::Statement::Chain(c) => out.statements.push(Statement::Chain(self.chain(c))),
            }
        }
        // Constraints last: they see every name of the body.
        for s in &body.statements {
            if let ast::Statement::Where { condition, .. } = s {
                self.frame.constraint = true;
                let condition = self.typed(condition, Type::Bool, "where").0;
                self.frame.constraint = false;
                out.constraints.push(condition);
            }
        }
        self.close_scope();
        out
    }

    pub(super) fn chain(&mut self, chain: &ast::Chain) -> Vec<Element> {
        chain.elements.iter().map(|e| self.element(e)).collect()
    }

    pub(super) fn element(&mut self, e: &ast::Element) -> Element {
        let label: Option<Arc<str>> = e.label.as_ref().map(|l| l.name.as_str().into());
        let kind = match &e.kind {
            ast::ElementKind::Stage { name, args } => ElementKind::Stage(self.call(name, args)),
            ast::ElementKind::Residual { condition, body } => ElementKind::Residual {
                condition: condition.as_ref().map(|c| self.typed(c, Type::Bool, "residual").0),
                body: self.body(body),
            },
            ast::ElementKind::Parallel { join, branches } => self.parallel(join, branches, e.span),
            ast::ElementKind::Repeat { name, count, index, body } => {
                self.repeat(name.as_ref(), count, index.as_ref(), body)
            }
            ast::ElementKind::OneOf { name, branches } => {
                if branches.is_empty() {
                    self.found.push(
                        Diagnostic::error(
                            codes::CHOICE,
                            e.span,
                            format!("`one_of {}` has no alternatives", name.name),
                        )
                        .help("write them as `label: chain`, one a line"),
                    );
                }
                let mut labels: BTreeMap<&str, Span> = BTreeMap::new();
                for b in branches {
                    match &b.label {
                        None => self.found.push(
                            Diagnostic::error(
                                codes::CHOICE,
                                b.chain.span,
                                "an alternative of `one_of` needs a label",
                            )
                            .help("write `label: conv(...)`; the label is the value of the decision"),
                        ),
                        Some(l) => {
                            if let Some(first) = labels.insert(&l.name, l.span) {
                                let m = format!("alternative `{}` is there twice", l.name);
                                self.found.push(
                                    Diagnostic::error(codes::DUPLICATE, l.span, m)
                                        .also(first, "first here")
                                        .help("rename one of them"),
                                );
                            }
                        }
                    }
                }
                let branches = branches
                    .iter()
                    .enumerate()
                    .map(|(i, b)| {
                        let label = b.label.as_ref().map_or_else(|| i.to_string(), |l| l.name.clone());
                        (label.into(), self.chain(&b.chain))
                    })
                    .collect();
                ElementKind::OneOf { name: name.name.as_str().into(), branches }
            }
            ast::ElementKind::Optional { name, body } => {
                ElementKind::Optional { name: name.name.as_str().into(), body: self.body(body) }
            }
            ast::ElementKind::When { condition, then, otherwise } => ElementKind::When {
                condition: self.typed(condition, Type::Bool, "when").0,
                then: self.body(then),
                otherwise: otherwise.as_ref().map(|b| self.body(b)).unwrap_or_default(),
            },
            ast::ElementKind::Group(body) => ElementKind::Group(self.body(body)),
        };
        Element { label, kind, span: e.span }
    }

    pub(super) fn parallel(&mut self, join: &Ident, branches: &[ast::Branch], span: Span) -> ElementKind {
        let kind = match join.name.as_str() {
            "add" => Join::Add,
            "mul" => Join::Mul,
            "concat" => Join::Concat,
            "matmul" => Join::MatMul,
            other => {
                let known = ["add", "mul", "concat", "matmul"];
                self.found.push(
                    Diagnostic::error(
                        codes::UNKNOWN_NAME,
                        join.span,
                        format!("branches cannot be joined by `{other}`"),
                    )
                    .help(did_you_mean(
                        other,
                        known,
                        "join them by `add`, `mul`, `concat` or `matmul`",
                    )),
                );
                Join::Add
            }
        };
        let exact = matches!(kind, Join::Mul | Join::MatMul);
        if branches.len() < 2 || (exact && branches.len() != 2) {
            let wanted = if exact { "two" } else { "at least two" };
            let plural = if branches.len() == 1 { "branch" } else { "branches" };
            let m = format!("`parallel {}` has {} {plural}, it takes {wanted}", join.name, branches.len());
            self.found.push(
                Diagnostic::error(codes::ARGUMENTS, span, m)
                    .help("`identity` is the branch that changes nothing"),
            );
        }
        let branches = branches
            .iter()
            .map(|b| (b.label.as_ref().map(|l| l.name.as_str().into()), self.chain(&b.chain)))
            .collect();
        ElementKind::Parallel { join: kind, branches }
    }

    pub(super) fn repeat(
        &mut self,
        name: Option<&Ident>,
        count: &ast::Expr,
        index: Option<&Ident>,
        body: &ast::Body,
    ) -> ElementKind {
        let searched = match (&count.kind, name) {
            (ast::ExprKind::Range { .. } | ast::ExprKind::Choice { shared: false, .. }, Some(_)) => {
                let options = self.options(count, "repeat").0;
                let mut counts = Vec::new();
                for (_, e) in &options {
                    match constant(e) {
                        Some(x) if x >= 0.0 && x.fract() == 0.0 && x <= 256.0 => counts.push(x as usize),
                        _ => self.found.push(
                            Diagnostic::error(
                                codes::VALUE,
                                e.span,
                                "the count of a `repeat` must be a whole number from 0 to 256",
                            )
                            .help("for instance `repeat blocks in 1..4 { .. }`"),
                        ),
                    }
                }
                Some(counts)
            }
            (ast::ExprKind::Range { .. } | ast::ExprKind::Choice { .. }, None) => {
                self.found.push(
                    Diagnostic::error(codes::CHOICE, count.span, "a searched `repeat` needs a name")
                        .help("write `repeat blocks in 1..4 { .. }`; the name is the decision's"),
                );
                Some(vec![1])
            }
            _ => None,
        };
        let count = match searched {
            Some(counts) => Count::Searched(counts),
            None => Count::Given(self.typed(count, Type::Number, "repeat").0),
        };
        self.frame.scopes.push(BTreeMap::new());
        let index = index.map(|i| self.define(i, Type::Number));
        let body = self.body(body);
        self.close_scope();
        ElementKind::Repeat { name: name.map(|n| n.name.as_str().into()), count, index, body }
    }
}
