//! The covariance of the Gaussian processes and what is believed of it before anything is measured.
//!
//! Between two points it is, with `x_g` and `x'_g` the columns of group `g` and `w_g` one over its squared
//! length,
//!
//! ```text
//! signal k + linear c sum_g w_g x_g.x'_g + additive c sum_g w_g (|x_g| + |x'_g| - |x_g - x'_g|)
//! ```
//!
//! - `k`, stationary, couples all groups ([`Shape`]);
//! - the linear part is Bayesian linear regression;
//! - the additive part is a sum of functions of one group each (Duvenaud, Nickisch and Rasmussen 2011, first
//!   order): Wiener processes that are zero in the middle of the columns (Levy's Brownian motion where a group
//!   has several). Its mean is piecewise linear; it is positive semidefinite however far columns reach.
//!
//! A group that matters little for one part does so for all. `c` (`share`) makes variances comparable between
//! numbers of groups. Equations are those of Rasmussen and Williams, "Gaussian Processes for Machine Learning"
//! (2006).

use std::collections::BTreeMap;
use std::ops::Range;

/// The stationary part of the covariance: a function of a sum over groups, of squared distances over
/// squared lengths or of distances over squared lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Matern with smoothness 5/2: `(1 + a + a^2/3) exp(-a)`, `a = sqrt(5) r`, of the squared distance
    /// `r^2` (equation 4.17).
    Matern,
    /// Squared exponential, `exp(-r^2/2)` (equation 4.9).
    SquaredExponential,
    /// A product of exponentials, `exp(-sum_g |x_g - x'_g| / length_g^2)` (equation 4.18 in each group):
    /// for functions with steps, such as times that come from a table.
    Exponential,
}

impl Shape {
    /// All.
    pub const ALL: [Shape; 3] = [Shape::Matern, Shape::SquaredExponential, Shape::Exponential];

    /// The correlation, of the sum over groups.
    pub(super) fn correlation(self, sum: f64) -> f64 {
        match self {
            Shape::Matern => {
                let a = (5.0 * sum).sqrt();
                (1.0 + a + a * a / 3.0) * (-a).exp()
            }
            Shape::SquaredExponential => (-0.5 * sum).exp(),
            Shape::Exponential => (-sum).exp(),
        }
    }

    /// The correlation, and minus twice its derivative by the sum.
    pub(super) fn with_slope(self, sum: f64) -> (f64, f64) {
        match self {
            Shape::Matern => {
                let a = (5.0 * sum).sqrt();
                let e = (-a).exp();
                ((1.0 + a + a * a / 3.0) * e, 5.0 / 3.0 * (1.0 + a) * e)
            }
            Shape::SquaredExponential => {
                let e = (-0.5 * sum).exp();
                (e, e)
            }
            Shape::Exponential => {
                let e = (-sum).exp();
                (e, 2.0 * e)
            }
        }
    }
}

/// Columns that share a length scale, and what is believed of that before anything is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The columns.
    pub columns: Range<usize>,
    /// Added to the mean of the prior of the logarithm of the length: above zero the group is thought to
    /// matter less than others.
    pub shift: f64,
    /// Standard deviation of that prior, if the group has no kin.
    pub spread: f64,
    /// Groups of one family are kin (the number of heads in every stage): if one matters more than was
    /// believed, the others are believed to do so, too.
    pub family: Option<usize>,
}

impl Group {
    /// Columns of which nothing is known.
    pub fn new(columns: Range<usize>) -> Group {
        Group { columns, shift: 0.0, spread: 1.0, family: None }
    }

    /// Columns that are thought to matter less than others (above zero) or more.
    pub fn shifted(columns: Range<usize>, shift: f64) -> Group {
        Group { columns, shift, spread: INFORMED, family: None }
    }
}

/// Standard deviation of the prior of the logarithm of a length of which something is known.
const INFORMED: f64 = 0.7;

