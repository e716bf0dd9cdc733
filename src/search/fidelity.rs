//! Multi-fidelity: a trial is promoted from one step of its training (an epoch) to the next as long
//! as its result can still matter.
//!
//! After each step the final result is predicted from the trial's learning curve, by what the curves
//! of the study's finished trials came to: `final - now` is a linear function of `now` with Gaussian
//! noise, under a conjugate prior (Bishop 2006, section 3.3, with unknown variance as in Gelman et
//! al. 2013, section 14.2). A trial is hopeless when the probability that its result would be on the
//! front (all limits kept, no point of the front at least as good in everything) is below
//! [`super::Settings::hopeless`]. What is predicted of a stopped trial is what the models learn from
//! it; it is never on a front itself. One trial in eight is run to its end whatever its curve says, so that
//! the curves known are not those of good trials alone. As more curves are known, predictions change: a stopped trial whose
//! chance has become good enough is taken up again, as a trial of its own with the same point and seed.

use super::front::non_dominated;
use super::problem::Problem;
use super::study::Record;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Finished trials with a curve that a prediction needs.
const NEEDED: usize = 4;
/// Points of the quasi-random sequence that the probability is an average over.
const DRAWS: usize = 512;

/// A point of a learning curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Counts from 1, in the unit of the fidelity (epochs).
    pub step: usize,
    /// Values by name, in base units.
    pub metrics: BTreeMap<String, f64>,
}

/// What is to become of a running trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It goes on to the next step.
    Promote,
    /// It is hopeless: tell [`super::Outcome::Stopped`] with this.
    Stop {
        /// The final values that were predicted.
        predicted: BTreeMap<String, f64>,
        /// The probability that the result would be on the front.
        chance: f64,
    },
}

/// A normal distribution of a final value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Prediction {
    mean: f64,
    sd: f64,
}

/// What a trial may come to.
pub(super) struct Prospect {
    /// The means of the final values.
    predicted: BTreeMap<String, f64>,
    /// The probability that the result will be on the front.
    pub(super) chance: f64,
}

/// The verdict on a trial whose known values `known` gives and whose curve's last sample is `now`;
/// `visible` are the trials whose results may be used.
pub(super) fn verdict(
    problem: &Problem,
    known: &dyn Fn(&str) -> Option<f64>,
    now: &Sample,
    visible: &[Record],
    hopeless: f64,
) -> Verdict {
    match prospect(problem, known, now, visible) {
        Some(Prospect { predicted, chance }) if chance < hopeless => Verdict::Stop { predicted, chance },
        _ => Verdict::Promote,
    }
}

/// What such a trial may come to; `None` as long as too little is known.
pub(super) fn prospect(
    problem: &Problem,
    known: &dyn Fn(&str) -> Option<f64>,
    now: &Sample,
    visible: &[Record],
) -> Option<Prospect> {
    let mut predicted: BTreeMap<&str, Prediction> = BTreeMap::new();
    for (name, value) in now.metrics.iter().filter(|(n, v)| v.is_finite() && known(n).is_none()) {
        if let Some(p) = predict(name, now.step, *value, visible) {
            predicted.insert(name, p);
        }
    }
    // Only what every model needs: a stopped trial must leave a whole result behind.
    let needed = (problem.objectives.iter().filter(|o| !o.known).map(|o| &o.name))
        .chain(problem.limits.iter().filter(|l| !l.known).map(|l| &l.name));
    for name in needed {
        if !predicted.contains_key(name.as_str()) {
            return None;
        }
    }
    let chance = chance(problem, known, &predicted, visible);
    Some(Prospect { predicted: predicted.iter().map(|(n, p)| ((*n).to_owned(), p.mean)).collect(), chance })
}

/// The final value of a quantity whose value after `step` is `now`.
fn predict(name: &str, step: usize, now: f64, visible: &[Record]) -> Option<Prediction> {
    let pairs: Vec<(f64, f64)> = visible
        .iter()
        .filter(|r| r.is_done())
        .filter_map(|r| {
            let then = r.curve.iter().find(|s| s.step == step)?.metrics.get(name)?;
            Some((*then, r.value(name)?)).filter(|(a, b)| a.is_finite() && b.is_finite())
        })
        .collect();
    regress(&pairs, now)
}

/// Bayesian linear regression of `final - then` on `then`, standardised.
fn regress(pairs: &[(f64, f64)], now: f64) -> Option<Prediction> {
    if pairs.len() < NEEDED {
        return None;
    }
    let n = pairs.len() as f64;
    let mean = |f: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>() / n;
    let centre = mean(&|p| p.0);
    let variance = |f: &dyn Fn(&(f64, f64)) -> f64| {
        let m = mean(f);
        pairs.iter().map(|p| (f(p) - m).powi(2)).sum::<f64>() / n
    };
    let scale = variance(&|p| p.0).sqrt();
    let scale = if scale > 0.0 { scale } else { 1.0 };
    let gain_mean = mean(&|p| p.1 - p.0);
    // Prior: slope 0 with the weight of a quarter of a result; noise a sixth of the spread of results.
    let (slope_weight, shape) = (0.25, 1.0);
    let spread = variance(&|p| p.1).sqrt().max(1e-9 * gain_mean.abs()).max(1e-12);
    let mut rate = shape * (spread / 6.0).powi(2);
    let u = |v: f64| (v - centre) / scale;
    let (mut uu, mut ug) = (0.0, 0.0);
    for (then, last) in pairs {
        uu += u(*then) * u(*then);
        ug += u(*then) * (last - then - gain_mean);
    }
    let slope = ug / (uu + slope_weight);
    let residual: f64 =
        pairs.iter().map(|(then, last)| (last - then - gain_mean - slope * u(*then)).powi(2)).sum();
    rate += 0.5 * (residual + slope_weight * slope * slope);
    // One degree of freedom goes into the mean, whose prior is flat.
    let shape = shape + 0.5 * (n - 1.0);
    let at = u(now);
    let factor = 1.0 + 1.0 / n + at * at / (uu + slope_weight);
    // A Student distribution with 2 * shape degrees of freedom, by its mean and variance.
    let variance = rate / (shape - 1.0).max(0.5) * factor;
    Some(Prediction { mean: now + gain_mean + slope * at, sd: variance.sqrt() })
}

