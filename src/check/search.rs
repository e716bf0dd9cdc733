//! `search algorithm { .. }`.

use super::measure::Measures;
use super::names::did_you_mean;
use super::settings::{quantity, Reader};
use super::spec::{Algorithm, Dimension, Goal, Search, Surrogate};
use super::training;
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{self, Ident, Section, SettingValue};

/// The search that stands in where the file has none.
pub(super) fn default(span: Span) -> Search {
    Search {
        algorithm: Algorithm::Mobo,
        trials: 24,
        initial: None,
        seed: 1,
        workers: 1,
        surrogate: Surrogate::Auto,
        reference: None,
        seed_points: Vec::new(),
        hopeless: 0.05,
        train: training::trial(),
        span,
    }
}

/// The item `search`. Its seed points are read by [`super::seeds`], which needs the space.
pub(super) fn search(
    algorithm: &Ident,
    section: &Section,
    goal: &Goal,
    measures: Measures<'_>,
    found: &mut Vec<Diagnostic>,
) -> Search {
    let mut out = default(section.span);
    match Algorithm::named(&algorithm.name) {
        Some(a) => out.algorithm = a,
        None => {
            let m = format!("there is no search algorithm `{}`", algorithm.name);
            let known = Algorithm::ALL.map(Algorithm::name);
            let all = format!("there are {}", known.join(", "));
            let help = did_you_mean(&algorithm.name, known, &all);
            found.push(Diagnostic::error(codes::UNKNOWN_NAME, algorithm.span, m).help(help));
        }
    }
    let mut r = Reader::new("search", section, found);
    out.trials = r.whole("trials", 1.0..=1e6).unwrap_or(out.trials);
    out.initial = r.whole("initial", 1.0..=1e6);
    if let Some(initial) = out.initial.filter(|i| *i > out.trials) {
        let m = format!("`initial` is {initial}, there are {} trials in all", out.trials);
        let d = Diagnostic::error(codes::VALUE, r.place("initial"), m);
        r.found.push(d.help("`initial` is a part of `trials`"));
    }
    out.seed = r.whole("seed", 0.0..=9e15).map_or(out.seed, |s| s as u64);
    out.workers = r.whole("workers", 1.0..=256.0).unwrap_or(out.workers);
    let surrogates = Surrogate::ALL.map(|s| (s.name(), s));
    if let Some(s) = r.one_of("surrogate", &surrogates) {
        if !matches!(out.algorithm, Algorithm::Mobo) {
            let d = Diagnostic::error(codes::VALUE, r.place("surrogate"), "`surrogate` belongs to `mobo`");
            r.found.push(d.help("remove it, or write `search mobo`"));
        }
        out.surrogate = s;
    }
    if let Some(s) = r.section("reference") {
        out.reference = reference(s, r.place("reference"), goal, measures, r.found);
    }
    r.any("seed_points");
    out.hopeless = r.number("hopeless", Dimension::Fraction, 0.0..=0.5).unwrap_or(out.hopeless);
    if let Some(s) = r.section("train") {
        out.train = training::training("train", s, training::trial(), r.found);
    }
    r.finish();
    out
}

/// The reference point of objectives that all have ranges: what is worse is of no interest.
pub(super) fn worst_of_ranges(goal: &Goal) -> Option<Vec<f64>> {
    let worst = |(low, high), maximize| if maximize { low } else { high };
    goal.objectives.iter().map(|o| o.range.map(|r| worst(r, o.maximize))).collect()
}

/// `reference { accuracy = 75%, latency on board = 3500 ms }`: a value for every objective.
fn reference(
    section: &Section,
    key: Span,
    goal: &Goal,
    measures: Measures<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<Vec<f64>> {
    let mut values: Vec<Option<f64>> = vec![None; goal.objectives.len()];
    let mut firsts: Vec<Option<Span>> = vec![None; goal.objectives.len()];
    let before = found.len();
    for s in &section.settings {
        let asked = ast::Measure { metric: s.key.clone(), device: s.device.clone() };
        let Some(measure) = measures.resolve(&asked, found) else { continue };
        let name = match &s.device {
            Some(d) => format!("{} on {}", s.key.name, d.name),
            None => s.key.name.clone(),
        };
        let Some(at) = goal.objectives.iter().position(|o| o.measure == measure) else {
            let d = Diagnostic::error(codes::GOAL, s.key.span, format!("`{name}` is not an objective"));
            found.push(d.help("the reference point has a value for every objective, and for nothing else"));
            continue;
        };
        let value = match &s.value {
            SettingValue::Expr(e) => quantity(e, measure.dimension, found),
            SettingValue::Section(_) => {
                let d = Diagnostic::error(codes::TYPE, s.key.span, format!("`{name}` has a value here"));
                found.push(d.help(format!("write `{name} = ..`")));
                None
            }
        };
        if let Some(first) = firsts.get(at).copied().flatten() {
            let d = Diagnostic::error(codes::DUPLICATE, s.key.span, format!("`{name}` is there twice"));
            found.push(d.also(first, "first here").help("remove one of them"));
            continue;
        }
        if let (Some(v), Some(f)) = (values.get_mut(at), firsts.get_mut(at)) {
            (*v, *f) = (value, Some(s.key.span));
        }
    }
    let devices = measures.device_names();
    let absent: Vec<String> = (goal.objectives.iter().zip(&firsts))
        .filter(|(_, f)| f.is_none())
        .map(|(o, _)| format!("`{}`", o.measure.name(&devices)))
        .collect();
    if !absent.is_empty() && found.len() == before {
        let m = format!("the reference point has no value for {}", absent.join(", "));
        let d = Diagnostic::error(codes::MISSING, key, m);
        found.push(d.help("give one for every objective: the worst value that is still of interest"));
    }
    values.into_iter().collect()
}
