//! The points that a search tries first: those of the spec, of files, of earlier studies.

use super::{Event, PipelineError, Watch};
use crate::check::spec::{SeedPoints, SeedSource};
use crate::codes;
use crate::diag::Diagnostic;
use crate::project::Project;
use crate::search::front::non_dominated;
use crate::search::journal::{Event as Entry, Journal};
use crate::search::{Outcome, Problem};
use crate::space::Point;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

type Decisions = Map<String, Value>;

/// The seed points of a spec that keep the limits known before a trial, in order. What is left out is
/// said.
///
/// # Errors
/// Files that cannot be read, or hold no points of the space.
pub(super) fn points(
    project: &Project,
    problem: &Problem,
    watch: &dyn Watch,
) -> Result<Vec<Point>, PipelineError> {
    let mut out: Vec<Point> = Vec::new();
    let mut found = Vec::new();
    for seeds in &project.checked.spec.search.seed_points {
        let read = match &seeds.source {
            SeedSource::Point(point) => Ok(vec![point.clone()]),
            SeedSource::File(path) => file(project, path),
            SeedSource::Study(path) => study(project, problem, path, watch),
        };
        match read {
            Ok(points) => out.extend(points),
            Err(why) => found.push(diagnostic(seeds, why)),
        }
    }
    if !found.is_empty() {
        return Err(PipelineError::Diagnostics(found));
    }
    out.retain(|point| match unusable(project, problem, point) {
        None => true,
        Some(why) => {
            let decisions = Value::from(project.checked.space.describe(point));
            watch.event(Event::Note(format!("a seed point is left out, {why}: {decisions}")));
            false
        }
    });
    Ok(out)
}

/// Why: the message, and the help.
type Why = (String, String);

fn diagnostic(seeds: &SeedPoints, (message, help): Why) -> Diagnostic {
    Diagnostic::error(codes::POINT, seeds.span, message).help(help)
}

/// The limit that a point breaks, as far as that is known before its trial.
fn unusable(project: &Project, problem: &Problem, point: &Point) -> Option<String> {
    let known = match project.known_point(point) {
        Ok(known) => known,
        Err(why) => return Some(why),
    };
    let broken = problem.limits.iter().filter(|l| l.known).find_map(|l| {
        let value = known.values.get(&l.name).copied().unwrap_or(f64::NAN);
        (l.violation(value) > 0.0).then_some((l, value))
    });
    let (limit, value) = broken?;
    let show = |v| crate::search::report::show(limit.quantity, v);
    Some(format!("its {} is {}, the limit {}", limit.name, show(value), show(limit.limit)))
}

/// Decisions in JSON or YAML: one set or a list of them, each alone or as `decisions` of something
/// larger (a result of `hytc compile`, a lock file).
fn file(project: &Project, path: &str) -> Result<Vec<Point>, Why> {
    let help = "the path is relative to the spec; the file holds decisions by path, `space.width: 16`, or a list of such";
    let shown = project.dir().join(path);
    let wrong = |why: String| (format!("`{}` cannot be read: {why}", shown.display()), help.to_string());
    let text = std::fs::read_to_string(&shown).map_err(|e| wrong(e.to_string()))?;
    // JSON is YAML, too.
    let value: Value = serde_yaml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let all = match value {
        Value::Array(all) => all,
        one => vec![one],
    };
    let mut out = Vec::new();
    for (i, value) in all.into_iter().enumerate() {
        let place = format!("`{}`, point {}", shown.display(), i + 1);
        let Some(decisions) = decisions(value) else {
            return Err((format!("{place}: these are no decisions"), help.to_string()));
        };
        let space = &project.checked.space;
        let point = space.point(&decisions, Some(&space.first_point())).map_err(|found| {
            let first = found.into_iter().next();
            first.map_or_else(Why::default, |d| (format!("{place}: {}", d.message), d.help))
        })?;
        out.push(point);
    }
    Ok(out)
}

fn decisions(value: Value) -> Option<Decisions> {
    let Value::Object(mut map) = value else { return None };
    match map.remove("chosen").or_else(|| map.remove("decisions")) {
        Some(inner @ Value::Object(_)) => decisions(inner),
        Some(_) => None,
        None => Some(map),
    }
}

/// The front of an earlier study by this spec's objectives; of the trials that keep this spec's limits,
/// if there are some.
fn study(project: &Project, problem: &Problem, path: &str, watch: &dyn Watch) -> Result<Vec<Point>, Why> {
    let help = "name the folder of a study, `earlier.study`, relative to the spec";
    let folder = project.dir().join(path);
    if same(&folder, &project.study_path()) {
        let help = "rename the folder of the earlier study, and name that".to_string();
        return Err((format!("`{path}` is where this spec's own study will be"), help));
    }
    let journal = if folder.is_dir() { folder.join("journal.jsonl") } else { folder };
    let events = Journal::read(&journal).map_err(|e| (e.to_string(), help.to_string()))?;
    let mut asked: BTreeMap<usize, Decisions> = BTreeMap::new();
    let mut done: Vec<(Point, BTreeMap<String, f64>)> = Vec::new();
    let mut misfits = 0;
    let space = &project.checked.space;
    for event in events {
        match event {
            Entry::Asked { trial, decisions } => drop(asked.insert(trial.number, decisions)),
            Entry::Told { number, outcome: Outcome::Done { metrics }, .. } => {
                let point = asked.get(&number).filter(|d| !d.is_empty());
                match point.and_then(|d| space.point(d, Some(&space.first_point())).ok()) {
                    Some(point) => done.push((point, metrics)),
                    None => misfits += 1,
                }
            }
            _ => {}
        }
    }
    let trials = done.len() + misfits;
    if done.is_empty() {
        let m = format!("none of the {trials} results in `{}` is a point of this space", journal.display());
        return Err((m, help.to_string()));
    }
    if misfits > 0 {
        let m = format!(
            "{misfits} of the {trials} results in `{}` are no points of this space",
            journal.display()
        );
        watch.event(Event::Note(m));
    }
    front(project, problem, done).map_err(|missing| {
        let m = format!(
            "the results in `{}` have no `{missing}`, so it is not known which are best",
            journal.display()
        );
        (m, "name single points with `point(..)` or `file(..)`".to_string())
    })
}

/// Whether two paths, of which one may not exist, are the same.
fn same(a: &Path, b: &Path) -> bool {
    let full = |p: &Path| std::fs::canonicalize(p).or_else(|_| std::path::absolute(p)).ok();
    full(a) == full(b)
}

fn front(
    project: &Project,
    problem: &Problem,
    done: Vec<(Point, BTreeMap<String, f64>)>,
) -> Result<Vec<Point>, String> {
    let mut scored: Vec<(Point, Vec<f64>, bool)> = Vec::new();
    let mut missing = None;
    for (point, metrics) in done {
        let known = project.known_point(&point).map(|k| k.values).unwrap_or_default();
        let value = |name: &str| known.get(name).or(metrics.get(name)).copied();
        match problem.costs(&value) {
            Ok(costs) => scored.push((point, costs, problem.violation(false, &value) <= 0.0)),
            Err(name) => missing = Some(name),
        }
    }
    if let (true, Some(name)) = (scored.is_empty(), missing) {
        return Err(name);
    }
    if scored.iter().any(|s| s.2) {
        scored.retain(|s| s.2);
    }
    let costs: Vec<Vec<f64>> = scored.iter().map(|s| s.1.clone()).collect();
    Ok(non_dominated(&costs).into_iter().filter_map(|i| scored.get(i)).map(|s| s.0.clone()).collect())
}
