//! Walks a space over all its branches at once, without choosing.
//!
//! It finds the decisions, the tree they form (for counting), and for every place where something can
//! go wrong the decisions that this depends on (for checking). Values are sets of what a value can
//! be, with the decisions it depends on; the sets ignore correlations, so they may hold values that no
//! point has, but never miss one.

use super::operator::Operator;
use super::point::DecisionKind;
use super::program::{
    Body, Call, Callee, Count, Element, ElementKind, Expr, ExprKind, Field, Join, Program, Statement,
};
use super::run::option_scope;
use super::scope::{Decision, DecisionId, ScopeId, Scopes};
use super::value::Target;
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Decisions that something depends on.
pub(crate) type Deps = BTreeSet<DecisionId>;

/// The decisions in the order they are met, and what exists only for some of their values.
pub(crate) type Tree = Vec<Node>;

/// A place in the tree of decisions.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// One subtree per value, or none where no value brings decisions of its own.
    Decision { id: DecisionId, children: Vec<Tree> },
    /// Value `i` brings the bodies of the first `counts[i]` iterations.
    Repeat { id: DecisionId, counts: Vec<usize>, bodies: Vec<Tree> },
    /// A `when` with decisions inside: which branch counts is for a run to say.
    When { key: (ScopeId, Span), branches: [Tree; 2] },
    /// A `repeat` of a given count with decisions inside.
    Given { key: (ScopeId, Span), bodies: Vec<Tree> },
}

/// What exploration finds.
pub(crate) struct Explored {
    /// Elements visited: about what one run costs.
    pub(crate) elements: usize,
    pub(crate) scopes: Scopes,
    pub(crate) tree: Tree,
    /// For each place that can fail, what it depends on.
    pub(crate) supports: BTreeSet<Deps>,
    /// What constraints and guards that decisions hang on depend on.
    pub(crate) coupled: Deps,
    /// Decisions that reach an operator or the structure.
    pub(crate) used: Deps,
    pub(crate) found: Vec<Diagnostic>,
}

/// More possible values than this are not followed one by one.
const MANY: usize = 1024;
/// More rows of arguments than this are not computed for one expression.
const MANY_ROWS: usize = 1 << 14;
/// More elements than this and the walk gives up: the spec is out of proportion.
const MANY_ELEMENTS: usize = 50_000;
/// Elements within each other, through all blocks: bounds the stack.
const DEEP: usize = 128;
/// More decisions than this cannot be searched, nor listed.
const MANY_DECISIONS: usize = 1024;
/// Operators and blocks that one value may hold (a block that takes blocks that take blocks ..).
const LARGE_VALUE: usize = 1024;

#[derive(Debug, Clone)]
enum Kind {
    Numbers(Vec<f64>),
    Blocks(Vec<AbstractBlock>),
    Other,
}

#[derive(Debug, Clone)]
struct Abstract {
    kind: Kind,
    deps: Deps,
}

#[derive(Debug, Clone)]
struct AbstractBlock {
    target: Target,
    args: Arc<Vec<(usize, Abstract)>>,
    /// Blocks in it, itself included.
    size: usize,
}

