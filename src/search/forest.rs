//! A random forest that foretells mean and variance: the surrogate for many results, where a Gaussian
//! process becomes slow.
//!
//! Trees are grown on bootstrap samples (Breiman 2001); a node takes the best of one random threshold in
//! each column (extremely randomised trees, Geurts, Ernst and Wehenkel 2006), which costs no sorting and
//! makes the mean over trees nearly smooth. Mean and variance at a point are those of the mixture of its
//! leaves, by the law of total variance (Hutter, Xu, Hoos and Leyton-Brown 2014, section 4.3.2). What a
//! result would have been foretold as comes from the trees that have not seen it (out of bag).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Trees of a forest.
const TREES: u64 = 64;
/// Results that a node needs to be split.
const SPLIT: usize = 4;
/// Nodes below each other, at most.
const DEPTH: usize = 32;
/// The least variance, in parts of that of all results.
const LEAST: f64 = 1e-6;

/// Trees grown on observations.
pub struct Forest {
    trees: Vec<Tree>,
    out_of_bag: Vec<(f64, f64)>,
}

/// Nodes, the root first.
struct Tree(Vec<Node>);

enum Node {
    /// Coordinates at most `threshold` go to the next node, others to the node at `above`.
    Split {
        column: usize,
        threshold: f64,
        above: usize,
    },
    Leaf(Leaf),
}

#[derive(Clone, Copy)]
struct Leaf {
    mean: f64,
    variance: f64,
}

impl Forest {
    /// A forest for the values `y` at the coordinates `x`, both of the same length and not empty.
    pub fn new(x: &[Vec<f64>], y: &[f64]) -> Forest {
        let n = x.len();
        let mut trees = Vec::new();
        let mut outside: Vec<Vec<Leaf>> = vec![Vec::new(); n];
        for number in 0..TREES {
            let mut rng = ChaCha8Rng::seed_from_u64(number);
            let mut rows: Vec<usize> = (0..n).map(|_| rng.random_range(0..n)).collect();
            let mut inside = vec![false; n];
            rows.iter().for_each(|i| inside[*i] = true);
            let mut tree = Tree(Vec::new());
            tree.grow(x, y, &mut rows, DEPTH, &mut rng);
            for i in (0..n).filter(|i| !inside[*i]) {
                outside[i].push(tree.leaf(&x[i]));
            }
            trees.push(tree);
        }
        let mut forest = Forest { trees, out_of_bag: Vec::new() };
        forest.out_of_bag = (outside.iter().zip(x))
            .map(|(leaves, x)| if leaves.is_empty() { forest.predict(x) } else { mixture(leaves) })
            .collect();
        forest
    }

    /// Mean and variance at coordinates.
    pub fn predict(&self, x: &[f64]) -> (f64, f64) {
        let leaves: Vec<Leaf> = self.trees.iter().map(|t| t.leaf(x)).collect();
        mixture(&leaves)
    }

    /// Mean and variance of each observation by the trees that were grown without it.
    pub fn out_of_bag(&self) -> &[(f64, f64)] {
        &self.out_of_bag
    }
}

