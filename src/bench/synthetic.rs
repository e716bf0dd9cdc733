//! Test functions over numbers in 0..1, each number an ordinal decision with 1,001 values.
//!
//! C2-DTLZ2: Jain and Deb 2014, "An evolutionary many-objective optimization algorithm using
//! reference-point based nondominated sorting approach, part II", section V; DTLZ2 of Deb et al.
//! 2005. WFG4 and WFG5: Huband, Hingston, Barone and While 2006, "A review of multiobjective test
//! problems and a scalable test problem toolkit", tables VIII, XI, XIII and XIV; variables are
//! scaled to 0..1 (the original's i-th runs to 2i).

use super::{problem, target, Bench, Grid, Metrics};
use crate::search::{KnownPoint, Limit, Quantity};
use crate::space::{DecisionInfo, DecisionKind, Point};
use std::f64::consts::PI;

/// Values of a decision.
const LEVELS: u32 = 1001;

pub(super) fn open(name: &'static str) -> Bench {
    let objectives = if name.ends_with("-4") { 4 } else { 2 };
    let constrained = name == "c2dtlz2";
    let variables = match (constrained, objectives) {
        (true, _) => 12,
        (_, 2) => 24,
        _ => 26,
    };
    let value = |i: u32| f64::from(i) / f64::from(LEVELS - 1);
    let decisions = (0..variables)
        .map(|d| DecisionInfo {
            path: format!("space.x{d}"),
            values: (0..LEVELS).map(|i| value(i).to_string()).collect(),
            kind: DecisionKind::Ordinal((0..LEVELS).map(value).collect()),
        })
        .collect();
    let limit =
        Limit { name: "g".into(), quantity: Quantity::Plain, at_least: false, limit: 0.0, known: false };
    Bench {
        name,
        space: Box::new(Grid(decisions)),
        known: Box::new(|p: &Point| Ok(KnownPoint { hash: format!("{:?}", p.0), ..KnownPoint::default() })),
        features: None,
        problem: problem(
            (1..=objectives).map(|i| target(&format!("f{i}"), false)).collect(),
            if constrained { vec![limit] } else { Vec::new() },
        ),
        reference: match constrained {
            true => vec![1.1, 1.1],
            false => (1..=objectives).map(|m| 2.0 * m as f64 + 1.0).collect(),
        },
        trials: 100,
        evaluate: Box::new(move |trial| {
            let x: Vec<f64> = trial.point.0.iter().flatten().map(|v| value(*v)).collect();
            let f = match name {
                "c2dtlz2" => dtlz2(&x, objectives),
                "wfg4-2" | "wfg4-4" => wfg(&x, objectives, multi_modal),
                _ => wfg(&x, objectives, deceptive),
            };
            let mut out: Metrics = f.iter().enumerate().map(|(i, v)| (format!("f{}", i + 1), *v)).collect();
            if constrained {
                out.insert("g".into(), c2(&f));
            }
            Ok(out)
        }),
    }
}

fn dtlz2(x: &[f64], objectives: usize) -> Vec<f64> {
    let (position, distance) = x.split_at(objectives - 1);
    let g: f64 = distance.iter().map(|v| (v - 0.5) * (v - 0.5)).sum();
    // DTLZ2 has cosines where WFG has sines: x mirrored.
    let mirrored: Vec<f64> = position.iter().map(|v| 1.0 - v).collect();
    (1..=objectives).map(|m| (1.0 + g) * concave(&mirrored, m)).collect()
}

/// The constraint of C2-DTLZ2 for two objectives (radius 0.2): at most 0 where it holds.
fn c2(f: &[f64]) -> f64 {
    let r2 = 0.2 * 0.2;
    let corner = (0..f.len())
        .map(|i| {
            f.iter().enumerate().map(|(j, v)| if i == j { (v - 1.0).powi(2) } else { v * v }).sum::<f64>()
        })
        .fold(f64::INFINITY, f64::min);
    let middle: f64 = f.iter().map(|v| (v - 1.0 / (f.len() as f64).sqrt()).powi(2)).sum();
    (corner - r2).min(middle - r2)
}

/// WFG4 and WFG5 differ in how each variable is transformed. The first `k` variables are of position
/// (4 with two objectives, else two per objective but one), the others of distance.
fn wfg(x: &[f64], objectives: usize, transform: fn(f64) -> f64) -> Vec<f64> {
    let k = if objectives == 2 { 4 } else { 2 * (objectives - 1) };
    let t: Vec<f64> = x.iter().map(|v| transform(*v).clamp(0.0, 1.0)).collect();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    let (position, distance) = t.split_at(k);
    // Of these problems the degeneracy constants are 1: max(t_M, 1) (t - 1/2) + 1/2 is t.
    let position: Vec<f64> = position.chunks(k / (objectives - 1)).map(mean).collect();
    (1..=objectives).map(|m| mean(distance) + 2.0 * m as f64 * concave(&position, m)).collect()
}

/// The `m`-th of the concave shape functions, `m` from 1.
fn concave(x: &[f64], m: usize) -> f64 {
    let sines = x.len() + 1 - m;
    let product: f64 = x.iter().take(sines).map(|v| (v * PI / 2.0).sin()).product();
    match m {
        1 => product,
        _ => product * (x[sines] * PI / 2.0).cos(),
    }
}

/// `s_multi` with A = 30, B = 10, C = 0.35.
fn multi_modal(y: f64) -> f64 {
    let (a, b, c) = (30.0, 10.0, 0.35);
    let u = (y - c).abs() / (2.0 * ((c - y).floor() + c));
    (1.0 + ((4.0 * a + 2.0) * PI * (0.5 - u)).cos() + 4.0 * b * u * u) / (b + 2.0)
}

/// `s_decept` with A = 0.35, B = 0.001, C = 0.05.
fn deceptive(y: f64) -> f64 {
    let (a, b, c) = (0.35, 0.001, 0.05);
    let left = (y - a + b).floor() * (1.0 - c + (a - b) / b) / (a - b);
    let right = (a + b - y).floor() * (1.0 - c + (1.0 - a - b) / b) / (1.0 - a - b);
    1.0 + ((y - a).abs() - b) * (left + right + 1.0 / b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
    }

    /// Values of pymoo 0.6 at the points `x_i = frac(0.37 (i + 1) + 0.11 s)`, s = 0, 1, 2.
    #[test]
    fn the_definitions_are_those_of_pymoo() {
        let x = |n: usize, s: usize| -> Vec<f64> {
            (0..n).map(|i| (0.37 * (i + 1) as f64 + 0.11 * s as f64).fract()).collect()
        };
        for (s, expected) in include!("pymoo.in").iter().enumerate() {
            let (c2dtlz2, g, wfg42, wfg52, wfg44, wfg54) = expected;
            let f = dtlz2(&x(12, s), 2);
            near(&f, c2dtlz2);
            near(&[c2(&f)], &[*g]);
            near(&wfg(&x(24, s), 2, multi_modal), wfg42);
            near(&wfg(&x(24, s), 2, deceptive), wfg52);
            near(&wfg(&x(26, s), 4, multi_modal), wfg44);
            near(&wfg(&x(26, s), 4, deceptive), wfg54);
        }
    }
}