impl Abstract {
    /// Blocks in it.
    fn size(&self) -> usize {
        match &self.kind {
            Kind::Blocks(b) => b.iter().fold(0, |n, b| n.saturating_add(b.size)),
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Map,
    Tokens,
    Vector,
    Mixed,
}

/// One aspect of a value: what it depends on, and which version of it this is. Two branches that give
/// the same version give the same value, whichever is taken.
#[derive(Debug, Clone, Default)]
struct Part {
    deps: Deps,
    version: usize,
}

impl Part {
    fn join(&mut self, other: &Part, by: &Deps) {
        self.deps.extend(&other.deps);
        if self.version != other.version {
            self.deps.extend(by);
            // Different from both, and the same in every order of joining.
            self.version = self.version.max(other.version).wrapping_mul(31) ^ self.version.min(other.version);
        }
    }
}

/// What flows: which kind, and what its parts depend on.
#[derive(Debug, Clone)]
struct Flow {
    shape: Shape,
    /// Which kind it is.
    kind: Deps,
    channels: Part,
    space: Part,
    /// What `space` was before `unfold`: `fold` brings it back.
    unfolded: Part,
}

impl Flow {
    fn all(&self) -> Deps {
        let mut d = self.kind.clone();
        d.extend(&self.channels.deps);
        d.extend(&self.space.deps);
        d
    }

    fn join(mut self, other: &Flow, by: &Deps) -> Flow {
        if self.shape != other.shape {
            self.shape = Shape::Mixed;
            self.kind.extend(by);
        }
        self.kind.extend(&other.kind);
        self.channels.join(&other.channels, by);
        self.space.join(&other.space, by);
        self.unfolded.join(&other.unfolded, by);
        self
    }
}

#[derive(Clone)]
struct Context {
    scope: ScopeId,
    shared: ScopeId,
    flow: Flow,
    /// What flowed into the block: the `in` of the language.
    entry: Flow,
}

type Frame = Vec<Option<Abstract>>;

/// Explores a program that has passed the check of names and types.
pub(crate) fn explore(program: &Program) -> Explored {
    let mut e = Explorer {
        program,
        out: Explored {
            elements: 0,
            scopes: Scopes::new(),
            tree: Tree::new(),
            supports: BTreeSet::new(),
            coupled: Deps::new(),
            used: Deps::new(),
            found: Vec::new(),
        },
        owners: Vec::new(),
        control: Vec::new(),
        optionals: Deps::new(),
        firsts: Vec::new(),
        uses: Vec::new(),
        elements: 0,
        depth: 0,
        stopped: false,
        versions: 0,
    };
    let flow = Flow {
        shape: Shape::Map,
        kind: Deps::new(),
        channels: Part::default(),
        space: Part::default(),
        unfolded: Part::default(),
    };
    let mut tree = Tree::new();
    let end = e.body(
        &program.body,
        &mut vec![None; program.slots],
        Context { scope: 0, shared: 0, entry: flow.clone(), flow },
        &mut tree,
    );
    let all = end.all();
    e.site(all);
    e.out.tree = tree;
    e.out.elements = e.elements;
    // A coupled decision exists only where its owners let it.
    let mut queue: Vec<DecisionId> = e.out.coupled.iter().copied().collect();
    while let Some(id) = queue.pop() {
        for &o in e.out.scopes.decisions.get(id).map_or(&[][..], |d| d.owners.as_slice()) {
            if e.out.coupled.insert(o) {
                queue.push(o);
            }
        }
    }
    e.out
}

struct Explorer<'a> {
    program: &'a Program,
    out: Explored,
    owners: Vec<DecisionId>,
    control: Vec<Deps>,
    /// The decisions of `optional`: their values are truth values.
    optionals: Deps,
    /// For each decision, how it was met first.
    firsts: Vec<First>,
    /// The uses of blocks that lead here.
    uses: Vec<Span>,
    elements: usize,
    depth: usize,
    stopped: bool,
    versions: usize,
}

/// How a decision was met first.
struct First {
    uses: Vec<Span>,
    /// Whether it exists only where something else is decided so.
    guarded: bool,
}

impl Explorer<'_> {
    /// A place that can fail, and what it depends on besides the way to it.
    fn site(&mut self, mut deps: Deps) {
        deps.extend(&self.owners);
        self.control.iter().for_each(|c| deps.extend(c));
        self.out.used.extend(&deps);
        self.out.supports.insert(deps);
    }

    fn decision(
        &mut self,
        scope: ScopeId,
        name: &Arc<str>,
        values: Vec<String>,
        kind: DecisionKind,
        shared: bool,
        span: Span,
    ) -> (DecisionId, bool) {
        let mut owners: Deps = self.owners.iter().copied().collect();
        self.control.iter().for_each(|c| owners.extend(c));
        let decision = Decision { span, owners: owners.iter().copied().collect() };
        let (id, earlier) = self.out.scopes.add_decision(scope, name, values, kind, decision);
        let guarded = !self.owners.is_empty() || !self.control.is_empty();
        let Some(first) = earlier else {
            self.firsts.push(First { uses: self.uses.clone(), guarded });
            if self.out.scopes.infos.len() > MANY_DECISIONS {
                let m = format!("the space has more than {MANY_DECISIONS} decisions");
                let help =
                    "make a decision once with `let` in front of a `repeat`, or write `shared choice(..)`";
                self.stop(Diagnostic::error(codes::UNBOUNDED, span, m).help(help));
            }
            return (id, true);
        };
        if first != span {
            let path = format!("{}.{name}", self.out.scopes.path(scope));
            let m = format!("two decisions have the path `{path}`");
            let d = Diagnostic::error(codes::SAME_PATH, span, m)
                .also(first, "the other one")
                .help("give the stages labels, `first: conv(..)`: a label becomes part of the path");
            self.push_once(d);
        } else if !shared {
            self.used_twice(id, span);
        } else if self.firsts.get(id).is_some_and(|f| f.guarded) {
            // It may exist here without existing there: counting must look at both.
            self.out.coupled.insert(id);
            self.couple(&owners);
            if let Some(d) = self.out.scopes.decisions.get_mut(id) {
                owners.extend(&d.owners);
                d.owners = owners.into_iter().collect();
            }
        }
        (id, false)
    }

    /// Two uses of one block in one place: the decisions in it would have the same paths.
    fn used_twice(&mut self, id: DecisionId, span: Span) {
        let path = self.out.scopes.infos.get(id).map_or("", |d| d.path.as_str());
        let before = self.firsts.get(id).map_or(&[][..], |f| f.uses.as_slice());
        let uses = before.iter().zip(&self.uses).find(|(a, b)| a != b);
        let m = format!("the decision `{path}` is made twice, by two uses of one block");
        let d = match uses {
            Some((&a, &b)) => {
                Diagnostic::error(codes::SAME_PATH, b, m).also(a, "the other one").also(span, "the decision")
            }
            None => Diagnostic::error(codes::SAME_PATH, span, m),
        };
        let help =
            "give the uses labels, `first: block(..)`, or make the decision once with `shared choice(..)`";
        let d = d.help(help);
        // One decision of the block is enough to say it.
        if !self.out.found.iter().any(|f| f.code == d.code && f.span == d.span) {
            self.out.found.push(d);
        }
    }

