//! Pareto local search (Paquete, Chiarandini and Stuetzle 2004): the neighbours of the front, one
//! decision changed, until none is better.

use super::explore::{Candidate, Explorer};
use super::front::sort_fronts;
use super::problem::Problem;
use super::study::Record;
use rand::{Rng, RngExt};
use std::sync::Arc;

/// A new neighbour of a member of the front of `visible` drawn at random; of the next front where all
/// neighbours have trials. `None` where nothing has a result, or all neighbours of all trials are taken.
pub(super) fn suggest(
    explorer: &mut Explorer,
    problem: &Problem,
    visible: &[Record],
    rng: &mut dyn Rng,
) -> Option<Arc<Candidate>> {
    let (mut points, mut items) = (Vec::new(), Vec::new());
    for record in visible.iter().filter(|r| r.is_done()) {
        let value = |name: &str| record.value(name);
        if let Ok(costs) = problem.costs(&value) {
            items.push((costs, problem.violation(false, &value)));
            points.push(&record.trial.point);
        }
    }
    for mut front in sort_fronts(&items) {
        while !front.is_empty() {
            let from = points[front.swap_remove(rng.random_range(0..front.len()))];
            let mut around = explorer.neighbours(from, rng);
            while !around.is_empty() {
                let point = around.swap_remove(rng.random_range(0..around.len()));
                if let Some(found) = explorer.usable(&point) {
                    return Some(found);
                }
            }
        }
    }
    None
}
