//! NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002) on discrete conditional spaces.

use super::explore::{Candidate, Explorer};
use super::front::{crowding, sort_fronts};
use super::problem::Problem;
use super::study::{outdated, Record};
use crate::space::Point;
use rand::{Rng, RngExt};
use std::sync::Arc;

/// Tries to make a child that is feasible and new.
const TRIES: usize = 200;

struct Member {
    point: Point,
    cost: (Vec<f64>, f64),
    rank: usize,
    crowding: f64,
}

/// A child of the survivors of `visible`, whole generations of `size` trials. `None` where there are
/// no parents or no new child was found.
pub(super) fn suggest(
    explorer: &mut Explorer,
    problem: &Problem,
    visible: &[Record],
    size: usize,
    rng: &mut dyn Rng,
) -> Option<Arc<Candidate>> {
    let mut parents: Vec<Member> = Vec::new();
    let outdated = outdated(visible);
    for generation in visible.chunks(size.max(1)) {
        let current = generation.iter().filter(|r| r.has_estimate() && !outdated.contains(&r.trial.number));
        for record in current {
            let value = |name: &str| record.estimate(name);
            if let Ok(costs) = problem.costs(&value) {
                let cost = (costs, problem.violation(false, &value));
                parents.push(Member { point: record.trial.point.clone(), cost, rank: 0, crowding: 0.0 });
            }
        }
        parents = survive(parents, size);
    }
    if parents.is_empty() {
        return None;
    }
    let rate = 1.0 / explorer.space.decisions().len().max(1) as f64;
    for t in 0..TRIES {
        let (a, b) = (tournament(&parents, rng).point.clone(), tournament(&parents, rng).point.clone());
        let child = if rng.random_bool(0.9) { explorer.cross(&a, &b, rng) } else { Some(a) };
        let Some(child) = child else { continue };
        // Mutation at rate 1/n changes about one decision; more where children keep coming out known.
        let change = t >= TRIES / 4 || rng.random_bool(1.0 - (1.0 - rate).powf(1.0 / rate));
        let child =
            if change { explorer.mutate(&child, rate * (1 + t / 20) as f64, rng) } else { Some(child) };
        if let Some(found) = child.and_then(|c| explorer.usable(&c)) {
            return Some(found);
        }
    }
    None
}

/// Environmental selection: whole fronts, the last one by crowding.
fn survive(members: Vec<Member>, size: usize) -> Vec<Member> {
    let items: Vec<(Vec<f64>, f64)> = members.iter().map(|m| m.cost.clone()).collect();
    let mut slots: Vec<Option<Member>> = members.into_iter().map(Some).collect();
    let mut out = Vec::new();
    for (rank, front) in sort_fronts(&items).into_iter().enumerate() {
        let costs: Vec<&[f64]> = front.iter().map(|&i| items[i].0.as_slice()).collect();
        let mut scored: Vec<(usize, f64)> = front.iter().copied().zip(crowding(&costs)).collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (i, distance) in scored {
            if out.len() < size {
                out.extend(slots[i].take().map(|m| Member { rank, crowding: distance, ..m }));
            }
        }
    }
    out
}

/// Binary tournament by rank, then crowding.
fn tournament<'m>(members: &'m [Member], rng: &mut dyn Rng) -> &'m Member {
    let a = &members[rng.random_range(0..members.len())];
    let b = &members[rng.random_range(0..members.len())];
    let b_wins = b.rank < a.rank || (b.rank == a.rank && b.crowding > a.crowding);
    if b_wins {
        b
    } else {
        a
    }
}
