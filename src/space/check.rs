//! The static check of a space: shapes on every branch, constraints that can be met, decisions that
//! matter.
//!
//! Exploration says for every place what it depends on. Those decisions are enumerated together, so
//! the check is complete without visiting every point: 396 billion points of HyT-NAS's space need some
//! ten thousand runs. Where one place depends on too many, a sample is taken and that is said.

use super::count::Odometer;
use super::explore::Deps;
use super::{Outcome, Space};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::space::Point;
use rand::SeedableRng;
use std::collections::BTreeMap;

/// Assignments enumerated for one set of decisions.
const PER_SET: f64 = 20_000.0;
/// Runs in all.
const IN_ALL: usize = 60_000;
/// Random points where a set is too large.
const SAMPLE: usize = 2_000;
/// Elements visited by the runs of one task (all sets, a sample, counting): bounds the time.
const WORK: usize = 8_000_000;
/// Values of a decision tried to see whether a failure depends on it.
const TRIED: u32 = 16;

impl Space {
    /// `runs`, or fewer where one costs much.
    pub(super) fn affordable(&self, runs: usize) -> usize {
        runs.min(WORK / self.elements.max(1)).max(8)
    }

    pub(super) fn check(&mut self, used: &Deps, found: &mut Vec<Diagnostic>) {
        let mut failures: BTreeMap<(Span, &'static str), Diagnostic> = BTreeMap::new();
        if !self.find_witness(&mut failures) && failures.is_empty() {
            let m = "no point of the space keeps all of its constraints";
            let mut places = self.program.body.constraints.iter().map(|c| c.span);
            let first = places.next().unwrap_or(self.program.span);
            let mut d = Diagnostic::error(codes::UNSATISFIABLE, first, m);
            for other in places.take(8) {
                d = d.also(other, "and this");
            }
            found.push(d.help("loosen one of the `where` conditions"));
            return;
        }
        if !self.coupled.is_empty() {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
            self.tight =
                !(0..self.affordable(SAMPLE)).any(|_| self.complete(&[], &mut rng, &mut ()).is_some());
        }
        let mut budget = self.affordable(IN_ALL);
        let mut sampled = false;
        for set in self.maximal() {
            let product: f64 =
                set.iter().filter_map(|&i| self.scopes.infos.get(i)).map(|d| d.values.len() as f64).product();
            if product > PER_SET || product > budget as f64 {
                sampled = true;
                continue;
            }
            let mut odometer = Odometer::new();
            while let Some((outcome, trace)) = odometer.next(self, &set, &self.witness.0) {
                budget = budget.saturating_sub(1);
                if let Outcome::Errors(errors) = outcome {
                    self.note(errors, &set, &trace.chosen, &mut failures);
                }
                if set.is_empty() || budget == 0 {
                    break;
                }
            }
        }
        if sampled && failures.is_empty() {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
            let everything: Deps = (0..self.scopes.infos.len()).collect();
            let sample = self.affordable(SAMPLE);
            for _ in 0..sample {
                let infos = &self.scopes.infos;
                let mut choose = |id: usize| {
                    let n = infos.get(id).map_or(1, |d| d.values.len()).max(1) as u32;
                    rand::RngExt::random_range(&mut rng, 0..n)
                };
                if let (Outcome::Errors(errors), trace) = self.try_out(&mut choose) {
                    self.note(errors, &everything, &trace.chosen, &mut failures);
                }
            }
            let m = format!(
                "shapes were checked at {sample} random points only: some depend on too many decisions at once"
            );
            found.push(
                Diagnostic::warning(codes::SAMPLED, self.program.span, m)
                    .help("let fewer decisions decide one width, or accept that a trial may fail"),
            );
        }
        found.extend(failures.into_values());
        for (id, info) in self.scopes.infos.iter().enumerate() {
            if !used.contains(&id) && info.values.len() > 1 {
                let span = self.decision_span(id).unwrap_or_default();
                let m = format!("the decision `{}` never matters: no operator depends on it", info.path);
                found
                    .push(Diagnostic::warning(codes::USELESS_DECISION, span, m).help("remove it, or use it"));
            }
        }
    }

    /// A point that keeps the constraints, whether its shapes fit or not.
    fn find_witness(&mut self, failures: &mut BTreeMap<(Span, &'static str), Diagnostic>) -> bool {
        let mut odometer = Odometer::new();
        let mut runs = 0;
        while let Some((outcome, trace)) = odometer.next(self, &self.coupled, &[]) {
            runs += 1;
            match outcome {
                Outcome::Fine => {
                    self.witness = Point(trace.chosen);
                    return true;
                }
                Outcome::Errors(errors) => {
                    let all = (0..self.scopes.infos.len()).collect();
                    self.note(errors, &all, &trace.chosen, failures);
                }
                Outcome::Constraint => {}
            }
            if self.coupled.is_empty() || runs >= self.affordable(super::count::ENUMERATE) {
                break;
            }
        }
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for _ in 0..self.affordable(SAMPLE) {
            if let Some(p) = self.complete(&[], &mut rng, &mut ()) {
                self.witness = p;
                return true;
            }
        }
        false
    }

    /// The sets to enumerate: supports with the owners of their decisions and what constraints tie
    /// to them, without those contained in another.
    fn maximal(&self) -> Vec<Deps> {
        let mut sets: Vec<Deps> = Vec::new();
        for support in &self.supports {
            let mut set = support.clone();
            let mut queue: Vec<usize> = set.iter().copied().collect();
            while let Some(id) = queue.pop() {
                for &o in self.scopes.decisions.get(id).map_or(&[][..], |d| d.owners.as_slice()) {
                    if set.insert(o) {
                        queue.push(o);
                    }
                }
            }
            if !set.is_disjoint(&self.coupled) {
                set.extend(&self.coupled);
            }
            sets.push(set);
        }
        sets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        let mut kept: Vec<Deps> = Vec::new();
        for s in sets {
            if !kept.iter().any(|k| s.is_subset(k)) {
                kept.push(s);
            }
        }
        kept
    }

    /// Keeps the first failure of each place, with the decisions that led to it.
    fn note(
        &self,
        errors: Vec<Diagnostic>,
        set: &Deps,
        chosen: &[Option<u32>],
        failures: &mut BTreeMap<(Span, &'static str), Diagnostic>,
    ) {
        // Where even this is dear, only the first decisions are looked at.
        let few = self.affordable(SAMPLE) / TRIED as usize;
        for mut d in errors {
            if failures.contains_key(&(d.span, d.code)) {
                continue;
            }
            let why: Vec<String> = set
                .iter()
                .filter(|&&id| chosen.get(id).copied().flatten().is_some())
                .take(few)
                .filter(|&&id| self.matters(id, &d, chosen))
                .filter_map(|&id| {
                    let info = self.scopes.infos.get(id)?;
                    let value = info.values.get(chosen.get(id).copied().flatten()? as usize)?;
                    (info.values.len() > 1).then(|| format!("{} = {value}", info.path))
                })
                .take(6)
                .collect();
            if !why.is_empty() {
                d.label = format!("with {}", why.join(", "));
            }
            failures.insert((d.span, d.code), d);
        }
    }

    /// Whether a failure depends on a decision: with another value it does not occur.
    fn matters(&self, decision: usize, failure: &Diagnostic, chosen: &[Option<u32>]) -> bool {
        let values = self.scopes.infos.get(decision).map_or(0, |d| d.values.len() as u32);
        let now = chosen.get(decision).copied().flatten();
        (0..values).filter(|v| Some(*v) != now).take(TRIED as usize).any(|v| {
            let mut choose = |id: usize| {
                let given = if id == decision { Some(v) } else { chosen.get(id).copied().flatten() };
                given.or_else(|| self.witness.0.get(id).copied().flatten()).unwrap_or(0)
            };
            match self.try_out(&mut choose).0 {
                Outcome::Errors(errors) => {
                    !errors.iter().any(|e| (e.span, e.code) == (failure.span, failure.code))
                }
                _ => true,
            }
        })
    }
}
