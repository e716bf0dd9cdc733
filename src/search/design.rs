//! The first trials: feasible points that fill the space and spread over what is known, or that tell models
//! most.

use super::covariance::{Group, Hyper};
use super::encode::Encoder;
use super::explore::{Candidate, Explorer, Shortage};
use super::gp::Gp;
use super::problem::{KnownPoint, Problem};
use super::shown::Shown;
use super::study::{stream, Settings};
use crate::check::spec::{Algorithm, Surrogate};
use crate::space::Point;
use std::collections::HashSet;
use std::sync::Arc;

/// Feasible points sampled to choose from, and to scale features on.
const POOL: usize = 384;
/// Draws for them.
const DRAWS: usize = 1200;

/// A sample of the feasible space, and the trials to begin with.
pub struct Design {
    /// Feasible points with different graphs.
    pub pool: Vec<(Arc<Candidate>, Vec<f64>)>,
    /// The encoder scaled on them.
    pub encoder: Encoder,
    /// The first trials, at most [`Settings::initial`].
    pub points: Vec<Point>,
}

impl Design {
    /// Depends on the space, what is known and required, and the settings, never on results, so that it is
    /// the same after a restart.
    pub fn new(explorer: &mut Explorer, problem: &Problem, settings: &Settings) -> Result<Design, Shortage> {
        // Trials of an interrupted study are members like any other.
        let taken = std::mem::take(&mut explorer.taken);
        let design = Design::of_free_points(explorer, problem, settings);
        explorer.taken = taken;
        design
    }

    fn of_free_points(
        explorer: &mut Explorer,
        problem: &Problem,
        settings: &Settings,
    ) -> Result<Design, Shortage> {
        let mut rng = stream(settings.seed, 0, "design");
        let gathered = gather(explorer, &mut rng);
        let seeds: Vec<Arc<Candidate>> =
            settings.seed_points.iter().filter_map(|p| explorer.usable(p)).collect();
        let pool = match gathered {
            Err(_) if !seeds.is_empty() => seeds.clone(),
            other => other?,
        };
        let visible = |c: &Arc<Candidate>| match explorer.features {
            Some(f) => {
                let features = f.sketch(&c.point).unwrap_or_default().all();
                KnownPoint { features, ..KnownPoint::default() }
            }
            None => c.known.clone(),
        };
        let known: Vec<KnownPoint> = pool.iter().map(visible).collect();
        let sample: Vec<(Point, &KnownPoint)> =
            pool.iter().zip(&known).map(|(c, k)| (c.point.clone(), k)).collect();
        let few: Vec<Point> = pool.iter().take(16).map(|c| c.point.clone()).collect();
        let sketch = explorer.features.and_then(|f| f.sketch(&pool.first()?.point)).unwrap_or_default();
        // Where all objectives are measured. With a known one the design is spread over that, and priors by
        // effects have not proved themselves (docs/search-measured.md).
        let open = !problem.objectives.iter().any(|o| o.known);
        let amounts = 0..if open { sketch.amounts.len() } else { 0 };
        // Of an amount that is the same all over the feasible space no part says anything.
        let told = |r: f64| if r < NARROW { f64::INFINITY } else { r };
        let ranges: Vec<f64> = amounts.map(|i| told(range(&known, i))).collect();
        let mut shown = explorer.shown(&few, &ranges, &mut rng);
        let whole = sketch.amounts.len() + sketch.general.len();
        let mut sizes = whole..whole + sketch.sizes.len();
        if !sizes.any(|i| range(&known, i) > 0.0) {
            shown.iter_mut().filter(|s| **s == Shown::InSizes).for_each(|s| *s = Shown::Plainly);
        }
        let whole = (open && !sketch.sizes.is_empty()).then_some(whole);
        let encoder = Encoder::new(explorer.space.decisions(), &shown, whole, &sample);
        let pool: Vec<(Arc<Candidate>, Vec<f64>)> =
            pool.iter().zip(&known).map(|(c, k)| (c.clone(), encoder.encode(&c.point, k))).collect();
        let (mut points, given) = choose(&seeds, &pool, &encoder, problem, settings.initial);
        // What tells a Gaussian process most need not tell other algorithms anything.
        let processes = settings.algorithm == Algorithm::Mobo && settings.surrogate != Surrogate::Forest;
        if processes && explorer.features.is_some() && open {
            // The first one chosen is in the middle of the space, which all others leave.
            exchange(&mut points, given.max(1), explorer, &encoder, &mut rng);
        }
        Ok(Design { pool, encoder, points })
    }
}