    fn body(&mut self, body: &Body, frame: &mut Frame, mut at: Context, tree: &mut Tree) -> Flow {
        for s in &body.statements {
            match s {
                Statement::Let { slot, value } => {
                    let v = self.expr(value, frame, &at, tree);
                    set(frame, *slot, v);
                }
                Statement::Chain(c) => at.flow = self.chain(c, frame, at.clone(), tree),
            }
        }
        for c in &body.constraints {
            let v = self.expr(c, frame, &at, tree);
            let mut deps = v.deps;
            deps.extend(&self.owners);
            self.control.iter().for_each(|k| deps.extend(k));
            self.out.coupled.extend(&deps);
        }
        at.flow
    }

    fn chain(&mut self, chain: &[Element], frame: &mut Frame, mut at: Context, tree: &mut Tree) -> Flow {
        for e in chain {
            at.flow = self.element(e, frame, &at, tree);
        }
        at.flow
    }

    fn enter(&mut self, at: &Context, name: &Arc<str>) -> Context {
        Context {
            scope: self.out.scopes.add_child(at.scope, name),
            shared: self.out.scopes.add_child(at.shared, name),
            ..at.clone()
        }
    }

    fn element(&mut self, e: &Element, frame: &mut Frame, outer: &Context, tree: &mut Tree) -> Flow {
        self.elements += 1;
        if self.elements > MANY_ELEMENTS {
            let m = format!("the space has more than {MANY_ELEMENTS} elements");
            self.stop(
                Diagnostic::error(codes::UNBOUNDED, e.span, m).help("reduce nested `repeat`s and blocks"),
            );
        }
        if self.depth > DEEP {
            let m = format!("elements and blocks are more than {DEEP} deep within each other");
            self.stop(Diagnostic::error(codes::UNBOUNDED, e.span, m).help("let blocks hold fewer blocks"));
        }
        if self.stopped {
            return outer.flow.clone();
        }
        self.depth += 1;
        let flow = self.element_kind(e, frame, outer, tree);
        self.depth -= 1;
        flow
    }

    fn element_kind(&mut self, e: &Element, frame: &mut Frame, outer: &Context, tree: &mut Tree) -> Flow {
        let at = match &e.label {
            Some(l) => self.enter(outer, l),
            None => outer.clone(),
        };
        match &e.kind {
            ElementKind::Stage(call) => {
                let value = self.call(call, frame, &at, tree);
                self.apply_all(&value, &at, e.label.is_some(), e.span, tree)
            }
            ElementKind::Group(body) => self.body(body, frame, at, tree),
            ElementKind::Residual { condition, body } => {
                let mut deps = Deps::new();
                if let Some(c) = condition {
                    deps = self.expr(c, frame, &at, tree).deps;
                    self.out.used.extend(&deps);
                }
                let out = self.body(body, frame, at.clone(), tree);
                let mut both = out.all();
                both.extend(&at.flow.all());
                both.extend(&deps);
                self.site(both);
                out
            }
            ElementKind::Parallel { join, branches } => {
                let mut outs: Vec<Flow> = Vec::new();
                for (label, chain) in branches {
                    let inner = match label {
                        Some(l) => self.enter(&at, l),
                        None => at.clone(),
                    };
                    outs.push(self.chain(chain, frame, inner, tree));
                }
                let mut all = Deps::new();
                for o in &outs {
                    // Concatenated branches may differ in channels.
                    if *join == Join::Concat {
                        all.extend(&o.kind);
                        all.extend(&o.space.deps);
                    } else {
                        all.extend(&o.all());
                    }
                }
                self.site(all);
                self.joined(*join, outs, at.flow)
            }
            ElementKind::Repeat { name, count, index, body } => {
                self.repeat(name.as_ref(), count, *index, body, e.span, frame, at, tree)
            }
            ElementKind::OneOf { name, branches } => {
                let values = branches.iter().map(|(l, _)| l.to_string()).collect();
                let (id, _) = self.decision(at.scope, name, values, DecisionKind::Categorical, false, e.span);
                self.owners.push(id);
                let inner = self.enter(&at, name);
                let mut children = Vec::new();
                let mut flows: Vec<Flow> = Vec::new();
                for (label, chain) in branches {
                    let mut subtree = Tree::new();
                    let scope = self.enter(&inner, label);
                    flows.push(self.chain(chain, frame, scope, &mut subtree));
                    children.push(subtree);
                }
                self.owners.pop();
                self.out.used.insert(id);
                tree.push(decided(id, children));
                merge(flows, &Deps::from([id])).unwrap_or(at.flow)
            }
            ElementKind::Optional { name, body } => {
                let values = vec!["off".to_string(), "on".to_string()];
                let (id, _) = self.decision(at.scope, name, values, DecisionKind::Categorical, false, e.span);
                self.optionals.insert(id);
                self.owners.push(id);
                let inner = self.enter(&at, name);
                let mut subtree = Tree::new();
                let out = self.body(body, frame, inner, &mut subtree);
                self.owners.pop();
                self.out.used.insert(id);
                tree.push(decided(id, vec![Tree::new(), subtree]));
                out.join(&at.flow, &Deps::from([id]))
            }
            ElementKind::When { condition, then, otherwise } => {
                let deps = self.expr(condition, frame, &at, tree).deps;
                self.out.used.extend(&deps);
                self.control.push(deps.clone());
                let mut branches = [Tree::new(), Tree::new()];
                let [no, yes] = &mut branches;
                let a = self.body(then, frame, at.clone(), yes);
                let b = self.body(otherwise, frame, at.clone(), no);
                self.control.pop();
                if !(branches.iter().all(Vec::is_empty)) {
                    self.couple(&deps);
                    tree.push(Node::When { key: (at.scope, e.span), branches });
                }
                a.join(&b, &deps)
            }
        }
    }

