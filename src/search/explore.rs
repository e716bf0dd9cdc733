//! Feasible points: finding them, and saying honestly when there are none.

use super::cores::{spread, Tripwire};
use super::encode::Encoder;
use super::problem::{Features, Known, KnownPoint, Limit, Problem, Sketch};
use crate::space::{DecisionInfo, DecisionKind, Point, SearchSpace};
use rand::{Rng, RngExt};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Spaces with at most this many wishes are enumerated before one is called empty or exhausted.
const ENUMERABLE: usize = 20_000;
/// Points computed before a space that cannot be enumerated is called empty.
const EFFORT: usize = 6_000;
/// Points remembered; forgetting costs time only.
const CACHE: usize = 100_000;

/// Points whose features are remembered (some 10 MB): one suggestion walks mostly where those before it did.
const SKETCHES: usize = 30_000;

/// A point with what is known of it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The point.
    pub point: Point,
    /// What is known without running it.
    pub known: KnownPoint,
    /// Sum of the violations of known limits; 0: feasible.
    pub violation: f64,
}

/// The point that came closest to keeping all known limits.
#[derive(Debug, Clone, PartialEq)]
pub struct NearMiss {
    /// The point.
    pub point: Point,
    /// The limit it breaks most.
    pub limit: Limit,
    /// Its value there.
    pub value: f64,
}

/// Why no new feasible point was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shortage {
    /// Different points looked at.
    pub looked_at: usize,
    /// Every point of the space was looked at.
    pub exhaustive: bool,
    /// Feasible points seen, tried ones among them.
    pub feasible: usize,
    /// The closest infeasible point.
    pub nearest: Option<NearMiss>,
    /// Why some point is no network at all.
    pub invalid: Option<String>,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.looked_at;
        if self.exhaustive {
            write!(f, "none of the {n} points of the space is new and keeps all requirements")
        } else {
            write!(f, "no new point that keeps all constraints and requirements was found among {n}")
        }
    }
}

/// Ordinal decisions with more values are finely graded: not every value is tried.
const FINE: usize = 16;

/// Whether a decision has so many ordered values that neighbours are as good as alike.
pub(super) fn is_fine(info: &DecisionInfo) -> bool {
    info.values.len() > FINE && matches!(info.kind, DecisionKind::Ordinal(_))
}

/// How many of these are finely graded.
pub(super) fn fine(decisions: &[DecisionInfo]) -> usize {
    decisions.iter().filter(|d| is_fine(d)).count()
}

/// Another value of a decision at random: any, or a step whose length is uniform in its logarithm.
fn other_value(info: &DecisionInfo, now: u32, rng: &mut dyn Rng) -> u32 {
    let n = info.values.len() as u32;
    if !is_fine(info) {
        return (now + rng.random_range(1..n)) % n;
    }
    let step = (rng.random_range(0.0..1.0) * f64::from(n / 2).ln()).exp().round() as u32;
    match rng.random_bool(0.5) {
        true => now.checked_sub(step).unwrap_or(if now == 0 { step } else { 0 }).min(n - 1),
        false if now + step < n => now + step,
        false if now == n - 1 => n - 1 - step.min(n - 1),
        false => n - 1,
    }
}

/// The values to try beside one: all, or where they are finely graded those at steps of powers of three, and
/// both ends, where optima often are and which steps reach but by chance (`wfg5-4` in docs/search-measured.md).
fn near(info: &DecisionInfo, now: u32) -> Vec<u32> {
    let n = info.values.len() as u32;
    if !is_fine(info) {
        return (0..n).filter(|v| *v != now).collect();
    }
    let steps = std::iter::successors(Some(1u32), |s| s.checked_mul(3)).take_while(|s| *s < n);
    let around = steps.flat_map(|s| [now.checked_sub(s), Some(now + s).filter(|v| *v < n)]).flatten();
    let mut values: Vec<u32> = around.chain([0, n - 1]).filter(|v| *v != now).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// A point before it is one; see [`SearchSpace::repair`].
type Wish = Vec<Option<u32>>;
/// What it becomes, with its sketch where there is one.
type Repaired = (Point, Option<Sketch>);

fn repaired(
    space: &dyn SearchSpace,
    features: Option<&dyn Features>,
    wish: &[Option<u32>],
    rng: &mut dyn Rng,
) -> Option<Repaired> {
    match features {
        Some(features) => features.repaired(space, wish, rng),
        None => Some((space.repair(wish, rng)?, None)),
    }
}

fn bits(features: &[f64]) -> Vec<u64> {
    features.iter().map(|v| v.to_bits()).collect()
}

/// Looks at points and remembers what it saw.
pub struct Explorer<'a> {
    /// The space.
    pub space: &'a dyn SearchSpace,
    known: &'a Known<'a>,
    /// A cheap way to the features, where there is one.
    pub features: Option<&'a dyn Features>,
    problem: Problem,
    cache: HashMap<Point, Result<Arc<Candidate>, String>>,
    /// Features of points.
    sketches: RefCell<HashMap<Point, Vec<f64>>>,
    /// Hashes of the graphs that have a trial, with their points.
    pub taken: HashMap<String, Point>,
    /// Times `known` was called.
    pub calls: usize,
}

