//! Runs a space: a value for every decision that is met, one network out.

use super::operator::Operator;
use super::program::{
    Body, Call, Callee, Count, Element, ElementKind, Expr, ExprKind, Field, Join, Program, Statement,
};
use super::scope::{DecisionId, ScopeId, Scopes};
use super::value::{BlockValue, Target, Value};
use crate::codes;
use crate::diag::Diagnostic;
use crate::graph::{Fact, NodeId, Op, ShapeError};
use crate::source::Span;
use crate::syntax::ast::{Binary, Unary};
use std::collections::HashMap;
use std::sync::Arc;

/// Why a run stopped.
#[derive(Debug, Clone)]
pub(crate) enum Stop {
    /// This point breaks a `where`.
    Constraint,
    /// This point is not a network.
    Error(Box<Diagnostic>),
}

impl From<Diagnostic> for Stop {
    fn from(d: Diagnostic) -> Self {
        Stop::Error(Box::new(d))
    }
}

impl From<Box<Diagnostic>> for Stop {
    fn from(d: Box<Diagnostic>) -> Self {
        Stop::Error(d)
    }
}

/// Where the operators go.
pub(crate) trait Sink {
    /// Takes an operator; gives its node and what it computes.
    fn op(&mut self, op: Op, scope: &str, span: Span, inputs: &[Flow]) -> Result<Flow, Box<Diagnostic>>;
}

/// A value on its way: where it comes from, and its shape.
pub(crate) type Flow = (NodeId, Fact);

/// A sink that only checks shapes. Its nodes are all alike, but for [`doubtful`].
pub(crate) struct Shapes;

/// The node of what flows behind a mistake: what is wrong there may only follow from that.
fn doubtful() -> NodeId {
    NodeId::new(1)
}

impl Sink for Shapes {
    fn op(&mut self, op: Op, _scope: &str, span: Span, inputs: &[Flow]) -> Result<Flow, Box<Diagnostic>> {
        let fact = match inputs {
            [one] => op.infer(&[one.1]),
            several => op.infer(&several.iter().map(|i| i.1).collect::<Vec<_>>()),
        };
        let wrong = |e: ShapeError| Diagnostic::error(codes::SHAPE, span, e.message).help(e.help);
        let fact = fact.map_err(|e| Box::new(wrong(e)))?;
        // Behind a mistake if any input is.
        Ok((inputs.iter().map(|i| i.0).max().unwrap_or_default(), fact))
    }
}

/// What a run met.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// The values of the decisions that exist.
    pub(crate) chosen: Vec<Option<u32>>,
    /// Outcomes of the guards: which branch of a `when`, how often a given `repeat`.
    pub(crate) guards: HashMap<(ScopeId, Span), usize>,
}

/// One run.
pub(crate) struct Run<'a, S> {
    program: &'a Program,
    scopes: &'a Scopes,
    choose: &'a mut dyn FnMut(DecisionId) -> u32,
    pub(crate) sink: S,
    /// Go on after an operator that does not fit, as if it were not there: what constraints say of
    /// the point, and other mistakes, are wanted all the same. The errors are kept here, without those
    /// that may only follow from others.
    pub(crate) lenient: Option<Vec<Diagnostic>>,
    chosen: Vec<Option<u32>>,
    values: Vec<Option<Value>>,
    guards: HashMap<(ScopeId, Span), usize>,
    /// The uses of blocks that led here.
    calls: Vec<(Span, Arc<str>)>,
}

/// The dynamic context of an expression or element.
#[derive(Clone, Copy)]
struct Context {
    scope: ScopeId,
    /// The same place with the numbers of iterations left out.
    shared: ScopeId,
    /// What flows here.
    input: Flow,
    /// What flowed into the block: the `in` of the language.
    entry: Fact,
}

type Frame = Vec<Option<Value>>;

impl<'a, S: Sink> Run<'a, S> {
    pub(crate) fn new(
        program: &'a Program,
        scopes: &'a Scopes,
        choose: &'a mut dyn FnMut(DecisionId) -> u32,
        sink: S,
    ) -> Self {
        let n = scopes.infos.len();
        Run {
            program,
            scopes,
            choose,
            sink,
            lenient: None,
            chosen: vec![None; n],
            values: vec![None; n],
            guards: HashMap::new(),
            calls: Vec::new(),
        }
    }

