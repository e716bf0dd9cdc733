//! Points of a space: one value, by index, for every decision that exists.

use serde::{Deserialize, Serialize};

/// How the values of a decision relate to each other.
#[derive(Debug, Clone, PartialEq)]
pub enum DecisionKind {
    /// Numbers in order; the search may use their distance.
    Ordinal(Vec<f64>),
    /// Names without order.
    Categorical,
}

/// One decision of a space.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionInfo {
    /// Its path, `space.local[1].expand`.
    pub path: String,
    /// The values as the language writes them.
    pub values: Vec<String>,
    /// Whether they are ordered.
    pub kind: DecisionKind,
}

/// A point: for every decision of the space, in the space's order, the index of its value, or
/// `None` where the decision does not exist because the branch it stands on is not taken. Equal
/// points are equal choices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Point(pub Vec<Option<u32>>);

impl std::hash::Hash for Point {
    // A number each: searches look points up all the time, and the derived one writes two.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|v| state.write_u64(v.map_or(u64::MAX, u64::from)));
    }
}

/// What a search needs of a space. [`crate::space::Space`] is one; benchmark problems are others.
pub trait SearchSpace: Sync {
    /// All decisions that any point can have.
    fn decisions(&self) -> &[DecisionInfo];
    /// The decisions of a point by path, as JSON values.
    fn describe(&self, point: &Point) -> serde_json::Map<String, serde_json::Value> {
        let existing = self.decisions().iter().zip(&point.0);
        let value = |info: &DecisionInfo, v: &Option<u32>| info.values.get((*v)? as usize).cloned();
        existing.filter_map(|(info, v)| Some((info.path.clone(), value(info, v)?.into()))).collect()
    }
    /// A random point that satisfies the space's constraints.
    fn sample(&self, rng: &mut dyn rand::Rng) -> Point;
    /// Makes a wish into a point: values that do not exist are dropped, decisions that exist and
    /// have no value get a random one. `None` if the constraints cannot be met this way. Depends on the wish and
    /// the numbers drawn alone: several threads call it, and some wishes are repaired twice.
    fn repair(&self, wish: &[Option<u32>], rng: &mut dyn rand::Rng) -> Option<Point>;
}