impl<'a> Explorer<'a> {
    /// Nothing seen yet.
    pub fn new(space: &'a dyn SearchSpace, known: &'a Known<'a>, problem: Problem) -> Self {
        Explorer {
            space,
            known,
            features: None,
            problem,
            cache: HashMap::new(),
            sketches: RefCell::default(),
            taken: HashMap::new(),
            calls: 0,
        }
    }

    /// What is known of a point.
    pub fn look(&mut self, point: &Point) -> Result<Arc<Candidate>, String> {
        if let Some(seen) = self.cache.get(point) {
            return seen.clone();
        }
        let known = (self.known)(point);
        self.remember(point, known)
    }

    fn remember(
        &mut self,
        point: &Point,
        known: Result<KnownPoint, String>,
    ) -> Result<Arc<Candidate>, String> {
        self.calls += 1;
        let found = known.map(|known| {
            let violation = self.problem.violation(true, &|name| known.values.get(name).copied());
            Arc::new(Candidate { point: point.clone(), known, violation })
        });
        if self.cache.len() >= CACHE {
            self.cache.clear();
        }
        self.cache.insert(point.clone(), found.clone());
        found
    }

    /// The candidate if it is feasible and new.
    pub fn usable(&mut self, point: &Point) -> Option<Arc<Candidate>> {
        self.look(point).ok().filter(|c| c.violation <= 0.0 && !self.taken.contains_key(&c.known.hash))
    }

    /// Notes that a network has a trial.
    pub fn take(&mut self, hash: &str, point: &Point) {
        self.taken.insert(hash.to_owned(), point.clone());
    }

    /// What is known of points, worked out on several cores where that is worth it, and remembered.
    pub fn look_ahead(&mut self, points: &[Point]) {
        let missing: Vec<&Point> = points.iter().filter(|p| !self.cache.contains_key(*p)).collect();
        let found = spread(&missing, |p| (self.known)(p));
        for (point, known) in missing.into_iter().zip(found) {
            let _ = self.remember(point, known);
        }
    }

    /// The features of a point, where there is a cheap way to them.
    fn sketch(&self, point: &Point) -> Option<Vec<f64>> {
        let seen = self.sketches.borrow().get(point).cloned();
        if seen.is_some() {
            return seen;
        }
        let features = self.features?.sketch(point)?.all();
        self.note(point, features.clone());
        Some(features)
    }

    fn note(&self, point: &Point, features: Vec<f64>) {
        let mut sketches = self.sketches.borrow_mut();
        if sketches.contains_key(point) {
            return;
        }
        if sketches.len() >= SKETCHES {
            sketches.clear();
        }
        sketches.insert(point.clone(), features);
    }

    /// The features, as bits, of the networks that have a trial. `None` where a point's features cannot tell
    /// whether it is usable: there are none, or computed values have limits.
    pub fn features_taken(&self) -> Option<HashSet<Vec<u64>>> {
        if self.problem.limits.iter().any(|l| l.known) {
            return None;
        }
        self.taken.values().map(|p| self.sketch(p).map(|f| bits(&f))).collect()
    }

    /// Whether a point is [usable](Explorer::usable), as far as its features say: it is if no trial has them. Its
    /// network is looked at only where one has, or where `taken` is `None`.
    pub fn seems_usable(&mut self, point: &Point, taken: Option<&HashSet<Vec<u64>>>) -> bool {
        let features = taken.and_then(|_| self.sketch(point));
        let new = taken.zip(features).is_some_and(|(taken, f)| !taken.contains(&bits(&f)));
        new || self.usable(point).is_some()
    }

    /// The coordinates of a point for the model. Where there is a cheap way to the features they are
    /// all that the model sees beside the decisions; `known` is not looked at then, and may be `None`.
    pub fn encode(&self, encoder: &Encoder, point: &Point, known: Option<&KnownPoint>) -> Option<Vec<f64>> {
        match self.features {
            Some(_) => {
                let features = self.sketch(point)?;
                Some(encoder.encode(point, &KnownPoint { features, ..KnownPoint::default() }))
            }
            None => known.map(|k| encoder.encode(point, k)),
        }
    }