    /// Runs the space from the input to the class scores.
    pub(crate) fn run(&mut self, input: NodeId) -> Result<Flow, Stop> {
        let program = self.program;
        let mut frame: Frame = vec![None; program.slots];
        let context = Context { scope: 0, shared: 0, input: (input, program.input), entry: program.input };
        let out = match self.body(&program.body, &mut frame, &context) {
            Err(Stop::Error(d)) if d.labels.is_empty() => return Err(Stop::Error(self.located(d))),
            other => other?,
        };
        if out.1 != (Fact::Vector { n: program.classes }) {
            let m = format!(
                "the network ends in a {} of {}, not in {} class scores",
                out.1.kind(),
                out.1,
                program.classes
            );
            let d = Diagnostic::error(codes::SHAPE, last(&program.body).unwrap_or(program.span), m)
                .help("end the space with `global_avg_pool > linear(classes)`");
            return self.forgive(d.into(), &[out], &context, false);
        }
        Ok(out)
    }

    /// What was met, whether the run ended well or not.
    pub(crate) fn trace(self) -> (Trace, S) {
        (Trace { chosen: self.chosen, guards: self.guards }, self.sink)
    }

    fn body(&mut self, body: &Body, frame: &mut Frame, context: &Context) -> Result<Flow, Stop> {
        let mut at = *context;
        for s in &body.statements {
            match s {
                Statement::Let { slot, value } => {
                    let v = self.expr(value, frame, &at)?;
                    set(frame, *slot, v);
                }
                Statement::Chain(c) => at.input = self.chain(c, frame, &at)?,
            }
        }
        for c in &body.constraints {
            // A constraint on decisions that do not exist holds.
            let mut absent = false;
            self.absent(c, at.scope, &mut absent);
            if !absent && self.expr(c, frame, &at)? == Value::Bool(false) {
                return Err(Stop::Constraint);
            }
        }
        Ok(at.input)
    }

    fn chain(&mut self, chain: &[Element], frame: &mut Frame, context: &Context) -> Result<Flow, Stop> {
        let mut at = *context;
        for e in chain {
            at.input = self.element(e, frame, &at)?;
        }
        Ok(at.input)
    }

    fn enter(&self, at: &Context, name: &str) -> Context {
        Context {
            scope: self.scopes.child(at.scope, name),
            shared: self.scopes.child(at.shared, name),
            ..*at
        }
    }

