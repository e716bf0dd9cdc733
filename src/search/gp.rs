//! Gaussian process regression with automatic relevance determination and priors.
//!
//! Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), chapters 2 and 5:
//! algorithm 2.1 for the posterior, equations 5.8 and 5.9 for the marginal likelihood and its
//! gradient, 5.10 to 5.12 for leave-one-out.

use super::covariance::{share, Group, Hyper, Prior, Shape};
use super::lbfgs::minimize;
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Observations with everything about them that does not depend on hyperparameters. Pairs are
/// packed: `(1,0), (2,0), (2,1), (3,0), ..`.
pub struct Observations<'a> {
    x: &'a [Vec<f64>],
    y: &'a [f64],
    groups: &'a [Group],
    /// Squared distances by group and pair, and their roots.
    squares: Vec<Vec<f64>>,
    roots: Vec<Vec<f64>>,
    /// Squared norms by group and point, and their roots.
    norms: Vec<Vec<f64>>,
    radii: Vec<Vec<f64>>,
}

impl<'a> Observations<'a> {
    /// `x` are coordinates in the given groups of columns, `y` standardised values.
    pub fn new(x: &'a [Vec<f64>], y: &'a [f64], groups: &'a [Group]) -> Self {
        let n = x.len();
        let pairs = || (1..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        let square = |g: &Group| -> Vec<f64> {
            let own = |i: usize| &x[i][g.columns.clone()];
            pairs().map(|(i, j)| square_distance(own(i), own(j))).collect()
        };
        let squares: Vec<Vec<f64>> = groups.iter().map(square).collect();
        let norms: Vec<Vec<f64>> = groups
            .iter()
            .map(|g| x.iter().map(|v| &v[g.columns.clone()]).map(|v| dot(v, v)).collect())
            .collect();
        let roots = |v: &[Vec<f64>]| v.iter().map(|g| g.iter().map(|d| d.sqrt()).collect()).collect();
        Observations { x, y, groups, roots: roots(&squares), squares, radii: roots(&norms), norms }
    }

    /// Hyperparameters of greatest posterior density, from several fixed starts, and the negative
    /// logarithm of that density (up to a constant).
    pub fn fit(&self, shape: Shape, iterations: usize) -> (f64, Hyper) {
        let start = Hyper::prior(self.groups);
        let short = Hyper {
            lengths: start.lengths.iter().map(|l| l - 1.5).collect(),
            linear: start.linear - 3.0,
            additive: start.additive - 3.0,
            ..start.clone()
        };
        let mut best: Option<(f64, Vec<f64>)> = None;
        for from in [start, short] {
            let (value, at) = minimize(from.to_vec(), iterations, |v| self.loss(shape, v));
            if best.as_ref().is_none_or(|(b, _)| value < *b) {
                best = Some((value, at));
            }
        }
        match best {
            Some((value, at)) if value.is_finite() => (value, Hyper::from_slice(shape, &at)),
            _ => (f64::INFINITY, Hyper { shape, ..Hyper::prior(self.groups) }),
        }
    }

    /// The hyperparameters of greater posterior density that are reached from these.
    pub fn refine(&self, from: Hyper, iterations: usize) -> Hyper {
        let (value, at) = minimize(from.to_vec(), iterations, |v| self.loss(from.shape, v));
        if value.is_finite() {
            Hyper::from_slice(from.shape, &at)
        } else {
            from
        }
    }

    /// The negative logarithm of likelihood times prior, and its gradient; the constant mean is
    /// profiled out, so its derivative vanishes.
    fn loss(&self, shape: Shape, v: &[f64]) -> (f64, Vec<f64>) {
        let (n, groups) = (self.x.len(), self.groups.len());
        let hyper = Hyper::from_slice(shape, v);
        let inverse: Vec<f64> = hyper.lengths.iter().map(|l| (-2.0 * l).exp()).collect();
        let (signal, noise) = (hyper.signal.exp(), hyper.noise.exp());
        let linear = hyper.linear.exp() * share(groups);
        let additive = hyper.additive.exp() * share(groups);
        let own = weighted(&self.norms, &inverse, n);
        let far = weighted(&self.radii, &inverse, n);
        let pairs = n * n.saturating_sub(1) / 2;
        let square = weighted(&self.squares, &inverse, pairs);
        let city = weighted(&self.roots, &inverse, pairs);
        let mut k = DMatrix::zeros(n, n);
        let mut correlations = Vec::with_capacity(pairs);
        let mut slopes = Vec::with_capacity(pairs);
        let mut inner = Vec::with_capacity(pairs);
        let mut pair = 0;
        for i in 0..n {
            k[(i, i)] = signal + linear * own[i] + additive * 2.0 * far[i] + noise + JITTER;
            for j in 0..i {
                let (correlation, slope) = shape.with_slope(match shape {
                    Shape::Exponential => city[pair],
                    _ => square[pair],
                });
                // The inner product of a pair is (|x|^2 + |x'|^2 - |x - x'|^2) / 2.
                inner.push(0.5 * (own[i] + own[j] - square[pair]));
                let wiener = far[i] + far[j] - city[pair];
                k[(i, j)] = signal * correlation + linear * inner[pair] + additive * wiener;
                correlations.push(correlation);
                slopes.push(slope);
                pair += 1;
            }
        }
        let bad = (f64::INFINITY, vec![0.0; v.len()]);
        let Some(solved) = Solved::new(k, self.y) else { return bad };
        let kinv = solved.cholesky.inverse();
        let mut value = 0.5 * solved.quadratic + 0.5 * solved.log_determinant();
        // The gradient is -1/2 tr(W dK), W = alpha alpha' - K^-1.
        let (mut by_signal, mut by_linear, mut by_additive, mut by_noise) = (0.0, 0.0, 0.0, 0.0);
        let alpha = &solved.alpha;
        let mut rows = vec![0.0; n];
        // By squared distances and by distances.
        let (mut by_squares, mut by_roots) = (vec![0.0; pairs], vec![0.0; pairs]);
        let mut pair = 0;
        for i in 0..n {
            let w = alpha[i] * alpha[i] - kinv[(i, i)];
            by_signal -= 0.5 * w * signal;
            by_linear -= 0.5 * w * linear * own[i];
            by_additive -= w * additive * far[i];
            by_noise -= 0.5 * w * noise;
            rows[i] += w;
            for j in 0..i {
                let w = alpha[i] * alpha[j] - kinv[(j, i)];
                by_signal -= w * signal * correlations[pair];
                by_linear -= w * linear * inner[pair];
                by_additive -= w * additive * (far[i] + far[j] - city[pair]);
                rows[i] += w;
                rows[j] += w;
                let bent = -w * signal * slopes[pair];
                by_squares[pair] = -w * linear;
                by_roots[pair] = -2.0 * w * additive;
                match shape {
                    Shape::Exponential => by_roots[pair] += bent,
                    _ => by_squares[pair] += bent,
                }
                pair += 1;
            }
        }
        let mut gradient: Vec<f64> = (0..groups)
            .map(|g| {
                let between = dot(&by_squares, &self.squares[g]) + dot(&by_roots, &self.roots[g]);
                let own = linear * dot(&rows, &self.norms[g]) + 2.0 * additive * dot(&rows, &self.radii[g]);
                inverse[g] * (between + own)
            })
            .collect();
        gradient.extend([by_signal, by_linear, by_additive, by_noise]);
        value += Prior::new(groups).penalty(self.groups, v, &mut gradient);
        if value.is_finite() {
            (value, gradient)
        } else {
            bad
        }
    }

    /// `log p(y)` up to a constant, with the scale of the signal profiled out, at the mode of the
    /// priors: compares transformations of `y` cheaply.
    pub fn profile(x: &[Vec<f64>], ys: &[&[f64]], groups: &[Group]) -> Option<Vec<f64>> {
        let hyper = Hyper::prior(groups);
        let gp = Gp::new(x, ys.first()?, groups, &hyper)?;
        ys.iter()
            .map(|y| {
                let solved = Solved::from_cholesky(gp.cholesky.clone(), y)?;
                Some(-0.5 * y.len() as f64 * (solved.quadratic / y.len() as f64).max(1e-300).ln())
            })
            .collect()
    }
}

/// Keeps covariances invertible where noise is estimated as next to nothing.
const JITTER: f64 = 1e-6;

struct Solved {
    cholesky: Cholesky<f64, Dyn>,
    alpha: DVector<f64>,
    mean: f64,
    quadratic: f64,
}

impl Solved {
    fn new(k: DMatrix<f64>, y: &[f64]) -> Option<Solved> {
        Solved::from_cholesky(Cholesky::new(k)?, y)
    }

