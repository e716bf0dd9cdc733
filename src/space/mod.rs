//! Spaces of architectures: which decisions there are, how many points, and the network of each.
//!
//! Invariant: a [`Space`] comes only out of `crate::check`, and every point that [`Space::repair`] or
//! [`Space::sample`] gives is a network (as far as the check could look, see `check.rs`).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod check;
mod count;
mod explore;
pub(crate) mod operator;
mod point;
pub(crate) mod program;
mod run;
mod scope;
mod value;

pub use count::Size;
pub use point::{DecisionInfo, DecisionKind, Point, SearchSpace};

use crate::codes;
use crate::diag::Diagnostic;
use crate::graph::{Fact, Graph, Network, NodeId, Op};
use crate::source::Span;
use explore::{Deps, Tree};
use program::Program;
use rand::RngExt;
use run::{Flow, Run, Shapes, Sink, Stop};
use scope::{DecisionId, Scopes};
use std::collections::BTreeSet;

/// A checked space.
#[derive(Debug, Clone)]
pub struct Space {
    program: Program,
    scopes: Scopes,
    tree: Tree,
    coupled: Deps,
    supports: BTreeSet<Deps>,
    /// Elements that exploration visited: about what a run costs, or more.
    elements: usize,
    /// A point that satisfies the constraints.
    witness: Point,
    /// The constraints keep so few points that chance meets none.
    tight: bool,
}

/// How the network of a point came out.
enum Outcome {
    Fine,
    Constraint,
    Errors(Vec<Diagnostic>),
}

impl Space {
    /// Explores and checks a program.
    ///
    /// # Errors
    /// What is wrong with some point of the space. Warnings come back with the space.
    pub(crate) fn new(program: Program) -> Result<(Space, Vec<Diagnostic>), Vec<Diagnostic>> {
        let explored = explore::explore(&program);
        let mut found = explored.found;
        if crate::diag::has_errors(&found) {
            return Err(found);
        }
        let mut space = Space {
            witness: Point(vec![None; explored.scopes.infos.len()]),
            tight: false,
            program,
            scopes: explored.scopes,
            tree: explored.tree,
            coupled: explored.coupled,
            supports: explored.supports,
            elements: explored.elements,
        };
        space.check(&explored.used, &mut found);
        if crate::diag::has_errors(&found) {
            Err(found)
        } else {
            Ok((space, found))
        }
    }

    /// Where a decision is made in the spec.
    pub fn decision_span(&self, index: usize) -> Option<Span> {
        self.scopes.decisions.get(index).map(|d| d.span)
    }

    /// The shape of the image.
    pub fn input(&self) -> Fact {
        self.program.input
    }

    /// A point that satisfies the constraints, always the same one.
    pub fn first_point(&self) -> Point {
        self.witness.clone()
    }

    /// The network of a point. Values for decisions that do not exist are ignored.
    ///
    /// # Errors
    /// If a decision that exists has no value, a constraint is broken, or shapes do not fit.
    pub fn network(&self, point: &Point) -> Result<Network, Vec<Diagnostic>> {
        let mut missing: Option<DecisionId> = None;
        let mut choose = |id: DecisionId| {
            point.0.get(id).copied().flatten().unwrap_or_else(|| {
                missing.get_or_insert(id);
                0
            })
        };
        let mut graph = Graph::default();
        let input = graph.add_input(self.program.span);
        let mut run = Run::new(&self.program, &self.scopes, &mut choose, Building { graph });
        let result = run.run(input);
        let (_, Building { mut graph }) = run.trace();
        if let Some(info) = missing.and_then(|id| self.scopes.infos.get(id)) {
            let m = format!("the point has no value for `{}`", info.path);
            let help = format!("it is one of {}", info.values.join(", "));
            return Err(vec![Diagnostic::error(codes::POINT, self.program.span, m).help(help)]);
        }
        match result {
            Ok((output, _)) => {
                graph.set_output(output);
                graph.validate(self.program.input)
            }
            Err(Stop::Constraint) => {
                let d = Diagnostic::error(
                    codes::POINT,
                    self.program.span,
                    "the point breaks a `where` of the space",
                );
                Err(vec![d.help("`hytc space --sample` prints points that keep them")])
            }
            Err(Stop::Error(d)) => Err(vec![*d]),
        }
    }