    /// [`SearchSpace::repair`], with the features noted where they come with it.
    fn repair(&self, wish: &[Option<u32>], rng: &mut dyn Rng) -> Option<Point> {
        Some(self.noted(repaired(self.space, self.features, wish, rng)?))
    }

    /// The same of many, on several cores where nothing random is needed, as mostly: the others take their
    /// numbers in their turn.
    fn repair_all(&self, wishes: &[Wish], rng: &mut dyn Rng) -> Vec<Point> {
        let (space, features) = (self.space, self.features);
        let found = spread(wishes, |wish| {
            let mut wire = Tripwire::new();
            let found = repaired(space, features, wish, &mut wire);
            (!wire.tripped()).then_some(found)
        });
        let pairs = wishes.iter().zip(found);
        let point = |(wish, found): (&Wish, Option<Option<Repaired>>)| match found {
            Some(found) => Some(self.noted(found?)),
            None => self.repair(wish, rng),
        };
        pairs.filter_map(point).collect()
    }

    fn noted(&self, (point, sketch): Repaired) -> Point {
        if let Some(sketch) = sketch {
            self.note(&point, sketch.all());
        }
        point
    }

    /// A point with some decisions changed: each with probability `rate`, at least one.
    pub fn mutate(&self, point: &Point, rate: f64, rng: &mut dyn Rng) -> Option<Point> {
        let decisions = self.space.decisions();
        let open: Vec<usize> = (0..decisions.len())
            .filter(|&d| decisions[d].values.len() > 1 && point.0.get(d).copied().flatten().is_some())
            .collect();
        if open.is_empty() {
            return None;
        }
        let mut wish = point.0.clone();
        let forced = open[rng.random_range(0..open.len())];
        for d in open {
            if d == forced || rng.random_bool(rate.clamp(0.0, 1.0)) {
                wish[d] = wish[d].map(|v| other_value(&decisions[d], v, rng));
            }
        }
        self.repair(&wish, rng)
    }

    /// Each decision from one of two parents.
    pub fn cross(&self, a: &Point, b: &Point, rng: &mut dyn Rng) -> Option<Point> {
        let wish: Vec<Option<u32>> =
            a.0.iter()
                .zip(&b.0)
                .map(|(x, y)| {
                    let (first, second) = if rng.random_bool(0.5) { (x, y) } else { (y, x) };
                    // A decision that only one parent makes keeps its value, in case it exists.
                    first.or(*second)
                })
                .collect();
        self.repair(&wish, rng)
    }

    /// The points that differ from `point` in one decision (and what depends on it): by all other
    /// values, or where they are finely graded by steps of powers of three and to both ends.
    pub fn neighbours(&self, point: &Point, rng: &mut dyn Rng) -> Vec<Point> {
        let wishes: Vec<Wish> =
            (0..self.space.decisions().len()).flat_map(|d| self.wishes(point, d)).collect();
        self.repair_all(&wishes, rng).into_iter().filter(|p| p != point).collect()
    }

    /// Those that differ in this one.
    pub fn changes(&self, point: &Point, d: usize, rng: &mut dyn Rng) -> Vec<Point> {
        let wishes = self.wishes(point, d);
        self.repair_all(&wishes, rng).into_iter().filter(|p| p != point).collect()
    }

    /// What [`Explorer::changes`] repairs.
    pub(super) fn wishes(&self, point: &Point, d: usize) -> Vec<Wish> {
        let (Some(info), Some(Some(now))) = (self.space.decisions().get(d), point.0.get(d).copied()) else {
            return Vec::new();
        };
        let wish = |v: u32| {
            let mut wish = point.0.clone();
            wish[d] = Some(v);
            wish
        };
        near(info, now).into_iter().map(wish).collect()
    }