/// The probability that the result keeps all limits and that no point of the front is at least as
/// good in every objective.
fn chance(
    problem: &Problem,
    known: &dyn Fn(&str) -> Option<f64>,
    predicted: &BTreeMap<&str, Prediction>,
    visible: &[Record],
) -> f64 {
    let costs: Vec<Vec<f64>> = visible
        .iter()
        .filter(|r| r.is_done() && problem.violation(false, &|n| r.value(n)) <= 0.0)
        .filter_map(|r| problem.costs(&|n| r.value(n)).ok())
        .collect();
    let front: Vec<&Vec<f64>> = non_dominated(&costs).into_iter().filter_map(|i| costs.get(i)).collect();
    let names: Vec<&str> = predicted.keys().copied().collect();
    let mut hits = 0;
    for k in 1..=DRAWS {
        let draw = |name: &str| {
            let i = names.iter().position(|n| *n == name)?;
            let p = predicted.get(name)?;
            Some(p.mean + p.sd * inverse_normal(halton(k, i)))
        };
        let value = |name: &str| known(name).or_else(|| draw(name));
        let Ok(mine) = problem.costs(&value) else { continue };
        let beaten = front.iter().any(|f| f.iter().zip(&mine).all(|(f, m)| f <= m));
        hits += usize::from(!beaten && problem.violation(false, &value) <= 0.0);
    }
    hits as f64 / DRAWS as f64
}

/// The `k`th number (from 1) of the Halton sequence's dimension `i`, in 0..1.
fn halton(mut k: usize, i: usize) -> f64 {
    const PRIMES: [usize; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    let base = PRIMES.get(i).copied().unwrap_or(41);
    let (mut fraction, mut result) = (1.0, 0.0);
    while k > 0 {
        fraction /= base as f64;
        result += fraction * (k % base) as f64;
        k /= base;
    }
    result
}

/// The standard normal quantile, to about 4.5e-4 (Abramowitz and Stegun 1964, formula 26.2.23).
fn inverse_normal(p: f64) -> f64 {
    let tail = p.min(1.0 - p).max(1e-12);
    let t = (-2.0 * tail.ln()).sqrt();
    let z = t
        - (2.515517 + 0.802853 * t + 0.010328 * t * t)
            / (1.0 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t);
    if p < 0.5 {
        -z
    } else {
        z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_continued_as_others_were() {
        // Half of what is missing to 0.9 is made up.
        let pairs: Vec<(f64, f64)> =
            (0..12).map(|i| 0.5 + 0.03 * f64::from(i)).map(|v| (v, v + 0.5 * (0.9 - v))).collect();
        let p = regress(&pairs, 0.6).unwrap();
        assert!((p.mean - 0.75).abs() < 0.02, "{p:?}");
        assert!(p.sd > 0.0 && p.sd < 0.05, "{p:?}");
        // Far from all that was seen, less is known.
        assert!(regress(&pairs, 0.1).unwrap().sd > 1.5 * p.sd);
        assert_eq!(regress(&pairs[..3], 0.6), None);
    }

    #[test]
    fn the_interval_holds_what_it_says() {
        // Noisy curves: nine in ten results must lie in the 90 % interval.
        let noise = |i: usize| inverse_normal(halton(i + 1, 1));
        let then = |i: usize| 0.6 + 0.1 * inverse_normal(halton(i + 1, 0));
        let result = |i: usize| 0.9 + 0.5 * (then(i) - 0.6) + 0.01 * noise(i);
        for n in [6, 12, 40] {
            let (mut inside, mut all) = (0, 0);
            for start in 0..60 {
                let pairs: Vec<(f64, f64)> =
                    (start * 50..start * 50 + n).map(|i| (then(i), result(i))).collect();
                for i in start * 50 + 40..start * 50 + 50 {
                    let p = regress(&pairs, then(i)).unwrap();
                    inside += usize::from((result(i) - p.mean).abs() < 1.645 * p.sd);
                    all += 1;
                }
            }
            let share = f64::from(inside as u32) / f64::from(all);
            // The prior makes few curves say less than they might.
            let most = if n < 10 { 1.0 } else { 0.97 };
            assert!((0.84..=most).contains(&share), "{n} curves: {share}");
        }
    }

    #[test]
    fn quantiles() {
        assert!((inverse_normal(0.975) - 1.96).abs() < 1e-3);
        assert!((inverse_normal(0.05) + 1.645).abs() < 1e-3);
        let mean = (1..=DRAWS).map(|k| inverse_normal(halton(k, 0))).sum::<f64>() / DRAWS as f64;
        assert!(mean.abs() < 0.02);
    }
}
