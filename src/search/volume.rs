//! Hypervolumes, exactly, and the boxes that the rest of the volume splits into.

use super::front::non_dominated;

/// The volume that `costs` dominate up to `reference` (all costs to be made small). Exact: a sum of
/// slices along the last objective, each one a hypervolume of one dimension less (Zitzler 1999).
pub fn hypervolume(costs: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside: Vec<Vec<f64>> =
        costs.iter().filter(|c| c.iter().zip(reference).all(|(v, r)| v < r)).cloned().collect();
    let front: Vec<Vec<f64>> = non_dominated(&inside).into_iter().map(|i| inside[i].clone()).collect();
    sliced(front, reference)
}

fn sliced(mut front: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    let (Some(last), false) = (reference.len().checked_sub(1), front.is_empty()) else { return 0.0 };
    if last == 0 {
        return reference[0] - front.iter().map(|c| c[0]).fold(f64::INFINITY, f64::min);
    }
    front.sort_by(|a, b| a[last].total_cmp(&b[last]));
    if last == 1 {
        // Best second cost first: every further point that counts is better in the first.
        let (mut area, mut best) = (0.0, reference[0]);
        for c in front.iter() {
            if c[0] < best {
                area += (best - c[0]) * (reference[1] - c[1]);
                best = c[0];
            }
        }
        return area;
    }
    let mut volume = 0.0;
    let mut below: Vec<Vec<f64>> = Vec::new();
    for i in 0..front.len() {
        let point = front[i][..last].to_vec();
        if !below.iter().any(|b| b.iter().zip(&point).all(|(x, y)| x <= y)) {
            below.retain(|b| !point.iter().zip(b).all(|(x, y)| x <= y));
            below.push(point);
        }
        let top = front.get(i + 1).map_or(reference[last], |n| n[last]);
        let height = top - front[i][last];
        if height > 0.0 {
            volume += height * sliced(below.clone(), &reference[..last]);
        }
    }
    volume
}

/// An axis-parallel box of cost space; `low` may be minus infinity.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Lower corner.
    pub low: Vec<f64>,
    /// Upper corner.
    pub high: Vec<f64>,
}

/// Splits the region below `reference` that no cost vector dominates into disjoint boxes. That region
/// is what the front's local upper bounds dominate when all signs are turned, and a dominated region
/// splits by the local upper bounds of its points (Lacour, Klamroth and Fonseca 2017, "A box
/// decomposition algorithm to compute the hypervolume indicator", section 3). A new point `y` adds to
/// the hypervolume exactly the sum over boxes of `prod(max(0, high - max(y, low)))`.
pub fn free_cells(costs: &[Vec<f64>], reference: &[f64]) -> Vec<Cell> {
    let dims = reference.len();
    let inside: Vec<&Vec<f64>> =
        costs.iter().filter(|c| c.iter().zip(reference).all(|(v, r)| v < r)).collect();
    if dims == 2 {
        return strips(&inside, reference);
    }
    let upper = UpperBounds::new(&inside.iter().map(|c| c.to_vec()).collect::<Vec<_>>(), reference);
    let turned: Vec<Vec<f64>> =
        upper.at.chunks_exact(dims).map(|at| upper.values(at).iter().map(|v| -v).collect()).collect();
    let lower = UpperBounds::new(&turned, &vec![f64::INFINITY; dims]);
    (0..lower.len()).filter_map(|i| lower.turned_cell(i)).collect()
}

/// Two objectives: strips between neighbours of the front, upper right corners on it.
fn strips(costs: &[&Vec<f64>], reference: &[f64]) -> Vec<Cell> {
    let mut front: Vec<[f64; 2]> = costs.iter().map(|c| [c[0], c[1]]).collect();
    front.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let mut cells = Vec::new();
    let (mut left, mut top) = (f64::NEG_INFINITY, reference[1]);
    for p in front {
        if p[1] < top {
            cells.push(Cell { low: vec![left, f64::NEG_INFINITY], high: vec![p[0], top] });
            (left, top) = (p[0], p[1]);
        }
    }
    cells.push(Cell { low: vec![left, f64::NEG_INFINITY], high: vec![reference[0], top] });
    cells.retain(|c| c.high[0] > c.low[0]);
    cells
}

/// The local upper bounds of points: the corners of the region that they leave free. Computed on
/// ranks, equal coordinates ranked by the order of the points: that is general position, which the
/// algorithm needs, and moves no box by more than nothing. Ranks lie side by side, so that thousands of
/// bounds are looked through in microseconds; -1 is minus infinity.
struct UpperBounds {
    dims: usize,
    /// Sorted coordinates by objective, the reference last.
    sorted: Vec<Vec<f64>>,
    /// The coordinates of each bound, `dims` of them.
    at: Vec<i32>,
    /// The points that define each bound, `dims` of `dims` coordinates: the `j`-th has the bound's j-th
    /// coordinate and lies strictly below it in all others.
    by: Vec<i32>,
}