    fn element(&mut self, e: &Element, frame: &mut Frame, outer: &Context) -> Result<Flow, Stop> {
        let labelled = e.label.as_ref().map(|l| self.enter(outer, l));
        let at = labelled.as_ref().unwrap_or(outer);
        match &e.kind {
            ElementKind::Stage(call) => {
                if let Some(held) = held(call, frame) {
                    return self.apply(held.target, &held.args, at, e, call);
                }
                match self.args(call, frame, at) {
                    Ok(args) => self.apply(target(call), &args, at, e, call),
                    Err(Stop::Error(d)) => {
                        let certain = call.args.iter().all(|(_, a)| constant(a));
                        self.forgive(d, &[at.input], at, certain)
                    }
                    Err(stop) => Err(stop),
                }
            }
            ElementKind::Group(body) => self.body(body, frame, at),
            ElementKind::Residual { condition, body } => {
                let joined = match condition {
                    Some(c) => self.expr(c, frame, at)? == Value::Bool(true),
                    None => true,
                };
                let out = self.body(body, frame, at)?;
                if joined {
                    if Op::Add.infer(&[out.1, at.input.1]).is_err() {
                        let m = format!(
                            "`residual` adds {} to {}: its body changes the shape",
                            at.input.1, out.1
                        );
                        let d = Diagnostic::error(codes::SHAPE, e.span, m).help(
                            "keep width and size in the body, or add only where they are kept: \
                             `residual when stride == 1 and width == in.channels { .. }`",
                        );
                        return self.forgive(d.into(), &[out, at.input], at, false);
                    }
                    self.emit(Op::Add, at, e.span, &[out, at.input])
                } else {
                    Ok(out)
                }
            }
            ElementKind::Parallel { join, branches } => {
                let mut outs = Vec::with_capacity(branches.len());
                for (label, chain) in branches {
                    let inner = label.as_ref().map(|l| self.enter(at, l));
                    outs.push(self.chain(chain, frame, inner.as_ref().unwrap_or(at))?);
                }
                // The operators take a broadcast vector second.
                if let ([(_, Fact::Vector { .. }), (_, Fact::Map { .. })], Join::Add | Join::Mul) =
                    (outs.as_slice(), join)
                {
                    outs.reverse();
                }
                let op = match join {
                    Join::Add => Op::Add,
                    Join::Mul => Op::Mul,
                    Join::Concat => Op::Concat,
                    Join::MatMul => Op::MatMul,
                };
                self.emit(op, at, e.span, &outs)
            }
            ElementKind::Repeat { name, count, index, body } => {
                let n = match count {
                    Count::Searched(counts) => {
                        let picked = match name.as_ref().and_then(|n| self.scopes.decision(at.scope, n)) {
                            Some(id) => self.decide(id, counts.len())?,
                            None => 0,
                        };
                        let n = counts.get(picked).copied().unwrap_or(0);
                        if let Some(id) = name.as_ref().and_then(|n| self.scopes.decision(at.scope, n)) {
                            set(&mut self.values, id, Value::Number(n as f64));
                        }
                        n
                    }
                    Count::Given(expr) => {
                        let n = match self.expr(expr, frame, at)? {
                            Value::Number(x) if x >= 0.0 && x.fract() == 0.0 && x <= 256.0 => x as usize,
                            v => {
                                let d = Diagnostic::error(
                                    codes::VALUE,
                                    expr.span,
                                    format!("the count of `repeat` is {v}"),
                                );
                                return Err(d
                                    .help("it must be a whole number from 0 to 256; use `floor` or `round`")
                                    .into());
                            }
                        };
                        self.guards.insert((at.scope, e.span), n);
                        n
                    }
                };
                let label = name.as_deref().unwrap_or("repeat");
                let mut flow = at.input;
                for i in 0..n {
                    let inner = Context {
                        scope: self.scopes.iteration(at.scope, label, i),
                        shared: self.scopes.child(at.shared, label),
                        input: flow,
                        ..*at
                    };
                    if let Some(slot) = index {
                        set(frame, *slot, Value::Number((i + 1) as f64));
                    }
                    flow = self.body(body, frame, &inner)?;
                }
                Ok(flow)
            }
            ElementKind::OneOf { name, branches } => {
                let picked = match self.scopes.decision(at.scope, name) {
                    Some(id) => {
                        let i = self.decide(id, branches.len())?;
                        if let Some((label, _)) = branches.get(i) {
                            set(&mut self.values, id, Value::Text(label.clone()));
                        }
                        i
                    }
                    None => 0,
                };
                match branches.get(picked) {
                    Some((label, chain)) => {
                        let inner = self.enter(&self.enter(at, name), label);
                        self.chain(chain, frame, &inner)
                    }
                    None => Ok(at.input),
                }
            }
            ElementKind::Optional { name, body } => {
                let on = match self.scopes.decision(at.scope, name) {
                    Some(id) => {
                        let on = self.decide(id, 2)? == 1;
                        set(&mut self.values, id, Value::Bool(on));
                        on
                    }
                    None => false,
                };
                if on {
                    self.body(body, frame, &self.enter(at, name))
                } else {
                    Ok(at.input)
                }
            }
            ElementKind::When { condition, then, otherwise } => {
                let holds = self.expr(condition, frame, at)? == Value::Bool(true);
                self.guards.insert((at.scope, e.span), usize::from(holds));
                self.body(if holds { then } else { otherwise }, frame, at)
            }
        }
    }

    fn emit(&mut self, op: Op, at: &Context, span: Span, inputs: &[Flow]) -> Result<Flow, Stop> {
        let made = self.sink.op(op, self.scopes.path(at.scope), span, inputs);
        made.or_else(|d| self.forgive(d, inputs, at, false))
    }

    /// Points at the line of the spec's own files that led to a mistake inside a block.
    fn located(&self, mut d: Box<Diagnostic>) -> Box<Diagnostic> {
        let own = |s: Span| s.file != crate::check::PRELUDE_FILE;
        let Some((call, name)) = self.calls.iter().rev().find(|(s, _)| own(*s)) else { return d };
        if own(d.span) {
            return d.also(*call, format!("in this use of `{name}`")).into();
        }
        let inner = std::mem::replace(&mut d.span, *call);
        d.also(inner, "there, in the prelude").into()
    }

