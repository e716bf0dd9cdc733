//! Multi-objective Bayesian optimisation: a Gaussian process for each quantity that must be
//! measured, exact values for what can be computed, expected hypervolume improvement maximised over
//! the discrete space itself.

use super::cores::on_cores;
use super::covariance::{Group, Hyper, Shape};
use super::design::Design;
use super::ehvi::{Improvement, Marginal};
use super::explore::{Candidate, Explorer};
use super::front::{infer_reference, non_dominated};
use super::gp::Observations;
use super::maximise::maximise;
use super::model::{is_forest, Model};
use super::problem::{KnownPoint, Problem};
use super::study::{results, Record, Settings};
use crate::check::spec;
use crate::space::Point;
use rand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Observations used at most to fit hyperparameters: 250 tell as much as 500, eight times faster.
const FIT_AT_MOST: usize = 250;
/// With more, the shape and a start are found on part of them: a fit costs the cube of their number, and is
/// done six times for these, once for all.
const SHAPE_AT_MOST: usize = 120;

/// The name of the model of success: 1 for a trial with a result, 0 for a failed one.
const SUCCESS: &str = "\0success";

/// Models of a study.
#[derive(Debug, Default)]
pub struct Mobo {
    /// Hyperparameters by quantity, with the number of observations they come from.
    fitted: BTreeMap<String, (usize, bool, Hyper)>,
    /// The kind of the models.
    surrogate: spec::Surrogate,
}

/// A result, and what a model of all others says of it.
pub(super) struct Foretold {
    pub(super) result: f64,
    pub(super) mean: f64,
    pub(super) sd: f64,
}

/// A quantity that has to be modelled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modelled<'a> {
    pub(super) name: &'a str,
    /// More is better.
    pub(super) maximize: bool,
    /// Its logarithm may be modelled instead, which cannot reach a limit that is not positive.
    pub(super) positive: bool,
}

/// Results of a quantity.
#[derive(Clone, Copy)]
pub(super) struct Results<'a> {
    pub(super) of: Modelled<'a>,
    /// Coordinates of the points, in these groups of columns.
    pub(super) x: &'a [Vec<f64>],
    pub(super) groups: &'a [Group],
    /// What came out at them, in its own units.
    pub(super) raw: &'a [f64],
}

/// The model of one quantity, in its own units.
struct Surrogate {
    model: Model,
    /// The logarithm is modelled.
    log: bool,
    mean: f64,
    sd: f64,
}

impl Surrogate {
    fn predict(&self, x: &[f64]) -> (f64, f64) {
        let (mean, variance) = self.model.predict(x);
        (self.mean + self.sd * mean, self.sd * variance.sqrt())
    }

    fn natural(&self, mean: f64) -> f64 {
        if self.log {
            mean.exp()
        } else {
            mean
        }
    }
}

/// Where the scale of hyperparameters was last set: every result counts early on, later every
/// fifteenth part more. A function of the number alone, so that a resumed study fits the same.
fn fit_point(n: usize) -> usize {
    let step = (n / 15).max(1);
    n - n % step
}

/// So many indices of a list at most, evenly spaced.
fn evenly(length: usize, most: usize) -> impl Iterator<Item = usize> {
    let n = length.min(most);
    (0..n).map(move |i| i * length / n)
}

/// Hyperparameters of greatest posterior density over all shapes.
fn fit_hyper(x: &[Vec<f64>], y: &[f64], groups: &[Group]) -> Hyper {
    let some: Vec<usize> = evenly(x.len(), SHAPE_AT_MOST).collect();
    let xs: Vec<Vec<f64>> = some.iter().map(|&i| x[i].clone()).collect();
    let ys: Vec<f64> = some.iter().map(|&i| y[i]).collect();
    let observations = Observations::new(&xs, &ys, groups);
    let mut hyper = Shape::ALL.map(|shape| observations.fit(shape, 60));
    hyper.sort_by(|a, b| a.0.total_cmp(&b.0));
    let [(_, hyper), ..] = hyper;
    if x.len() <= SHAPE_AT_MOST {
        return hyper;
    }
    Observations::new(x, y, groups).refine(hyper, 20)
}

