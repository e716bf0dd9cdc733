//! Problems with known answers, to measure search algorithms on: `hytc bench search`.
//!
//! | name | decisions | objectives | reference point |
//! |---|---|---|---|
//! | `hytnas` | the 23 of `specs/hytnas.hyt` | accuracy %, latency ms (HyT-NAS's measurements) | 75, 3500 |
//! | `nb201` | 6 edges, 5 operations each | CIFAR-100 accuracy %, Nezha D1 latency ms | 50, 1400 |
//! | `nb201-3` | the same | CIFAR-100 accuracy %, Raspberry Pi 5 energy mJ, million parameters | 50, 24, 1.4 |
//! | `c2dtlz2` | 12 numbers | 2, one constraint (Jain and Deb 2014) | 1.1, 1.1 |
//! | `wfg4-2`, `wfg5-2` | 4 + 20 numbers | 2 (Huband et al. 2006) | 3, 5 |
//! | `wfg4-4`, `wfg5-4` | 6 + 20 numbers | 4 | 3, 5, 7, 9 |
//!
//! No objective is known beforehand. Where a problem is a space of networks, what a graph tells for free is a
//! feature of the model, as in any search over a spec: in `hytnas` what the spec's networks give, in `nb201` the
//! MACs of a cell and the depth of its convolutions (not in `nb201-3`, where that would tell an objective).
//! Peers get decisions alone. Problems are read from the folder `shared`; a missing file is an
//! error, never a problem skipped.

mod hytnas;
mod nb201;
mod synthetic;

use crate::check::spec::Algorithm;
use crate::search::volume::hypervolume;
use crate::search::{Features, Known, Limit, Outcome, Problem, Quantity, Settings, Study, Target, Trial};
use crate::space::{DecisionInfo, Point, SearchSpace};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Measures a trial.
type Evaluate = dyn FnMut(&Trial) -> Result<Metrics, BenchError>;

/// The names of the problems.
pub const PROBLEMS: [&str; 8] =
    ["hytnas", "nb201", "nb201-3", "c2dtlz2", "wfg4-2", "wfg4-4", "wfg5-2", "wfg5-4"];

/// Why a problem cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is none of this name.
    #[error("there is no problem `{0}`; there are {all}", all = PROBLEMS.join(", "))]
    Unknown(String),
    /// Its data cannot be read.
    #[error("`{}` cannot be read: {why}; `--shared DIR` says where the shared data is", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A point was not evaluated.
    #[error("{0}")]
    Evaluation(String),
}

/// Where problems find what they need.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The folder with `tables/` and `tools/mobo/`.
    pub shared: PathBuf,
    /// The Python that runs HyT-NAS's problem (numpy, pandas, scikit-learn).
    pub python: String,
}

/// The values of a trial by name.
type Metrics = BTreeMap<String, f64>;

/// A problem.
pub struct Bench {
    /// Its name.
    pub name: &'static str,
    /// Its points.
    pub space: Box<dyn SearchSpace>,
    /// What is known of a point.
    pub known: Box<Known<'static>>,
    /// The features of a point, cheaply.
    pub features: Option<Arc<dyn Features>>,
    /// What is wanted.
    pub problem: Problem,
    /// Hypervolumes are measured to this point, in the objectives' units.
    pub reference: Vec<f64>,
    /// Evaluations of a run.
    pub trials: usize,
    evaluate: Box<Evaluate>,
}

/// One study of a problem.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// Hypervolume after each evaluation.
    pub hypervolume: Vec<f64>,
    /// Seconds spent in suggestions, all together.
    pub suggest_seconds: f64,
    /// Seconds of each suggestion.
    pub seconds: Vec<f64>,
}

impl Bench {
    /// The problem of this name.
    ///
    /// # Errors
    /// [`BenchError`] where its data is missing.
    pub fn open(name: &str, sources: &Sources) -> Result<Bench, BenchError> {
        let known = PROBLEMS.iter().find(|p| **p == name);
        match (known, name) {
            (None, _) => Err(BenchError::Unknown(name.to_owned())),
            (Some(name), "hytnas") => hytnas::open(name, sources),
            (Some(name), "nb201" | "nb201-3") => nb201::open(name, &sources.shared),
            (Some(name), _) => Ok(synthetic::open(name)),
        }
    }

    /// The settings of a run: each suggestion sees all results. First trials are those of a run of the usual
    /// length, so that a shorter one is the beginning of a longer one.
    pub fn settings(&self, algorithm: Algorithm, trials: usize, seed: u64) -> Settings {
        let initial = Settings::usual_initial(algorithm, self.trials, self.space.decisions());
        Settings {
            window: 1,
            reference: Some(self.reference.clone()),
            ..Settings::new(algorithm, trials, initial, seed)
        }
    }