fn gather(
    explorer: &mut Explorer,
    rng: &mut rand_chacha::ChaCha8Rng,
) -> Result<Vec<Arc<Candidate>>, Shortage> {
    let mut pool: Vec<Arc<Candidate>> = Vec::new();
    let mut hashes: HashSet<String> = HashSet::new();
    let mut wasted = 0;
    for _ in 0..DRAWS {
        let point = explorer.space.sample(rng);
        match explorer.usable(&point) {
            Some(c) if hashes.insert(c.known.hash.clone()) => pool.push(c),
            _ => wasted += 1,
        }
        if pool.len() >= POOL || (wasted > 300 && pool.len() > 64) {
            break;
        }
    }
    if pool.is_empty() {
        let c = explorer.find(rng)?;
        hashes.insert(c.known.hash.clone());
        pool.push(c);
    }
    // A rare region is filled by walking in it.
    let mut walks = 0;
    while pool.len() < 64 && walks < 600 {
        use rand::RngExt;
        walks += 1;
        let from = pool[rng.random_range(0..pool.len())].point.clone();
        let Some(point) = explorer.mutate(&from, 0.15, rng) else { break };
        if let Some(c) = explorer.usable(&point).filter(|c| hashes.insert(c.known.hash.clone())) {
            pool.push(c);
        }
    }
    Ok(pool)
}

/// Greedy max-min distance (Kennard and Stone 1969), decisions and known objectives weighing the
/// same; the first is the one nearest to the middle of the pool. Returns, with the points, how many of them are
/// seed points.
fn choose(
    seeds: &[Arc<Candidate>],
    pool: &[(Arc<Candidate>, Vec<f64>)],
    encoder: &Encoder,
    problem: &Problem,
    n: usize,
) -> (Vec<Point>, usize) {
    let decisions = if encoder.sees_sizes() { encoder.groups().len() } else { encoder.decision_groups() };
    let columns = encoder.groups().get(decisions.wrapping_sub(1)).map_or(0, |g| g.columns.end);
    let ranks = spread(pool, problem);
    let weight = 1.0 / decisions.max(1) as f64;
    let view = |i: usize| -> Vec<f64> {
        let scale = weight.sqrt();
        pool[i].1[..columns].iter().map(|v| v * scale).chain(ranks[i].iter().copied()).collect()
    };
    let views: Vec<Vec<f64>> = (0..pool.len()).map(view).collect();
    let distance = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum() };
    let mut points: Vec<Point> = Vec::new();
    let mut hashes: HashSet<&str> = HashSet::new();
    for s in seeds.iter().take(n) {
        if hashes.insert(&s.known.hash) {
            points.push(s.point.clone());
        }
    }
    let given = points.len();
    let mut nearest: Vec<f64> = views
        .iter()
        .map(|v| {
            seeds
                .iter()
                .map(|s| {
                    let x = encoder.encode(&s.point, &s.known);
                    let scaled: Vec<f64> = x[..columns].iter().map(|c| c * weight.sqrt()).collect();
                    distance(&v[..columns], &scaled)
                })
                .fold(f64::INFINITY, f64::min)
        })
        .collect();
    while points.len() < n {
        let free = (0..pool.len()).filter(|&i| !hashes.contains(pool[i].0.known.hash.as_str()));
        let next = if points.is_empty() {
            let middle: Vec<f64> = (0..views.first().map_or(0, Vec::len))
                .map(|c| views.iter().map(|v| v[c]).sum::<f64>() / views.len() as f64)
                .collect();
            free.min_by(|&a, &b| distance(&views[a], &middle).total_cmp(&distance(&views[b], &middle)))
        } else {
            free.max_by(|&a, &b| nearest[a].total_cmp(&nearest[b]))
        };
        let Some(next) = next else { break };
        hashes.insert(&pool[next].0.known.hash);
        points.push(pool[next].0.point.clone());
        for (d, v) in nearest.iter_mut().zip(&views) {
            *d = d.min(distance(v, &views[next]));
        }
    }
    (points, given)
}