    fn from_cholesky(cholesky: Cholesky<f64, Dyn>, y: &[f64]) -> Option<Solved> {
        let n = y.len();
        let ones = cholesky.solve(&DVector::from_element(n, 1.0));
        let total: f64 = ones.sum();
        let mean = ones.iter().zip(y).map(|(o, y)| o * y).sum::<f64>() / total;
        let centred = DVector::from_iterator(n, y.iter().map(|v| v - mean));
        let alpha = cholesky.solve(&centred);
        let quadratic = alpha.dot(&centred);
        quadratic.is_finite().then_some(Solved { cholesky, alpha, mean, quadratic })
    }

    fn log_determinant(&self) -> f64 {
        2.0 * self.cholesky.l_dirty().diagonal().iter().map(|v| v.ln()).sum::<f64>()
    }
}

/// The sum of columns times weights, each of this length.
fn weighted(columns: &[Vec<f64>], weights: &[f64], length: usize) -> Vec<f64> {
    let mut sum = vec![0.0; length];
    for (column, w) in columns.iter().zip(weights) {
        sum.iter_mut().zip(column).for_each(|(s, v)| *s += w * v);
    }
    sum
}

/// A posterior.
pub struct Gp {
    shape: Shape,
    groups: Vec<Group>,
    /// One over the length of each column.
    scale: Vec<f64>,
    /// Coordinates times `scale`, one row after the other, and their squared norms.
    rows: Vec<f64>,
    norms: Vec<f64>,
    /// Coordinates times squared `scale`.
    steep: Vec<f64>,
    signal: f64,
    /// Times the inner product of scaled coordinates.
    linear: f64,
    /// Times the sum over groups of what [`covariance`](super::covariance) calls the additive part.
    additive: f64,
    /// Distances from the middle, each over its squared length, summed up over groups.
    far: Vec<f64>,
    noise: f64,
    mean: f64,
    alpha: Vec<f64>,
    cholesky: Cholesky<f64, Dyn>,
    /// Rows of the inverse of the Cholesky factor, packed.
    inverse: Vec<f64>,
}

impl Gp {
    /// The posterior given observations; `None` where the covariance cannot be factorised.
    pub fn new(x: &[Vec<f64>], y: &[f64], groups: &[Group], hyper: &Hyper) -> Option<Gp> {
        let n = x.len();
        let width = groups.last().map_or(0, |g| g.columns.end);
        let mut scale = vec![1.0; width];
        for (g, l) in groups.iter().zip(&hyper.lengths) {
            scale[g.columns.clone()].fill((-l).exp());
        }
        let mut gp = Gp {
            shape: hyper.shape,
            groups: groups.to_vec(),
            scale,
            rows: Vec::with_capacity(n * width),
            norms: Vec::with_capacity(n),
            steep: Vec::new(),
            signal: hyper.signal.exp(),
            linear: hyper.linear.exp() * share(groups.len()),
            additive: hyper.additive.exp() * share(groups.len()),
            far: Vec::with_capacity(n),
            noise: hyper.noise.exp(),
            mean: 0.0,
            alpha: Vec::new(),
            cholesky: Cholesky::new(DMatrix::identity(0, 0))?,
            inverse: Vec::new(),
        };
        let mut k = DMatrix::zeros(n, n);
        for (i, x) in x.iter().enumerate() {
            let at = gp.at(x);
            gp.rows.extend_from_slice(&at.scaled);
            gp.steep.extend_from_slice(&at.steep);
            gp.norms.push(at.norm);
            gp.far.push(at.far);
            for j in 0..=i {
                k[(i, j)] = gp.covariance(&at, j);
            }
            k[(i, i)] += gp.noise + JITTER;
        }
        let solved = Solved::new(k, y)?;
        gp.mean = solved.mean;
        gp.alpha = solved.alpha.iter().copied().collect();
        gp.cholesky = solved.cholesky;
        let l = gp.cholesky.l();
        let inverse = l.solve_lower_triangular(&DMatrix::identity(n, n))?;
        gp.inverse = (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|at| inverse[at]).collect();
        Some(gp)
    }

