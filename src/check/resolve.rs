//! Names and types of spaces and blocks: from the tree to a [`Program`].
//!
//! Everything is looked at, blocks that are never used too. What is wrong is reported and replaced
//! by something harmless, so that one mistake does not hide the next.

use super::names::{binary_type, did_you_mean, type_of_default, CONSTANTS};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::space::operator::{Operator, Type};
use crate::space::program::{
    Block, Body, Call, Callee, Count, Element, ElementKind, Expr, ExprKind, Field, Function, Join, Param,
    Statement,
};
use crate::syntax::ast::{self, Ident, Segment, Unary};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A decision with more values is a mistake.
const MOST_VALUES: usize = 4096;

/// A parameter as callers see it.
#[derive(Clone)]
struct ParamType {
    name: String,
    ty: Type,
    required: bool,
}

/// A local name.
struct Local {
    slot: usize,
    ty: Type,
    span: Span,
    used: bool,
}

/// The names of one block or of the space.
#[derive(Default)]
struct Frame {
    scopes: Vec<BTreeMap<String, Local>>,
    slots: usize,
    /// Names given to choices in the statement being resolved, to number repetitions.
    named: HashMap<String, usize>,
    /// Constraints may name decisions.
    constraint: bool,
}

pub(super) struct Resolver<'a> {
    pub(super) found: &'a mut Vec<Diagnostic>,
    asts: Vec<&'a ast::Block>,
    by_name: BTreeMap<String, usize>,
    params: Vec<Vec<ParamType>>,
    used: Vec<bool>,
    classes: usize,
    /// Names that damaged lines seem to define.
    lost: Vec<&'a str>,
    frame: Frame,
}

/// What resolution gives.
pub(super) struct Resolved {
    pub(super) blocks: Vec<Block>,
    pub(super) body: Body,
    pub(super) slots: usize,
}

impl<'a> Resolver<'a> {
    /// `blocks`: the prelude's first; the spec's own definitions replace those.
    pub(super) fn new(
        blocks: Vec<&'a ast::Block>,
        classes: usize,
        lost: Vec<&'a str>,
        found: &'a mut Vec<Diagnostic>,
    ) -> Self {
        let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
        for (i, b) in blocks.iter().enumerate() {
            let name = &b.name.name;
            if Operator::find(name).is_some() || Function::ALL.iter().any(|(n, ..)| n == name) {
                let m = format!("`{name}` is an operator or function of the language");
                found.push(
                    Diagnostic::error(codes::DUPLICATE, b.name.span, m)
                        .help(format!("choose another name, for instance `my_{name}`")),
                );
            }
            let earlier = by_name.insert(name.clone(), i).and_then(|j| blocks.get(j));
            if let Some(first) = earlier.filter(|e| e.name.span.file != super::PRELUDE_FILE) {
                found.push(
                    Diagnostic::error(
                        codes::DUPLICATE,
                        b.name.span,
                        format!("block `{name}` is defined twice"),
                    )
                    .also(first.name.span, "first defined here")
                    .help("rename or remove one of them"),
                );
            }
        }
        let mut me = Resolver {
            found,
            used: vec![false; blocks.len()],
            params: Vec::new(),
            asts: blocks,
            by_name,
            classes,
            lost,
            frame: Frame::default(),
        };
        me.params = me.asts.clone().iter().map(|b| me.signature(b)).collect();
        me
    }

    fn signature(&mut self, block: &ast::Block) -> Vec<ParamType> {
        let mut types: Vec<(String, Type)> = Vec::new();
        for p in &block.params {
            let by_default = p
                .default
                .as_ref()
                .map(|d| type_of_default(d, &types, &|name| self.by_name.contains_key(name)));
            let ty = match &p.ty {
                None => by_default.unwrap_or(Type::Number),
                Some(t) => match t.name.as_str() {
                    "number" | "int" => Type::Number,
                    "bool" => Type::Bool,
                    "text" => Type::Text,
                    "padding" => Type::Padding,
                    "block" => Type::Block,
                    other => {
                        let known = ["number", "int", "bool", "text", "padding"];
                        self.found.push(
                            Diagnostic::error(codes::TYPE, t.span, format!("there is no type `{other}`"))
                                .help(did_you_mean(
                                    other,
                                    known,
                                    "types are `number`, `int`, `bool`, `text`, `padding` and `block`",
                                )),
                        );
                        Type::Any
                    }
                },
            };
            types.push((p.name.name.clone(), ty));
        }
        block
            .params
            .iter()
            .zip(types)
            .map(|(p, (name, ty))| ParamType { name, ty, required: p.default.is_none() })
            .collect()
    }