fn standardise(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    (mean, if sd > 1e-12 * mean.abs().max(1e-300) { sd } else { 1.0 })
}

/// Results far below the rest (a training that went wrong) say "bad", not how bad: they are drawn in
/// to three times the distance between the median and the better quartile's end.
fn tame(values: &mut [f64], maximize: bool) {
    let sign = if maximize { -1.0 } else { 1.0 };
    let mut costs: Vec<f64> = values.iter().map(|v| sign * v).collect();
    costs.sort_by(f64::total_cmp);
    let at = |q: f64| costs[((costs.len() - 1) as f64 * q).round() as usize];
    let bound = at(0.5) + 4.0 * (at(0.75) - at(0.05)).max(1e-12);
    for v in values.iter_mut() {
        *v = sign * (sign * *v).min(bound);
    }
}

impl Mobo {
    /// Without models, of this kind.
    pub(super) fn new(surrogate: spec::Surrogate) -> Mobo {
        Mobo { surrogate, ..Mobo::default() }
    }

    fn surrogate(&mut self, results: &Results) -> Option<Surrogate> {
        let Results { of, x, raw, groups } = *results;
        if let Some(fitted) = self.refit(results) {
            self.fitted.insert(of.name.to_owned(), fitted);
        }
        let forest = is_forest(self.surrogate, raw.len());
        let v = tamed(of, raw);
        let (log, hyper) = match self.fitted.get(of.name).filter(|_| !forest) {
            Some((_, log, hyper)) => (*log, Some(hyper)),
            None => (of.positive && !of.maximize && spans_orders(&v), None),
        };
        // A later result may have no logarithm.
        let log = log && v.iter().all(|v| *v > 0.0);
        let t: Vec<f64> = if log { v.iter().map(|v| v.ln()).collect() } else { v };
        let (mean, sd) = standardise(&t);
        let y: Vec<f64> = t.iter().map(|v| (v - mean) / sd).collect();
        let model = Model::new(x, &y, groups, hyper)?;
        Some(Surrogate { model, log, mean, sd })
    }

    /// New hyperparameters of a quantity, where it is time for them.
    fn refit(&self, results: &Results) -> Option<(usize, bool, Hyper)> {
        let Results { of, x, raw, groups } = *results;
        let at = fit_point(raw.len());
        let stale = self.fitted.get(of.name).is_none_or(|(n, ..)| *n != at);
        if !stale || is_forest(self.surrogate, raw.len()) {
            return None;
        }
        let v = tamed(of, &raw[..at]);
        let xs: Vec<Vec<f64>> = evenly(at, FIT_AT_MOST).map(|i| x[i].clone()).collect();
        let vs: Vec<f64> = evenly(at, FIT_AT_MOST).map(|i| v[i]).collect();
        let log = of.positive && !of.maximize && prefers_log(&xs, &vs, groups);
        let t: Vec<f64> = if log { vs.iter().map(|v| v.ln()).collect() } else { vs };
        let (mean, sd) = standardise(&t);
        let y: Vec<f64> = t.iter().map(|v| (v - mean) / sd).collect();
        Some((at, log, fit_hyper(&xs, &y, groups)))
    }

    /// Each result with what a model of all others foretells of it, both standardised (noise
    /// included). The first value says whether logarithms are modelled.
    pub(super) fn foretell(&mut self, results: &Results) -> Option<(bool, Vec<Foretold>)> {
        let model = self.surrogate(results)?;
        let mut v = results.raw.to_vec();
        tame(&mut v, results.of.maximize);
        let y: Vec<f64> =
            v.iter().map(|v| (if model.log { v.ln() } else { *v } - model.mean) / model.sd).collect();
        let out = model.model.leave_one_out(&y);
        Some((
            model.log,
            y.iter()
                .zip(out)
                .map(|(y, (mean, variance))| Foretold { result: *y, mean, sd: variance.sqrt() })
                .collect(),
        ))
    }