/// Mean and variance of a mixture, its parts weighing the same.
fn mixture(leaves: &[Leaf]) -> (f64, f64) {
    let n = leaves.len().max(1) as f64;
    let mean = leaves.iter().map(|l| l.mean).sum::<f64>() / n;
    let variance = leaves.iter().map(|l| l.variance + (l.mean - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.max(LEAST))
}

impl Tree {
    fn leaf(&self, x: &[f64]) -> Leaf {
        let mut at = 0;
        loop {
            match &self.0[at] {
                Node::Leaf(leaf) => return *leaf,
                Node::Split { column, threshold, above } => {
                    at = if x[*column] <= *threshold { at + 1 } else { *above };
                }
            }
        }
    }

    /// Appends the tree of some rows (repeated ones count as often).
    fn grow(&mut self, x: &[Vec<f64>], y: &[f64], rows: &mut [usize], depth: usize, rng: &mut ChaCha8Rng) {
        let n = rows.len() as f64;
        let mean = rows.iter().map(|i| y[*i]).sum::<f64>() / n;
        let variance = rows.iter().map(|i| (y[*i] - mean).powi(2)).sum::<f64>() / n;
        let leaf = Node::Leaf(Leaf { mean, variance });
        let split = match rows.len() >= SPLIT && depth > 0 && variance > 0.0 {
            true => best_split(x, y, rows, mean, rng),
            false => None,
        };
        let here = self.0.len();
        self.0.push(leaf);
        let Some((column, threshold)) = split else { return };
        let mut middle = 0;
        for i in 0..rows.len() {
            if x[rows[i]][column] <= threshold {
                rows.swap(i, middle);
                middle += 1;
            }
        }
        let (below, above) = rows.split_at_mut(middle);
        self.grow(x, y, below, depth - 1, rng);
        let next = self.0.len();
        self.0[here] = Node::Split { column, threshold, above: next };
        self.grow(x, y, above, depth - 1, rng);
    }
}

/// The column and threshold that leave the least variance, out of one threshold in each column.
fn best_split(
    x: &[Vec<f64>],
    y: &[f64],
    rows: &[usize],
    mean: f64,
    rng: &mut ChaCha8Rng,
) -> Option<(usize, f64)> {
    let mut best: Option<(f64, usize, f64)> = None;
    #[expect(clippy::needless_range_loop, reason = "a column of every row, not of one")]
    for column in 0..x[rows[0]].len() {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for i in rows {
            let v = x[*i][column];
            (low, high) = (low.min(v), high.max(v));
        }
        if low >= high {
            continue;
        }
        // In low..high, so that neither side is empty.
        let threshold = rng.random_range(low..high);
        let (mut count, mut sum) = (0.0, 0.0);
        for i in rows {
            if x[*i][column] <= threshold {
                count += 1.0;
                sum += y[*i] - mean;
            }
        }
        // What the split takes off the sum of squares: both sides' sums are opposite.
        let gain = sum * sum * (1.0 / count + 1.0 / (rows.len() as f64 - count));
        if best.is_none_or(|b| gain > b.0) {
            best = Some((gain, column, threshold));
        }
    }
    best.map(|(_, column, threshold)| (column, threshold))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform coordinates in -1/2..1/2.
    fn points(n: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| (0..6).map(|_| rng.random_range(-0.5..0.5)).collect()).collect()
    }

    fn truth(x: &[f64]) -> f64 {
        2.0 * x[0] + if x[1] > 0.1 { x[2] } else { -x[2] }
    }

    fn error(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
        let squares: Vec<f64> = pairs.map(|(a, b)| (a - b).powi(2)).collect();
        squares.iter().sum::<f64>() / squares.len() as f64
    }

    #[test]
    fn it_learns_an_interaction_and_knows_its_error() {
        let x = points(400, 1);
        let y: Vec<f64> = x.iter().map(|x| truth(x)).collect();
        let spread = error(y.iter().map(|v| (*v, y.iter().sum::<f64>() / 400.0)));
        let forest = Forest::new(&x, &y);
        let fresh = points(400, 2);
        let new = error(fresh.iter().map(|x| (forest.predict(x).0, truth(x))));
        assert!(new < 0.2 * spread, "{new} of {spread}");
        // What the trees say of results that they have not seen is what they say of new points.
        let out = error(forest.out_of_bag().iter().zip(&y).map(|(p, y)| (p.0, *y)));
        assert!((0.5..2.0).contains(&(out / new)), "{out} and {new}");
        // Nine in ten results lie in the 90 % interval, roughly.
        let inside = fresh
            .iter()
            .filter(|x| {
                let (mean, variance) = forest.predict(x);
                (truth(x) - mean).abs() <= 1.645 * variance.sqrt()
            })
            .count();
        assert!((320..=400).contains(&inside), "{inside} of 400");
    }

    #[test]
    fn equal_results_make_one_leaf() {
        let x = points(10, 3);
        let forest = Forest::new(&x, &[2.5; 10]);
        assert_eq!(forest.predict(&[0.0; 6]), (2.5, LEAST));
        // Equal coordinates cannot be split.
        let forest = Forest::new(&vec![vec![0.0; 6]; 10], &[0., 1., 0., 1., 0., 1., 0., 1., 0., 1.]);
        let (mean, variance) = forest.predict(&[0.0; 6]);
        assert!((mean - 0.5).abs() < 0.1 && (variance - 0.25).abs() < 0.05);
    }
}