impl UpperBounds {
    fn new(points: &[Vec<f64>], reference: &[f64]) -> UpperBounds {
        let (n, dims) = (points.len(), reference.len());
        let mut ranks = vec![vec![0i32; dims]; n];
        let mut sorted = Vec::with_capacity(dims);
        for j in 0..dims {
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&a, &b| points[a][j].total_cmp(&points[b][j]).then(a.cmp(&b)));
            for (rank, &i) in order.iter().enumerate() {
                ranks[i][j] = rank as i32;
            }
            sorted.push(order.iter().map(|&i| points[i][j]).chain([reference[j]]).collect());
        }
        let top = n as i32;
        let by = (0..dims * dims).map(|k| if k % dims == k / dims { top } else { -1 }).collect();
        let mut bounds = UpperBounds { dims, sorted, at: vec![top; dims], by };
        ranks.iter().for_each(|z| bounds.insert(z));
        bounds
    }

    fn len(&self) -> usize {
        self.at.len() / self.dims.max(1)
    }

    /// Klamroth, Lacour and Vanderpooten 2015, "On the representation of the search region in
    /// multi-objective optimization", algorithm 3.
    fn insert(&mut self, z: &[i32]) {
        let (d, square) = (self.dims, self.dims * self.dims);
        let (mut at, mut by): (Vec<i32>, Vec<i32>) = (Vec::new(), Vec::new());
        let mut i = 0;
        while i < self.len() {
            let bound = &self.at[i * d..(i + 1) * d];
            if !z.iter().zip(bound).all(|(a, u)| a < u) {
                i += 1;
                continue;
            }
            let points = &self.by[i * square..(i + 1) * square];
            for j in 0..d {
                let floor = (0..d).filter(|&k| k != j).map(|k| points[k * d + j]).max().unwrap_or(-1);
                if z[j] > floor {
                    let (first, new) = (by.len() + j * d, at.len() + j);
                    at.extend_from_slice(bound);
                    by.extend_from_slice(points);
                    at[new] = z[j];
                    by[first..first + d].copy_from_slice(z);
                }
            }
            // The last bound takes its place, and is looked at next.
            swap_out(&mut self.at, i, d);
            swap_out(&mut self.by, i, square);
        }
        self.at.append(&mut at);
        self.by.append(&mut by);
    }

    fn value(&self, j: usize, rank: i32) -> f64 {
        usize::try_from(rank).map_or(f64::NEG_INFINITY, |r| self.sorted[j][r])
    }

    fn values(&self, ranks: &[i32]) -> Vec<f64> {
        ranks.iter().enumerate().map(|(j, r)| self.value(j, *r)).collect()
    }

    /// The box of the dominated region that belongs to a bound: without end in the first objective,
    /// in the others from the largest coordinate of an earlier defining point up to the bound; signs
    /// turned back. `None` where it is empty.
    fn turned_cell(&self, i: usize) -> Option<Cell> {
        let d = self.dims;
        let at = self.values(&self.at[i * d..(i + 1) * d]);
        let by = &self.by[i * d * d..(i + 1) * d * d];
        let mut cell = Cell { low: vec![f64::NEG_INFINITY; d], high: at.iter().map(|v| -v).collect() };
        for (j, edge) in at.iter().enumerate().skip(1) {
            let floor = (0..j).map(|k| by[k * d + j]).max().unwrap_or(-1);
            cell.low[j] = -edge;
            cell.high[j] = -self.value(j, floor);
        }
        cell.low.iter().zip(&cell.high).all(|(l, h)| l < h).then_some(cell)
    }
}

/// Removes the `i`-th part of so many numbers, the last one taking its place.
fn swap_out(list: &mut Vec<i32>, i: usize, size: usize) {
    let rest = list.len().saturating_sub(size);
    list.copy_within(rest.., i * size);
    list.truncate(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Inclusion and exclusion over all subsets.
    fn brute(costs: &[Vec<f64>], r: &[f64]) -> f64 {
        (1u32..1 << costs.len())
            .map(|set| {
                let volume: f64 = (0..r.len())
                    .map(|d| {
                        let worst = (0..costs.len())
                            .filter(|i| set >> i & 1 == 1)
                            .map(|i| costs[i][d])
                            .fold(f64::NEG_INFINITY, f64::max);
                        (r[d] - worst).max(0.0)
                    })
                    .product();
                if set.count_ones() % 2 == 1 {
                    volume
                } else {
                    -volume
                }
            })
            .sum()
    }

    fn random(rng: &mut ChaCha8Rng, n: usize, d: usize, grid: bool) -> Vec<Vec<f64>> {
        (0..n)
            .map(|_| {
                (0..d)
                    .map(|_| {
                        if grid {
                            f64::from(rng.random_range(0..5u8)) / 4.0
                        } else {
                            rng.random_range(0.0..1.2)
                        }
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn hypervolume_is_inclusion_and_exclusion() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for d in 1..=4 {
            for case in 0..60 {
                let c = random(&mut rng, 9, d, case % 2 == 0);
                let r = vec![1.0; d];
                let (a, b) = (hypervolume(&c, &r), brute(&c, &r));
                assert!((a - b).abs() < 1e-9, "{d} objectives: {a} is not {b} for {c:?}");
            }
        }
    }

    #[test]
    fn cells_measure_what_a_point_adds() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for d in 2..=4 {
            for case in 0..60 {
                let c = random(&mut rng, 12, d, case % 2 == 0);
                let r = vec![1.0; d];
                let cells = free_cells(&c, &r);
                let y = &random(&mut rng, 1, d, case % 3 == 0)[0];
                let gain: f64 = cells
                    .iter()
                    .map(|k| (0..d).map(|i| (k.high[i] - y[i].max(k.low[i])).max(0.0)).product::<f64>())
                    .sum();
                let mut with = c.clone();
                with.push(y.clone());
                let exact = hypervolume(&with, &r) - hypervolume(&c, &r);
                assert!((gain - exact).abs() < 1e-9, "{d} objectives: {gain} is not {exact}");
            }
        }
    }
}