    /// The next point: see the module. `visible` are trials whose results may be used, `hidden` those
    /// asked for since, whose results are taken to be what the models expect (the "kriging believer"
    /// of Ginsbourger et al. 2010).
    #[expect(clippy::too_many_arguments, reason = "everything that a suggestion depends on")]
    pub(super) fn suggest(
        &mut self,
        explorer: &mut Explorer,
        problem: &Problem,
        settings: &Settings,
        design: &Design,
        visible: &[Record],
        hidden: &[Record],
        rng: &mut dyn Rng,
    ) -> Option<Arc<Candidate>> {
        let done: Vec<&Record> = results(visible);
        if done.len() < 2 {
            return None;
        }
        let encoder = &design.encoder;
        let groups = encoder.groups();
        let encode = |r: &Record| explorer.encode(encoder, &r.trial.point, Some(&r.known));
        let mut x: Vec<Vec<f64>> = done.iter().map(|r| encode(r)).collect::<Option<_>>()?;
        let modelled = modelled(problem);
        let mut raw: Vec<Vec<f64>> = Vec::new();
        for of in &modelled {
            raw.push(done.iter().map(|r| r.estimate(of.name)).collect::<Option<Vec<f64>>>()?);
        }
        let each: Vec<Results> =
            modelled.iter().zip(&raw).map(|(of, raw)| Results { of: *of, x: &x, groups, raw }).collect();
        // Hyperparameters of quantities do not depend on each other; on one core `surrogate` sees to them.
        let refit = on_cores(&each, 1, |results| self.refit(results));
        for (of, fitted) in modelled.iter().zip(refit.unwrap_or_default()) {
            self.fitted.extend(fitted.map(|f| (of.name.to_owned(), f)));
        }
        let mut models: Vec<Surrogate> = each.iter().map(|r| self.surrogate(r)).collect::<Option<_>>()?;
        // Pending trials: believed to give what is expected.
        let pending: Vec<&Record> = hidden.iter().collect();
        if !pending.is_empty() {
            let xs: Vec<Vec<f64>> = pending.iter().map(|r| encode(r)).collect::<Option<_>>()?;
            for (model, v) in models.iter().zip(raw.iter_mut()) {
                v.extend(xs.iter().map(|x| model.natural(model.predict(x).0)));
            }
            x.extend(xs);
            let mut believed = Vec::new();
            for ((of, v), old) in modelled.iter().zip(&raw).zip(&models) {
                let forest = is_forest(self.surrogate, done.len());
                let hyper = self.fitted.get(of.name).filter(|_| !forest).map(|f| &f.2);
                let mut v = v.clone();
                tame(&mut v, of.maximize);
                let y: Vec<f64> =
                    v.iter().map(|v| (if old.log { v.ln() } else { *v } - old.mean) / old.sd).collect();
                believed.push(Surrogate {
                    model: Model::new(&x, &y, groups, hyper)?,
                    log: old.log,
                    mean: old.mean,
                    sd: old.sd,
                });
            }
            models = believed;
        }

        // Where trials fail (diverge, run out of time), more of them will.
        let told: Vec<&Record> = visible.iter().filter(|r| r.outcome.is_some()).collect();
        let success = if told.len() > done.len() {
            let x: Vec<Vec<f64>> = told.iter().map(|r| encode(r)).collect::<Option<_>>()?;
            let labels: Vec<f64> = told.iter().map(|r| f64::from(u8::from(r.has_estimate()))).collect();
            let of = Modelled { name: SUCCESS, maximize: true, positive: false };
            self.surrogate(&Results { of, x: &x, groups, raw: &labels })
        } else {
            None
        };

        let goal = Goal { problem, modelled: &modelled, models: &models, success };
        // What the models hold of the trials themselves, so that noise does not make a front.
        let all: Vec<&Record> = done.iter().copied().chain(pending).collect();
        let beliefs: Vec<(Vec<f64>, f64)> = all
            .iter()
            .zip(&x)
            .map(|(r, x)| {
                let marginals = goal.marginals(x, &|n| r.known.values.get(n).copied());
                let floors = problem.floors();
                let costs = marginals.iter().zip(floors).map(|(m, f)| m.median().max(f)).collect();
                (costs, goal.expected_violation(x))
            })
            .collect();
        let feasible: Vec<usize> = (0..all.len()).filter(|&i| beliefs[i].1 <= 0.0).collect();
        let costs: Vec<Vec<f64>> = feasible.iter().map(|&i| beliefs[i].0.clone()).collect();
        let reference = match &settings.reference {
            Some(r) => problem.signed(r),
            None => {
                let every: Vec<Vec<f64>> = beliefs.iter().map(|b| b.0.clone()).collect();
                infer_reference(if costs.is_empty() { &every } else { &costs })
            }
        };
        let improvement = (!costs.is_empty()).then(|| Improvement::new(&costs, &reference));
        let score = |x: &[f64], known: Option<&KnownPoint>| goal.score(improvement.as_ref(), x, known);
        // Without known objectives the score needs nothing but features, which may be cheap.
        let lazy = explorer.features.is_some() && !problem.objectives.iter().any(|o| o.known);

        let mut elite: Vec<Point> =
            non_dominated(&costs).into_iter().map(|i| all[feasible[i]].trial.point.clone()).collect();
        if elite.is_empty() {
            let mut order: Vec<usize> = (0..all.len()).collect();
            order.sort_by(|&a, &b| beliefs[a].1.total_cmp(&beliefs[b].1));
            elite = order.into_iter().take(5).map(|i| all[i].trial.point.clone()).collect();
        }
        maximise(explorer, design, &elite, settings.effort, lazy, score, rng)
    }
}

