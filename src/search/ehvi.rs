//! Expected hypervolume improvement in closed form.
//!
//! The region that the front leaves free is a disjoint union of boxes ([`free_cells`]); what an
//! outcome `y` adds is the sum over boxes of `prod_d ((high_d - y_d)+ - (low_d - y_d)+)`. With
//! independent marginals the expectation goes into the product, and all that is needed of a marginal
//! is `E[(a - y)+]`: exact for any number of objectives, any of which may be known exactly (compare
//! Yang et al. 2019, "Efficient computation of expected hypervolume improvement").

use super::volume::free_cells;

/// What is believed of one objective (as a cost) at a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Marginal {
    /// Computed, not modelled.
    Exact(f64),
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        sd: f64,
    },
    /// The logarithm is normal.
    LogNormal {
        /// Mean of the logarithm.
        mean: f64,
        /// Standard deviation of the logarithm.
        sd: f64,
    },
}

impl Marginal {
    /// `E[(a - y)+]`, the expected amount by which the cost stays below `a`.
    pub fn below(&self, a: f64) -> f64 {
        if a == f64::NEG_INFINITY {
            return 0.0;
        }
        match *self {
            Marginal::Exact(y) => (a - y).max(0.0),
            Marginal::Normal { mean, sd } => {
                let z = (a - mean) / sd;
                (sd * (z * cdf(z) + pdf(z))).max(0.0)
            }
            Marginal::LogNormal { .. } if a <= 0.0 => 0.0,
            Marginal::LogNormal { mean, sd } => {
                let d = (a.ln() - mean) / sd;
                (a * cdf(d) - (mean + sd * sd / 2.0).exp() * cdf(d - sd)).max(0.0)
            }
        }
    }

    /// `P[y <= a]`.
    pub fn at_most(&self, a: f64) -> f64 {
        match *self {
            Marginal::Exact(y) => f64::from(u8::from(y <= a)),
            Marginal::Normal { mean, sd } => cdf((a - mean) / sd),
            Marginal::LogNormal { .. } if a <= 0.0 => 0.0,
            Marginal::LogNormal { mean, sd } => cdf((a.ln() - mean) / sd),
        }
    }

    /// The median, in the cost's own units.
    pub fn median(&self) -> f64 {
        match *self {
            Marginal::Exact(y) => y,
            Marginal::Normal { mean, .. } => mean,
            Marginal::LogNormal { mean, .. } => mean.exp(),
        }
    }
}

/// A front, ready to score candidates against. Boxes share their edges (a front of `n` has at most
/// `n + 2` in each objective, and with four objectives some ten times more boxes), so a marginal is looked
/// at once for each edge; boxes hold indices of edges, one list an objective.
#[derive(Debug, Clone)]
pub struct Improvement {
    objectives: Vec<Edges>,
    boxes: usize,
}

#[derive(Debug, Clone)]
struct Edges {
    /// Different coordinates, ascending.
    at: Vec<f64>,
    /// Of each box.
    low: Vec<u32>,
    high: Vec<u32>,
}

impl Improvement {
    /// Against these costs, up to the reference point.
    pub fn new(costs: &[Vec<f64>], reference: &[f64]) -> Improvement {
        let cells = free_cells(costs, reference);
        let objectives = (0..reference.len())
            .map(|d| {
                let mut at: Vec<f64> = cells.iter().flat_map(|c| [c.low[d], c.high[d]]).collect();
                at.sort_by(f64::total_cmp);
                at.dedup();
                let index = |v: f64| at.partition_point(|e| *e < v) as u32;
                let low = cells.iter().map(|c| index(c.low[d])).collect();
                let high = cells.iter().map(|c| index(c.high[d])).collect();
                Edges { at, low, high }
            })
            .collect();
        Improvement { objectives, boxes: cells.len() }
    }

    /// The expected hypervolume that a candidate adds.
    pub fn expected(&self, candidate: &[Marginal]) -> f64 {
        self.expected_above(candidate, &vec![f64::NEG_INFINITY; candidate.len()])
    }

    /// The same where costs below `floors` count as those: beyond an ideal nothing is gained.
    pub fn expected_above(&self, candidate: &[Marginal], floors: &[f64]) -> f64 {
        let mut products = vec![1.0; self.boxes];
        for ((edges, m), floor) in self.objectives.iter().zip(candidate).zip(floors) {
            let least = m.below(*floor);
            let below = |a: &f64| if a > floor { m.below(*a) - least } else { 0.0 };
            let table: Vec<f64> = edges.at.iter().map(below).collect();
            for ((p, low), high) in products.iter_mut().zip(&edges.low).zip(&edges.high) {
                *p *= (table[*high as usize] - table[*low as usize]).max(0.0);
            }
        }
        products.iter().sum()
    }
}