    /// Tells a listener of the operators of a point's network, several times faster than [`Space::network`].
    /// `None` where it is no network.
    pub fn operators(&self, point: &Point, listener: &mut impl Listener) -> Option<()> {
        let mut choose = |id: DecisionId| point.0.get(id).copied().flatten().unwrap_or(0);
        listener.begin();
        let mut run = Run::new(&self.program, &self.scopes, &mut choose, Telling(listener));
        run.run(NodeId::new(0)).ok().map(|_| ())
    }

    /// [`SearchSpace::repair`]; where there is a point, the listener has heard of its network's operators.
    pub fn repair_with(
        &self,
        wish: &[Option<u32>],
        rng: &mut dyn rand::Rng,
        listener: &mut impl Listener,
    ) -> Option<Point> {
        if let Some(p) = self.complete(wish, rng, listener) {
            return Some(p);
        }
        // The constraints refuse: let go of a few of the decisions they are about.
        let coupled: Vec<DecisionId> = self.coupled.iter().copied().collect();
        for _ in 0..16 {
            let mut loose = wish.to_vec();
            for _ in 0..rng.random_range(1..=coupled.len().clamp(1, 3)) {
                if let Some(w) =
                    coupled.get(rng.random_range(0..coupled.len().max(1))).and_then(|&id| loose.get_mut(id))
                {
                    *w = None;
                }
            }
            if let Some(p) = self.complete(&loose, rng, listener) {
                return Some(p);
            }
        }
        None
    }

    /// Runs the space for its shapes only.
    fn try_out(&self, choose: &mut dyn FnMut(DecisionId) -> u32) -> (Outcome, run::Trace) {
        self.try_with(choose, Shapes)
    }

    fn try_with(&self, choose: &mut dyn FnMut(DecisionId) -> u32, sink: impl Sink) -> (Outcome, run::Trace) {
        let mut run = Run::new(&self.program, &self.scopes, choose, sink);
        run.lenient = Some(Vec::new());
        let result = run.run(NodeId::new(0));
        let mut errors = run.lenient.take().unwrap_or_default();
        let outcome = match result {
            Err(Stop::Constraint) => Outcome::Constraint,
            // What ended the run may follow from what went before.
            Err(Stop::Error(d)) => {
                if errors.is_empty() {
                    errors.push(*d);
                }
                Outcome::Errors(errors)
            }
            Ok(_) if errors.is_empty() => Outcome::Fine,
            Ok(_) => Outcome::Errors(errors),
        };
        (outcome, run.trace().0)
    }

    /// The decisions of a point by path, as JSON values: numbers, texts, truth values.
    pub fn describe(&self, point: &Point) -> serde_json::Map<String, serde_json::Value> {
        let mut out = serde_json::Map::new();
        for ((info, decision), value) in self.scopes.infos.iter().zip(&self.scopes.decisions).zip(&point.0) {
            let Some(label) = value.and_then(|i| info.values.get(i as usize)) else { continue };
            let value = match info.kind {
                DecisionKind::Ordinal(_) => number(label),
                DecisionKind::Categorical if decision.boolean => {
                    matches!(label.as_str(), "on" | "true").into()
                }
                DecisionKind::Categorical => label.as_str().into(),
            };
            out.insert(info.path.clone(), value);
        }
        out
    }

    /// A point out of values by path. Decisions that exist and are not named get the value of
    /// `fill`, or are an error where that is `None`.
    ///
    /// # Errors
    /// Paths and values that the space does not have, and combinations that its constraints exclude.
    pub fn point(
        &self,
        values: &serde_json::Map<String, serde_json::Value>,
        fill: Option<&Point>,
    ) -> Result<Point, Vec<Diagnostic>> {
        let span = self.program.span;
        let wish = self.lookup(values)?;
        let mut found = Vec::new();
        let mut missing = Vec::new();
        let mut choose = |id: DecisionId| {
            let given = wish.get(id).copied().flatten();
            given.or_else(|| fill.and_then(|f| f.0.get(id).copied().flatten())).unwrap_or_else(|| {
                missing.push(id);
                0
            })
        };
        let (outcome, trace) = self.try_out(&mut choose);
        if fill.is_none() {
            for info in missing.iter().filter_map(|&id| self.scopes.infos.get(id)) {
                let m = format!("the point has no value for `{}`", info.path);
                let help = format!("it is one of {}", info.values.join(", "));
                found.push(Diagnostic::error(codes::POINT, span, m).help(help));
            }
        }
        match outcome {
            Outcome::Fine => {}
            Outcome::Constraint => {
                let d = Diagnostic::error(codes::POINT, span, "the point breaks a `where` of the space");
                found.push(d.help("`hytc space --sample 3` prints points that keep them"));
            }
            Outcome::Errors(e) => found.extend(e),
        }
        if found.is_empty() {
            Ok(Point(trace.chosen))
        } else {
            Err(found)
        }
    }