/// What has to be modelled.
pub(super) fn modelled(problem: &Problem) -> Vec<Modelled<'_>> {
    let objectives = problem.objectives.iter().filter(|o| !o.known).map(|o| (&o.name, o.maximize));
    let limits = problem.limits.iter().filter(|l| !l.known).map(|l| (&l.name, l.at_least));
    let mut out: Vec<Modelled> = Vec::new();
    for (name, maximize) in objectives.chain(limits) {
        if !out.iter().any(|m| m.name == name) {
            let positive = !problem.limits.iter().any(|l| l.name == *name && l.limit <= 0.0);
            out.push(Modelled { name, maximize, positive });
        }
    }
    out
}

/// Whether values are positive, the greatest several times the least.
fn spans_orders(v: &[f64]) -> bool {
    let (lo, hi) = v.iter().fold((f64::INFINITY, 0.0f64), |(l, h), v| (l.min(*v), h.max(*v)));
    lo > 0.0 && hi >= 1.5 * lo
}

/// Whether the logarithm of a cost fits better, by marginal likelihood with the change of variables.
fn prefers_log(x: &[Vec<f64>], v: &[f64], groups: &[Group]) -> bool {
    if !spans_orders(v) {
        return false;
    }
    let logs: Vec<f64> = v.iter().map(|v| v.ln()).collect();
    match Observations::profile(x, &[v, &logs], groups).as_deref() {
        Some([plain, log]) => log - logs.iter().sum::<f64>() > *plain,
        _ => false,
    }
}

struct Goal<'m> {
    problem: &'m Problem,
    modelled: &'m [Modelled<'m>],
    models: &'m [Surrogate],
    /// Where some trial failed.
    success: Option<Surrogate>,
}