    /// Keeps an error in a lenient run, unless it may only follow from an earlier one: `from` flows into
    /// it from behind that, and it is not `certain` whatever flows. Else the run ends with it.
    fn forgive(
        &mut self,
        d: Box<Diagnostic>,
        from: &[Flow],
        at: &Context,
        certain: bool,
    ) -> Result<Flow, Stop> {
        let d = self.located(d);
        match &mut self.lenient {
            Some(errors) => {
                if certain || from.iter().all(|f| f.0 != doubtful()) {
                    errors.push(*d);
                }
                Ok((doubtful(), at.input.1))
            }
            None => Err(d.into()),
        }
    }

    /// The arguments of a call, evaluated.
    fn args(&mut self, call: &Call, frame: &mut Frame, at: &Context) -> Result<Vec<(usize, Value)>, Stop> {
        let mut args = Vec::with_capacity(call.args.len());
        for (i, e) in &call.args {
            args.push((*i, self.expr(e, frame, at)?));
        }
        Ok(args)
    }

    /// Applies an operator or block to the value that flows in; the stage and its call are where.
    fn apply(
        &mut self,
        target: Target,
        args: &[(usize, Value)],
        at: &Context,
        stage: &Element,
        call: &Call,
    ) -> Result<Flow, Stop> {
        let span = stage.span;
        match target {
            Target::Operator(op) => {
                match op.make(args, at.input.1) {
                    Ok(Some(made)) => self.emit(made, at, span, &[at.input]),
                    Ok(None) => Ok(at.input),
                    Err(wrong) => {
                        // The argument, where it is written here and not where a name was given its value.
                        let here = matches!(call.callee, Callee::Operator(_));
                        let given = call.args.iter().find(|(i, _)| *i == wrong.argument && here);
                        let place = given.map_or(span, |(_, e)| e.span);
                        let certain = !wrong.by_input && given.is_some_and(|(_, e)| constant(e));
                        let d = Diagnostic::error(codes::VALUE, place, wrong.message).help(wrong.help);
                        self.forgive(d.into(), &[at.input], at, certain)
                    }
                }
            }
            Target::Block(i) => {
                let Some(block) = self.program.blocks.get(i) else { return Ok(at.input) };
                let inner = if stage.label.is_some() { *at } else { self.enter(at, &block.name) };
                let at = &Context { entry: at.input.1, ..inner };
                self.calls.push((span, block.name.clone()));
                let mut frame: Frame = vec![None; block.slots];
                for (i, v) in args {
                    set(&mut frame, *i, v.clone());
                }
                for (slot, p) in block.params.iter().enumerate() {
                    if let (Some(None), Some(d)) = (frame.get(slot), &p.default) {
                        let v = self.expr(d, &mut frame, at)?;
                        set(&mut frame, slot, v);
                    }
                }
                let out = self.body(&block.body, &mut frame, at)?;
                self.calls.pop();
                Ok(out)
            }
        }
    }

    /// The index chosen for a decision; asked for once.
    fn decide(&mut self, id: DecisionId, alternatives: usize) -> Result<usize, Stop> {
        if let Some(Some(i)) = self.chosen.get(id) {
            return Ok(*i as usize);
        }
        let i = (self.choose)(id);
        if (i as usize) >= alternatives {
            let path = self.scopes.infos.get(id).map_or("", |d| d.path.as_str());
            let m = format!("`{path}` has {alternatives} alternatives, number {i} is not one");
            return Err(Diagnostic::error(codes::POINT, self.program.span, m)
                .help("give a valid point")
                .into());
        }
        set(&mut self.chosen, id, i);
        Ok(i as usize)
    }