/// Standard deviation of what the logarithms of a family's lengths have in common; and of what each has of its
/// own, as a part of its group's spread. Where that is one, the variance is that of groups without kin, half of it
/// common; where something is known of the lengths two thirds are, and the variance is greater than without kin;
/// where the spread is 1.5 a third is, and the variance less (not measured: no problem has such kin).
/// Set on `hytc bench search --problem hytnas`, where 0.5 and 0.7, 0.5 and 0.5 (seeds 100 to 147), 1 and 0.5, 1 and
/// 1, 0.7 and 0.4 (seeds 100 to 123) were no better.
const COMMON: f64 = 0.7;
const OWN: f64 = 0.7;

/// Hyperparameters, as natural logarithms.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyper {
    /// Of the stationary part.
    pub shape: Shape,
    /// Length scale of each group of columns.
    pub lengths: Vec<f64>,
    /// Variance of the stationary part.
    pub signal: f64,
    /// Variance of the linear part: of the coefficient of a column whose length is the mode of the common
    /// prior (without shift), times the number of groups. Coefficients of other columns vary as one over
    /// their length.
    pub linear: f64,
    /// Variance of the additive part, shared out among the groups as that of the linear part.
    pub additive: f64,
    /// Variance of the noise.
    pub noise: f64,
}

/// Normal priors on the logarithms: (mean, standard deviation).
pub(super) struct Prior {
    /// The mean grows with the number of groups, as distances do (Hvarfner, Hellsten and Nardi 2024); a
    /// group's own shift comes on top of it.
    length: f64,
    signal: (f64, f64),
    linear: (f64, f64),
    additive: (f64, f64),
    noise: (f64, f64),
}

impl Prior {
    pub(super) fn new(groups: usize) -> Prior {
        Prior {
            length: 0.5 + 0.5 * (groups.max(1) as f64).ln(),
            signal: (0.0, 1.0),
            linear: (0.0, 1.5),
            // Set on seeds 100 to 123 of `hytc bench search --problem hytnas` with `1 - |x_g - x'_g|`, where
            // -3 and 0 were no better.
            additive: (-1.5, 1.5),
            noise: (-6.5, 1.5),
        }
    }

    /// The negative logarithm of the density at hyperparameters in the order of [`Hyper::to_vec`], up to a
    /// constant; its gradient is added to `gradient`.
    pub(super) fn penalty(&self, groups: &[Group], v: &[f64], gradient: &mut [f64]) -> f64 {
        let families = kin(groups);
        let mut value = 0.0;
        for (i, g) in groups.iter().enumerate() {
            let related = families.iter().any(|f| f.contains(&i));
            let variance = (g.spread * if related { OWN } else { 1.0 }).powi(2);
            let z = v[i] - self.length - g.shift;
            value += 0.5 * z * z / variance;
            gradient[i] += z / variance;
        }
        // The covariance is diag(own) + common 1 1'; its inverse by Sherman and Morrison.
        for family in &families {
            let weight = |i: usize| (groups[i].spread * OWN).powi(-2);
            let total: f64 = family.iter().map(|&i| weight(i)).sum();
            let sum: f64 = family.iter().map(|&i| weight(i) * (v[i] - self.length - groups[i].shift)).sum();
            let pull = sum / (COMMON.powi(-2) + total);
            value -= 0.5 * sum * pull;
            family.iter().for_each(|&i| gradient[i] -= weight(i) * pull);
        }
        let rest = [self.signal, self.linear, self.additive, self.noise];
        for (i, (mean, sd)) in (groups.len()..).zip(rest) {
            let z = (v[i] - mean) / sd;
            value += 0.5 * z * z;
            gradient[i] += z / sd;
        }
        value
    }
}

/// The families with several members, as indices of groups.
fn kin(groups: &[Group]) -> Vec<Vec<usize>> {
    let mut families: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, g) in groups.iter().enumerate() {
        if let Some(f) = g.family {
            families.entry(f).or_default().push(i);
        }
    }
    families.into_values().filter(|members| members.len() > 1).collect()
}