    /// The indices of values by path, in the order of the decisions.
    ///
    /// # Errors
    /// Paths and values that the space does not have.
    pub(crate) fn lookup(
        &self,
        values: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Vec<Option<u32>>, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let span = self.program.span;
        let mut wish: Vec<Option<u32>> = vec![None; self.scopes.infos.len()];
        for (path, value) in values {
            let full = if path.starts_with("space.") { path.clone() } else { format!("space.{path}") };
            let Some(id) = self.scopes.infos.iter().position(|d| d.path == full) else {
                let help = self.suggestion(&full);
                found.push(
                    Diagnostic::error(codes::POINT, span, format!("the space has no decision `{path}`"))
                        .help(help),
                );
                continue;
            };
            let label = match value {
                serde_json::Value::String(s) => s.clone(),
                other => other.to_string(),
            };
            let Some(info) = self.scopes.infos.get(id) else { continue };
            let same = |v: &String| {
                *v == label
                    || matches!((v.parse::<f64>(), label.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
                    || matches!((v.as_str(), label.as_str()), ("on", "true") | ("off", "false"))
            };
            match info.values.iter().position(same) {
                Some(i) => {
                    if let Some(w) = wish.get_mut(id) {
                        *w = u32::try_from(i).ok();
                    }
                }
                None => {
                    let m = format!("`{full}` has no value `{label}`");
                    let help = format!("it is one of {}", info.values.join(", "));
                    found.push(Diagnostic::error(codes::POINT, span, m).help(help));
                }
            }
        }
        if found.is_empty() {
            Ok(wish)
        } else {
            Err(found)
        }
    }

    /// Which decisions may have been meant by a path that is none.
    fn suggestion(&self, full: &str) -> String {
        // What all paths begin with makes none of them alike.
        fn short(path: &str) -> &str {
            path.strip_prefix("space.").unwrap_or(path)
        }
        let wanted = short(full);
        let paths: Vec<&str> = self.scopes.infos.iter().map(|d| d.path.as_str()).collect();
        let end = format!(".{wanted}");
        let ending: Vec<&str> = paths.iter().copied().filter(|p| p.ends_with(&end)).collect();
        match (ending.as_slice(), crate::syntax::nearest(wanted, paths.iter().map(|p| short(p)))) {
            ([one], _) => format!("did you mean `{one}`?"),
            ([], Some(p)) => format!("did you mean `space.{p}`?"),
            ([], None) if paths.is_empty() => "it has none at all: there is one network".to_string(),
            ([], None) => format!("the decisions are {}", list(&paths)),
            (some, _) => format!("those that end in it are {}", list(some)),
        }
    }
}

impl SearchSpace for Space {
    fn decisions(&self) -> &[DecisionInfo] {
        &self.scopes.infos
    }

    fn describe(&self, point: &Point) -> serde_json::Map<String, serde_json::Value> {
        Space::describe(self, point)
    }

    fn sample(&self, rng: &mut dyn rand::Rng) -> Point {
        if !self.tight {
            for _ in 0..self.affordable(10_000) {
                if let Some(p) = self.complete(&[], rng, &mut ()) {
                    return p;
                }
            }
        }
        self.walk(rng)
    }

    fn repair(&self, wish: &[Option<u32>], rng: &mut dyn rand::Rng) -> Option<Point> {
        self.repair_with(wish, rng, &mut ())
    }
}

impl Space {
    /// Where chance alone meets no point: a random walk from the witness that draws one to three of the
    /// decisions that constraints tie at a time, and all others, and stays where a constraint refuses.
    /// Not uniform, and an island of points that such steps do not reach stays unseen.
    fn walk(&self, rng: &mut dyn rand::Rng) -> Point {
        let coupled: Vec<DecisionId> = self.coupled.iter().copied().collect();
        let mut at = self.witness.clone();
        for _ in 0..self.affordable(1000) {
            let mut wish: Vec<Option<u32>> =
                at.0.iter().enumerate().map(|(id, v)| v.filter(|_| self.coupled.contains(&id))).collect();
            for _ in 0..rng.random_range(1..=3) {
                let id = coupled.get(rng.random_range(0..coupled.len().max(1)));
                if let Some(w) = id.and_then(|&id| wish.get_mut(id)) {
                    *w = None;
                }
            }
            if let Some(p) = self.complete(&wish, rng, &mut ()) {
                at = p;
            }
        }
        at
    }

    /// All points, if they can be enumerated in at most `most` runs.
    pub(crate) fn all_points(&self, most: usize) -> Option<Vec<Point>> {
        let everything: Deps = (0..self.scopes.infos.len()).collect();
        let mut odometer = count::Odometer::new();
        let mut points = Vec::new();
        let mut runs = 0;
        while let Some((outcome, trace)) = odometer.next(self, &everything, &[]) {
            runs += 1;
            if runs > self.affordable(most) {
                return None;
            }
            if matches!(outcome, Outcome::Fine) {
                points.push(Point(trace.chosen));
            }
        }
        Some(points)
    }

    /// Runs with the wished values and random ones for the rest; `None` if a constraint refuses.
    fn complete(
        &self,
        wish: &[Option<u32>],
        rng: &mut dyn rand::Rng,
        listener: &mut impl Listener,
    ) -> Option<Point> {
        let infos = &self.scopes.infos;
        let mut choose = |id: DecisionId| {
            let n = infos.get(id).map_or(1, |d| d.values.len()).max(1) as u32;
            wish.get(id).copied().flatten().filter(|&i| i < n).unwrap_or_else(|| rng.random_range(0..n))
        };
        listener.begin();
        match self.try_with(&mut choose, Telling(listener)) {
            (Outcome::Fine, trace) => Some(Point(trace.chosen)),
            _ => None,
        }
    }
}

/// The first of many names.
fn list(names: &[&str]) -> String {
    match names.get(..24) {
        Some(first) => format!("{}, ... (`hytc space` prints all {})", first.join(", "), names.len()),
        None => names.join(", "),
    }
}

/// The number that a label writes, or the label where it is an expression.
fn number(label: &str) -> serde_json::Value {
    if let Ok(i) = label.parse::<i64>() {
        return i.into();
    }
    match label.parse::<f64>() {
        Ok(x) if x.is_finite() => x.into(),
        _ => label.into(),
    }
}

/// Hears of the operators of networks while a space is run.
pub trait Listener {
    /// A network begins. That of which operators were heard before, if any, came to nothing.
    fn begin(&mut self);
    /// The next operator, with the facts of its first input and of its output.
    fn operator(&mut self, op: &Op, input: Fact, output: Fact);
}

impl Listener for () {
    fn begin(&mut self) {}
    fn operator(&mut self, _op: &Op, _input: Fact, _output: Fact) {}
}

/// A sink that tells of every operator.
struct Telling<'a, L>(&'a mut L);

impl<L: Listener> Sink for Telling<'_, L> {
    fn op(&mut self, op: Op, scope: &str, span: Span, inputs: &[Flow]) -> Result<Flow, Box<Diagnostic>> {
        let flow = Shapes.op(op, scope, span, inputs)?;
        self.0.operator(&op, inputs.first().map_or(flow.1, |i| i.1), flow.1);
        Ok(flow)
    }
}

/// The sink that makes a graph.
struct Building {
    graph: Graph,
}

impl Sink for Building {
    fn op(&mut self, op: Op, scope: &str, span: Span, inputs: &[Flow]) -> Result<Flow, Box<Diagnostic>> {
        // A bias before a batch norm is lost in its mean: leave it out.
        if let (Op::BatchNorm { .. }, Some((source, _))) = (&op, inputs.first()) {
            if let Some(Op::Conv { bias, .. } | Op::Linear { bias, .. }) = self.graph.op_mut(*source) {
                *bias = false;
            }
        }
        let depthwise = matches!((op, inputs.first()), (Op::Conv { groups, .. }, Some((_, f))) if groups > 1 && groups == f.channels());
        let own = if depthwise { "dwconv" } else { op.name() };
        let place =
            scope.strip_prefix("space").unwrap_or(scope).trim_start_matches('.').replace(['[', ']'], "");
        let name = if place.is_empty() { own.to_string() } else { format!("{place}.{own}") };
        Ok(self.graph.add(op, &name, span, inputs)?)
    }
}