    fn couple(&mut self, deps: &Deps) {
        self.out.coupled.extend(deps);
        self.out.coupled.extend(&self.owners);
        for c in &self.control {
            self.out.coupled.extend(c);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn repeat(
        &mut self,
        name: Option<&Arc<str>>,
        count: &Count,
        index: Option<usize>,
        body: &Body,
        span: Span,
        frame: &mut Frame,
        at: Context,
        tree: &mut Tree,
    ) -> Flow {
        let label: Arc<str> = name.cloned().unwrap_or_else(|| "repeat".into());
        let (counts, deps, id) = match count {
            Count::Searched(counts) => {
                let values = counts.iter().map(usize::to_string).collect();
                let kind = DecisionKind::Ordinal(counts.iter().map(|&c| c as f64).collect());
                let (id, _) = self.decision(at.scope, &label, values, kind, false, span);
                self.out.used.insert(id);
                (counts.clone(), Deps::from([id]), Some(id))
            }
            Count::Given(e) => {
                let v = self.expr(e, frame, &at, tree);
                self.site(v.deps.clone());
                let Kind::Numbers(values) = v.kind else {
                    let m = "how often this is repeated has no known bound";
                    let help = "it may not depend on `in`, nor be one of thousands of values; use a decision or a parameter";
                    self.push_once(Diagnostic::error(codes::UNBOUNDED, e.span, m).help(help));
                    return at.flow;
                };
                let counts = values.iter().map(|x| x.clamp(0.0, 256.0) as usize).collect();
                (counts, v.deps, None)
            }
        };
        let most = counts.iter().copied().max().unwrap_or(0);
        let least = counts.iter().copied().min().unwrap_or(0);
        let mut bodies = Vec::new();
        let mut flow = at.flow.clone();
        let mut ends = if least == 0 { vec![flow.clone()] } else { Vec::new() };
        for i in 0..most {
            let inner = Context {
                scope: self.out.scopes.add_iteration(at.scope, &label, i),
                shared: self.out.scopes.add_child(at.shared, &label),
                flow,
                entry: at.entry.clone(),
            };
            // An iteration that every count has does not depend on the count.
            let sure = i < least;
            if !sure {
                self.control.push(deps.clone());
                self.owners.extend(id);
            }
            if let Some(slot) = index {
                set(frame, slot, Abstract { kind: Kind::Numbers(vec![(i + 1) as f64]), deps: Deps::new() });
            }
            let mut subtree = Tree::new();
            flow = self.body(body, frame, inner, &mut subtree);
            if !sure {
                self.control.pop();
                if id.is_some() {
                    self.owners.pop();
                }
            }
            bodies.push(subtree);
            if counts.contains(&(i + 1)) {
                ends.push(flow.clone());
            }
            // An empty body costs something too.
            self.elements += 1;
            if self.elements > MANY_ELEMENTS {
                let m = format!("the space has more than {MANY_ELEMENTS} elements");
                self.stop(Diagnostic::error(codes::UNBOUNDED, span, m).help("reduce nested `repeat`s"));
            }
            if self.stopped {
                break;
            }
        }
        match id {
            Some(id) if bodies.iter().all(Vec::is_empty) => tree.push(decided(id, Vec::new())),
            Some(id) => tree.push(Node::Repeat { id, counts, bodies }),
            None if bodies.iter().all(Vec::is_empty) => {}
            // A fixed count is no guard: its decisions simply exist.
            None if most == least => bodies.into_iter().for_each(|b| tree.extend(b)),
            None => {
                self.couple(&deps);
                tree.push(Node::Given { key: (at.scope, span), bodies });
            }
        }
        if ends.len() == 1 {
            return ends.pop().unwrap_or(at.flow);
        }
        merge(ends, &deps).unwrap_or(at.flow)
    }

    fn joined(&self, join: Join, outs: Vec<Flow>, input: Flow) -> Flow {
        let mut flows = outs.into_iter();
        let Some(first) = flows.next() else { return input };
        flows.fold(first, |mut a, b| {
            match join {
                Join::Concat => {
                    let any = Deps::new();
                    a.channels.join(&b.channels, &any);
                    a.space.deps.extend(&b.space.deps);
                    a.kind.extend(&b.kind);
                    if a.shape != b.shape {
                        a.shape = Shape::Mixed;
                    }
                }
                Join::MatMul => a.channels = b.channels.clone(),
                Join::Add | Join::Mul => {
                    // A vector is broadcast over the map, whichever comes first.
                    if a.shape == Shape::Vector && b.shape == Shape::Map {
                        a.space = b.space.clone();
                        a.shape = Shape::Map;
                    }
                    a.kind.extend(&b.kind);
                    if a.shape != b.shape && b.shape != Shape::Vector {
                        a.shape = Shape::Mixed;
                    }
                }
            }
            a
        })
    }

    fn call(&mut self, call: &Call, frame: &mut Frame, at: &Context, tree: &mut Tree) -> Abstract {
        let target = match call.callee {
            Callee::Operator(o) => Target::Operator(o),
            Callee::Block(i) => Target::Block(i),
            Callee::Slot(slot) => {
                let none = Abstract { kind: Kind::Other, deps: Deps::new() };
                return frame.get(slot).cloned().flatten().unwrap_or(none);
            }
        };
        let args: Vec<(usize, Abstract)> =
            call.args.iter().map(|(i, e)| (*i, self.expr(e, frame, at, tree))).collect();
        let size = args.iter().fold(1usize, |n, (_, v)| n.saturating_add(v.size()));
        self.sized(AbstractBlock { target, args: Arc::new(args), size }, call.span)
    }

    /// A block as a value, if it is not out of proportion.
    fn sized(&mut self, block: AbstractBlock, span: Span) -> Abstract {
        if block.size > LARGE_VALUE {
            let m = format!("this value is made of more than {LARGE_VALUE} operators and blocks");
            self.stop(Diagnostic::error(codes::UNBOUNDED, span, m).help("apply blocks one after the other"));
            return Abstract { kind: Kind::Other, deps: Deps::new() };
        }
        Abstract { kind: Kind::Blocks(vec![block]), deps: Deps::new() }
    }

    fn bounded(&mut self, value: Abstract, span: Span) -> Abstract {
        if value.size() > LARGE_VALUE {
            let m = format!("this can be any of more than {LARGE_VALUE} operators and blocks");
            self.stop(Diagnostic::error(codes::UNBOUNDED, span, m).help("choose among fewer"));
            return Abstract { kind: Kind::Other, deps: value.deps };
        }
        value
    }

    /// Gives the walk up, with the reason.
    fn stop(&mut self, why: Diagnostic) {
        if !self.stopped {
            self.stopped = true;
            self.out.found.push(why);
        }
    }

    /// Applies whichever block the value can be.
    fn apply_all(
        &mut self,
        value: &Abstract,
        at: &Context,
        labelled: bool,
        span: Span,
        tree: &mut Tree,
    ) -> Flow {
        let Kind::Blocks(blocks) = &value.kind else { return at.flow.clone() };
        self.out.used.extend(&value.deps);
        if let [only] = blocks.as_slice() {
            return self.apply(only, at, labelled, span, tree);
        }
        self.control.push(value.deps.clone());
        let mut flows = Vec::new();
        let mut subtrees = Vec::new();
        for b in blocks {
            let mut subtree = Tree::new();
            flows.push(self.apply(b, at, labelled, span, &mut subtree));
            subtrees.push(subtree);
        }
        self.control.pop();
        if subtrees.iter().any(|t| !t.is_empty()) {
            let m = "a block chosen by `choice` makes decisions of its own in its body";
            self.out.found.push(
                Diagnostic::error(codes::DECISION, span, m)
                    .help("use `one_of`, whose alternatives own their decisions"),
            );
        }
        merge(flows, &value.deps).unwrap_or_else(|| at.flow.clone())
    }

    fn apply(
        &mut self,
        b: &AbstractBlock,
        at: &Context,
        labelled: bool,
        span: Span,
        tree: &mut Tree,
    ) -> Flow {
        match b.target {
            Target::Operator(op) => self.operator(op, &b.args, &at.flow),
            Target::Block(i) => {
                let Some(block) = self.program.blocks.get(i) else { return at.flow.clone() };
                let mut at = if labelled { at.clone() } else { self.enter(at, &block.name) };
                at.entry = at.flow.clone();
                let mut frame: Frame = vec![None; block.slots];
                for (i, v) in b.args.iter() {
                    set(&mut frame, *i, v.clone());
                }
                self.uses.push(span);
                for (slot, p) in block.params.iter().enumerate() {
                    if let (Some(None), Some(d)) = (frame.get(slot), &p.default) {
                        let v = self.expr(d, &mut frame, &at, tree);
                        set(&mut frame, slot, v);
                    }
                }
                let out = self.body(&block.body, &mut frame, at, tree);
                self.uses.pop();
                out
            }
        }
    }

    fn operator(&mut self, op: Operator, args: &[(usize, Abstract)], flow: &Flow) -> Flow {
        let arg = |name: &str| {
            let i = op.signature().iter().position(|s| s.name == name);
            i.and_then(|i| args.iter().find(|(j, _)| *j == i)).map(|(_, v)| &v.deps)
        };
        let mut every = Deps::new();
        args.iter().for_each(|(_, v)| every.extend(&v.deps));
        // What can fail here: the kind of input, the arguments, and what they are held against.
        let mut support = every.clone();
        support.extend(&flow.kind);
        let windowed = matches!(op, Operator::MaxPool | Operator::AvgPool) || arg("padding").is_some();
        if windowed {
            support.extend(&flow.space.deps);
        }
        if arg("groups").is_some() || (op == Operator::Attention && arg("head_dim").is_none()) {
            support.extend(&flow.channels.deps);
        }
        if matches!(op, Operator::Fold | Operator::Flatten) {
            support.extend(&flow.all());
        }
        self.site(support);
        let mut out = flow.clone();
        let one = |name: &str| {
            let i = op.signature().iter().position(|s| s.name == name);
            let value = i.and_then(|i| args.iter().find(|(j, _)| *j == i)).map(|(_, v)| &v.kind);
            value.is_none_or(|k| matches!(k, Kind::Numbers(x) if x.as_slice() == [1.0]))
        };
        self.versions += 1;
        let new = self.versions;
        if op.sets_channels() {
            out.channels = Part { deps: arg("width").cloned().unwrap_or_default(), version: new };
        } else if let Some(m) = arg("multiplier") {
            out.channels.deps.extend(m);
            out.channels.version = new;
        }
        match op {
            // With `same` padding and stride 1 a convolution keeps the size.
            Operator::Conv | Operator::DwConv if !windowed && one("stride") => {}
            Operator::Conv | Operator::DwConv | Operator::MaxPool | Operator::AvgPool => {
                out.space.version = new;
                for name in ["stride", "kernel", "dilation", "padding"] {
                    if let Some(d) = arg(name).filter(|_| windowed || name == "stride") {
                        out.space.deps.extend(d);
                    }
                }
            }
            Operator::GlobalAvgPool => {
                out.shape = Shape::Vector;
                out.space = Part { deps: Deps::new(), version: new };
            }
            Operator::Unfold => {
                out.shape = Shape::Tokens;
                out.unfolded = out.space.clone();
                out.space.deps.extend(&every);
                out.space.version = new;
            }
            Operator::Fold => {
                out.shape = Shape::Map;
                out.space = std::mem::take(&mut out.unfolded);
            }
            Operator::Flatten => {
                out.shape = Shape::Vector;
                out.channels = Part { deps: flow.all(), version: new };
                out.space = Part { deps: Deps::new(), version: new };
            }
            Operator::Transpose => std::mem::swap(&mut out.channels, &mut out.space),
            _ => {}
        }
        out
    }

    fn expr(&mut self, e: &Expr, frame: &mut Frame, at: &Context, tree: &mut Tree) -> Abstract {
        let none = Deps::new;
        match &e.kind {
            ExprKind::Number(x) => Abstract { kind: Kind::Numbers(vec![*x]), deps: none() },
            ExprKind::Bool(_) | ExprKind::Text(_) => Abstract { kind: Kind::Other, deps: none() },
            ExprKind::Slot(i) => {
                let unknown = Abstract { kind: Kind::Other, deps: none() };
                frame.get(*i).cloned().flatten().unwrap_or(unknown)
            }
            ExprKind::Input(f) => {
                let deps = match f {
                    Field::Channels => at.entry.channels.deps.clone(),
                    _ => at.entry.all(),
                };
                Abstract { kind: Kind::Other, deps }
            }
            ExprKind::Unary(op, x) => {
                let x = self.expr(x, frame, at, tree);
                let kind = match (op, x.kind) {
                    (crate::syntax::ast::Unary::Minus, Kind::Numbers(v)) => {
                        Kind::Numbers(v.into_iter().map(|n| -n).collect())
                    }
                    _ => Kind::Other,
                };
                Abstract { kind, deps: x.deps }
            }
            ExprKind::Binary(op, l, r) => {
                let (a, b) = (self.expr(l, frame, at, tree), self.expr(r, frame, at, tree));
                if matches!(op, crate::syntax::ast::Binary::Eq | crate::syntax::ast::Binary::Ne) {
                    self.never_equal(l, r, at.scope);
                    self.never_equal(r, l, at.scope);
                }
                let mut deps = a.deps;
                deps.extend(&b.deps);
                use crate::syntax::ast::Binary::{Add, Div, Eq, Ge, Gt, Le, Lt, Mod, Mul, Ne, Sub};
                // Truth is 1 here, so that an `if` over what is known takes one side.
                let f: Option<fn(f64, f64) -> f64> = match op {
                    Eq => Some(|x, y| f64::from(u8::from(x == y))),
                    Ne => Some(|x, y| f64::from(u8::from(x != y))),
                    Le => Some(|x, y| f64::from(u8::from(x <= y))),
                    Ge => Some(|x, y| f64::from(u8::from(x >= y))),
                    Lt => Some(|x, y| f64::from(u8::from(x < y))),
                    Gt => Some(|x, y| f64::from(u8::from(x > y))),
                    Add => Some(|x, y| x + y),
                    Sub => Some(|x, y| x - y),
                    Mul => Some(|x, y| x * y),
                    Div => Some(|x, y| x / y),
                    Mod => Some(f64::rem_euclid),
                    _ => None,
                };
                Abstract {
                    kind: f.map_or(Kind::Other, |f| cross(&[a.kind, b.kind], &|x| Some(pair(f, x)))),
                    deps,
                }
            }
            ExprKind::If(c, a, b) => {
                let c = self.expr(c, frame, at, tree);
                if let Kind::Numbers(known) = &c.kind {
                    if let [truth] = known.as_slice() {
                        let side = if *truth == 1.0 { a } else { b };
                        let mut v = self.expr(side, frame, at, tree);
                        v.deps.extend(&c.deps);
                        return v;
                    }
                }
                let (a, b) = (self.expr(a, frame, at, tree), self.expr(b, frame, at, tree));
                let mut deps = c.deps;
                deps.extend(&a.deps);
                deps.extend(&b.deps);
                self.bounded(Abstract { kind: union(vec![a.kind, b.kind]), deps }, e.span)
            }
            ExprKind::Function(f, args) => {
                let values: Vec<Abstract> = args.iter().map(|a| self.expr(a, frame, at, tree)).collect();
                let mut deps = none();
                values.iter().for_each(|v| deps.extend(&v.deps));
                let kinds: Vec<Kind> = values.into_iter().map(|v| v.kind).collect();
                Abstract { kind: cross(&kinds, &|x| f.apply(x)), deps }
            }
            ExprKind::Choice { name, shared, options } => {
                let scope = if *shared { at.shared } else { at.scope };
                let numbers: Option<Vec<f64>> = options
                    .iter()
                    .map(|(_, o)| if let ExprKind::Number(x) = o.kind { Some(x) } else { None })
                    .collect();
                let values = options.iter().map(|(l, _)| l.to_string()).collect();
                let dependent = numbers.is_none()
                    && options.iter().all(|(_, o)| {
                        !matches!(o.kind, ExprKind::Text(_) | ExprKind::Bool(_) | ExprKind::Block(_))
                    });
                let kind = match &numbers {
                    Some(x) => DecisionKind::Ordinal(x.clone()),
                    // Expressions of earlier decisions: their order as written is all that is known.
                    None if dependent => {
                        DecisionKind::Ordinal((0..options.len()).map(|i| i as f64).collect())
                    }
                    None => DecisionKind::Categorical,
                };
                let (id, new) = self.decision(scope, name, values, kind, *shared, e.span);
                let mut deps = Deps::from([id]);
                let mut kinds = Vec::new();
                let mut children = Vec::new();
                self.owners.push(id);
                for (_, option) in options {
                    let inner = match option_scope(option, self.program) {
                        Some(target) => {
                            let named = self.enter(at, name);
                            self.enter(&named, &target)
                        }
                        None => at.clone(),
                    };
                    let mut subtree = Tree::new();
                    let v = self.expr(option, frame, &inner, &mut subtree);
                    deps.extend(&v.deps);
                    kinds.push(v.kind);
                    children.push(subtree);
                }
                self.owners.pop();
                if new {
                    tree.push(decided(id, children));
                }
                self.bounded(Abstract { kind: union(kinds), deps }, e.span)
            }
            ExprKind::Block(call) => self.call(call, frame, at, tree),
            ExprKind::Decision(query) => {
                let matches = self.out.scopes.query(at.scope, query);
                match matches.as_slice() {
                    [id] => {
                        self.out.scopes.queries.insert((at.scope, e.span), *id);
                        Abstract { kind: Kind::Other, deps: Deps::from([*id]) }
                    }
                    [] => {
                        let shown = query.join(".").replace(".[", "[");
                        let known: Vec<String> =
                            self.out.scopes.infos.iter().map(|d| d.path.clone()).collect();
                        let mut help = "constraints name decisions and the names of their block".to_string();
                        if !known.is_empty() {
                            let list: Vec<&str> = known.iter().map(String::as_str).take(12).collect();
                            help = format!("the decisions are `{}`", list.join("`, `"));
                        }
                        let m = format!("there is no decision or name `{shown}`");
                        self.push_once(Diagnostic::error(codes::DECISION, e.span, m).help(help));
                        Abstract { kind: Kind::Other, deps: none() }
                    }
                    several => {
                        let paths: Vec<String> = several
                            .iter()
                            .filter_map(|&i| self.out.scopes.infos.get(i).map(|d| format!("`{}`", d.path)))
                            .collect();
                        let shown = query.join(".").replace(".[", "[");
                        let m = format!("`{shown}` names {} decisions", paths.len());
                        let help = format!("write more of the path: {}", paths.join(", "));
                        self.push_once(Diagnostic::error(codes::DECISION, e.span, m).help(help));
                        Abstract { kind: Kind::Other, deps: none() }
                    }
                }
            }
        }
    }

    /// A decision held against a value that it never has: a slip of the pen that would silently empty
    /// the space.
    fn never_equal(&mut self, decision: &Expr, value: &Expr, scope: ScopeId) {
        if !matches!(decision.kind, ExprKind::Decision(_)) {
            return;
        }
        let id = self.out.scopes.queries.get(&(scope, decision.span)).copied();
        let Some((id, info)) = id.and_then(|i| self.out.scopes.infos.get(i).map(|d| (i, d))) else { return };
        let numbers: Option<Vec<f64>> = info.values.iter().map(|v| v.parse().ok()).collect();
        let labels: Vec<&str> = info.values.iter().map(String::as_str).collect();
        let (shown, possible) = match (&value.kind, numbers) {
            _ if self.optionals.contains(&id) => match &value.kind {
                ExprKind::Bool(_) | ExprKind::Slot(_) | ExprKind::Decision(_) => return,
                other => (literal(other), false),
            },
            (ExprKind::Number(x), Some(all)) => (Some(x.to_string()), all.contains(x)),
            (ExprKind::Text(t), _) => (Some(t.to_string()), labels.contains(&&**t)),
            _ => return,
        };
        let (Some(shown), false) = (shown, possible) else { return };
        let help = match crate::syntax::nearest(&shown, labels.iter().copied()) {
            _ if self.optionals.contains(&id) => {
                "it is a truth value: write its name alone, or `not` and its name".into()
            }
            Some(near) if matches!(value.kind, ExprKind::Text(_)) => format!("did you mean `{near}`?"),
            _ => format!("its values are {}", labels.get(..24).unwrap_or(&labels).join(", ")),
        };
        let m = format!("`{}` is never `{shown}`", info.path);
        self.push_once(Diagnostic::error(codes::DECISION, value.span, m).help(help));
    }

    fn push_once(&mut self, d: Diagnostic) {
        if !self.out.found.contains(&d) {
            self.out.found.push(d);
        }
    }
}

/// A literal as it is written.
fn literal(kind: &ExprKind) -> Option<String> {
    match kind {
        ExprKind::Number(x) => Some(x.to_string()),
        ExprKind::Text(t) => Some(t.to_string()),
        _ => None,
    }
}

fn decided(id: DecisionId, children: Vec<Tree>) -> Node {
    let children = if children.iter().all(Vec::is_empty) { Vec::new() } else { children };
    Node::Decision { id, children }
}

fn merge(flows: Vec<Flow>, by: &Deps) -> Option<Flow> {
    flows.into_iter().reduce(|a, b| a.join(&b, by))
}

fn pair(f: fn(f64, f64) -> f64, x: &[f64]) -> f64 {
    match x {
        [a, b] => f(*a, *b),
        _ => f64::NAN,
    }
}

/// All results of a function over sets of numbers.
fn cross(kinds: &[Kind], f: &dyn Fn(&[f64]) -> Option<f64>) -> Kind {
    let mut rows: Vec<Vec<f64>> = vec![Vec::new()];
    for k in kinds {
        let Kind::Numbers(values) = k else { return Kind::Other };
        if rows.len().saturating_mul(values.len()) > MANY_ROWS {
            return Kind::Other;
        }
        rows = rows
            .iter()
            .flat_map(|r| values.iter().map(move |v| r.iter().copied().chain([*v]).collect()))
            .collect();
    }
    let mut out: Vec<f64> = rows.iter().filter_map(|r| f(r)).filter(|x| x.is_finite()).collect();
    out.sort_by(f64::total_cmp);
    out.dedup();
    if out.len() > MANY {
        Kind::Other
    } else {
        Kind::Numbers(out)
    }
}

fn union(kinds: Vec<Kind>) -> Kind {
    let mut numbers: Vec<f64> = Vec::new();
    let mut blocks: Vec<AbstractBlock> = Vec::new();
    for k in kinds {
        match k {
            Kind::Numbers(v) => numbers.extend(v),
            Kind::Blocks(v) => blocks.extend(v),
            Kind::Other => return Kind::Other,
        }
    }
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    match (numbers.is_empty(), blocks.is_empty()) {
        (false, true) if numbers.len() <= MANY => Kind::Numbers(numbers),
        (true, false) => Kind::Blocks(blocks),
        _ => Kind::Other,
    }
}

fn set(frame: &mut Frame, at: usize, value: Abstract) {
    if let Some(place) = frame.get_mut(at) {
        *place = Some(value);
    }
}