    fn expr(&mut self, e: &Expr, frame: &mut Frame, at: &Context) -> Result<Value, Stop> {
        Ok(match &e.kind {
            ExprKind::Number(x) => Value::Number(*x),
            ExprKind::Bool(b) => Value::Bool(*b),
            ExprKind::Text(t) => Value::Text(t.clone()),
            ExprKind::Slot(i) => frame.get(*i).cloned().flatten().unwrap_or(Value::Number(0.0)),
            ExprKind::Input(f) => Value::Number(field(*f, at.entry, e.span)? as f64),
            ExprKind::Unary(Unary::Not, x) => Value::Bool(self.expr(x, frame, at)? != Value::Bool(true)),
            ExprKind::Unary(Unary::Minus, x) => Value::Number(-self.number(x, frame, at)?),
            ExprKind::Binary(op, l, r) => self.binary(*op, l, r, frame, at, e.span)?,
            ExprKind::If(c, a, b) => {
                let holds = self.expr(c, frame, at)? == Value::Bool(true);
                self.expr(if holds { a } else { b }, frame, at)?
            }
            ExprKind::Function(f, args) => {
                let mut x = Vec::with_capacity(args.len());
                for a in args {
                    x.push(self.number(a, frame, at)?);
                }
                match f.apply(&x) {
                    Some(v) => Value::Number(v),
                    None => {
                        let x: Vec<String> = x.iter().map(f64::to_string).collect();
                        let m = format!("`{}` is not defined for {}", f.name(), x.join(", "));
                        let d = Diagnostic::error(codes::VALUE, e.span, m);
                        return Err(d
                            .help("keep the argument in the function's range, with `max` or `where`")
                            .into());
                    }
                }
            }
            ExprKind::Choice { name, shared, options } => {
                let scope = if *shared { at.shared } else { at.scope };
                let Some(id) = self.scopes.decision(scope, name) else { return Ok(Value::Number(0.0)) };
                let picked = self.decide(id, options.len())?;
                let Some((_, option)) = options.get(picked) else { return Ok(Value::Number(0.0)) };
                let inner = option_scope(option, self.program).map(|t| self.enter(&self.enter(at, name), t));
                let value = self.expr(option, frame, inner.as_ref().unwrap_or(at))?;
                set(&mut self.values, id, value.clone());
                value
            }
            ExprKind::Block(call) => Value::Block(match held(call, frame) {
                Some(held) => held,
                None => Arc::new(BlockValue { target: target(call), args: self.args(call, frame, at)? }),
            }),
            ExprKind::Decision(_) => {
                let id = self.scopes.queries.get(&(at.scope, e.span)).copied();
                id.and_then(|i| self.values.get(i).cloned().flatten()).unwrap_or(Value::Number(0.0))
            }
        })
    }

    fn number(&mut self, e: &Expr, frame: &mut Frame, at: &Context) -> Result<f64, Stop> {
        match self.expr(e, frame, at)? {
            Value::Number(x) => Ok(x),
            v => {
                let (kind, help) = match v {
                    Value::Text(_) => ("text", "texts are compared with `==` and `!=` only"),
                    Value::Bool(_) => ("truth value", "write its name alone, or `not` and its name"),
                    _ => ("operator or block", "compare numbers"),
                };
                let m = format!("a number is wanted here, this is the {kind} `{v}`");
                Err(Diagnostic::error(codes::TYPE, e.span, m).help(help).into())
            }
        }
    }

    fn binary(
        &mut self,
        op: Binary,
        l: &Expr,
        r: &Expr,
        frame: &mut Frame,
        at: &Context,
        span: Span,
    ) -> Result<Value, Stop> {
        match op {
            Binary::And | Binary::Or => {
                let left = self.expr(l, frame, at)? == Value::Bool(true);
                if left == (op == Binary::Or) {
                    return Ok(Value::Bool(left));
                }
                return Ok(Value::Bool(self.expr(r, frame, at)? == Value::Bool(true)));
            }
            Binary::Eq | Binary::Ne => {
                let same = self.expr(l, frame, at)? == self.expr(r, frame, at)?;
                return Ok(Value::Bool(same == (op == Binary::Eq)));
            }
            _ => {}
        }
        let (a, b) = (self.number(l, frame, at)?, self.number(r, frame, at)?);
        if b == 0.0 && matches!(op, Binary::Div | Binary::Mod) {
            return Err(Diagnostic::error(codes::VALUE, span, "division by zero")
                .help("constrain the divisor")
                .into());
        }
        Ok(match op {
            Binary::Add => Value::Number(a + b),
            Binary::Sub => Value::Number(a - b),
            Binary::Mul => Value::Number(a * b),
            Binary::Div => Value::Number(a / b),
            Binary::Mod => Value::Number(a.rem_euclid(b)),
            Binary::Le => Value::Bool(a <= b),
            Binary::Ge => Value::Bool(a >= b),
            Binary::Lt => Value::Bool(a < b),
            Binary::Gt => Value::Bool(a > b),
            Binary::Divides => Value::Bool(a != 0.0 && b.rem_euclid(a) == 0.0),
            Binary::And | Binary::Or | Binary::Eq | Binary::Ne => Value::Bool(false),
        })
    }