/// Sweeps of [`exchange`] at most: it mostly comes to rest in them.
const SWEEPS: usize = 3;
/// Points that are moved at most: the work grows with the fourth power of their number.
const MOVED: usize = 40;
/// Moves that gain less in variance are rounding errors.
const GAIN: f64 = 1.0001;
/// Amounts (logarithms to base 2) with a lesser range are the same everywhere.
const NARROW: f64 = 0.1;

/// Moves the points behind the first `fixed` to where the others tell least: coordinate exchange (Meyer and
/// Nachtsheim 1995) towards the design of greatest entropy (Shewry and Wynn 1987) under a process before
/// anything is measured. Of a network much is nearly linear in logarithms of its sizes, and slopes are told
/// best by points far out. What is believed of single lengths is left aside: the first points are to find out
/// what matters.
pub(super) fn exchange(
    points: &mut [Point],
    fixed: usize,
    explorer: &mut Explorer,
    encoder: &Encoder,
    rng: &mut rand_chacha::ChaCha8Rng,
) {
    let moved = points.len().min(fixed.saturating_add(MOVED));
    let points = &mut points[..moved];
    let groups: Vec<Group> = encoder.groups().iter().map(|g| Group::new(g.columns.clone())).collect();
    // Slopes first: with an additive part in it `hytnas` did worse, 22,343 for 22,417 (docs/search-measured.md).
    let hyper = Hyper { additive: f64::NEG_INFINITY, ..Hyper::prior(&groups) };
    let encoded = |explorer: &Explorer, p: &Point| explorer.encode(encoder, p, None);
    let Some(mut xs) = points.iter().map(|p| encoded(explorer, p)).collect::<Option<Vec<_>>>() else {
        return;
    };
    let hash = |explorer: &mut Explorer, p: &Point| explorer.usable(p).map(|c| c.known.hash.clone());
    let Some(mut hashes) = points.iter().map(|p| hash(explorer, p)).collect::<Option<Vec<_>>>() else {
        return;
    };
    for _ in 0..SWEEPS {
        let mut moved = false;
        for i in fixed..points.len() {
            let others: Vec<Vec<f64>> =
                xs.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, x)| x.clone()).collect();
            let Some(gp) = Gp::new(&others, &vec![0.0; others.len()], &groups, &hyper) else { return };
            let mut told = gp.predict(&xs[i]).1;
            for d in 0..explorer.space.decisions().len() {
                let mut around: Vec<(f64, Point, Vec<f64>)> = explorer
                    .changes(&points[i], d, rng)
                    .into_iter()
                    .filter_map(|p| encoded(explorer, &p).map(|x| (gp.predict(&x).1, p, x)))
                    .filter(|(v, ..)| *v > told * GAIN)
                    .collect();
                around.sort_by(|a, b| b.0.total_cmp(&a.0));
                let new = around.into_iter().find_map(|(v, p, x)| {
                    let hash = hash(explorer, &p).filter(|h| !hashes.contains(h))?;
                    Some((v, p, x, hash))
                });
                if let Some(new) = new {
                    (told, points[i], xs[i], hashes[i]) = new;
                    moved = true;
                }
            }
        }
        if !moved {
            return;
        }
    }
}

/// The range of a feature among points.
fn range(known: &[KnownPoint], feature: usize) -> f64 {
    let values = known.iter().filter_map(|k| k.features.get(feature).copied());
    let (lo, hi) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    (hi - lo).max(0.0)
}

/// For each point its rank in 0..1 among the pool in each known objective.
fn spread(pool: &[(Arc<Candidate>, Vec<f64>)], problem: &Problem) -> Vec<Vec<f64>> {
    let mut out = vec![Vec::new(); pool.len()];
    for objective in problem.objectives.iter().filter(|o| o.known) {
        let value = |i: usize| pool[i].0.known.values.get(&objective.name).copied().unwrap_or(0.0);
        let mut order: Vec<usize> = (0..pool.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
        for (rank, i) in order.into_iter().enumerate() {
            out[i].push(rank as f64 / pool.len() as f64);
        }
    }
    out
}
