//! Expressions: choices, operators, and paths such as `in.channels`.

use super::{Resolver, MOST_VALUES};
use crate::check::names::{binary_type, did_you_mean, CONSTANTS};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::space::operator::{Operator, Type};
use crate::space::program::{Expr, ExprKind, Field, Function};
use crate::syntax::ast::{self, Ident, Segment, Unary};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Resolver<'_> {
    /// The name of a choice, numbered where a statement makes several under one name.
    pub(super) fn choice_name(&mut self, hint: &str) -> Arc<str> {
        let n = self.frame.named.entry(hint.to_string()).or_insert(0);
        *n += 1;
        if *n == 1 {
            hint.into()
        } else {
            format!("{hint}_{n}").into()
        }
    }

    /// The alternatives of a choice or range, and their common type.
    pub(super) fn options(&mut self, e: &ast::Expr, hint: &str) -> (Vec<(Arc<str>, Expr)>, Type) {
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

    pub(super) fn value(&mut self, e: &ast::Expr, hint: &str) -> (Expr, Type) {
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
    pub(super) fn no_constraint(&mut self, span: Span) {
        if self.frame.constraint {
            self.found.push(
                Diagnostic::error(codes::CHOICE, span, "a constraint cannot make a decision").help(
                    "make it with `let` and name it here; a range of values is `low <= x and x <= high`",
                ),
            );
        }
    }

    /// An operand: typed against an operator, but its choices are named by the whole expression.
    pub(super) fn operand(
        &mut self,
        e: &ast::Expr,
        wanted: Type,
        operator: &str,
        hint: &str,
    ) -> (Expr, Type) {
        let (value, ty) = self.value(e, hint);
        if !wanted.takes(ty) {
            let m = format!("this is {}, `{operator}` takes {}", ty.name(), wanted.name());
            self.found
                .push(Diagnostic::error(codes::TYPE, e.span, m).help(format!("write {}", wanted.name())));
        }
        (value, ty)
    }

    pub(super) fn path(&mut self, segments: &[Segment], span: Span) -> (ExprKind, Type) {
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