    /// Whether an expression names a decision that does not exist at this point.
    fn absent(&self, e: &Expr, scope: ScopeId, found: &mut bool) {
        match &e.kind {
            ExprKind::Decision(_) => {
                let id = self.scopes.queries.get(&(scope, e.span)).copied();
                *found |= id.is_none_or(|i| self.values.get(i).cloned().flatten().is_none());
            }
            ExprKind::Unary(_, x) => self.absent(x, scope, found),
            ExprKind::Binary(_, a, b) => [a, b].into_iter().for_each(|x| self.absent(x, scope, found)),
            ExprKind::If(a, b, c) => [a, b, c].into_iter().for_each(|x| self.absent(x, scope, found)),
            ExprKind::Function(_, args) => args.iter().for_each(|x| self.absent(x, scope, found)),
            _ => {}
        }
    }
}

/// The operator or block with arguments that a call's variable holds.
fn held(call: &Call, frame: &Frame) -> Option<Arc<BlockValue>> {
    let Callee::Slot(slot) = call.callee else { return None };
    match frame.get(slot) {
        Some(Some(Value::Block(b))) => Some(b.clone()),
        _ => None,
    }
}

/// What a call applies, unless a variable holds it.
fn target(call: &Call) -> Target {
    match call.callee {
        Callee::Operator(o) => Target::Operator(o),
        Callee::Block(i) => Target::Block(i),
        Callee::Slot(_) => Target::Operator(Operator::Identity),
    }
}

/// The last element of a body, where its result comes from.
fn last(body: &Body) -> Option<Span> {
    body.statements.iter().rev().find_map(|s| match s {
        Statement::Chain(c) => c.last().map(|e| e.span),
        Statement::Let { .. } => None,
    })
}

/// Whether an expression's value depends on decisions at most, not on names or on what flows.
fn constant(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Number(_) | ExprKind::Bool(_) | ExprKind::Text(_) => true,
        ExprKind::Unary(_, x) => constant(x),
        ExprKind::Binary(_, a, b) => constant(a) && constant(b),
        ExprKind::If(a, b, c) => constant(a) && constant(b) && constant(c),
        ExprKind::Function(_, args) => args.iter().all(constant),
        ExprKind::Choice { options, .. } => options.iter().all(|(_, o)| constant(o)),
        ExprKind::Slot(_) | ExprKind::Input(_) | ExprKind::Block(_) | ExprKind::Decision(_) => false,
    }
}

fn set<T>(all: &mut [Option<T>], at: usize, value: T) {
    if let Some(place) = all.get_mut(at) {
        *place = Some(value);
    }
}

/// The name under which the decisions inside an alternative stand: the block's or operator's.
pub(crate) fn option_scope<'a>(option: &Expr, program: &'a Program) -> Option<&'a str> {
    let ExprKind::Block(call) = &option.kind else { return None };
    match call.callee {
        Callee::Operator(o) => Some(o.name()),
        Callee::Block(i) => program.blocks.get(i).map(|b| &*b.name),
        Callee::Slot(_) => None,
    }
}

fn field(f: Field, fact: Fact, span: Span) -> Result<usize, Diagnostic> {
    let (name, value) = match (f, fact) {
        (Field::Channels, x) => return Ok(x.channels()),
        (Field::Height, Fact::Map { h, .. }) => return Ok(h),
        (Field::Width, Fact::Map { w, .. }) => return Ok(w),
        (Field::Tokens, Fact::Tokens { tokens, .. }) => return Ok(tokens),
        (Field::Groups, Fact::Tokens { groups, .. }) => return Ok(groups),
        (Field::Height, _) => ("height", "a feature map"),
        (Field::Width, _) => ("width", "a feature map"),
        (Field::Tokens, _) => ("tokens", "tokens"),
        (Field::Groups, _) => ("groups", "tokens"),
    };
    let m = format!("`in.{name}` needs {value}, here flows a {} of {fact}", fact.kind());
    Err(Diagnostic::error(codes::SHAPE, span, m).help("`in.channels` is there for every kind of value"))
}
