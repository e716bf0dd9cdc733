//! What flows and what values can be: sets, with the decisions they depend on.

use super::{Deps, Frame, Node, Tree, MANY, MANY_ROWS};
use crate::space::program::ExprKind;
use crate::space::scope::DecisionId;
use crate::space::value::Target;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Numbers(Vec<f64>),
    Blocks(Vec<AbstractBlock>),
    Other,
}

#[derive(Debug, Clone)]
pub(super) struct Abstract {
    pub(super) kind: Kind,
    pub(super) deps: Deps,
}

#[derive(Debug, Clone)]
pub(super) struct AbstractBlock {
    pub(super) target: Target,
    pub(super) args: Arc<Vec<(usize, Abstract)>>,
    /// Blocks in it, itself included.
    pub(super) size: usize,
}

impl Abstract {
    /// Blocks in it.
    pub(super) fn size(&self) -> usize {
        match &self.kind {
            Kind::Blocks(b) => b.iter().fold(0, |n, b| n.saturating_add(b.size)),
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Map,
    Tokens,
    Vector,
    Mixed,
}

/// One aspect of a value: what it depends on, and which version of it this is. Two branches that give
/// the same version give the same value, whichever is taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) deps: Deps,
    pub(super) version: usize,
}

impl Part {
    pub(super) fn join(&mut self, other: &Part, by: &Deps) {
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
pub(super) struct Flow {
    pub(super) shape: Shape,
    /// Which kind it is.
    pub(super) kind: Deps,
    pub(super) channels: Part,
    pub(super) space: Part,
    /// What `space` was before `unfold`: `fold` brings it back.
    pub(super) unfolded: Part,
}

impl Flow {
    pub(super) fn all(&self) -> Deps {
        let mut d = self.kind.clone();
        d.extend(&self.channels.deps);
        d.extend(&self.space.deps);
        d
    }

    pub(super) fn join(mut self, other: &Flow, by: &Deps) -> Flow {
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

/// A literal as it is written.
pub(super) fn literal(kind: &ExprKind) -> Option<String> {
    match kind {
        ExprKind::Number(x) => Some(x.to_string()),
        ExprKind::Text(t) => Some(t.to_string()),
        _ => None,
    }
}

pub(super) fn decided(id: DecisionId, children: Vec<Tree>) -> Node {
    let children = if children.iter().all(Vec::is_empty) { Vec::new() } else { children };
    Node::Decision { id, children }
}

pub(super) fn merge(flows: Vec<Flow>, by: &Deps) -> Option<Flow> {
    flows.into_iter().reduce(|a, b| a.join(&b, by))
}

pub(super) fn pair(f: fn(f64, f64) -> f64, x: &[f64]) -> f64 {
    match x {
        [a, b] => f(*a, *b),
        _ => f64::NAN,
    }
}

/// All results of a function over sets of numbers.
pub(super) fn cross(kinds: &[Kind], f: &dyn Fn(&[f64]) -> Option<f64>) -> Kind {
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

pub(super) fn union(kinds: Vec<Kind>) -> Kind {
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

pub(super) fn set(frame: &mut Frame, at: usize, value: Abstract) {
    if let Some(place) = frame.get_mut(at) {
        *place = Some(value);
    }
}
