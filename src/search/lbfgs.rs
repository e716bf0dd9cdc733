//! Limited-memory BFGS (Nocedal and Wright, "Numerical Optimization", algorithm 7.4), with a
//! backtracking line search: for a few dozen hyperparameters.

use super::gp::dot;

/// Pairs of steps remembered.
const MEMORY: usize = 10;

/// Minimises `f` (value, gradient) from `x`; at most `iterations` evaluations. Returns the best
/// value seen and where. Never leaves the region where `f` is finite, if `x` is in it.
pub fn minimize(
    mut x: Vec<f64>,
    iterations: usize,
    mut f: impl FnMut(&[f64]) -> (f64, Vec<f64>),
) -> (f64, Vec<f64>) {
    let (mut value, mut gradient) = f(&x);
    let mut left = iterations.saturating_sub(1);
    let mut memory: std::collections::VecDeque<(Vec<f64>, Vec<f64>, f64)> = Default::default();
    while left > 0 && value.is_finite() {
        let mut step: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut factors = Vec::new();
        for (s, y, rho) in memory.iter().rev() {
            let a = rho * dot(s, &step);
            step.iter_mut().zip(y).for_each(|(p, y)| *p -= a * y);
            factors.push(a);
        }
        let scale = match memory.back() {
            Some((s, y, _)) => dot(s, y) / dot(y, y),
            None => 1.0 / dot(&gradient, &gradient).sqrt().max(1.0),
        };
        step.iter_mut().for_each(|p| *p *= scale);
        for ((s, y, rho), a) in memory.iter().zip(factors.iter().rev()) {
            let b = rho * dot(y, &step);
            step.iter_mut().zip(s).for_each(|(p, s)| *p += (a - b) * s);
        }
        // A logarithm of a length scale that jumps by more than this is a mistake of the model.
        let longest = step.iter().fold(0.0f64, |m, p| m.max(p.abs()));
        if longest > 2.0 {
            step.iter_mut().for_each(|p| *p *= 2.0 / longest);
        }
        let slope = dot(&gradient, &step);
        if slope >= 0.0 || !slope.is_finite() {
            if memory.is_empty() {
                break;
            }
            memory.clear();
            continue;
        }
        let mut t = 1.0;
        let accepted = loop {
            if left == 0 || t < 1e-4 {
                break None;
            }
            left -= 1;
            let next: Vec<f64> = x.iter().zip(&step).map(|(x, p)| x + t * p).collect();
            let (v, g) = f(&next);
            if v.is_finite() && v <= value + 1e-4 * t * slope {
                break Some((next, v, g));
            }
            t *= 0.4;
        };
        let Some((next, v, g)) = accepted else { break };
        let s: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = g.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&s, &y);
        if curvature > 1e-10 {
            memory.push_back((s, y, 1.0 / curvature));
            if memory.len() > MEMORY {
                memory.pop_front();
            }
        }
        let gain = value - v;
        (x, value, gradient) = (next, v, g);
        if gain < 1e-5 * (1.0 + value.abs()) {
            break;
        }
    }
    (value, x)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_crosses_a_curved_valley() {
        // Rosenbrock's function; minimum 0 at (1, 1).
        let f = |x: &[f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
        };
        let (value, x) = super::minimize(vec![-1.2, 1.0], 300, f);
        assert!(value < 1e-4 && (x[0] - 1.0).abs() < 0.02, "{value} at {x:?}");
    }
}
