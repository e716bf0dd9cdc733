//! What a study's models and its use of the budget are worth.

use super::design::Design;
use super::mobo::{modelled, Foretold, Mobo, Results};
use super::study::{results, Outcome, Record, Source, Study};
use serde::Serialize;

/// Results that a check of a model needs.
const NEEDED: usize = 5;

/// How well a quantity's model foretells each result from all others (leave-one-out,
/// hyperparameters kept; Rasmussen and Williams 2006, section 5.4.2).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelCheck {
    /// The quantity.
    pub name: String,
    /// Results it was checked on.
    pub results: usize,
    /// The logarithm is modelled.
    pub logarithmic: bool,
    /// Spearman's rank correlation between what was foretold and what came, -1..1.
    pub rank_correlation: f64,
    /// The part of the results inside the central 50 % interval; 0.5 is right.
    pub within_50: f64,
    /// The part of the results inside the central 90 % interval; 0.9 is right.
    pub within_90: f64,
}

/// What one way of choosing trials has used and brought.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// `seed points`, `initial design`, the algorithm, `random` where that found nothing, or `taken up
    /// again`: trials that had been stopped early.
    pub source: String,
    /// Trials given out.
    pub trials: usize,
    /// Run to the end.
    pub done: usize,
    /// Stopped early.
    pub stopped: usize,
    /// Failed.
    pub failed: usize,
    /// Steps of training (epochs) that were reported; the last of a trial counts with its result.
    pub steps: usize,
    /// On the front now.
    pub on_front: usize,
}

impl Study<'_> {
    /// Checks the models of all quantities that must be measured. Empty as long as there are fewer
    /// than five results.
    pub fn check_models(&mut self) -> Vec<ModelCheck> {
        let Ok(design) = Design::new(&mut self.explorer, &self.problem, &self.settings) else {
            return Vec::new();
        };
        let done: Vec<&Record> = results(&self.records);
        if done.len() < NEEDED {
            return Vec::new();
        }
        let encode = |r: &&Record| self.explorer.encode(&design.encoder, &r.trial.point, Some(&r.known));
        let Some(x) = done.iter().map(encode).collect::<Option<Vec<_>>>() else { return Vec::new() };
        // Models of its own: those of the study stay as they are.
        let mut mobo = Mobo::new(self.settings.surrogate);
        modelled(&self.problem)
            .into_iter()
            .filter_map(|of| {
                let raw = done.iter().map(|r| r.estimate(of.name)).collect::<Option<Vec<f64>>>()?;
                let groups = design.encoder.groups();
                let (logarithmic, pairs) = mobo.foretell(&Results { of, x: &x, groups, raw: &raw })?;
                let inside = |z: f64| {
                    let n = pairs.iter().filter(|p| (p.result - p.mean).abs() <= z * p.sd).count();
                    n as f64 / pairs.len() as f64
                };
                let column = |f: &dyn Fn(&Foretold) -> f64| pairs.iter().map(f).collect::<Vec<f64>>();
                Some(ModelCheck {
                    name: of.name.to_owned(),
                    results: pairs.len(),
                    logarithmic,
                    rank_correlation: spearman(&column(&|p| p.result), &column(&|p| p.mean)),
                    within_50: inside(0.6745),
                    within_90: inside(1.6449),
                })
            })
            .collect()
    }

    /// The budget by the source of trials.
    pub fn shares(&self) -> Vec<Share> {
        let front = self.front();
        let mut shares: Vec<Share> = Vec::new();
        for r in &self.records {
            let source = match r.trial.source {
                Source::Seed => "seed points",
                Source::Initial => "initial design",
                Source::Chosen => self.settings.algorithm.name(),
                Source::Random => "random",
                Source::Continued => "taken up again",
            };
            if !shares.iter().any(|s| s.source == source) {
                let source = source.to_owned();
                shares.push(Share {
                    source,
                    trials: 0,
                    done: 0,
                    stopped: 0,
                    failed: 0,
                    steps: 0,
                    on_front: 0,
                });
            }
            let Some(share) = shares.iter_mut().find(|s| s.source == source) else { continue };
            share.trials += 1;
            share.on_front += usize::from(front.contains(&r.trial.number));
            share.steps += r.own_curve().count();
            match &r.outcome {
                Some(Outcome::Done { .. }) => {
                    share.done += 1;
                    share.steps += 1;
                }
                Some(Outcome::Stopped { .. }) => share.stopped += 1,
                Some(Outcome::Failed { .. }) => share.failed += 1,
                None => {}
            }
        }
        shares
    }
}

/// Spearman's rank correlation; ties have the mean of their ranks. 0 where one side has no order.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |v: &[f64]| -> Vec<f64> {
        v.iter()
            .map(|x| {
                let below = v.iter().filter(|y| *y < x).count();
                let equal = v.iter().filter(|y| *y == x).count();
                below as f64 + (equal as f64 - 1.0) / 2.0
            })
            .collect()
    };
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(&b).map(|(x, y)| f(x - middle, y - middle)).sum::<f64>();
    let scale = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    if scale > 0.0 {
        sum(&|x, y| x * y) / scale
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::spearman;

    #[test]
    fn rank_correlation() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[1.0, 8.0, 27.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[5.0, 4.0, 3.0]), -1.0);
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[5.0, 4.0, 3.0]), 0.0);
        // By hand: ranks (0, 1.5, 1.5, 3) and (0, 2, 1, 3).
        assert!(
            (spearman(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 4.0]) - 4.5 / (4.5f64 * 5.0).sqrt()).abs()
                < 1e-12
        );
    }
}
