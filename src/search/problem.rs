//! What a study optimises: named quantities, some known before a trial is run, some not.
//!
//! Everything here is keyed by name rather than by [`crate::check::spec::Measure`], so that a user's own program can
//! return metrics that hytc has never heard of.

use crate::check::spec::{Dimension, Goal, Pick};
use crate::space::{Point, SearchSpace};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a number counts, for people's eyes only: values are always in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// A fraction in 0..1, shown in percent.
    Fraction,
    /// Seconds, shown in milliseconds (or another fitting power).
    Seconds,
    /// Bytes, shown in KiB.
    Bytes,
    /// Joules, shown in millijoules.
    Joules,
    /// A count, shown with k and M.
    Count,
    /// Something else, shown as it is.
    Plain,
}

impl From<Dimension> for Quantity {
    fn from(dimension: Dimension) -> Self {
        match dimension {
            Dimension::Plain => Quantity::Plain,
            Dimension::Count => Quantity::Count,
            Dimension::Fraction => Quantity::Fraction,
            Dimension::Bytes => Quantity::Bytes,
            Dimension::Time => Quantity::Seconds,
            Dimension::Energy => Quantity::Joules,
        }
    }
}

/// One objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The key in metrics and known values, `latency on board`.
    pub name: String,
    /// What it counts.
    pub quantity: Quantity,
    /// Larger is better.
    pub maximize: bool,
    /// [`KnownPoint::values`] holds it: it is never modelled.
    pub known: bool,
    /// The value beyond which nothing is gained, in base units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ideal: Option<f64>,
}

impl Target {
    /// A value as a cost, to be made small.
    pub fn cost(&self, value: f64) -> f64 {
        let signed = |v: f64| if self.maximize { -v } else { v };
        signed(value).max(self.ideal.map_or(f64::NEG_INFINITY, signed))
    }
}

/// One limit that a result must keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The key in metrics and known values.
    pub name: String,
    /// What it counts.
    pub quantity: Quantity,
    /// The value must be at least the limit, rather than at most.
    pub at_least: bool,
    /// The limit in base units.
    pub limit: f64,
    /// [`KnownPoint::values`] holds it: points that break it are never asked.
    pub known: bool,
}

impl Limit {
    /// By how much a value breaks the limit, as a part of the limit unless that is 0; 0 where it holds. A value that
    /// is not a number breaks it infinitely.
    pub fn violation(&self, value: f64) -> f64 {
        let over = if self.at_least { self.limit - value } else { value - self.limit };
        match over {
            o if o.is_nan() => f64::INFINITY,
            o if o <= 0.0 => 0.0,
            // A limit of zero has no parts.
            o if self.limit == 0.0 => o,
            o => o / self.limit.abs(),
        }
    }
}

/// Which point of the front is chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The best in one quantity, which need not be an objective.
    Best {
        /// Its key.
        name: String,
        /// Larger is better.
        maximize: bool,
    },
    /// The knee, see [`crate::search::front::knee`].
    Knee,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// One to four.
    pub objectives: Vec<Target>,
    /// All must hold.
    pub limits: Vec<Limit>,
    /// The chosen point.
    pub choice: Choice,
}

impl Problem {
    /// The problem of a spec's goal. `devices` are the names in the order of the file.
    pub fn from_goal(goal: &Goal, devices: &[String]) -> Problem {
        let objectives: Vec<Target> = goal
            .objectives
            .iter()
            .map(|o| Target {
                name: o.measure.name(devices),
                quantity: o.measure.dimension.into(),
                maximize: o.maximize,
                known: o.measure.computed,
                ideal: o.range.map(|(low, high)| if o.maximize { high } else { low }),
            })
            .collect();
        let limits = goal
            .requirements
            .iter()
            .map(|r| Limit {
                name: r.measure.name(devices),
                quantity: r.measure.dimension.into(),
                at_least: r.at_least,
                limit: r.limit,
                known: r.measure.computed,
            })
            .collect();
        let choice = match &goal.pick {
            Pick::Knee => Choice::Knee,
            Pick::Best(measure) => {
                let name = measure.name(devices);
                let maximize = objectives.iter().any(|o| o.name == name && o.maximize);
                Choice::Best { name, maximize }
            }
        };
        Problem { objectives, limits, choice }
    }

    /// The objectives as costs (all to be made small), or the name of the one that is missing or
    /// not a number.
    pub fn costs(&self, values: &impl Fn(&str) -> Option<f64>) -> Result<Vec<f64>, String> {
        self.objectives
            .iter()
            .map(|o| match values(&o.name) {
                Some(v) if v.is_finite() => Ok(o.cost(v)),
                _ => Err(o.name.clone()),
            })
            .collect()
    }

    /// The least cost that counts in each objective: that of its ideal.
    pub fn floors(&self) -> Vec<f64> {
        let sign = |o: &Target, v: f64| if o.maximize { -v } else { v };
        self.objectives.iter().map(|o| o.ideal.map_or(f64::NEG_INFINITY, |v| sign(o, v))).collect()
    }