impl Hyper {
    /// The mode of the priors.
    pub fn prior(groups: &[Group]) -> Hyper {
        let prior = Prior::new(groups.len());
        Hyper {
            shape: Shape::Matern,
            lengths: groups.iter().map(|g| prior.length + g.shift).collect(),
            signal: prior.signal.0,
            linear: prior.linear.0,
            additive: prior.additive.0,
            noise: prior.noise.0,
        }
    }

    /// Lengths, signal, linear, additive, noise.
    pub(super) fn to_vec(&self) -> Vec<f64> {
        self.lengths.iter().copied().chain([self.signal, self.linear, self.additive, self.noise]).collect()
    }

    pub(super) fn from_slice(shape: Shape, v: &[f64]) -> Hyper {
        let groups = v.len().saturating_sub(4);
        Hyper {
            shape,
            lengths: v[..groups].to_vec(),
            signal: v[groups],
            linear: v[groups + 1],
            additive: v[groups + 2],
            noise: v[groups + 3],
        }
    }
}

/// What makes the linear and the additive part's variances comparable between numbers of groups: at the mode of
/// the common prior of lengths the weight of each is one over their number.
pub(super) fn share(groups: usize) -> f64 {
    (2.0 * Prior::new(groups).length).exp() / groups.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{DMatrix, DVector};

    #[test]
    fn the_lengths_of_a_family_are_correlated() {
        let group = |shift: f64, spread: f64, family| Group { columns: 0..1, shift, spread, family };
        let groups = [
            group(0.3, 0.7, Some(1)),
            group(0.0, 1.0, Some(0)),
            group(-0.2, 1.0, Some(1)),
            group(0.0, 1.0, None),
            group(0.1, 0.7, Some(1)),
        ];
        // By hand: 0.7 in common for groups 0, 2 and 4; group 1 has no kin.
        let own = [0.49f64, 1.0, 0.7, 1.0, 0.49].map(|s| s * s);
        let family = [true, false, true, false, true];
        let covariance = DMatrix::from_fn(5, 5, |i, j| {
            let common = if family[i] && family[j] { 0.49 } else { 0.0 };
            common + if i == j { own[i] } else { 0.0 }
        });
        let prior = Prior::new(5);
        let lengths = [0.1, 0.9, 2.0, 1.5, 0.4];
        let z = DVector::from_fn(5, |i, _| lengths[i] - prior.length - groups[i].shift);
        let expected = 0.5 * (z.transpose() * covariance.try_inverse().unwrap() * &z)[0];
        let mut hyper = Hyper { lengths: lengths.to_vec(), ..Hyper::prior(&groups) };
        hyper.noise += 1.5;
        let found = prior.penalty(&groups, &hyper.to_vec(), &mut [0.0; 9]);
        assert!((found - expected - 0.5).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn the_prior_is_at_its_mode_at_the_start() {
        let kin = |shift| Group { family: Some(0), ..Group::shifted(0..1, shift) };
        let groups = [kin(1.0), kin(-0.5), Group::new(0..1)];
        let mut gradient = vec![0.0; 7];
        let mode = Hyper::prior(&groups).to_vec();
        let penalty = |v: &[f64]| Prior::new(3).penalty(&groups, v, &mut [0.0; 7]);
        assert!(Prior::new(3).penalty(&groups, &mode, &mut gradient).abs() < 1e-12);
        assert!(gradient.iter().all(|g| g.abs() < 1e-12));
        for i in 0..7 {
            for step in [-0.1, 0.1] {
                let mut v = mode.clone();
                v[i] += step;
                assert!(penalty(&v) > 1e-4);
            }
        }
        // Two informed kin that differ by nothing are further out together than one alone, less than twice.
        let moved = |which: &[usize]| {
            let mut v = mode.clone();
            which.iter().for_each(|i| v[*i] += 1.0);
            penalty(&v)
        };
        assert!(moved(&[0, 1]) < 2.0 * moved(&[0]) && moved(&[0, 2]) > moved(&[0]) + 0.4);
    }
}