    /// Runs a study.
    ///
    /// # Errors
    /// [`BenchError::Evaluation`].
    pub fn run(&mut self, settings: Settings) -> Result<Run, BenchError> {
        let costs_of = |metrics: &Metrics, problem: &Problem| {
            let value = |n: &str| metrics.get(n).copied();
            (problem.violation(false, &value) <= 0.0).then(|| problem.costs(&value).ok()).flatten()
        };

        let reference = self.problem.signed(&self.reference);
        let mut run = Run { seed: settings.seed, hypervolume: vec![], suggest_seconds: 0.0, seconds: vec![] };
        let mut front: Vec<Vec<f64>> = Vec::new();
        let mut study = Study::new(self.space.as_ref(), self.known.as_ref(), self.problem.clone(), settings);
        if let Some(features) = &self.features {
            study = study.with_features(features.as_ref());
        }
        loop {
            let began = Instant::now();
            let asked = study.ask(1).map_err(|e| BenchError::Evaluation(e.to_string()))?;
            let seconds = began.elapsed().as_secs_f64();
            let Some(trial) = asked.into_iter().next() else { break };
            run.seconds.push(seconds);
            let metrics = (self.evaluate)(&trial)?;
            if let Some(c) = costs_of(&metrics, &self.problem) {
                front.push(c);
            }
            run.hypervolume.push(hypervolume(&front, &reference));
            let began = Instant::now();
            let told = study.tell(trial.number, Outcome::Done { metrics });
            run.suggest_seconds += seconds + began.elapsed().as_secs_f64();
            told.map_err(|e| BenchError::Evaluation(e.to_string()))?;
        }
        Ok(run)
    }
}

/// An objective that is not known beforehand.
fn target(name: &str, maximize: bool) -> Target {
    Target { name: name.into(), quantity: Quantity::Plain, maximize, known: false, ideal: None }
}

/// The problem of these objectives.
fn problem(objectives: Vec<Target>, limits: Vec<Limit>) -> Problem {
    let choice = crate::search::Choice::Knee;
    Problem { objectives, limits, choice }
}

fn read(path: &Path) -> Result<String, BenchError> {
    std::fs::read_to_string(path).map_err(|e| BenchError::Data { path: path.to_owned(), why: e.to_string() })
}

/// A space in which every decision exists and every combination is allowed.
struct Grid(Vec<DecisionInfo>);

impl SearchSpace for Grid {
    fn decisions(&self) -> &[DecisionInfo] {
        &self.0
    }

    fn sample(&self, rng: &mut dyn rand::Rng) -> Point {
        self.point(&[], rng)
    }

    fn repair(&self, wish: &[Option<u32>], rng: &mut dyn rand::Rng) -> Option<Point> {
        Some(self.point(wish, rng))
    }
}

impl Grid {
    fn point(&self, wish: &[Option<u32>], rng: &mut dyn rand::Rng) -> Point {
        use rand::RngExt;
        let value = |(d, info): (usize, &DecisionInfo)| {
            let n = info.values.len() as u32;
            let wished = wish.get(d).copied().flatten().filter(|v| *v < n);
            Some(wished.unwrap_or_else(|| rng.random_range(0..n)))
        };
        Point(self.0.iter().enumerate().map(value).collect())
    }
}

/// Median and quartiles by linear interpolation (type 7 of Hyndman and Fan 1996): 25 %, 50 %, 75 %.
pub fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|q| {
        let at = q * sorted.len().saturating_sub(1) as f64;
        let value = |i: usize| sorted.get(i).or(sorted.last()).copied().unwrap_or(f64::NAN);
        let (low, high) = (value(at.floor() as usize), value(at.ceil() as usize));
        low + (high - low) * (at - at.floor())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_numpy() {
        assert_eq!(quartiles(&[4.0, 1.0, 3.0, 2.0]), [1.75, 2.5, 3.25]);
        assert_eq!(quartiles(&[7.0]), [7.0, 7.0, 7.0]);
    }

    #[test]
    fn missing_data_is_said_with_its_path() {
        let sources = Sources { shared: "/nowhere".into(), python: "python3".into() };
        for name in ["hytnas", "nb201", "nb201-3"] {
            let e = Bench::open(name, &sources).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(e.contains("/nowhere/t") && e.contains("--shared"), "{name}: {e}");
        }
        let e = Bench::open("zdt1", &sources).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(e.contains("there is no problem `zdt1`; there are hytnas"), "{e}");
    }
}