    /// Resolves all blocks and the space.
    pub(super) fn run(mut self, space: &ast::Body, main: crate::source::FileId) -> Resolved {
        let mut blocks = Vec::new();
        for (i, b) in self.asts.clone().into_iter().enumerate() {
            self.frame = Frame { scopes: vec![BTreeMap::new()], ..Frame::default() };
            let types = self.params.get(i).cloned().unwrap_or_default();
            let mut params = Vec::new();
            for (p, ty) in b.params.iter().zip(&types) {
                self.frame.named.clear();
                let default = p.default.as_ref().map(|d| self.typed(d, ty.ty, &p.name.name).0);
                self.define(&p.name, ty.ty);
                params.push(Param { default });
            }
            let body = self.body(&b.body);
            self.close_scope();
            blocks.push(Block { name: b.name.name.as_str().into(), params, slots: self.frame.slots, body });
        }
        self.frame = Frame { scopes: vec![BTreeMap::new()], ..Frame::default() };
        let body = self.body(space);
        self.close_scope();
        let slots = self.frame.slots;
        self.recursion(&blocks);
        for (used, b) in self.used.iter().zip(&self.asts) {
            if !used && b.name.span.file == main {
                let m = format!("block `{}` is never used", b.name.name);
                self.found
                    .push(Diagnostic::warning(codes::UNUSED, b.name.span, m).help("use it or remove it"));
            }
        }
        Resolved { blocks, body, slots }
    }

    // ---- scopes ----

    fn define(&mut self, name: &Ident, ty: Type) -> usize {
        let slot = self.frame.slots;
        self.frame.slots += 1;
        if CONSTANTS.iter().any(|(c, _)| *c == name.name) || Operator::find(&name.name).is_some() {
            let m = format!("`{}` already means something in the language", name.name);
            self.found.push(Diagnostic::error(codes::DUPLICATE, name.span, m).help("choose another name"));
        }
        let local = Local { slot, ty, span: name.span, used: false };
        if let Some(scope) = self.frame.scopes.last_mut() {
            if let Some(first) = scope.insert(name.name.clone(), local) {
                self.found.push(
                    Diagnostic::error(
                        codes::DUPLICATE,
                        name.span,
                        format!("`{}` is defined twice", name.name),
                    )
                    .also(first.span, "first defined here")
                    .help("names are given values once; choose another name"),
                );
            }
        }
        slot
    }

    fn close_scope(&mut self) {
        for (name, local) in self.frame.scopes.pop().unwrap_or_default() {
            if !local.used && !name.starts_with('_') && !self.is_prelude(local.span) {
                let m = format!("`{name}` is never used");
                self.found.push(
                    Diagnostic::warning(codes::UNUSED, local.span, m)
                        .help(format!("remove it, or call it `_{name}` if that is meant")),
                );
            }
        }
    }

    fn is_prelude(&self, span: Span) -> bool {
        span.file == super::PRELUDE_FILE
    }

    fn local(&mut self, name: &str) -> Option<(usize, Type)> {
        let local = self.frame.scopes.iter_mut().rev().find_map(|s| s.get_mut(name))?;
        local.used = true;
        Some((local.slot, local.ty))
    }

    // ---- statements ----

