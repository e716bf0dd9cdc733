//! How many points a space has.
//!
//! Decisions that no constraint couples multiply and add along the tree; the coupled ones are
//! enumerated. So the number is exact wherever the coupled decisions are few enough to enumerate.

use super::explore::{Deps, Node};
use super::run::Trace;
use super::scope::DecisionId;
use super::{Outcome, Space};
use num_bigint::BigUint;
use num_traits::{One, ToPrimitive, Zero};
use rand::SeedableRng;

/// More assignments of coupled decisions than this are not enumerated.
pub(super) const ENUMERATE: usize = 40_000;

/// The number of points.
#[derive(Debug, Clone, PartialEq)]
pub enum Size {
    /// All of them, counted.
    Exact(BigUint),
    /// Too many coupled decisions to count: assignments without the constraints (an upper bound),
    /// and the part of a random sample that keeps them.
    Estimated {
        /// Assignments when constraints are ignored and guards counted as their largest branch.
        bound: BigUint,
        /// Part of up to 2,000 random assignments that satisfy the constraints.
        fraction: f64,
    },
}

/// `{}` has every digit; `{:#}` gives numbers of more than sixteen with an exponent.
impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = f.alternate();
        let shown = |n: &BigUint| {
            let digits = n.to_string();
            match (digits.get(..1), digits.get(1..3), digits.len() - 1) {
                (Some(first), Some(next), 16..) if short => format!("{first}.{next}e{}", digits.len() - 1),
                _ => digits,
            }
        };
        match self {
            Size::Exact(n) => f.write_str(&shown(n)),
            // There is no space without a point that keeps its constraints.
            Size::Estimated { bound, fraction: 0.0 } => write!(f, "at least 1 (at most {})", shown(bound)),
            Size::Estimated { bound, fraction } => {
                write!(
                    f,
                    "about {:.1e} (at most {})",
                    bound.to_f64().unwrap_or(f64::INFINITY) * fraction,
                    shown(bound)
                )
            }
        }
    }
}

/// All assignments of some decisions, the others chosen by a base: an odometer over runs, whose
/// wheels are the decisions in the order in which they are met.
pub(super) struct Odometer {
    /// Decision, value, number of values.
    wheels: Vec<(DecisionId, u32, u32)>,
    started: bool,
}

impl Odometer {
    pub(super) fn new() -> Self {
        Odometer { wheels: Vec::new(), started: false }
    }

    /// Runs the next assignment; `None` after the last.
    pub(super) fn next(
        &mut self,
        space: &Space,
        turn: &Deps,
        base: &[Option<u32>],
    ) -> Option<(Outcome, Trace)> {
        if self.started {
            loop {
                let (_, value, n) = self.wheels.last_mut()?;
                if *value + 1 < *n {
                    *value += 1;
                    break;
                }
                self.wheels.pop();
            }
        }
        self.started = true;
        let mut met = 0;
        let wheels = &mut self.wheels;
        let infos = &space.scopes.infos;
        let mut choose = |id: DecisionId| {
            if !turn.contains(&id) {
                return base.get(id).copied().flatten().unwrap_or(0);
            }
            let n = infos.get(id).map_or(1, |d| d.values.len() as u32);
            if met == wheels.len() {
                wheels.push((id, 0, n));
            }
            let value = wheels.get(met).map_or(0, |w| w.1);
            met += 1;
            value
        };
        let result = space.try_out(&mut choose);
        // A run that stopped early met fewer decisions: the wheels behind stand still.
        self.wheels.truncate(met);
        Some(result)
    }
}

impl Space {
    /// The number of decision assignments that satisfy the constraints.
    pub fn size(&self) -> Size {
        let mut total = BigUint::zero();
        let mut odometer = Odometer::new();
        let mut runs = 0;
        let most = self.affordable(ENUMERATE);
        while let Some((outcome, trace)) = odometer.next(self, &self.coupled, &[]) {
            runs += 1;
            if runs > most {
                return self.estimate();
            }
            if !matches!(outcome, Outcome::Constraint) {
                total += self.product(&self.tree, Some(&trace));
            }
            if self.coupled.is_empty() {
                break;
            }
        }
        Size::Exact(total)
    }

    fn estimate(&self) -> Size {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let sample = self.affordable(2000);
        let kept = (0..sample).filter(|_| self.complete(&[], &mut rng, &mut ()).is_some()).count();
        Size::Estimated { bound: self.product(&self.tree, None), fraction: kept as f64 / sample as f64 }
    }

    fn product(&self, tree: &[Node], trace: Option<&Trace>) -> BigUint {
        tree.iter().fold(BigUint::one(), |acc, n| acc * self.ways(n, trace))
    }

    /// Assignments of one node. Coupled decisions count as the one value of the trace.
    fn ways(&self, node: &Node, trace: Option<&Trace>) -> BigUint {
        let fixed = |id: &DecisionId| {
            trace.filter(|_| self.coupled.contains(id)).map(|t| t.chosen.get(*id).copied().flatten())
        };
        match node {
            Node::Decision { id, children } => match fixed(id) {
                Some(value) => value
                    .and_then(|i| children.get(i as usize))
                    .map_or_else(BigUint::one, |c| self.product(c, trace)),
                None if children.is_empty() => {
                    BigUint::from(self.scopes.infos.get(*id).map_or(1, |d| d.values.len()))
                }
                None => children.iter().map(|c| self.product(c, trace)).sum(),
            },
            Node::Repeat { id, counts, bodies } => {
                let each: Vec<BigUint> = bodies.iter().map(|b| self.product(b, trace)).collect();
                let first = |n: usize| each.iter().take(n).product::<BigUint>();
                match fixed(id) {
                    Some(value) => {
                        value.and_then(|i| counts.get(i as usize)).map_or_else(BigUint::one, |&n| first(n))
                    }
                    None => counts.iter().map(|&n| first(n)).sum(),
                }
            }
            Node::When { key, branches: [no, yes] } => match trace.map(|t| t.guards.get(key)) {
                Some(Some(0)) => self.product(no, trace),
                Some(Some(_)) => self.product(yes, trace),
                Some(None) => BigUint::one(),
                None => self.product(no, trace).max(self.product(yes, trace)),
            },
            Node::Given { key, bodies } => {
                let n = match trace.map(|t| t.guards.get(key)) {
                    Some(Some(n)) => *n,
                    Some(None) => 0,
                    None => bodies.len(),
                };
                bodies.iter().take(n).map(|b| self.product(b, trace)).product()
            }
        }
    }
}