    fn at(&self, x: &[f64]) -> Place {
        let times = |v: &[f64]| -> Vec<f64> { v.iter().zip(&self.scale).map(|(v, s)| v * s).collect() };
        let scaled = times(x);
        let steep = times(&scaled);
        let far = city_block(&steep, &vec![0.0; steep.len()], &self.groups);
        Place { norm: dot(&scaled, &scaled), far, steep, scaled }
    }

    fn covariance(&self, at: &Place, j: usize) -> f64 {
        let width = self.scale.len();
        let row = j * width..(j + 1) * width;
        let inner = dot(&at.scaled, &self.rows[row.clone()]);
        let city = match self.shape {
            Shape::Matern | Shape::SquaredExponential if self.additive == 0.0 => 0.0,
            _ => city_block(&at.steep, &self.steep[row], &self.groups),
        };
        let between = match self.shape {
            Shape::Exponential => city,
            _ => (at.norm + self.norms[j] - 2.0 * inner).max(0.0),
        };
        self.signal * self.shape.correlation(between)
            + self.linear * inner
            + self.additive * (at.far + self.far[j] - city)
    }

    /// Mean and variance of the function (without noise) at coordinates.
    pub fn predict(&self, x: &[f64]) -> (f64, f64) {
        let at = self.at(x);
        let k: Vec<f64> = (0..self.alpha.len()).map(|j| self.covariance(&at, j)).collect();
        let mean = self.mean + dot(&k, &self.alpha);
        let mut variance = self.signal + self.linear * at.norm + 2.0 * self.additive * at.far;
        let mut at = 0;
        for i in 0..k.len() {
            let v = dot(&self.inverse[at..at + i + 1], &k[..i + 1]);
            variance -= v * v;
            at += i + 1;
        }
        (mean, variance.max(1e-12))
    }

