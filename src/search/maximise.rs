//! The inner search: the point of greatest score, over the discrete space itself.

use super::cores::spread;
use super::design::Design;
use super::explore::{fine, Candidate, Explorer};
use super::problem::KnownPoint;
use crate::space::Point;
use rand::{Rng, RngExt};
use std::collections::HashSet;
use std::sync::Arc;

/// Starts of the ascent.
const STARTS: usize = 6;
/// How many times more points are looked at where all decisions are finely graded, less one.
const FINE_EFFORT: usize = 9;

/// A point with its score.
type Scored = (f64, Point);

/// The best new feasible point by `score`: samples, mutations and crossovers of the elite, then ascent over
/// one-decision changes from the best few, as far as the effort goes: steepest ascent, or cyclic coordinate ascent
/// (each decision in turn to the best of the values tried) where most decisions are finely graded and have many
/// neighbours. If `lazy`, points are scored by their features first, and what is known of them is computed for those
/// only that would be taken; where no computed value has a limit, for the ends of ascents alone.
pub(super) fn maximise(
    explorer: &mut Explorer,
    design: &Design,
    elite: &[Point],
    effort: usize,
    lazy: bool,
    score: impl Fn(&[f64], Option<&KnownPoint>) -> f64 + Sync,
    rng: &mut dyn Rng,
) -> Option<Arc<Candidate>> {
    let decisions = explorer.space.decisions().len();
    let finely_graded = fine(explorer.space.decisions());
    let cyclic = 2 * finely_graded > decisions;
    // Points that differ by a hair are many, and cheap to score.
    let effort = effort * (1 + FINE_EFFORT * finely_graded / decisions.max(1));
    let mut seen: HashSet<Point> = HashSet::new();
    let free = |c: &Candidate| !explorer.taken.contains_key(&c.known.hash);
    let pool: Vec<&(Arc<Candidate>, Vec<f64>)> =
        design.pool.iter().filter(|(c, _)| free(c) && seen.insert(c.point.clone())).collect();
    let scores = spread(&pool, |(c, x)| score(x, Some(&c.known)));
    let mut ranked: Vec<Scored> = scores.into_iter().zip(pool.iter().map(|(c, _)| c.point.clone())).collect();
    // Counts points, not calls: a resumed study has not cached what its predecessor had.
    let budget = seen.len() + effort;
    let taken = if lazy { explorer.features_taken() } else { None };
    // Scores of those not seen before; unless `lazy`, of the usable ones alone.
    let evaluate = |explorer: &mut Explorer, seen: &mut HashSet<Point>, points: Vec<Point>| -> Vec<Scored> {
        let fresh: Vec<Point> = points.into_iter().filter(|p| seen.insert(p.clone())).collect();
        if !lazy {
            explorer.look_ahead(&fresh);
        }
        let place = |p: Point| {
            let candidate = if lazy { None } else { Some(explorer.usable(&p)?) };
            let known = candidate.as_ref().map(|c| &c.known);
            Some((explorer.encode(&design.encoder, &p, known)?, p, candidate))
        };
        let places: Vec<_> = fresh.into_iter().filter_map(place).collect();
        let scores = spread(&places, |(x, _, c)| score(x, c.as_ref().map(|c| &c.known)));
        scores.into_iter().zip(places.into_iter().map(|(_, p, _)| p)).collect()
    };
    let mut drawn: Vec<Point> = Vec::new();
    for t in 0..effort / 3 {
        let pick = |rng: &mut dyn Rng| elite.get(rng.random_range(0..elite.len().max(1)));
        let point = match (t % 8, pick(rng)) {
            (0, _) | (_, None) => Some(explorer.space.sample(rng)),
            (1..=4, Some(p)) => explorer.mutate(p, 1.5 / p.0.len().max(1) as f64, rng),
            (5, Some(p)) => explorer.mutate(p, 5.0 / p.0.len().max(1) as f64, rng),
            (_, Some(a)) => {
                pick(rng).and_then(|b| explorer.cross(a, b, rng)).and_then(|c| explorer.mutate(&c, 0.0, rng))
            }
        };
        drawn.extend(point);
    }
    ranked.extend(evaluate(explorer, &mut seen, drawn));
    // From a point to the best of some others that has not been scored yet and is better. `way`: all looked at.
    let step = |explorer: &mut Explorer,
                seen: &mut HashSet<Point>,
                way: &mut Vec<Scored>,
                at: Scored,
                others: Vec<Point>| {
        let mut better = evaluate(explorer, seen, others);
        way.extend_from_slice(&better);
        better.retain(|n| n.0 > at.0);
        better.sort_by(|a, b| b.0.total_cmp(&a.0));
        better.into_iter().find(|n| explorer.seems_usable(&n.1, taken.as_ref())).unwrap_or(at)
    };
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best: Option<(f64, Arc<Candidate>)> = None;
    let (mut starts, mut wasted) = (0, 0);
    for start in ranked {
        // A start from which nothing can be climbed is no better than those before it.
        if starts >= STARTS || wasted > effort || (best.is_some() && seen.len() >= budget) {
            break;
        }
        if !explorer.seems_usable(&start.1, taken.as_ref()) {
            wasted += 1;
            continue;
        }
        let mut way = vec![start.clone()];
        let mut at = start;
        while seen.len() < budget {
            let before = at.0;
            for d in 0..if cyclic { decisions } else { 0 } {
                let others = explorer.changes(&at.1, d, rng);
                at = step(explorer, &mut seen, &mut way, at, others);
            }
            if !cyclic {
                let others = explorer.neighbours(&at.1, rng);
                at = step(explorer, &mut seen, &mut way, at, others);
            }
            if at.0 <= before {
                break;
            }
        }
        if best.as_ref().is_some_and(|b| at.0 <= b.0) {
            starts += 1;
            continue;
        }
        // That is the end of the ascent, but where equal networks have different features, or a point with
        // features is no network.
        way.sort_by(|a, b| b.0.total_cmp(&a.0));
        match way.into_iter().find_map(|(v, p)| Some((v, explorer.usable(&p)?))) {
            Some(end) => {
                starts += 1;
                if best.as_ref().is_none_or(|b| end.0 > b.0) {
                    best = Some(end);
                }
            }
            None => wasted += 1,
        }
    }
    best.map(|b| b.1)
}
