//! Orders of cost vectors: dominance, ranks, crowding, reference point, knee.
//!
//! A cost vector has one entry per objective, all to be made small.

use std::cmp::Ordering;

/// Whether `a` is at least as good everywhere and better somewhere.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    let mut better = false;
    for (x, y) in a.iter().zip(b) {
        match x.partial_cmp(y) {
            Some(Ordering::Less) => better = true,
            Some(Ordering::Equal) => {}
            _ => return false,
        }
    }
    better
}

/// Indices of the vectors that none dominates, in their order; of equal vectors the first.
pub fn non_dominated(costs: &[Vec<f64>]) -> Vec<usize> {
    (0..costs.len())
        .filter(|&i| {
            !costs.iter().enumerate().any(|(j, c)| dominates(c, &costs[i]) || (j < i && *c == costs[i]))
        })
        .collect()
}

/// Constrained domination (Deb et al. 2002, definition 1): a feasible solution beats an infeasible
/// one, of two infeasible ones the less violated wins, of two feasible ones the dominating.
pub fn constrained_dominates(a: (&[f64], f64), b: (&[f64], f64)) -> bool {
    match (a.1 <= 0.0, b.1 <= 0.0) {
        (true, true) => dominates(a.0, b.0),
        (true, false) => true,
        (false, true) => false,
        (false, false) => a.1 < b.1,
    }
}

/// Fast non-dominated sort (Deb et al. 2002): fronts of indices, the best first. `items` are costs
/// and total violations.
pub fn sort_fronts(items: &[(Vec<f64>, f64)]) -> Vec<Vec<usize>> {
    let n = items.len();
    let mut dominated_by = vec![0usize; n];
    let mut beats: Vec<Vec<usize>> = vec![Vec::new(); n];
    for i in 0..n {
        for j in 0..n {
            if i != j && constrained_dominates((&items[i].0, items[i].1), (&items[j].0, items[j].1)) {
                beats[i].push(j);
                dominated_by[j] += 1;
            }
        }
    }
    let mut fronts = Vec::new();
    let mut current: Vec<usize> = (0..n).filter(|&i| dominated_by[i] == 0).collect();
    while !current.is_empty() {
        let mut next = Vec::new();
        for &i in &current {
            for &j in &beats[i] {
                dominated_by[j] -= 1;
                if dominated_by[j] == 0 {
                    next.push(j);
                }
            }
        }
        next.sort_unstable();
        fronts.push(std::mem::replace(&mut current, next));
    }
    fronts
}

/// Crowding distance (Deb et al. 2002): for each vector the sum over objectives of the gap between
/// its neighbours, in parts of the range; the extremes are infinitely far.
pub fn crowding(costs: &[&[f64]]) -> Vec<f64> {
    let n = costs.len();
    let mut distance = vec![0.0; n];
    let dims = costs.first().map_or(0, |c| c.len());
    for column in (0..dims).map(|d| costs.iter().map(|c| c[d]).collect::<Vec<f64>>()) {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| column[a].total_cmp(&column[b]));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else { continue };
        let range = column[last] - column[first];
        distance[first] = f64::INFINITY;
        distance[last] = f64::INFINITY;
        if range > 0.0 {
            for w in order.windows(3) {
                distance[w[1]] += (column[w[2]] - column[w[0]]) / range;
            }
        }
    }
    distance
}