    /// Mean and variance of each observation (with noise) given all others, the hyperparameters and
    /// the mean kept.
    pub fn leave_one_out(&self, y: &[f64]) -> Vec<(f64, f64)> {
        let kinv = self.cholesky.inverse();
        y.iter()
            .zip(&self.alpha)
            .enumerate()
            .map(|(i, (y, a))| (y - a / kinv[(i, i)], 1.0 / kinv[(i, i)]))
            .collect()
    }
}

/// Coordinates as the covariance takes them.
struct Place {
    scaled: Vec<f64>,
    steep: Vec<f64>,
    norm: f64,
    far: f64,
}

/// The sum over groups of Euclidean distances.
fn city_block(a: &[f64], b: &[f64], groups: &[Group]) -> f64 {
    if groups.len() == a.len() {
        return lanes(a, b, |x, y| (x - y).abs());
    }
    let own = groups.iter().map(|g| g.columns.clone());
    own.map(|c| square_distance(&a[c.clone()], &b[c]).sqrt()).sum()
}

fn square_distance(a: &[f64], b: &[f64]) -> f64 {
    lanes(a, b, |x, y| (x - y) * (x - y))
}

/// The inner product.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    lanes(a, b, |x, y| x * y)
}

/// A sum in eight lanes: the compiler may not reorder a plain one, which costs a factor of four.
fn lanes(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sum = [0.0f64; 8];
    let (mut ca, mut cb) = (a.chunks_exact(8), b.chunks_exact(8));
    for (x, y) in (&mut ca).zip(&mut cb) {
        for ((s, x), y) in sum.iter_mut().zip(x).zip(y) {
            *s += f(*x, *y);
        }
    }
    let rest: f64 = ca.remainder().iter().zip(cb.remainder()).map(|(x, y)| f(*x, *y)).sum();
    sum.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn data(n: usize) -> (Vec<Vec<f64>>, Vec<f64>, Vec<Group>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let x: Vec<Vec<f64>> =
            (0..n).map(|_| (0..4).map(|_| rng.random_range(-0.5..0.5)).collect()).collect();
        let y = x.iter().map(|v| (4.0 * v[0]).sin() + v[1] * v[1] - v[2]).collect();
        (x, y, vec![Group::new(0..1), Group::shifted(1..2, -0.5), Group::new(2..4)])
    }

    #[test]
    fn the_posterior_is_the_formula() {
        let (x, y, groups) = data(12);
        for shape in Shape::ALL {
            let h = Hyper {
                shape,
                lengths: vec![-0.3, 0.2, 0.5],
                signal: 0.1,
                linear: -1.0,
                additive: -0.5,
                noise: -4.0,
            };
            agrees(&x, &y, &groups, &h);
        }
    }

    /// By hand: k* ' K^-1 (y - m) and k** - k*' K^-1 k*, the inverse by LU.
    fn agrees(x: &[Vec<f64>], y: &[f64], groups: &[Group], h: &Hyper) {
        let gp = Gp::new(x, y, groups, h).unwrap();
        let k = |a: &[f64], b: &[f64]| {
            let each = groups.iter().zip(&h.lengths);
            let (mut r2, mut city, mut inner, mut wiener) = (0.0, 0.0, 0.0, 0.0);
            for (g, l) in each {
                let weight = 1.0 / (2.0 * l).exp();
                let d: f64 = g.columns.clone().map(|c| (a[c] - b[c]).powi(2)).sum();
                r2 += weight * d;
                city += weight * d.sqrt();
                let far = |v: &[f64]| g.columns.clone().map(|c| v[c] * v[c]).sum::<f64>().sqrt();
                wiener += weight * (far(a) + far(b) - d.sqrt());
                inner += weight * g.columns.clone().map(|c| a[c] * b[c]).sum::<f64>();
            }
            let s = (5.0 * r2).sqrt();
            let bent = match h.shape {
                Shape::Matern => (1.0 + s + 5.0 / 3.0 * r2) * (-s).exp(),
                Shape::SquaredExponential => (-r2 / 2.0).exp(),
                Shape::Exponential => (-city).exp(),
            };
            // The mode of the prior of three lengths is e^(1/2) times the root of three.
            h.signal.exp() * bent + std::f64::consts::E * (h.linear.exp() * inner + h.additive.exp() * wiener)
        };
        let n = x.len();
        let kk = DMatrix::from_fn(n, n, |i, j| {
            k(&x[i], &x[j]) + if i == j { h.noise.exp() + JITTER } else { 0.0 }
        });
        let inverse = kk.try_inverse().unwrap();
        let one = DVector::from_element(n, 1.0);
        let yv = DVector::from_vec(y.to_vec());
        let m = (one.transpose() * &inverse * &yv)[0] / (one.transpose() * &inverse * &one)[0];
        for at in [[0.1, 0.2, -0.3, 0.0], [0.5, -0.5, 0.5, -0.5]] {
            let ks = DVector::from_fn(n, |i, _| k(&x[i], &at));
            let mean = m + (ks.transpose() * &inverse * (&yv - &one * m))[0];
            let variance = k(&at, &at) - (ks.transpose() * &inverse * &ks)[0];
            let (gm, gv) = gp.predict(&at);
            assert!((gm - mean).abs() < 1e-7 && (gv - variance).abs() < 1e-7, "{gm} {mean} {gv} {variance}");
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (x, y, mut groups) = data(15);
        groups[1].family = Some(4);
        groups[2].family = Some(4);
        let obs = Observations::new(&x, &y, &groups);
        let at = vec![-0.4, 0.3, 0.1, 0.2, -1.1, -0.6, -3.0];
        for shape in Shape::ALL {
            let (_, gradient) = obs.loss(shape, &at);
            for (i, g) in gradient.iter().enumerate() {
                let step = |h: f64| {
                    let mut v = at.clone();
                    v[i] += h;
                    obs.loss(shape, &v).0
                };
                let numeric = (step(1e-5) - step(-1e-5)) / 2e-5;
                assert!((g - numeric).abs() < 1e-5 * (1.0 + g.abs()), "{shape:?} {i}: {g} {numeric}");
            }
        }
    }

    #[test]
    fn leaving_one_out_is_leaving_it_out() {
        let (x, y, groups) = data(10);
        let h = Hyper::prior(&groups);
        let gp = Gp::new(&x, &y, &groups, &h).unwrap();
        let loo = gp.leave_one_out(&y);
        for i in 0..10 {
            let rest: Vec<usize> = (0..10).filter(|&v| v != i).collect();
            let xs: Vec<_> = rest.iter().map(|&v| x[v].clone()).collect();
            // The mean is that of all ten, so it is taken off instead of estimated again.
            let ys: Vec<f64> = rest.iter().map(|&v| y[v] - gp.mean).collect();
            let without = Gp::new(&xs, &ys, &groups, &h).unwrap();
            let at = without.at(&x[i]);
            let k: Vec<f64> = (0..9).map(|j| without.covariance(&at, j)).collect();
            let alpha: Vec<f64> = without.cholesky.solve(&DVector::from_vec(ys)).iter().copied().collect();
            let (_, variance) = without.predict(&x[i]);
            assert!((loo[i].0 - gp.mean - dot(&k, &alpha)).abs() < 1e-7);
            assert!((loo[i].1 - variance - h.noise.exp() - JITTER).abs() < 1e-7);
        }
    }

    #[test]
    fn fitting_finds_what_matters() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let x: Vec<Vec<f64>> =
            (0..40).map(|_| (0..5).map(|_| rng.random_range(-0.5..0.5)).collect()).collect();
        let y: Vec<f64> = x.iter().map(|v| (5.0 * v[0]).sin() + 0.5 * (4.0 * v[3]).cos()).collect();
        let groups: Vec<Group> = (0..5).map(|i| Group::new(i..i + 1)).collect();
        let (_, h) = Observations::new(&x, &y, &groups).fit(Shape::Matern, 60);
        let gp = Gp::new(&x, &y, &groups, &h).unwrap();
        // How much each coordinate matters.
        let r: Vec<f64> = h.lengths.iter().map(|l| (-2.0 * l).exp()).collect();
        assert!(r[0] > 5.0 * r[1] && r[0] > 5.0 * r[2] && r[3] > 5.0 * r[4], "{r:?}");
        let error: f64 = (0..100)
            .map(|_| {
                let v: Vec<f64> = (0..5).map(|_| rng.random_range(-0.5..0.5)).collect();
                (gp.predict(&v).0 - (5.0 * v[0]).sin() - 0.5 * (4.0 * v[3]).cos()).powi(2)
            })
            .sum::<f64>()
            / 100.0;
        assert!(error.sqrt() < 0.1, "{error}");
    }

    #[test]
    fn sums_of_functions_are_learned_from_few_points() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let mut point = || -> Vec<f64> { (0..16).map(|_| rng.random_range(-0.5..0.5)).collect() };
        let f = |v: &[f64]| v.iter().map(|v| (v - 0.1).abs()).sum::<f64>();
        let x: Vec<Vec<f64>> = (0..60).map(|_| point()).collect();
        let new: Vec<Vec<f64>> = (0..200).map(|_| point()).collect();
        let y: Vec<f64> = x.iter().map(|v| f(v)).collect();
        let groups: Vec<Group> = (0..16).map(|i| Group::new(i..i + 1)).collect();
        let observations = Observations::new(&x, &y, &groups);
        let (_, with) = observations.fit(Shape::Matern, 60);
        // Without it: of all else the hyperparameters of greatest density, the part held next to nothing.
        let start = Hyper { additive: -20.0, ..Hyper::prior(&groups) };
        let (_, at) = minimize(start.to_vec(), 60, |v| {
            let (value, mut gradient) = observations.loss(Shape::Matern, v);
            gradient[groups.len() + 2] = 0.0;
            (value, gradient)
        });
        let without = Hyper::from_slice(Shape::Matern, &at);
        assert_eq!(without.additive, -20.0);
        let error = |h: &Hyper| {
            let gp = Gp::new(&x, &y, &groups, h).unwrap();
            (new.iter().map(|v| (gp.predict(v).0 - f(v)).powi(2)).sum::<f64>() / 200.0).sqrt()
        };
        let (with, without) = (error(&with), error(&without));
        assert!(with < 0.8 * without, "{with} {without}");
    }

    #[test]
    fn columns_may_reach_far_and_groups_have_many() {
        // A feature beyond the range it was scaled on, and a category of 80 values that may be absent.
        let one = |v: Option<usize>, feature: f64| -> Vec<f64> {
            let value = |i| v.map_or(1.0 / 80.0, |v| f64::from(u8::from(v == i)));
            let category = (0..80).map(|i| value(i) * std::f64::consts::FRAC_1_SQRT_2);
            let absent = if v.is_none() { 0.5 } else { 0.0 };
            category.chain([absent, feature]).collect()
        };
        let x: Vec<Vec<f64>> = (0..81)
            .map(|i| one(Some(i).filter(|i| *i < 80), 6.0 * ((i * 37 % 81) as f64 / 81.0) - 3.0))
            .collect();
        let y: Vec<f64> = x.iter().map(|v| v[81]).collect();
        let groups = vec![Group::new(0..81), Group::new(81..82)];
        let h = Hyper { additive: 3.0, signal: -9.0, linear: -9.0, noise: -20.0, ..Hyper::prior(&groups) };
        let gp = Gp::new(&x, &y, &groups, &h).unwrap();
        assert!(x.iter().all(|x| gp.predict(x).1 < 1e-3));
        assert!(gp.predict(&one(Some(3), 5.0)).1 > 1.0);
        let middle = Hyper { additive: f64::NEG_INFINITY, ..Hyper::prior(&groups) };
        let (mean, variance) = Gp::new(&x, &y, &groups, &middle).unwrap().predict(&x[5]);
        assert!(mean.is_finite() && variance.is_finite());
    }
}