/// Density of the standard normal distribution.
pub fn pdf(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Distribution function of the standard normal distribution, to ten digits even in the tail: the rational
/// approximation of Hart (1968, function 5666) as given by West (2005, "Better approximations to
/// cumulative normal functions"), a continued fraction in the tail.
pub fn cdf(z: f64) -> f64 {
    let x = z.abs();
    if x > 38.0 {
        return if z > 0.0 { 1.0 } else { 0.0 };
    }
    let e = (-0.5 * x * x).exp();
    let horner = |c: &[f64]| c.iter().fold(0.0, |s, c| s * x + c);
    let tail = if x < 7.071_067_811_865_47 {
        e * horner(&[
            3.526_249_659_989_11e-2,
            0.700_383_064_443_688,
            6.373_962_203_531_65,
            33.912_866_078_383,
            112.079_291_497_871,
            221.213_596_169_931,
            220.206_867_912_376,
        ]) / horner(&[
            8.838_834_764_831_84e-2,
            1.755_667_163_182_64,
            16.064_177_579_207,
            86.780_732_202_946_1,
            296.564_248_779_674,
            637.333_633_378_831,
            793.826_512_519_948,
            440.413_735_824_752,
        ])
    } else {
        let fraction = (1..=12).rev().fold(0.0, |f, k| f64::from(k) / (x + f));
        e / (x + fraction) / (2.0 * std::f64::consts::PI).sqrt()
    };
    if z > 0.0 {
        1.0 - tail
    } else {
        tail
    }
}

#[cfg(test)]
mod tests {
    use super::super::volume::hypervolume;
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        let (u, v): (f64, f64) = (rng.random_range(1e-300..1.0), rng.random_range(0.0..1.0));
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }

    #[test]
    fn the_distribution_function_is_right() {
        // Abramowitz and Stegun, tables 26.1 and 26.2.
        for (z, p) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_543),
            (-2.0, 0.022_750_131_948_179),
            (-5.0, 2.866_515_718_791_94e-7),
            (-10.0, 7.619_853_024_160_53e-24),
        ] {
            assert!((cdf(z) / p - 1.0).abs() < 1e-9, "{z}: {}", cdf(z));
        }
        // The tail joins.
        assert!((cdf(-7.071_067) / cdf(-7.071_069) - 1.0).abs() < 2e-5);
    }

    #[test]
    fn the_expectation_is_that_of_simulation() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for dims in 1..=4usize {
            for case in 0..4 {
                let costs: Vec<Vec<f64>> =
                    (0..8).map(|_| (0..dims).map(|_| rng.random_range(0.1..1.1)).collect()).collect();
                let reference = vec![1.0; dims];
                let candidate: Vec<Marginal> = (0..dims)
                    .map(|d| match (d + case) % 3 {
                        0 => Marginal::Exact(rng.random_range(0.1..0.7)),
                        1 => Marginal::Normal { mean: rng.random_range(0.1..0.8), sd: 0.3 },
                        _ => Marginal::LogNormal { mean: rng.random_range(-2.0..-0.5), sd: 0.5 },
                    })
                    .collect();
                let exact = Improvement::new(&costs, &reference).expected(&candidate);
                let base = hypervolume(&costs, &reference);
                let n = 20_000;
                let (mut sum, mut square) = (0.0, 0.0);
                for _ in 0..n {
                    let mut with = costs.clone();
                    with.push(
                        candidate
                            .iter()
                            .map(|m| match *m {
                                Marginal::Exact(y) => y,
                                Marginal::Normal { mean, sd } => mean + sd * normal(&mut rng),
                                Marginal::LogNormal { mean, sd } => (mean + sd * normal(&mut rng)).exp(),
                            })
                            .collect(),
                    );
                    let gain = hypervolume(&with, &reference) - base;
                    sum += gain;
                    square += gain * gain;
                }
                let mean = sum / f64::from(n);
                let error = ((square / f64::from(n) - mean * mean).max(0.0) / f64::from(n)).sqrt();
                assert!(
                    (exact - mean).abs() < 5.0 * error + 1e-9,
                    "{dims}: {exact}, simulated {mean} +- {error}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_gained_beyond_an_ideal() {
        let i = Improvement::new(&[vec![0.5, 0.5]], &[1.0, 1.0]);
        let (a, b) = (Marginal::Exact(0.1), Marginal::Exact(0.4));
        // Costs count from 0.3 on, so 0.1 is 0.3: 0.7 x 0.6 - 0.5 x 0.5.
        assert!((i.expected_above(&[a, b], &[0.3, f64::NEG_INFINITY]) - 0.17).abs() < 1e-12);
        assert!((i.expected(&[a, b]) - 0.29).abs() < 1e-12);
        // max(y, c) for y around c: E[(1 - max(y, c))+] = (1 - c) - sd pdf(0) + nothing that matters.
        let y = Marginal::Normal { mean: 0.3, sd: 0.01 };
        let e = Improvement::new(&[], &[1.0]).expected_above(&[y], &[0.3]);
        assert!((e - (0.7 - 0.01 * pdf(0.0))).abs() < 1e-9, "{e}");
    }

    #[test]
    fn hopeless_candidates_are_still_ordered() {
        let i = Improvement::new(&[vec![0.0, 0.0]], &[1.0, 1.0]);
        let at = |mean| i.expected(&[Marginal::Normal { mean, sd: 0.1 }, Marginal::Exact(0.5)]);
        assert!(at(2.0) > at(2.5) && at(2.5) > 0.0);
    }
}
