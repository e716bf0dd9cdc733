//! How far the surrogates can be trusted: each result predicted from all others.

use super::study::Study;
use serde::Serialize;

/// A surrogate against the results it was made of, each left out in turn (Rasmussen and Williams
/// 2006, equations 5.10 to 5.12; the hyperparameters are kept).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trust {
    /// The modelled quantity.
    pub name: String,
    /// Results.
    pub results: usize,
    /// Spearman's correlation of predictions and results; 1: the order is right.
    pub rank_correlation: f64,
    /// Share of results within the central 50 % of their predictions; below 0.5 the model is too sure.
    pub within_50: f64,
    /// The same for 90 %.
    pub within_90: f64,
}

/// Where a study's trials come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spent {
    /// Points that the user gave.
    pub seed: usize,
    /// Points that fill the space.
    pub initial: usize,
    /// Points that the algorithm chose by results.
    pub chosen: usize,
    /// Random points: all of random search, elsewhere those for which nothing better was found.
    pub random: usize,
}

impl Study<'_> {
    /// The check of each surrogate; empty for algorithms without models and with fewer than 5 results.
    pub fn trust(&mut self) -> Vec<Trust> {
        let Some(checked) = self.leave_one_out() else { return Vec::new() };
        checked.into_iter().map(|(name, pairs)| check(name, &pairs)).collect()
    }

    /// How the budget was spent so far.
    pub fn spent(&self) -> Spent {
        let mut out = Spent::default();
        for record in self.records() {
            use super::study::Source;
            *match record.trial.source {
                Source::Seed => &mut out.seed,
                Source::Initial => &mut out.initial,
                Source::Chosen => &mut out.chosen,
                Source::Random => &mut out.random,
            } += 1;
        }
        out
    }
}

/// A result with the mean and standard deviation predicted for it.
pub(super) type Checked = (f64, f64, f64);

/// Quartile and 95th percentile of the standard normal distribution.
const QUARTILE: f64 = 0.674_489_750_196_082;
const P95: f64 = 1.644_853_626_951_472;

fn check(name: String, pairs: &[Checked]) -> Trust {
    let within = |z: f64| {
        let inside = pairs.iter().filter(|(y, m, s)| (y - m).abs() <= z * s).count();
        inside as f64 / pairs.len().max(1) as f64
    };
    let (y, m): (Vec<f64>, Vec<f64>) = pairs.iter().map(|p| (p.0, p.1)).unzip();
    Trust {
        name,
        results: pairs.len(),
        rank_correlation: spearman(&y, &m),
        within_50: within(QUARTILE),
        within_90: within(P95),
    }
}

/// Rank correlation, ties at their mean rank; 0 where one side does not vary.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |v: &[f64]| -> Vec<f64> {
        let mean_rank = |x: &f64| {
            let (below, equal) = v.iter().fold((0.0, 0.0), |(l, e), y| {
                (l + f64::from(u8::from(y < x)), e + f64::from(u8::from(y == x)))
            });
            below + (equal - 1.0) / 2.0
        };
        v.iter().map(mean_rank).collect()
    };
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let sum =
        |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle)).sum() };
    let scale = (sum(&a, &a) * sum(&b, &b)).sqrt();
    if scale > 0.0 {
        sum(&a, &b) / scale
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_correlation_is_that_of_scipy() {
        // scipy.stats.spearmanr([1, 2, 2, 5, 9], [3, 1, 4, 4, 8])
        let r = spearman(&[1.0, 2.0, 2.0, 5.0, 9.0], &[3.0, 1.0, 4.0, 4.0, 8.0]);
        assert!((r - 0.763_157_894_736_842_1).abs() < 1e-12, "{r}");
        assert_eq!(spearman(&[1.0, 2.0], &[3.0, 3.0]), 0.0);
    }

    #[test]
    fn intervals_are_counted() {
        let pairs = [(0.0, 0.5, 1.0), (0.0, 1.0, 1.0), (0.0, -1.6, 1.0), (0.0, 2.0, 1.0)];
        let t = check("x".into(), &pairs);
        assert_eq!((t.within_50, t.within_90), (0.25, 0.75));
    }
}