    /// A feasible point without a trial: sampled; if that fails, by walking downhill in violation and
    /// around the feasible points; in a small space, by looking at all of it.
    pub fn find(&mut self, rng: &mut dyn Rng) -> Result<Arc<Candidate>, Shortage> {
        let mut seen: Vec<Arc<Candidate>> = Vec::new();
        let mut invalid = None;
        for _ in 0..400 {
            let point = self.space.sample(rng);
            match self.look(&point) {
                Ok(c) if c.violation <= 0.0 && !self.taken.contains_key(&c.known.hash) => return Ok(c),
                Ok(c) => seen.push(c),
                Err(e) => invalid = Some(e),
            }
        }
        if let Some(all) = self.enumerate(rng) {
            return self.choose(all, rng, invalid);
        }
        // Walk from the least violated points; a feasible one that is taken is a good start too.
        let mut tries = 0;
        let mut best: Vec<Arc<Candidate>> = Vec::new();
        while tries < EFFORT {
            best.append(&mut seen);
            best.sort_by(|a, b| a.violation.total_cmp(&b.violation).then_with(|| a.point.cmp(&b.point)));
            best.dedup_by(|a, b| a.point == b.point);
            // Chance decides which of the equally good stay.
            let tied = best.partition_point(|c| c.violation <= 0.0);
            for i in (1..tied).rev() {
                best.swap(i, rng.random_range(0..=i));
            }
            best.truncate(20);
            for _ in 0..100 {
                tries += 1;
                let next = if best.is_empty() {
                    Some(self.space.sample(rng))
                } else {
                    let from = best[rng.random_range(0..best.len())].point.clone();
                    let rate = [0.02, 0.1, 0.3][rng.random_range(0..3)];
                    self.mutate(&from, rate, rng)
                };
                let Some(point) = next else { continue };
                match self.look(&point) {
                    Ok(c) if c.violation <= 0.0 && !self.taken.contains_key(&c.known.hash) => return Ok(c),
                    Ok(c) => seen.push(c),
                    Err(e) => invalid = Some(e),
                }
            }
        }
        best.extend(seen);
        let mut shortage = self.shortage(&best, invalid);
        shortage.looked_at = 400 + tries;
        Err(shortage)
    }

    /// Every point, in a space small enough.
    fn enumerate(&mut self, rng: &mut dyn Rng) -> Option<Vec<Arc<Candidate>>> {
        let sizes: Vec<u32> = self.space.decisions().iter().map(|d| d.values.len() as u32).collect();
        let total = sizes.iter().try_fold(1usize, |t, n| t.checked_mul(*n as usize))?;
        if total > ENUMERABLE {
            return None;
        }
        let mut points: HashSet<Point> = HashSet::new();
        let mut out = Vec::new();
        for mut code in 0..total {
            let wish: Vec<Option<u32>> = sizes
                .iter()
                .map(|n| {
                    let v = code % *n as usize;
                    code /= *n as usize;
                    Some(v as u32)
                })
                .collect();
            if let Some(point) = self.space.repair(&wish, rng) {
                if points.insert(point.clone()) {
                    out.extend(self.look(&point).ok());
                }
            }
        }
        Some(out)
    }

    fn choose(
        &self,
        all: Vec<Arc<Candidate>>,
        rng: &mut dyn Rng,
        invalid: Option<String>,
    ) -> Result<Arc<Candidate>, Shortage> {
        let free: Vec<&Arc<Candidate>> =
            all.iter().filter(|c| c.violation <= 0.0 && !self.taken.contains_key(&c.known.hash)).collect();
        if free.is_empty() {
            return Err(Shortage { exhaustive: true, looked_at: all.len(), ..self.shortage(&all, invalid) });
        }
        Ok(free[rng.random_range(0..free.len())].clone())
    }

    fn shortage(&self, seen: &[Arc<Candidate>], invalid: Option<String>) -> Shortage {
        let nearest = seen
            .iter()
            .filter(|c| c.violation > 0.0)
            .min_by(|a, b| a.violation.total_cmp(&b.violation))
            .and_then(|c| {
                let value = |l: &Limit| c.known.values.get(&l.name).copied().unwrap_or(f64::NAN);
                let limit = self
                    .problem
                    .limits
                    .iter()
                    .filter(|l| l.known)
                    .max_by(|a, b| a.violation(value(a)).total_cmp(&b.violation(value(b))))?;
                Some(NearMiss { point: c.point.clone(), limit: limit.clone(), value: value(limit) })
            });
        let hashes: HashSet<&str> =
            seen.iter().filter(|c| c.violation <= 0.0).map(|c| c.known.hash.as_str()).collect();
        Shortage { feasible: hashes.len(), nearest, invalid, ..Shortage::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_fine_decisions_are_near_and_far_and_at_both_ends() {
        let info = |n: u32| DecisionInfo {
            path: "a".into(),
            values: (0..n).map(|v| v.to_string()).collect(),
            kind: DecisionKind::Ordinal((0..n).map(f64::from).collect()),
        };
        assert_eq!(near(&info(5), 2), [0, 1, 3, 4]);
        assert_eq!(near(&info(101), 50), [0, 23, 41, 47, 49, 51, 53, 59, 77, 100]);
        assert_eq!(near(&info(101), 0), [1, 3, 9, 27, 81, 100]);
        assert_eq!(near(&info(101), 100), [0, 19, 73, 91, 97, 99]);
    }
}
