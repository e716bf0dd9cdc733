//! Walks a space over all its branches at once, without choosing.
//!
//! It finds the decisions, the tree they form (for counting), and for every place where something can
//! go wrong the decisions that this depends on (for checking). Values are sets of what a value can
//! be, with the decisions it depends on; the sets ignore correlations, so they may hold values that no
//! point has, but never miss one.

mod apply;
mod expr;
mod sets;
mod walk;

use super::point::DecisionKind;
use super::program::Program;
use super::scope::{Decision, DecisionId, ScopeId, Scopes};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use sets::{Abstract, Flow, Part, Shape};
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
        let decision = Decision { span, owners: owners.iter().copied().collect(), boolean: false };
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

    fn couple(&mut self, deps: &Deps) {
        self.out.coupled.extend(deps);
        self.out.coupled.extend(&self.owners);
        for c in &self.control {
            self.out.coupled.extend(c);
        }
    }

    /// Gives the walk up, with the reason.
    fn stop(&mut self, why: Diagnostic) {
        if !self.stopped {
            self.stopped = true;
            self.out.found.push(why);
        }
    }

    fn push_once(&mut self, d: Diagnostic) {
        if !self.out.found.contains(&d) {
            self.out.found.push(d);
        }
    }
}
