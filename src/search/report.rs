//! Results of a study as data and as a table.

use super::front::{infer_reference, knee, non_dominated};
use super::problem::{Choice, Quantity, Target};
use super::study::{Outcome, Record, Study};
use super::volume::hypervolume;
use crate::check::spec::Surrogate;
use crate::space::Point;
use serde::Serialize;
use std::collections::BTreeMap;

/// A point of the front.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontPoint {
    /// The trial.
    pub trial: usize,
    /// Its point.
    pub point: Point,
    /// The canonical hash of its graph.
    pub hash: String,
    /// All values, known and measured, in base units.
    pub values: BTreeMap<String, f64>,
    /// This is the chosen one.
    pub chosen: bool,
}

/// Where a study stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudySummary {
    /// Trials given out.
    pub trials: usize,
    /// Run to the end.
    pub done: usize,
    /// Stopped early.
    pub stopped: usize,
    /// Without, and why: number and reason.
    pub failed: Vec<(usize, String)>,
    /// Not told yet.
    pub pending: usize,
    /// The objectives.
    pub objectives: Vec<Target>,
    /// The front, sorted by the second objective (the first where there is one only), best first.
    pub front: Vec<FrontPoint>,
    /// Reference point of the hypervolumes in the objectives' own units.
    pub reference: Vec<f64>,
    /// Hypervolume of the front, in the product of the objectives' units.
    pub hypervolume: f64,
    /// Hypervolume after each trial, by number, to the same reference point.
    pub history: Vec<f64>,
}

