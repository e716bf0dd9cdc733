//! What the decisions of a space do to its networks, which says how a model is shown them.

use super::explore::{is_fine, Explorer};
use crate::space::{DecisionKind, Point};
use rand::Rng;

/// How a model is shown a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shown {
    /// By columns of its own, of which nothing is known.
    Plainly,
    /// By columns of its own. Ordinal; on the average over points, the farthest that it moves one of the
    /// network's amounts, as a part of that amount's range among the feasible points sampled.
    WithEffect(f64),
    /// Through the sizes of the network alone: it is ordinal, and every change of it at every point of
    /// a sample moves one of the sizes or nothing.
    InSizes,
}

/// Whether `other` has this value of a decision and is otherwise the same, but for what depends on it.
fn differs_in(d: usize, v: u32, point: &Point, other: &Point) -> bool {
    let mut pairs = point.0.iter().zip(&other.0).enumerate();
    other.0.get(d) == Some(&Some(v))
        && pairs.all(|(i, (a, b))| i == d || a == b || a.is_none() || b.is_none())
}

impl Explorer<'_> {
    /// For each decision how the model is shown it; see [`Shown`]. `ranges` are those of the amounts, infinite
    /// where an amount tells nothing.
    pub fn shown(&self, sample: &[Point], ranges: &[f64], rng: &mut dyn Rng) -> Vec<Shown> {
        let decisions = self.space.decisions();
        let mut shown = vec![Shown::Plainly; decisions.len()];
        let Some(features) = self.features else { return shown };
        for ((d, info), shown) in decisions.iter().enumerate().zip(&mut shown) {
            if matches!(info.kind, DecisionKind::Categorical) || is_fine(info) {
                continue;
            }
            let (mut moves_sizes, mut hidden) = (false, false);
            let (mut effects, mut points) = (0.0, 0.0);
            for point in sample {
                let (Some(Some(now)), Some(here)) = (point.0.get(d).copied(), features.sketch(point)) else {
                    continue;
                };
                let mut effect: Option<f64> = None;
                for v in (0..info.values.len() as u32).filter(|v| *v != now) {
                    let mut wish = point.0.clone();
                    wish[d] = Some(v);
                    // Where constraints refuse the value, repair changes something else.
                    let other = features.repaired(self.space, &wish, rng);
                    let other = other.filter(|(p, _)| differs_in(d, v, point, p));
                    let Some((_, Some(other))) = other else { continue };
                    moves_sizes |= other.sizes != here.sizes;
                    hidden |= other.sizes == here.sizes && other != here;
                    let moved = other.amounts.iter().zip(&here.amounts).zip(ranges);
                    let moved = moved.map(|((a, b), r)| (a - b).abs() / r);
                    effect = Some(moved.fold(effect.unwrap_or(0.0), f64::max));
                }
                if let Some(effect) = effect {
                    effects += effect;
                    points += 1.0;
                }
            }
            if moves_sizes && !hidden {
                *shown = Shown::InSizes;
            } else if points > 0.0 && ranges.iter().any(|r| r.is_finite()) {
                *shown = Shown::WithEffect(effects / points);
            }
        }
        shown
    }
}
