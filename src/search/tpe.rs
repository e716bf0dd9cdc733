//! Multi-objective tree-structured Parzen estimators (Ozaki, Tanigaki, Watanabe, Nomura and Onishi
//! 2022, "Multiobjective tree-structured Parzen estimator"), with the joint kernels of Falkner, Klein
//! and Hutter 2018 (BOHB): points are drawn where good trials are dense, and the one is taken where
//! good trials are densest in relation to the others.
//!
//! A trial's kernel is a product over the decisions of the point it is asked about. A decision that
//! the trial does not have tells nothing, so its factor is the uniform prior: conditional decisions
//! are compared with those trials only that made them.

use super::explore::{Candidate, Explorer};
use super::front::{infer_reference, sort_fronts};
use super::problem::Problem;
use super::study::{outdated, Record, Settings};
use super::volume::hypervolume;
use crate::space::{DecisionInfo, DecisionKind, Point};
use rand::{Rng, RngExt};
use std::sync::Arc;

/// Candidates drawn for a suggestion.
const CANDIDATES: usize = 48;
/// Draws made for them: some are infeasible or taken.
const DRAWS: usize = 400;
/// Good trials at most.
const GOOD: usize = 25;

/// The next point. `None` where too little is known, or nothing new was drawn.
pub(super) fn suggest(
    explorer: &mut Explorer,
    problem: &Problem,
    settings: &Settings,
    visible: &[Record],
    hidden: &[Record],
    rng: &mut dyn Rng,
) -> Option<Arc<Candidate>> {
    let (mut points, mut items, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let outdated = outdated(visible);
    let told = visible.iter().filter(|r| r.outcome.is_some() && !outdated.contains(&r.trial.number));
    for record in told {
        let value = |name: &str| record.value(name);
        match problem.costs(&value) {
            Ok(costs) if record.is_done() => {
                items.push((costs, problem.violation(false, &value)));
                points.push(&record.trial.point);
            }
            _ => failed.push(&record.trial.point),
        }
    }
    if items.len() < 2 {
        return None;
    }
    let good = split(problem, settings, &items);
    let chosen: Vec<&Point> = good.iter().map(|(i, _)| points[*i]).collect();
    let mut weights: Vec<f64> = good.iter().map(|(_, w)| *w).collect();
    weights.push(1.0);
    // What failed is bad; so is, until it is told, what is pending: batches should spread.
    let rest = (0..points.len()).filter(|i| !good.iter().any(|(g, _)| g == i)).map(|i| points[i]);
    let bad: Vec<&Point> = rest.chain(failed).chain(hidden.iter().map(|r| &r.trial.point)).collect();
    let decisions = explorer.space.decisions();
    let kernels: Vec<Kernel> = decisions.iter().map(Kernel::new).collect();
    let good = Parzen::new(chosen, weights, &kernels);
    let bad = Parzen { weights: vec![1.0; bad.len() + 1], ..Parzen::new(bad, Vec::new(), &kernels) };
    let mut best: Option<(f64, Arc<Candidate>)> = None;
    let mut drawn = 0;
    for _ in 0..DRAWS {
        let wish = good.draw(rng);
        let Some(point) = explorer.space.repair(&wish, rng) else { continue };
        let Some(candidate) = explorer.usable(&point) else { continue };
        drawn += 1;
        let score = good.log_density(&point) - bad.log_density(&point);
        if best.as_ref().is_none_or(|(b, _)| score > *b) {
            best = Some((score, candidate));
        }
        if drawn >= CANDIDATES {
            break;
        }
    }
    best.map(|b| b.1)
}

/// The good trials with their weights: the best fronts, the last one cut by greedy selection for
/// hypervolume; a tenth of the trials, rounded up. A weight is the hypervolume that a trial alone
/// contributes, in parts of the largest (Ozaki et al. 2022, section 4.3).
fn split(problem: &Problem, settings: &Settings, items: &[(Vec<f64>, f64)]) -> Vec<(usize, f64)> {
    let count = items.len().div_ceil(10).clamp(1, GOOD);
    let costs: Vec<Vec<f64>> = items.iter().map(|i| i.0.clone()).collect();
    let reference = match &settings.reference {
        Some(r) => problem.signed(r),
        None => infer_reference(&costs),
    };
    let volume =
        |set: &[usize]| hypervolume(&set.iter().map(|i| costs[*i].clone()).collect::<Vec<_>>(), &reference);
    let mut good: Vec<usize> = Vec::new();
    for mut front in sort_fronts(items) {
        if good.len() + front.len() <= count {
            good.append(&mut front);
            continue;
        }
        while good.len() < count {
            let mut gain: Option<(f64, usize)> = None;
            for (at, i) in front.iter().enumerate() {
                good.push(*i);
                let v = volume(&good);
                good.pop();
                if gain.is_none_or(|(g, _)| v > g) {
                    gain = Some((v, at));
                }
            }
            let Some((_, at)) = gain else { break };
            good.push(front.remove(at));
        }
        break;
    }
    let whole = volume(&good);
    let alone: Vec<f64> = (0..good.len())
        .map(|i| {
            let others: Vec<usize> =
                good.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, g)| *g).collect();
            whole - volume(&others)
        })
        .collect();
    let largest = alone.iter().copied().fold(0.0, f64::max);
    good.into_iter()
        .zip(alone)
        .map(|(i, v)| (i, if largest > 0.0 { (v / largest).max(0.1) } else { 1.0 }))
        .collect()
}

/// How the values of a decision resemble each other.
struct Kernel {
    /// Numbers: values have neighbours.
    ordered: bool,
    values: usize,
}

impl Kernel {
    fn new(info: &DecisionInfo) -> Kernel {
        Kernel { ordered: matches!(info.kind, DecisionKind::Ordinal(_)), values: info.values.len().max(1) }
    }