impl Study<'_> {
    /// What makes two studies the same, apart from what their spec says elsewhere.
    pub fn identity(&self) -> BTreeMap<String, String> {
        let s = &self.settings;
        let json = |v: serde_json::Result<String>| v.unwrap_or_default();
        let mut parts: BTreeMap<String, String> = [
            ("search.algorithm", s.algorithm.name().to_owned()),
            ("search.seed", s.seed.to_string()),
            ("search.initial", s.initial.to_string()),
            ("search.window", s.window.to_string()),
            ("search.effort", s.effort.to_string()),
            ("goal.objectives", json(serde_json::to_string(&self.problem.objectives))),
            ("goal.requirements", json(serde_json::to_string(&self.problem.limits))),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
        if s.hopeless > 0.0 {
            parts.insert("search.hopeless".to_owned(), s.hopeless.to_string());
        }
        if s.surrogate != Surrogate::Auto {
            parts.insert("search.surrogate".to_owned(), s.surrogate.name().to_owned());
        }
        if let Some(r) = &s.reference {
            parts.insert("search.reference".to_owned(), json(serde_json::to_string(r)));
        }
        if !s.seed_points.is_empty() {
            parts.insert("search.seed_points".to_owned(), json(serde_json::to_string(&s.seed_points)));
        }
        parts
    }

    /// The costs of a trial that has a result and keeps all limits.
    pub(super) fn costs(&self, record: &Record) -> Option<Vec<f64>> {
        let value = |name: &str| record.value(name);
        (record.is_done() && self.problem.violation(false, &value) <= 0.0)
            .then(|| self.problem.costs(&value).ok())
            .flatten()
    }

    /// Numbers of the trials on the Pareto front, ordered as in [`StudySummary::front`].
    pub fn front(&self) -> Vec<usize> {
        let scored: Vec<(usize, Vec<f64>)> =
            self.records().iter().filter_map(|r| Some((r.trial.number, self.costs(r)?))).collect();
        let costs: Vec<Vec<f64>> = scored.iter().map(|(_, c)| c.clone()).collect();
        let mut front: Vec<&(usize, Vec<f64>)> =
            non_dominated(&costs).into_iter().filter_map(|i| scored.get(i)).collect();
        let key = |c: &[f64]| c.get(1).or(c.first()).copied().unwrap_or(0.0);
        front.sort_by(|a, b| key(&a.1).total_cmp(&key(&b.1)).then(a.0.cmp(&b.0)));
        front.into_iter().map(|(n, _)| *n).collect()
    }

    /// The trial that the goal picks from the front.
    pub fn chosen(&self) -> Option<usize> {
        let front: Vec<(&Record, Vec<f64>)> = self
            .front()
            .into_iter()
            .filter_map(|n| self.records().get(n))
            .filter_map(|r| Some((r, self.costs(r)?)))
            .collect();
        match &self.problem.choice {
            Choice::Knee => {
                let costs: Vec<&[f64]> = front.iter().map(|(_, c)| c.as_slice()).collect();
                knee(&costs).and_then(|i| front.get(i))
            }
            Choice::Best { name, maximize } => {
                let sign = if *maximize { -1.0 } else { 1.0 };
                let value = |r: &Record| r.value(name).map_or(f64::INFINITY, |v| sign * v);
                front.iter().min_by(|a, b| {
                    value(a.0).total_cmp(&value(b.0)).then_with(|| {
                        let pairs = a.1.iter().zip(&b.1);
                        pairs
                            .map(|(x, y)| x.total_cmp(y))
                            .find(|o| o.is_ne())
                            .unwrap_or(std::cmp::Ordering::Equal)
                    })
                })
            }
        }
        .map(|(r, _)| r.trial.number)
    }

    /// The reference point as costs: the given one, or that inferred from all results.
    pub(super) fn reference_costs(&self) -> Vec<f64> {
        if let Some(r) = &self.settings.reference {
            return self.problem.signed(r);
        }
        let costs: Vec<Vec<f64>> = self.records().iter().filter_map(|r| self.costs(r)).collect();
        infer_reference(&costs)
    }

    /// Where the study stands.
    pub fn summary(&self) -> StudySummary {
        let reference = self.reference_costs();
        let chosen = self.chosen();
        let mut so_far: Vec<Vec<f64>> = Vec::new();
        let mut history: Vec<f64> = Vec::new();
        for record in self.records() {
            if let Some(c) = self.costs(record) {
                so_far.push(c);
                so_far = non_dominated(&so_far).into_iter().filter_map(|i| so_far.get(i).cloned()).collect();
                history.push(hypervolume(&so_far, &reference));
            } else {
                history.push(history.last().copied().unwrap_or(0.0));
            }
        }
        let front = self
            .front()
            .into_iter()
            .filter_map(|n| self.records().get(n))
            .map(|r| {
                let mut values = r.known.values.clone();
                if let Some(Outcome::Done { metrics }) = &r.outcome {
                    values.extend(metrics.iter().map(|(k, v)| (k.clone(), *v)));
                }
                FrontPoint {
                    trial: r.trial.number,
                    point: r.trial.point.clone(),
                    hash: r.trial.hash.clone(),
                    values,
                    chosen: Some(r.trial.number) == chosen,
                }
            })
            .collect();
        let failed = self.records().iter().filter_map(|r| match &r.outcome {
            Some(Outcome::Failed { reason }) => Some((r.trial.number, reason.clone())),
            _ => None,
        });
        StudySummary {
            trials: self.records().len(),
            done: self.records().iter().filter(|r| r.is_done()).count(),
            stopped: self.records().iter().filter(|r| r.has_estimate() && !r.is_done()).count(),
            failed: failed.collect(),
            pending: self.records().iter().filter(|r| r.outcome.is_none()).count(),
            objectives: self.problem.objectives.clone(),
            front,
            reference: self
                .problem
                .objectives
                .iter()
                .zip(reference)
                .map(|(o, v)| if o.maximize { -v } else { v })
                .collect(),
            hypervolume: history.last().copied().unwrap_or(0.0),
            history,
        }
    }

    /// The front as a table: objectives, then what is limited. The chosen one has a star.
    pub fn front_table(&self) -> String {
        let mut columns: Vec<(&str, Quantity)> =
            self.problem.objectives.iter().map(|o| (o.name.as_str(), o.quantity)).collect();
        for l in &self.problem.limits {
            if !columns.iter().any(|(n, _)| *n == l.name) {
                columns.push((&l.name, l.quantity));
            }
        }
        let chosen = self.chosen();
        let mut rows: Vec<Vec<String>> =
            vec![["", "trial"].into_iter().chain(columns.iter().map(|c| c.0)).map(str::to_owned).collect()];
        for n in self.front() {
            let Some(r) = self.records().get(n) else { continue };
            let mut row = vec![if Some(n) == chosen { "*".to_owned() } else { String::new() }, n.to_string()];
            row.extend(columns.iter().map(|(name, q)| r.value(name).map_or("-".to_owned(), |v| show(*q, v))));
            rows.push(row);
        }
        let widths: Vec<usize> = (0..columns.len() + 2)
            .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0))
            .collect();
        rows.iter()
            .map(|r| {
                let cells: Vec<String> = r.iter().zip(&widths).map(|(s, w)| format!("{s:>w$}")).collect();
                format!("{}\n", cells.join("  "))
            })
            .collect()
    }
}