/// The reference point of hypervolumes where none is given: the worst cost on the front plus a
/// tenth of the front's range in each objective (the rule of Ishibuchi et al. 2018 for small
/// fronts). An objective in which the front has no range takes the range of all results, and where
/// that is nothing too, a tenth of the value.
pub fn infer_reference(costs: &[Vec<f64>]) -> Vec<f64> {
    let front = non_dominated(costs);
    let dims = costs.first().map_or(0, Vec::len);
    let range = |of: &mut dyn Iterator<Item = f64>| {
        of.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    (0..dims)
        .map(|d| {
            let (lo, hi) = range(&mut front.iter().map(|&i| costs[i][d]));
            if hi > lo {
                return hi + 0.1 * (hi - lo);
            }
            let (_, worst) = range(&mut costs.iter().map(|c| c[d]));
            match worst > hi {
                true => worst + 0.1 * (worst - hi),
                false => hi + (0.1 * hi.abs()).max(1e-9),
            }
        })
        .collect()
}

/// The knee of a front: the vector farthest below the hyperplane through the front's extremes (one
/// for each objective), costs scaled to their ranges on the front (Das 1999). `None` for an empty
/// front; the lowest sum of scaled costs where there is no such plane.
pub fn knee(front: &[&[f64]]) -> Option<usize> {
    let dims = front.first()?.len();
    let mut low = vec![f64::INFINITY; dims];
    let mut high = vec![f64::NEG_INFINITY; dims];
    for c in front {
        for d in 0..dims {
            low[d] = low[d].min(c[d]);
            high[d] = high[d].max(c[d]);
        }
    }
    let scaled: Vec<Vec<f64>> = front
        .iter()
        .map(|c| {
            (0..dims)
                .map(|d| if high[d] > low[d] { (c[d] - low[d]) / (high[d] - low[d]) } else { 0.0 })
                .collect()
        })
        .collect();
    // The extreme of an objective is its best vector; ties go to the lowest sum.
    let extremes: Vec<usize> = (0..dims)
        .filter_map(|d| {
            (0..scaled.len()).min_by(|&a, &b| {
                let sum = |i: usize| scaled[i].iter().sum::<f64>();
                scaled[a][d].total_cmp(&scaled[b][d]).then(sum(a).total_cmp(&sum(b)))
            })
        })
        .collect();
    let normal = plane(&extremes.iter().map(|&i| scaled[i].clone()).collect::<Vec<_>>())
        .unwrap_or_else(|| vec![1.0; dims]);
    let height = |i: usize| -> f64 { scaled[i].iter().zip(&normal).map(|(x, n)| x * n).sum() };
    (0..scaled.len()).min_by(|&a, &b| height(a).total_cmp(&height(b)))
}

/// The normal `n` with `n . p = 1` for every one of `d` points of `d` dimensions, if there is one
/// with all entries positive (else "below the plane" would not mean better).
fn plane(points: &[Vec<f64>]) -> Option<Vec<f64>> {
    let d = points.len();
    let m = nalgebra::DMatrix::from_fn(d, d, |i, j| points[i].get(j).copied().unwrap_or(0.0));
    let n = m.lu().solve(&nalgebra::DVector::from_element(d, 1.0))?;
    n.iter().all(|v| v.is_finite() && *v > 0.0).then(|| n.iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fronts_follow_constrained_domination() {
        let items = vec![
            (vec![1.0, 4.0], 0.0),
            (vec![4.0, 1.0], 0.0),
            (vec![4.0, 4.0], 0.0),
            (vec![0.0, 0.0], 0.5),
            (vec![0.0, 0.0], 0.1),
        ];
        assert_eq!(sort_fronts(&items), vec![vec![0, 1], vec![2], vec![4], vec![3]]);
    }

    #[test]
    fn of_equal_vectors_the_first_is_on_the_front() {
        let c = vec![vec![1.0, 2.0], vec![1.0, 2.0], vec![2.0, 1.0], vec![2.0, 2.0]];
        assert_eq!(non_dominated(&c), vec![0, 2]);
    }

    #[test]
    fn crowding_prefers_the_lonely() {
        let c: Vec<Vec<f64>> = [[0.0, 10.0], [1.0, 9.0], [2.0, 8.0], [8.0, 2.0], [10.0, 0.0]]
            .iter()
            .map(|r| r.to_vec())
            .collect();
        let d = crowding(&c.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!((d[0], d[4]), (f64::INFINITY, f64::INFINITY));
        assert!(d[3] > d[2] && d[2] > d[1]);
        assert!((d[1] - 0.4).abs() < 1e-12);
    }

    #[test]
    fn the_knee_bulges_most() {
        let c = [[0.0, 100.0], [2.0, 30.0], [3.0, 15.0], [6.0, 10.0], [10.0, 0.0]];
        let v: Vec<&[f64]> = c.iter().map(|r| r.as_slice()).collect();
        assert_eq!(knee(&v), Some(2));
        assert_eq!(knee(&v[..1]), Some(0));
        assert_eq!(knee(&[]), None);
    }

    #[test]
    fn a_front_of_one_point_has_a_reference() {
        assert_eq!(infer_reference(&[vec![1.0, 1.0], vec![2.0, 3.0]]), vec![2.1, 3.2]);
        assert_eq!(infer_reference(&[vec![0.0, 10.0], vec![10.0, 0.0]]), vec![11.0, 11.0]);
        let r = infer_reference(&[vec![5.0, -5.0]]);
        assert!(r[0] > 5.0 && r[1] > -5.0);
    }
}