    /// The weight of a value next to that of a trial, before normalisation.
    fn weight(&self, center: u32, value: u32, bandwidth: f64) -> f64 {
        if self.ordered {
            let steps = (self.values.max(2) - 1) as f64;
            // Less than half a step would be certainty.
            let sigma = bandwidth.max(0.5 / steps);
            let z = (f64::from(center) - f64::from(value)) / steps / sigma;
            (-0.5 * z * z).exp()
        } else if center == value {
            1.0
        } else {
            // Aitchison and Aitken 1976: what is not on the trial's value is spread evenly.
            bandwidth / (1.0 - bandwidth) / (self.values.max(2) - 1) as f64
        }
    }
}

/// A mixture of one kernel a trial and the uniform prior, which is last in `weights`.
struct Parzen<'a> {
    points: Vec<&'a Point>,
    weights: Vec<f64>,
    kernels: &'a [Kernel],
    bandwidth: f64,
    /// By decision and center: the sum over all values.
    norms: Vec<Vec<f64>>,
}

impl<'a> Parzen<'a> {
    fn new(points: Vec<&'a Point>, weights: Vec<f64>, kernels: &'a [Kernel]) -> Parzen<'a> {
        // Scott's rule, from a fifth of the range.
        let bandwidth = 0.2 * (points.len().max(1) as f64).powf(-1.0 / (kernels.len() as f64 + 4.0));
        let norms = kernels
            .iter()
            .map(|k| {
                let n = k.values as u32;
                (0..n).map(|c| (0..n).map(|v| k.weight(c, v, bandwidth)).sum()).collect()
            })
            .collect();
        Parzen { points, weights, kernels, bandwidth, norms }
    }

    fn draw(&self, rng: &mut dyn Rng) -> Vec<Option<u32>> {
        let total: f64 = self.weights.iter().sum();
        let mut left = rng.random_range(0.0..1.0) * total;
        let component = self.weights.iter().position(|w| {
            left -= w;
            left < 0.0
        });
        let center = component.and_then(|c| self.points.get(c));
        self.kernels
            .iter()
            .enumerate()
            .map(|(d, k)| {
                let n = k.values as u32;
                let at = center.and_then(|p| p.0.get(d).copied().flatten()).filter(|c| *c < n);
                let Some(at) = at else { return Some(rng.random_range(0..n)) };
                let mut left = rng.random_range(0.0..1.0) * self.norms[d][at as usize];
                (0..n)
                    .find(|v| {
                        left -= k.weight(at, *v, self.bandwidth);
                        left < 0.0
                    })
                    .or(Some(at))
            })
            .collect()
    }

    fn log_density(&self, x: &Point) -> f64 {
        let total: f64 = self.weights.iter().sum();
        let logs: Vec<f64> = (0..self.weights.len())
            .map(|c| {
                let mut log = (self.weights[c] / total).ln();
                for (d, k) in self.kernels.iter().enumerate() {
                    let Some(v) = x.0.get(d).copied().flatten() else { continue };
                    let center = self.points.get(c).and_then(|p| p.0.get(d).copied().flatten());
                    log += match center.filter(|c| (*c as usize) < k.values) {
                        Some(at) => (k.weight(at, v, self.bandwidth) / self.norms[d][at as usize]).ln(),
                        None => -(k.values as f64).ln(),
                    };
                }
                log
            })
            .collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + logs.iter().map(|l| (l - top).exp()).sum::<f64>().ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(values: usize, ordered: bool) -> DecisionInfo {
        let kind = match ordered {
            true => DecisionKind::Ordinal((0..values).map(|v| v as f64).collect()),
            false => DecisionKind::Categorical,
        };
        DecisionInfo { path: String::new(), values: vec![String::new(); values], kind }
    }

    #[test]
    fn densities_sum_to_one_where_decisions_are_conditional() {
        // The third decision exists where the second is 0.
        let kernels: Vec<Kernel> =
            [info(5, true), info(2, false), info(3, false)].iter().map(Kernel::new).collect();
        let (a, b) = (Point(vec![Some(1), Some(0), Some(2)]), Point(vec![Some(4), Some(1), None]));
        let parzen = Parzen::new(vec![&a, &b], vec![1.0, 0.5, 1.0], &kernels);
        let mut sum = 0.0;
        for x in 0..5 {
            sum += parzen.log_density(&Point(vec![Some(x), Some(1), None])).exp();
            for z in 0..3 {
                sum += parzen.log_density(&Point(vec![Some(x), Some(0), Some(z)])).exp();
            }
        }
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        let near = parzen.log_density(&Point(vec![Some(1), Some(0), Some(2)]));
        assert!(near > parzen.log_density(&Point(vec![Some(3), Some(0), Some(1)])));
    }

    #[test]
    fn the_good_trials_are_the_front_cut_by_hypervolume() {
        let problem = Problem { objectives: vec![], limits: vec![], choice: crate::search::Choice::Knee };
        let settings = Settings::new(crate::check::spec::Algorithm::Tpe, 10, 5, 0);
        // Two nearly equal points of the front and one apart: of two, one of each kind is kept.
        let mut items: Vec<(Vec<f64>, f64)> =
            vec![(vec![0.1, 0.9], 0.0), (vec![0.11, 0.89], 0.0), (vec![0.9, 0.1], 0.0)];
        items.extend((0..12).map(|i| (vec![1.0 + f64::from(i), 1.0], 0.0)));
        let mut good: Vec<usize> = split(&problem, &settings, &items).iter().map(|g| g.0).collect();
        good.sort_unstable();
        assert!(good == [0, 2] || good == [1, 2], "{good:?}");
    }
}