/// Factor from base units to the unit in which a value of this size is read, and that unit.
pub fn unit(quantity: Quantity, size: f64) -> (f64, &'static str) {
    let pick = |steps: &[(f64, f64, &'static str)]| {
        let found = steps.iter().find(|(from, ..)| size.abs() >= *from).or(steps.last());
        found.map_or((1.0, ""), |(_, factor, name)| (*factor, *name))
    };
    match quantity {
        Quantity::Fraction => (100.0, "%"),
        Quantity::Seconds => pick(&[(10.0, 1.0, "s"), (1e-3, 1e3, "ms"), (0.0, 1e6, "µs")]),
        Quantity::Bytes => {
            pick(&[(8.0 * 1048576.0, 1.0 / 1048576.0, "MiB"), (1024.0, 1.0 / 1024.0, "KiB"), (0.0, 1.0, "B")])
        }
        Quantity::Joules => pick(&[(1.0, 1.0, "J"), (1e-3, 1e3, "mJ"), (0.0, 1e6, "µJ")]),
        Quantity::Count => pick(&[(1e6, 1e-6, "M"), (1e4, 1e-3, "k"), (0.0, 1.0, "")]),
        Quantity::Plain => (1.0, ""),
    }
}

/// A value with its unit, four digits.
pub fn show(quantity: Quantity, value: f64) -> String {
    let (factor, name) = unit(quantity, value);
    let number = digits(value * factor);
    if name.is_empty() {
        number
    } else {
        format!("{number} {name}")
    }
}

/// As [`show`], without zeros at the end: for limits, which people wrote.
pub fn show_short(quantity: Quantity, value: f64) -> String {
    let (factor, name) = unit(quantity, value);
    let mut number = digits(value * factor);
    if number.contains('.') && !number.contains('e') {
        number.truncate(number.trim_end_matches('0').trim_end_matches('.').len());
    }
    if name.is_empty() {
        number
    } else {
        format!("{number} {name}")
    }
}

/// Four significant digits; integers whole.
pub(super) fn digits(v: f64) -> String {
    if v == v.round() && v.abs() < 1e6 {
        return format!("{v}");
    }
    let whole = v.abs().log10().floor().max(0.0) as usize;
    if v.abs() < 1e-3 || v.abs() >= 1e6 {
        return format!("{v:.3e}");
    }
    format!("{v:.*}", 3usize.saturating_sub(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_the_units_people_read() {
        assert_eq!(show(Quantity::Fraction, 0.91234), "91.23 %");
        assert_eq!(show(Quantity::Seconds, 0.0123456), "12.35 ms");
        assert_eq!(show(Quantity::Bytes, 98304.0), "96 KiB");
        assert_eq!(show(Quantity::Count, 210850.0), "210.8 k");
        assert_eq!(show(Quantity::Joules, 0.0002), "200 µJ");
        assert_eq!(show(Quantity::Plain, 1500.0), "1500");
        assert_eq!(show_short(Quantity::Bytes, 3000.0), "2.93 KiB");
    }
}