impl Goal<'_> {
    fn model(&self, name: &str) -> Option<&Surrogate> {
        self.modelled.iter().position(|m| m.name == name).and_then(|i| self.models.get(i))
    }

    /// What is believed of each objective, as costs.
    fn marginals(&self, x: &[f64], known: &dyn Fn(&str) -> Option<f64>) -> Vec<Marginal> {
        self.problem
            .objectives
            .iter()
            .map(|o| {
                let sign = if o.maximize { -1.0 } else { 1.0 };
                match self.model(&o.name) {
                    None => Marginal::Exact(sign * known(&o.name).unwrap_or(f64::INFINITY)),
                    Some(m) => {
                        let (mean, sd) = m.predict(x);
                        if m.log {
                            Marginal::LogNormal { mean, sd }
                        } else {
                            Marginal::Normal { mean: sign * mean, sd }
                        }
                    }
                }
            })
            .collect()
    }

    fn expected_violation(&self, x: &[f64]) -> f64 {
        self.problem
            .limits
            .iter()
            .filter(|l| !l.known)
            .filter_map(|l| self.model(&l.name).map(|m| l.violation(m.natural(m.predict(x).0))))
            .sum()
    }

    /// The logarithm of expected improvement times the probability that the modelled limits hold;
    /// of the probability alone as long as nothing feasible is known.
    fn score(&self, improvement: Option<&Improvement>, x: &[f64], known: Option<&KnownPoint>) -> f64 {
        let mut score = match improvement {
            None => 0.0,
            Some(i) => {
                let known = |n: &str| known.and_then(|k| k.values.get(n).copied());
                i.expected_above(&self.marginals(x, &known), &self.problem.floors()).max(1e-300).ln()
            }
        };
        for l in self.problem.limits.iter().filter(|l| !l.known) {
            let Some(m) = self.model(&l.name) else { continue };
            let (mean, sd) = m.predict(x);
            let marginal =
                if m.log { Marginal::LogNormal { mean, sd } } else { Marginal::Normal { mean, sd } };
            let p = marginal.at_most(l.limit);
            score += (if l.at_least { 1.0 - p } else { p }).max(1e-300).ln();
        }
        if let Some(success) = &self.success {
            // Least-squares classification (Rasmussen and Williams, section 6.5).
            let (mean, sd) = success.predict(x);
            let sd = (sd * sd + 0.05).sqrt();
            score += (1.0 - Marginal::Normal { mean, sd }.at_most(0.5)).max(1e-300).ln();
        }
        score
    }
}

/// Results without those far on the bad side; whether a trial succeeded is taken as it is.
fn tamed(of: Modelled, raw: &[f64]) -> Vec<f64> {
    let mut v = raw.to_vec();
    if of.name != SUCCESS {
        tame(&mut v, of.maximize);
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refitting_gets_rarer_and_never_uses_the_future() {
        for n in 1..500 {
            assert!(fit_point(n) <= n && n - fit_point(n) <= n / 15);
        }
    }

    #[test]
    fn many_observations_are_thinned_evenly_and_refined_to_a_better_fit() {
        assert_eq!(evenly(5, 9).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        for n in [121, 250, 999] {
            let kept: Vec<usize> = evenly(n, 120).collect();
            assert!(kept.len() == 120 && kept[0] == 0 && kept[119] >= n - n.div_ceil(120) - 1, "{n}");
            assert!(kept.windows(2).all(|w| (n / 120..=n.div_ceil(120)).contains(&(w[1] - w[0]))), "{n}");
        }
        // A function of the first of two coordinates.
        let x: Vec<Vec<f64>> =
            (0..150).map(|i| vec![(i * 37 % 150) as f64 / 150.0, (i * 83 % 150) as f64 / 150.0]).collect();
        let y: Vec<f64> = x.iter().map(|x| (9.0 * x[0]).sin()).collect();
        let groups = [Group::new(0..1), Group::new(1..2)];
        let hyper = fit_hyper(&x, &y, &groups);
        assert!(hyper.lengths[0] < hyper.lengths[1] - 0.5, "{:?}", hyper.lengths);
        let model = Model::new(&x, &y, &groups, Some(&hyper)).unwrap();
        assert!((model.predict(&[0.503, 0.2]).0 - (9.0f64 * 0.503).sin()).abs() < 0.02);
    }

    #[test]
    fn outliers_are_drawn_in_on_the_bad_side_only() {
        let mut v = vec![0.9, 0.91, 0.92, 0.89, 0.1, 0.93, 0.9, 0.91];
        tame(&mut v, true);
        assert!(v[4] > 0.5 && v[5] == 0.93 && v[0] == 0.9);
    }
}