    /// A vector of objectives in their own units as costs, or of costs in the objectives' units.
    pub fn signed(&self, values: &[f64]) -> Vec<f64> {
        let pairs = self.objectives.iter().zip(values);
        pairs.map(|(o, v)| if o.maximize { -v } else { *v }).collect()
    }

    /// The sum of all violations, or of those of known limits; see [`Limit::violation`].
    pub fn violation(&self, known_only: bool, values: &impl Fn(&str) -> Option<f64>) -> f64 {
        self.limits
            .iter()
            .filter(|l| l.known || !known_only)
            .map(|l| l.violation(values(&l.name).unwrap_or(f64::NAN)))
            .sum()
    }
}

/// What can be said of a point without training it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KnownPoint {
    /// The canonical hash of its graph: equal hashes are never tried twice.
    pub hash: String,
    /// Exact values by name: every known objective and limit, and whatever else is cheap
    /// (parameters, MACs): positive values become features of the model on a logarithmic scale.
    pub values: BTreeMap<String, f64>,
    /// More features for the model, as many for every point, on a scale where equal distances mean
    /// about equal changes: log2 of widths by stage, depth, share of attention.
    pub features: Vec<f64>,
}

/// Computes [`KnownPoint`]; an error says why the point is no network. Called about a thousand times a suggestion,
/// up to ten thousand times where decisions are finely graded, so it should take well under a millisecond. Where no
/// objective is known and there are [`Features`] it is a hundred times, and a few times if no known value has a limit.
/// Must be a pure function; it is called on several threads.
pub type Known<'a> = dyn Fn(&Point) -> Result<KnownPoint, String> + Sync + 'a;

/// What a point's operators tell the model, on scales where equal distances mean about equal changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sketch {
    /// How much there is of the network as a whole: logarithms of weights and operations. An ordinal
    /// decision that moves none of these much is believed to matter little.
    pub amounts: Vec<f64>,
    /// What else there is to say of the whole: depth, share of attention.
    pub general: Vec<f64>,
    /// Of single parts: logarithms of widths. An ordinal decision that always changes one of these is
    /// shown to the model through them alone (a width that is a multiple of the one before).
    pub sizes: Vec<f64>,
}

impl Sketch {
    /// All of it as one list.
    pub fn all(self) -> Vec<f64> {
        self.amounts.into_iter().chain(self.general).chain(self.sizes).collect()
    }
}

/// Computes a [`Sketch`], much faster than all that is known: the model then looks at many points and
/// [`Known`] is called for the few that it likes. A function is one.
pub trait Features: Sync {
    /// The sketch of a point, `None` where it is no network. Must depend on the point alone, with as many
    /// features for every point. Networks that count as equal ([`KnownPoint::hash`]) should have the same: while
    /// the acquisition climbs a point is taken to be a new network if no trial has its features.
    fn sketch(&self, point: &Point) -> Option<Sketch>;

    /// What the study's space repairs a wish to ([`SearchSpace::repair`]), with its sketch, for those who can do
    /// both at once.
    fn repaired(
        &self,
        space: &dyn SearchSpace,
        wish: &[Option<u32>],
        rng: &mut dyn rand::Rng,
    ) -> Option<(Point, Option<Sketch>)> {
        let point = space.repair(wish, rng)?;
        let sketch = self.sketch(&point);
        Some((point, sketch))
    }
}

impl<F: Fn(&Point) -> Option<Sketch> + Sync> Features for F {
    fn sketch(&self, point: &Point) -> Option<Sketch> {
        self(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_relative_to_the_limit() {
        let l = Limit {
            name: "ram".into(),
            quantity: Quantity::Bytes,
            at_least: false,
            limit: 100.0,
            known: true,
        };
        assert_eq!(l.violation(100.0), 0.0);
        assert_eq!(l.violation(150.0), 0.5);
        assert_eq!(l.violation(f64::NAN), f64::INFINITY);
        let l = Limit { at_least: true, ..l };
        assert_eq!(l.violation(75.0), 0.25);
        assert_eq!(l.violation(120.0), 0.0);
    }

    #[test]
    fn beyond_the_ideal_nothing_is_gained() {
        let t = |maximize, ideal| Target {
            name: "t".into(),
            quantity: Quantity::Plain,
            maximize,
            known: false,
            ideal,
        };
        assert_eq!(t(false, None).cost(3.0), 3.0);
        assert_eq!(t(true, None).cost(3.0), -3.0);
        assert_eq!(t(false, Some(2.0)).cost(1.0), 2.0);
        assert_eq!(t(false, Some(2.0)).cost(3.0), 3.0);
        assert_eq!(t(true, Some(0.9)).cost(0.95), -0.9);
        assert_eq!(t(true, Some(0.9)).cost(0.8), -0.8);
    }
}
