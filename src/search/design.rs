//! The first trials: feasible points that fill the space and spread over what is known.

use super::encode::Encoder;
use super::explore::{Candidate, Explorer, Shortage};
use super::problem::{KnownPoint, Problem};
use super::study::{stream, Settings};
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
    /// Depends on the space and the seed only, so that it is the same after a restart.
    pub fn new(explorer: &mut Explorer, problem: &Problem, settings: &Settings) -> Result<Design, Shortage> {
        let mut rng = stream(settings.seed, 0, "design");
        // Trials of an interrupted study are members like any other.
        let taken = std::mem::take(&mut explorer.taken);
        let gathered = gather(explorer, &mut rng);
        let seeds: Vec<Arc<Candidate>> =
            settings.seed_points.iter().filter_map(|p| explorer.usable(p)).collect();
        explorer.taken = taken;
        let pool = match gathered {
            Err(_) if !seeds.is_empty() => seeds.clone(),
            other => other?,
        };
        let seen = |c: &Arc<Candidate>| match explorer.features {
            Some(f) => {
                let features = f(&c.point).unwrap_or_default().all();
                KnownPoint { features, ..KnownPoint::default() }
            }
            None => c.known.clone(),
        };
        let known: Vec<KnownPoint> = pool.iter().map(seen).collect();
        let sample: Vec<(Point, &KnownPoint)> =
            pool.iter().zip(&known).map(|(c, k)| (c.point.clone(), k)).collect();
        let few: Vec<Point> = pool.iter().take(16).map(|c| c.point.clone()).collect();
        let seen = explorer.seen_in_sizes(&few, &mut rng);
        let encoder = Encoder::new(explorer.space.decisions(), &seen, &sample);
        let pool: Vec<(Arc<Candidate>, Vec<f64>)> =
            pool.iter().zip(&known).map(|(c, k)| (c.clone(), encoder.encode(&c.point, k))).collect();
        let points = choose(&seeds, &pool, &encoder, problem, settings.initial);
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
/// same; the first is the one nearest to the middle of the pool.
fn choose(
    seeds: &[Arc<Candidate>],
    pool: &[(Arc<Candidate>, Vec<f64>)],
    encoder: &Encoder,
    problem: &Problem,
    n: usize,
) -> Vec<Point> {
    let decisions = if encoder.sees_sizes() { encoder.groups().len() } else { encoder.decision_groups() };
    let columns = encoder.groups().get(decisions.wrapping_sub(1)).map_or(0, |g| g.end);
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
    points
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