    fn body(&mut self, body: &ast::Body) -> Body {
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

    fn chain(&mut self, chain: &ast::Chain) -> Vec<Element> {
        chain.elements.iter().map(|e| self.element(e)).collect()
    }

    fn element(&mut self, e: &ast::Element) -> Element {
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

    fn parallel(&mut self, join: &Ident, branches: &[ast::Branch], span: Span) -> ElementKind {
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

    fn repeat(
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

    // ---- calls ----

    fn call(&mut self, name: &Ident, args: &[ast::Arg]) -> Call {
        if let Some((slot, ty)) = self.local(&name.name) {
            if !Type::Block.takes(ty) {
                let m = format!("`{}` is {}, it cannot be applied", name.name, ty.name());
                self.found.push(
                    Diagnostic::error(codes::TYPE, name.span, m)
                        .help("a stage is an operator, a block, or a name with such a value"),
                );
            }
            if let Some(first) = args.first() {
                self.found.push(
                    Diagnostic::error(
                        codes::ARGUMENTS,
                        first.value.span,
                        format!("`{}` has its arguments already", name.name),
                    )
                    .help("give them where the value is chosen, as in `choice(conv(8, 3), conv(8, 5))`"),
                );
            }
            return Call { callee: Callee::Slot(slot), span: name.span, args: Vec::new() };
        }
        if let Some(op) = Operator::find(&name.name) {
            let params: Vec<ParamType> = op
                .signature()
                .iter()
                .map(|s| ParamType { name: s.name.to_string(), ty: s.ty, required: s.required })
                .collect();
            return Call {
                callee: Callee::Operator(op),
                span: name.span,
                args: self.bind(name, args, &params),
            };
        }
        if let Some(&i) = self.by_name.get(&name.name) {
            if let Some(u) = self.used.get_mut(i) {
                *u = true;
            }
            let params = self.params.get(i).cloned().unwrap_or_default();
            return Call { callee: Callee::Block(i), span: name.span, args: self.bind(name, args, &params) };
        }
        let joins = ["add", "mul", "concat", "matmul"];
        let help = if joins.contains(&name.name.as_str()) {
            format!("branches are joined by `parallel {} {{ .. }}`", name.name)
        } else {
            let operators = Operator::NAMES.iter().map(|(n, _)| *n);
            let blocks = self.by_name.keys().map(String::as_str);
            did_you_mean(
                &name.name,
                operators.chain(blocks),
                "define it with `block`, or see the operators in docs/language.md",
            )
        };
        let m = format!("there is no operator or block `{}`", name.name);
        if !self.lost.contains(&name.name.as_str()) {
            self.found.push(Diagnostic::error(codes::UNKNOWN_NAME, name.span, m).help(help));
        }
        for a in args {
            self.value(&a.value, "argument");
        }
        Call { callee: Callee::Operator(Operator::Identity), span: name.span, args: Vec::new() }
    }

    fn bind(&mut self, name: &Ident, args: &[ast::Arg], params: &[ParamType]) -> Vec<(usize, Expr)> {
        let mut bound: Vec<(usize, Expr)> = Vec::new();
        let mut named_before = false;
        for (position, a) in args.iter().enumerate() {
            let at = match &a.name {
                None if named_before => {
                    self.found.push(
                        Diagnostic::error(
                            codes::ARGUMENTS,
                            a.value.span,
                            "a value without a name stands behind a named one",
                        )
                        .help("write the unnamed arguments first"),
                    );
                    None
                }
                None => {
                    if position >= params.len() {
                        let m = format!(
                            "`{}` takes {} arguments, this is number {}",
                            name.name,
                            params.len(),
                            position + 1
                        );
                        self.found.push(
                            Diagnostic::error(codes::ARGUMENTS, a.value.span, m).help(usage(name, params)),
                        );
                    }
                    (position < params.len()).then_some(position)
                }
                Some(n) => {
                    named_before = true;
                    let at = params.iter().position(|p| p.name == n.name);
                    if at.is_none() {
                        let help = did_you_mean(
                            &n.name,
                            params.iter().map(|p| p.name.as_str()),
                            &usage(name, params),
                        );
                        let m = format!("`{}` has no parameter `{}`", name.name, n.name);
                        self.found.push(Diagnostic::error(codes::ARGUMENTS, n.span, m).help(help));
                    }
                    at
                }
            };
            let Some((at, param)) = at.and_then(|i| params.get(i).map(|p| (i, p))) else {
                self.value(&a.value, "argument");
                continue;
            };
            if bound.iter().any(|(i, _)| *i == at) {
                let m = format!("`{}` is given twice", param.name);
                self.found.push(
                    Diagnostic::error(codes::ARGUMENTS, a.value.span, m).help("give every parameter once"),
                );
            }
            let value = self.typed(&a.value, param.ty, &param.name).0;
            bound.push((at, value));
        }
        {
            let missing: Vec<&str> = params
                .iter()
                .enumerate()
                .filter(|(i, p)| p.required && !bound.iter().any(|(j, _)| j == i))
                .map(|(_, p)| p.name.as_str())
                .collect();
            if !missing.is_empty() {
                let m = format!("`{}` needs `{}`", name.name, missing.join("`, `"));
                self.found.push(Diagnostic::error(codes::ARGUMENTS, name.span, m).help(usage(name, params)));
            }
        }
        bound
    }

    // ---- expressions ----

    fn typed(&mut self, e: &ast::Expr, wanted: Type, name: &str) -> (Expr, Type) {
        let (value, ty) = self.value(e, name);
        if !wanted.takes(ty) {
            let m = format!("this is {}, `{name}` takes {}", ty.name(), wanted.name());
            let help = match (wanted, ty) {
                (Type::Bool, _) => "write `true`, `false`, or a comparison such as `x == 1`".to_string(),
                (Type::Number, Type::Text) => "write the number without quotes".to_string(),
                (Type::Block, _) => "write the name of an operator or block, for instance `silu`".to_string(),
                _ => format!("write {}", wanted.name()),
            };
            self.found.push(Diagnostic::error(codes::TYPE, e.span, m).help(help));
        }
        (value, ty)
    }

    /// The name of a choice, numbered where a statement makes several under one name.
    fn choice_name(&mut self, hint: &str) -> Arc<str> {
        let n = self.frame.named.entry(hint.to_string()).or_insert(0);
        *n += 1;
        if *n == 1 {
            hint.into()
        } else {
            format!("{hint}_{n}").into()
        }
    }

    /// The alternatives of a choice or range, and their common type.
    fn options(&mut self, e: &ast::Expr, hint: &str) -> (Vec<(Arc<str>, Expr)>, Type) {
        let number = |x: f64, span: Span| -> (Arc<str>, Expr) {
            (x.to_string().into(), Expr { kind: ExprKind::Number(x), span })
        };
        let mut options: Vec<(Arc<str>, Expr)> = Vec::new();
        let mut common = Type::Any;
        match &e.kind {
            ast::ExprKind::Choice { options: args, .. } => {
                let mut seen: BTreeMap<Arc<str>, Span> = BTreeMap::new();
                for a in args {
                    if let Some(n) = &a.name {
                        self.found.push(
                            Diagnostic::error(
                                codes::ARGUMENTS,
                                n.span,
                                "alternatives of `choice` have no names",
                            )
                            .help("remove the name; `one_of` has labelled alternatives"),
                        );
                    }
                    let (more, ty) = match &a.value.kind {
                        ast::ExprKind::Range { .. } => self.options(&a.value, hint),
                        other => {
                            let (value, ty) = self.value(&a.value, hint);
                            let label = match other {
                                ast::ExprKind::Text(t) => t.clone(),
                                _ => crate::syntax::print_expr(&a.value),
                            };
                            (vec![(label.into(), value)], ty)
                        }
                    };
                    if !common.takes(ty) {
                        let m = format!(
                            "this is {}, the alternatives before it are {}",
                            ty.name(),
                            common.name()
                        );
                        self.found.push(
                            Diagnostic::error(codes::TYPE, a.value.span, m)
                                .help("the alternatives of a `choice` are of one type"),
                        );
                    } else if common == Type::Any {
                        common = ty;
                    }
                    for (label, value) in more {
                        if let Some(first) = seen.insert(label.clone(), a.value.span) {
                            self.found.push(
                                Diagnostic::error(
                                    codes::CHOICE,
                                    a.value.span,
                                    format!("alternative `{label}` is there twice"),
                                )
                                .also(first, "first here")
                                .help("remove one of them"),
                            );
                            break;
                        }
                        options.push((label, value));
                    }
                    if options.len() > MOST_VALUES {
                        let m = format!("this choice has more than {MOST_VALUES} alternatives");
                        self.found.push(
                            Diagnostic::error(codes::CHOICE, e.span, m)
                                .help("offer fewer, or split it into two decisions"),
                        );
                        options.truncate(1);
                        break;
                    }
                }
                if args.is_empty() {
                    self.found.push(
                        Diagnostic::error(codes::CHOICE, e.span, "this choice has no alternatives")
                            .help("for instance `choice(8, 16, 24)`"),
                    );
                }
            }
            ast::ExprKind::Range { low, high, step } => {
                common = Type::Number;
                let mut bound = |part: &ast::Expr| {
                    let value = self.typed(part, Type::Number, "range").0;
                    let x = constant(&value);
                    if x.is_none() {
                        self.found.push(
                            Diagnostic::error(codes::CHOICE, part.span, "the ends and step of a range must be constant")
                                .help("use the widest range, and constrain it: `let w = 8..64 step 8` with `where w <= limit`"),
                        );
                    }
                    x
                };
                let (low, high) = (bound(low), bound(high));
                let step_value = step.as_ref().map_or(Some(1.0), |s| bound(s));
                if let (Some(a), Some(b), Some(s)) = (low, high, step_value) {
                    let steps = ((b - a) / s + 1e-9).floor();
                    if s <= 0.0 || steps < 0.0 {
                        let m = format!("the range {a}..{b} step {s} is empty");
                        self.found.push(Diagnostic::error(codes::CHOICE, e.span, m).help(
                            "write the smaller end first and a positive step; both ends belong to the range",
                        ));
                    } else if steps >= MOST_VALUES as f64 {
                        self.found.push(
                            Diagnostic::error(
                                codes::CHOICE,
                                e.span,
                                format!("the range has {} values", steps + 1.0),
                            )
                            .help(format!("a decision has at most {MOST_VALUES}; use a larger step")),
                        );
                    } else {
                        options.extend((0..=steps as usize).map(|i| number(a + i as f64 * s, e.span)));
                    }
                }
            }
            _ => {}
        }
        if options.is_empty() {
            options.push(number(1.0, e.span));
        }
        (options, common)
    }

    fn value(&mut self, e: &ast::Expr, hint: &str) -> (Expr, Type) {
        let span = e.span;
        let (kind, ty) = match &e.kind {
            ast::ExprKind::Number { value, unit } => {
                let scale = match unit.as_ref().map(|u| u.name.as_str()) {
                    None => 1.0,
                    Some("%") => 0.01,
                    Some("k") => 1e3,
                    Some("M") => 1e6,
                    Some(other) => {
                        let m = format!("a quantity in `{other}` has no place in a space");
                        self.found
                            .push(Diagnostic::error(codes::UNIT, span, m).help(
                                "numbers of a space are plain (or in k, M, %); limits stand in `goal`",
                            ));
                        1.0
                    }
                };
                (ExprKind::Number(value * scale), Type::Number)
            }
            ast::ExprKind::Text(t) => (ExprKind::Text(t.as_str().into()), Type::Text),
            ast::ExprKind::List(_) => {
                self.found.push(
                    Diagnostic::error(codes::TYPE, span, "a list has no place in a space")
                        .help("alternatives are written `choice(a, b, c)`"),
                );
                (ExprKind::Number(1.0), Type::Any)
            }
            ast::ExprKind::Path(segments) => self.path(segments, span),
            ast::ExprKind::Unary(op, x) => {
                let ty = if *op == Unary::Not { Type::Bool } else { Type::Number };
                let name = if *op == Unary::Not { "not" } else { "-" };
                let x = self.operand(x, ty, name, hint).0;
                (ExprKind::Unary(*op, Box::new(x)), ty)
            }
            ast::ExprKind::Binary(op, l, r) => {
                let (takes, gives) = binary_type(*op);
                let a = self.operand(l, takes, op.symbol(), hint);
                let b = self.operand(r, takes, op.symbol(), hint);
                if takes == Type::Any && !a.1.takes(b.1) {
                    let m = format!("{} is compared with {}", a.1.name(), b.1.name());
                    self.found.push(
                        Diagnostic::error(codes::TYPE, span, m)
                            .help("both sides of a comparison are of one type"),
                    );
                }
                (ExprKind::Binary(*op, Box::new(a.0), Box::new(b.0)), gives)
            }
            ast::ExprKind::If(c, a, b) => {
                let c = self.operand(c, Type::Bool, "if", hint).0;
                let (a, ty) = self.value(a, hint);
                let (b, other) = self.value(b, hint);
                if !ty.takes(other) {
                    let m = format!("one side is {}, the other {}", ty.name(), other.name());
                    self.found.push(Diagnostic::error(codes::TYPE, span, m).help("both are of one type"));
                }
                (
                    ExprKind::If(Box::new(c), Box::new(a), Box::new(b)),
                    if ty == Type::Any { other } else { ty },
                )
            }
            ast::ExprKind::Call(name, args) => {
                if let Some((_, f, arity)) = Function::ALL.iter().find(|(n, ..)| *n == name.name) {
                    if !arity.contains(&args.len()) {
                        let wanted = match (arity.start(), arity.end()) {
                            (1, 1) => "one argument".to_string(),
                            (a, b) if a == b => format!("{a} arguments"),
                            (a, b) => format!("{a} to {b} arguments"),
                        };
                        let m = format!("`{}` takes {wanted}, not {}", name.name, args.len());
                        let example = if *arity.end() == 1 { "x" } else { "x, 8" };
                        self.found.push(
                            Diagnostic::error(codes::ARGUMENTS, span, m)
                                .help(format!("for instance `{}({example})`", name.name)),
                        );
                    }
                    if let Some(n) = args.iter().find_map(|a| a.name.as_ref()) {
                        self.found.push(
                            Diagnostic::error(
                                codes::ARGUMENTS,
                                n.span,
                                "arguments of functions have no names",
                            )
                            .help("write the value alone"),
                        );
                    }
                    let values = args
                        .iter()
                        .map(|a| self.operand(&a.value, Type::Number, &name.name, hint).0)
                        .collect();
                    (ExprKind::Function(*f, values), Type::Number)
                } else {
                    (ExprKind::Block(Box::new(self.call(name, args))), Type::Block)
                }
            }
            ast::ExprKind::Choice { shared, .. } => {
                self.no_constraint(span);
                let name = self.choice_name(hint);
                let (options, ty) = self.options(e, hint);
                (ExprKind::Choice { name, shared: *shared, options }, ty)
            }
            ast::ExprKind::Range { .. } => {
                self.no_constraint(span);
                let name = self.choice_name(hint);
                let (options, ty) = self.options(e, hint);
                (ExprKind::Choice { name, shared: false, options }, ty)
            }
        };
        (Expr { kind, span }, ty)
    }

    /// Decisions are not made in constraints.
    fn no_constraint(&mut self, span: Span) {
        if self.frame.constraint {
            self.found.push(
                Diagnostic::error(codes::CHOICE, span, "a constraint cannot make a decision").help(
                    "make it with `let` and name it here; a range of values is `low <= x and x <= high`",
                ),
            );
        }
    }

    /// An operand: typed against an operator, but its choices are named by the whole expression.
    fn operand(&mut self, e: &ast::Expr, wanted: Type, operator: &str, hint: &str) -> (Expr, Type) {
        let (value, ty) = self.value(e, hint);
        if !wanted.takes(ty) {
            let m = format!("this is {}, `{operator}` takes {}", ty.name(), wanted.name());
            self.found
                .push(Diagnostic::error(codes::TYPE, e.span, m).help(format!("write {}", wanted.name())));
        }
        (value, ty)
    }

    fn path(&mut self, segments: &[Segment], span: Span) -> (ExprKind, Type) {
        let names: Vec<&str> = segments
            .iter()
            .map(|s| match s {
                Segment::Name(n) => n.as_str(),
                Segment::Index(_) => "",
            })
            .collect();
        if let ["in", field] = names.as_slice() {
            let known = [
                ("channels", Field::Channels),
                ("height", Field::Height),
                ("width", Field::Width),
                ("tokens", Field::Tokens),
                ("groups", Field::Groups),
            ];
            if let Some((_, f)) = known.iter().find(|(n, _)| n == field) {
                return (ExprKind::Input(*f), Type::Number);
            }
            let help = did_you_mean(
                field,
                known.map(|k| k.0),
                "there are `in.channels`, `in.height`, `in.width`, `in.tokens`, `in.groups`",
            );
            self.found.push(
                Diagnostic::error(codes::UNKNOWN_NAME, span, format!("the input has no `{field}`"))
                    .help(help),
            );
            return (ExprKind::Number(1.0), Type::Any);
        }
        if let [name] = names.as_slice() {
            if let Some((slot, ty)) = self.local(name) {
                return (ExprKind::Slot(slot), ty);
            }
            match *name {
                "same" | "valid" => return (ExprKind::Text((*name).into()), Type::Text),
                "true" | "false" => return (ExprKind::Bool(*name == "true"), Type::Bool),
                "classes" => return (ExprKind::Number(self.classes as f64), Type::Number),
                _ => {}
            }
            if Operator::find(name).is_some() || self.by_name.contains_key(*name) {
                let ident = Ident { name: (*name).to_string(), span };
                return (ExprKind::Block(Box::new(self.call(&ident, &[]))), Type::Block);
            }
        }
        let shown = crate::syntax::print_path(segments);
        if shown.is_empty() || self.lost.contains(&shown.as_str()) {
            return (ExprKind::Number(1.0), Type::Any);
        }
        if self.frame.constraint {
            let query = segments
                .iter()
                .map(|s| match s {
                    Segment::Name(n) => n.clone(),
                    Segment::Index(i) => format!("[{i}]"),
                })
                .collect();
            return (ExprKind::Decision(query), Type::Any);
        }
        let locals: Vec<String> =
            self.frame.scopes.iter().rev().flat_map(|s| s.keys().cloned()).take(400).collect();
        let candidates = locals
            .iter()
            .map(String::as_str)
            .chain(CONSTANTS.iter().map(|c| c.0))
            .chain(Operator::NAMES.iter().map(|o| o.0))
            .chain(Function::ALL.iter().map(|f| f.0));
        let or = if segments.len() > 1 {
            "decisions can be named by their paths in `where` only; give the value a name with `let`"
        } else {
            "give it a value with `let`, or make it a parameter"
        };
        let help = did_you_mean(&shown, candidates, or);
        self.found.push(
            Diagnostic::error(codes::UNKNOWN_NAME, span, format!("`{shown}` is not defined")).help(help),
        );
        (ExprKind::Number(1.0), Type::Any)
    }

    // ---- recursion ----

    fn recursion(&mut self, blocks: &[Block]) {
        let calls: Vec<Vec<usize>> = blocks.iter().map(super::calls::of_block).collect();
        for (i, b) in self.asts.clone().iter().enumerate() {
            let mut seen = vec![false; blocks.len()];
            let mut stack = calls.get(i).cloned().unwrap_or_default();
            let mut recursive = false;
            while let Some(j) = stack.pop() {
                recursive |= i == j;
                if let Some(s) = seen.get_mut(j).filter(|s| !**s) {
                    *s = true;
                    stack.extend(calls.get(j).into_iter().flatten());
                }
            }
            if recursive {
                let m = format!("block `{}` contains itself", b.name.name);
                self.found.push(
                    Diagnostic::error(codes::RECURSION, b.name.span, m)
                        .help("use `repeat` to apply a body several times"),
                );
            }
        }
    }
}

/// A block's or operator's parameters.
fn usage(name: &Ident, params: &[ParamType]) -> String {
    if params.is_empty() {
        return format!("`{}` takes no arguments", name.name);
    }
    let list: Vec<String> =
        params.iter().map(|p| if p.required { p.name.clone() } else { format!("{} = ..", p.name) }).collect();
    format!("it is called `{}({})`", name.name, list.join(", "))
}

/// The value of an expression without names and decisions.
pub(super) fn constant(e: &Expr) -> Option<f64> {
    use crate::syntax::ast::Binary;
    Some(match &e.kind {
        ExprKind::Number(x) => *x,
        ExprKind::Unary(Unary::Minus, x) => -constant(x)?,
        ExprKind::Binary(op, l, r) => {
            let (a, b) = (constant(l)?, constant(r)?);
            match op {
                Binary::Add => a + b,
                Binary::Sub => a - b,
                Binary::Mul => a * b,
                Binary::Div if b != 0.0 => a / b,
                _ => return None,
            }
        }
        ExprKind::Function(f, args) => f.apply(&args.iter().map(constant).collect::<Option<Vec<_>>>()?)?,
        _ => return None,
    })
}
