//! A study: trials are asked for and their results told.
//!
//! **Reproducible in parallel.** What a trial is depends on the study's seed, the trial's number and
//! the results of the trials before its *horizon*, nothing else: not on time, threads, or the order
//! in which results arrive. The model's horizon lies [`Settings::window`] trials back; a trial is
//! given out only once all results before its horizon are told, and the trials between (pending or
//! not) are taken into account by what the model expects of them. So a study with one worker and one
//! with `window` workers are the same study.

use super::explore::{fine, Explorer, Shortage};
use super::fidelity::{self, Sample, Verdict};
use super::mobo::Mobo;
use super::problem::{Features, Known, KnownPoint, Problem};
use super::{design, local, nsga2, tpe};
use crate::check::spec::{Algorithm, Surrogate};
use crate::hash::fnv1a;
use crate::space::{DecisionInfo, Point, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a study searches.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Trials in all; may grow when a study is continued.
    pub trials: usize,
    /// Trials chosen to fill the space before results are used; NSGA-II's population.
    pub initial: usize,
    /// Nobody asked for this [`Settings::initial`]: a study that goes on keeps the number that it began with,
    /// whatever the usual one has become with more trials or another version of hytc.
    pub initial_is_usual: bool,
    /// Seed of everything.
    pub seed: u64,
    /// Trials that may run at the same time without changing what the study does.
    pub window: usize,
    /// Reference point of hypervolumes, in the objectives' own units; inferred where not given.
    pub reference: Option<Vec<f64>>,
    /// Points to try first.
    pub seed_points: Vec<Point>,
    /// New points computed for one suggestion, about; up to ten times as many where decisions are finely graded.
    pub effort: usize,
    /// A running trial is stopped once the probability that its result will be on the front is below
    /// this; 0: never.
    pub hopeless: f64,
    /// The models of [`Algorithm::Mobo`].
    pub surrogate: Surrogate,
}

impl Settings {
    /// Settings with defaults for what a spec does not say.
    pub fn new(algorithm: Algorithm, trials: usize, initial: usize, seed: u64) -> Settings {
        Settings {
            algorithm,
            trials,
            initial: initial.max(1),
            initial_is_usual: false,
            seed,
            window: 4,
            reference: None,
            seed_points: Vec::new(),
            effort: 800,
            hopeless: 0.0,
            surrogate: Surrogate::Auto,
        }
    }

    /// How many trials fill the space before results are used, where nobody says so: 10; for
    /// [`Algorithm::Mobo`] three for every four finely graded decisions, from 10 up to 20, as their effects may be of
    /// any form (docs/search-measured.md); for NSGA-II 20, its population. At most a third of the trials, at least four.
    pub fn usual_initial(algorithm: Algorithm, trials: usize, decisions: &[DecisionInfo]) -> usize {
        let fills = match algorithm {
            Algorithm::Nsga2 => 20,
            Algorithm::Mobo => (fine(decisions) * 3 / 4).clamp(10, 20),
            _ => 10,
        };
        fills.min((trials / 3).max(4))
    }

    /// Those of a spec's `search` item, for a space with these decisions and with the seed points that its
    /// sources give. Where it does not say `initial`, that holds all seed points up to half of the trials, and as
    /// many trials as must be chosen before results can be seen.
    pub fn from_spec(
        search: &crate::check::spec::Search,
        decisions: &[DecisionInfo],
        seed_points: Vec<Point>,
    ) -> Settings {
        let usual = || {
            let fills = Settings::usual_initial(search.algorithm, search.trials, decisions);
            let seeds = seed_points.len().min(search.trials / 2);
            fills.max(search.workers + 1).max(seeds).min(search.trials)
        };
        let s =
            Settings::new(search.algorithm, search.trials, search.initial.unwrap_or_else(usual), search.seed);
        Settings {
            seed_points,
            initial_is_usual: search.initial.is_none(),
            window: search.workers,
            reference: search.reference.clone(),
            hopeless: search.hopeless,
            surrogate: search.surrogate,
            ..s
        }
    }
}

/// A point to be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Counts from 0, without gaps.
    pub number: usize,
    /// The point.
    pub point: Point,
    /// Seed for everything random in the trial; less than 2^53, so that JSON holds it anywhere.
    pub seed: u64,
    /// The canonical hash of the point's graph.
    pub hash: String,
    /// Where the point comes from.
    #[serde(default)]
    pub source: Source,
    /// The trial that this one takes up again: its point and seed, from where it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continued>,
}

/// A trial that was stopped early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continued {
    /// Its number.
    pub trial: usize,
    /// The steps that it has done.
    pub step: usize,
}

/// Where a trial's point comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The user.
    Seed,
    /// The design that fills the space.
    Initial,
    /// The algorithm, by the results so far. Journals that do not say it are taken to mean this.
    #[default]
    Chosen,
    /// Chance.
    Random,
    /// A trial that was stopped too early.
    Continued,
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran. All unknown objectives and limits must be among the metrics; more may be.
    Done {
        /// Values by name, in base units.
        metrics: BTreeMap<String, f64>,
    },
    /// It was stopped early: what its result would have been is a guess, see
    /// [`super::fidelity`]. Never on a front.
    Stopped {
        /// Steps done.
        step: usize,
        /// The final values that were predicted, in base units.
        predicted: BTreeMap<String, f64>,
    },
    /// It has no result.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A trial with all that is known of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The trial.
    pub trial: Trial,
    /// What was known before.
    pub known: Arc<KnownPoint>,
    /// Its learning curve, as far as it was reported.
    pub curve: Vec<Sample>,
    /// Its outcome, once told.
    pub outcome: Option<Outcome>,
}

impl Record {
    /// A value of the trial: known exactly, or measured. A known value is never overruled.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.known.values.get(name).copied().or_else(|| match &self.outcome {
            Some(Outcome::Done { metrics }) => metrics.get(name).copied(),
            _ => None,
        })
    }

    /// As [`Record::value`]; for a trial that was stopped early, what was predicted.
    pub fn estimate(&self, name: &str) -> Option<f64> {
        self.value(name).or_else(|| match &self.outcome {
            Some(Outcome::Stopped { predicted, .. }) => predicted.get(name).copied(),
            _ => None,
        })
    }

    /// Whether it ran to its end, or far enough to know what it would have come to.
    pub fn has_estimate(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Done { .. } | Outcome::Stopped { .. }))
    }

    /// The steps it has done, if it was stopped early.
    pub fn stopped_after(&self) -> Option<usize> {
        match self.outcome {
            Some(Outcome::Stopped { step, .. }) => Some(step),
            _ => None,
        }
    }

    /// Whether it ran to its end.
    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Done { .. }))
    }

    /// The samples of its curve that it did not take over from the trial that it continues.
    pub fn own_curve(&self) -> impl Iterator<Item = &Sample> {
        let before = self.trial.continues.map_or(0, |c| c.step);
        self.curve.iter().filter(move |s| s.step > before)
    }
}

/// What models learn from: the trials with a result or a prediction, but of a trial that was taken up again
/// what came of it then.
pub(super) fn results(records: &[Record]) -> Vec<&Record> {
    let outdated = outdated(records);
    records.iter().filter(|r| r.has_estimate() && !outdated.contains(&r.trial.number)).collect()
}

/// The trials that were taken up again, where something came of it.
pub(super) fn outdated(records: &[Record]) -> BTreeSet<usize> {
    let again = records.iter().filter(|r| r.has_estimate()).filter_map(|r| r.trial.continues);
    again.map(|c| c.trial).collect()
}

/// Why there are no more trials.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// All trials have been asked for.
    Budget,
    /// No feasible point without a trial is left, or none was found.
    Exhausted(Shortage),
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StudyError {
    /// No point keeps the requirements.
    #[error("{}", infeasible(.0))]
    Infeasible(Shortage),
    /// A result for a trial that was not asked for, or already has one.
    #[error("trial {0} is not waiting for a result")]
    NotPending(usize),
    /// A journal says something else than this study would.
    #[error("trial {number}: {reason}")]
    Replay {
        /// The trial.
        number: usize,
        /// What is wrong.
        reason: String,
    },
}

fn infeasible(s: &Shortage) -> String {
    let looked = if s.exhaustive {
        format!("none of the {} points of the space keeps all requirements", s.looked_at)
    } else {
        format!("no point that keeps all requirements was found among {}", s.looked_at)
    };
    match (&s.nearest, &s.invalid) {
        (Some(n), _) => {
            let q = n.limit.quantity;
            format!(
                "{looked}; the nearest has {} {}, the limit is {} {} ({:.1} % off)",
                n.limit.name,
                super::report::show(q, n.value),
                if n.limit.at_least { "at least" } else { "at most" },
                super::report::show(q, n.limit.limit),
                100.0 * n.limit.violation(n.value)
            )
        }
        (None, Some(why)) => format!("{looked}: {why}"),
        (None, None) => looked,
    }
}

/// One in so many trials is never stopped: curves that go to the end would otherwise be those of good trials
/// alone, and a model that is wrong about the others would never learn of it.
const WHOLE: u64 = 8;
/// How many times better than [`Settings::hopeless`] the chance of a stopped trial must have become for it
/// to be taken up again: well apart, so that the study does not waver.
const PROMISING: f64 = 2.0;

/// A search as a state machine; see the module's documentation.
pub struct Study<'a> {
    pub(super) problem: Problem,
    pub(super) settings: Settings,
    pub(super) explorer: Explorer<'a>,
    pub(super) records: Vec<Record>,
    /// Trials from an earlier process whose results were never told; asked again first.
    again: BTreeSet<usize>,
    design: Option<design::Design>,
    mobo: Mobo,
    finish: Option<Finish>,
}

impl<'a> Study<'a> {
    /// A new study.
    pub fn new(
        space: &'a dyn SearchSpace,
        known: &'a Known<'a>,
        problem: Problem,
        settings: Settings,
    ) -> Self {
        Study {
            explorer: Explorer::new(space, known, problem.clone()),
            problem,
            mobo: Mobo::new(settings.surrogate),
            settings,
            records: Vec::new(),
            again: BTreeSet::new(),
            design: None,
            finish: None,
        }
    }

    /// The same study with a cheap way to the features.
    #[must_use]
    pub fn with_features(mut self, features: &'a dyn Features) -> Self {
        self.explorer.features = Some(features);
        self
    }

    /// Takes from the identity of the study that goes on what nobody asked for otherwise.
    pub(super) fn keep(&mut self, begun: Option<&BTreeMap<String, String>>) {
        let initial = begun.and_then(|b| b.get("search.initial")?.parse().ok());
        if let Some(initial) = initial.filter(|_| self.settings.initial_is_usual) {
            self.settings.initial = initial;
        }
    }

    /// At most `n` trials to run now. Fewer, or none, when results must be told first, or when the
    /// study is finished ([`Study::finish`]). Trials left over from an interrupted process come
    /// first, with their numbers, points and seeds.
    ///
    /// # Errors
    /// [`StudyError::Infeasible`] where not one feasible point was found.
    pub fn ask(&mut self, n: usize) -> Result<Vec<Trial>, StudyError> {
        let mut out = Vec::new();
        while out.len() < n {
            if let Some(number) = self.again.pop_first() {
                out.extend(self.records.get(number).map(|r| r.trial.clone()));
                continue;
            }
            let number = self.records.len();
            if number >= self.settings.trials {
                self.finish = Some(Finish::Budget);
                break;
            }
            if self.records.iter().take(self.horizon(number)).any(|r| r.outcome.is_none()) {
                break;
            }
            match self.next(number) {
                Ok(record) => {
                    out.push(record.trial.clone());
                    self.explorer.take(&record.trial.hash, &record.trial.point);
                    self.records.push(record);
                }
                Err(shortage) if self.records.is_empty() => return Err(StudyError::Infeasible(shortage)),
                Err(shortage) => {
                    self.finish = Some(Finish::Exhausted(shortage));
                    break;
                }
            }
        }
        Ok(out)
    }

    /// The result of a trial.
    ///
    /// A `Done` without a number for every unknown objective and limit becomes a failure that says
    /// so. Returns the outcome as it was taken.
    ///
    /// # Errors
    /// [`StudyError::NotPending`].
    pub fn tell(&mut self, number: usize, outcome: Outcome) -> Result<Outcome, StudyError> {
        let outcome = self.judge(number, outcome)?;
        if let Some(record) = self.records.get_mut(number) {
            record.outcome = Some(outcome.clone());
        }
        self.again.remove(&number);
        Ok(outcome)
    }

    /// The state of a running trial after a step of its training, the last one excepted: is it worth
    /// going on? Depends on the trial's curve and on the results that chose it, so not on what else
    /// is running. A step reported again (by a trial begun again) replaces what was said before.
    ///
    /// # Errors
    /// [`StudyError::NotPending`].
    pub fn report(&mut self, number: usize, sample: Sample) -> Result<Verdict, StudyError> {
        self.replay_curve(number, [sample.clone()])?;
        let visible = &self.records[..self.horizon(number).min(number)];
        let Some(record) = self.records.get(number).filter(|_| self.settings.hopeless > 0.0) else {
            return Ok(Verdict::Promote);
        };
        // Begun anew, a trial that was taken up again is not stopped where it was before.
        let again = record.trial.continues.is_some_and(|c| sample.step <= c.step);
        if again || record.trial.seed.is_multiple_of(WHOLE) {
            return Ok(Verdict::Promote);
        }
        let known = |name: &str| record.known.values.get(name).copied();
        Ok(fidelity::verdict(&self.problem, &known, &sample, visible, self.settings.hopeless))
    }

    /// Takes up (a part of) the learning curve of a trial that waits for its result.
    ///
    /// # Errors
    /// [`StudyError::NotPending`].
    pub fn replay_curve(
        &mut self,
        number: usize,
        curve: impl IntoIterator<Item = Sample>,
    ) -> Result<(), StudyError> {
        let record = self.records.get_mut(number).filter(|r| r.outcome.is_none());
        let record = record.ok_or(StudyError::NotPending(number))?;
        for sample in curve {
            record.curve.retain(|s| s.step < sample.step);
            record.curve.push(sample);
        }
        Ok(())
    }

    /// What [`Study::tell`] would take the outcome for.
    ///
    /// # Errors
    /// As [`Study::tell`].
    pub fn judge(&self, number: usize, outcome: Outcome) -> Result<Outcome, StudyError> {
        let record =
            self.records.get(number).filter(|r| r.outcome.is_none()).ok_or(StudyError::NotPending(number))?;
        let (mut metrics, stopped) = match outcome {
            Outcome::Done { metrics } => (metrics, None),
            Outcome::Stopped { step, predicted } => (predicted, Some(step)),
            failed @ Outcome::Failed { .. } => return Ok(failed),
        };
        let needed = (self.problem.objectives.iter().filter(|o| !o.known).map(|o| &o.name))
            .chain(self.problem.limits.iter().filter(|l| !l.known).map(|l| &l.name));
        for name in needed {
            match metrics.get(name) {
                Some(v) if v.is_finite() => {}
                Some(v) => {
                    return Ok(Outcome::Failed { reason: format!("{name} is {v}, not a finite number") })
                }
                None => return Ok(Outcome::Failed { reason: format!("the result has no {name}") }),
            }
        }
        let known = |name: &String| record.known.values.contains_key(name);
        metrics.retain(|name, v| v.is_finite() && !known(name));
        Ok(match stopped {
            Some(step) => Outcome::Stopped { step, predicted: metrics },
            None => Outcome::Done { metrics },
        })
    }

    /// Takes up a trial from a journal, as if [`Study::ask`] had given it out.
    ///
    /// # Errors
    /// [`StudyError::Replay`] where the point has another graph now, or the number is out of order.
    pub fn replay_asked(&mut self, trial: Trial) -> Result<(), StudyError> {
        let number = trial.number;
        let error = |reason: String| StudyError::Replay { number, reason };
        if number != self.records.len() {
            return Err(error(format!("expected trial {}", self.records.len())));
        }
        if trial.point.0.len() != self.explorer.space.decisions().len() {
            return Err(error("its point has another number of decisions than the space".into()));
        }
        let curve = match trial.continues {
            None => Vec::new(),
            Some(c) => match self.records.get(c.trial) {
                Some(r) if r.stopped_after() == Some(c.step) => r.curve.clone(),
                _ => return Err(error(format!("it continues trial {}, which was not stopped", c.trial))),
            },
        };
        let c = self.explorer.look(&trial.point).map_err(error)?;
        if c.known.hash != trial.hash {
            return Err(error("its point is another network than when the journal was written".into()));
        }
        self.explorer.take(&trial.hash, &trial.point);
        self.again.insert(number);
        self.records.push(Record { trial, known: Arc::new(c.known.clone()), curve, outcome: None });
        Ok(())
    }

    /// Whether and why the study gives out no more trials. Results may still be outstanding.
    pub fn finish(&self) -> Option<&Finish> {
        match &self.finish {
            Some(Finish::Budget) if self.records.len() < self.settings.trials => None,
            f => f.as_ref(),
        }
    }

    /// No trial is left to ask for or to wait for.
    pub fn is_over(&self) -> bool {
        (self.finish.is_some() || self.records.len() >= self.settings.trials)
            && self.records.iter().all(|r| r.outcome.is_some())
    }

    /// The decisions of a point by path.
    pub fn describe(&self, point: &Point) -> serde_json::Map<String, serde_json::Value> {
        self.explorer.space.describe(point)
    }

    /// All trials, by number.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What is optimised.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// How.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many times the known values of a point have been computed.
    pub fn known_calls(&self) -> usize {
        self.explorer.calls
    }

    /// Results of trials below this number may be used to choose trial `number`.
    fn horizon(&self, number: usize) -> usize {
        let s = &self.settings;
        match s.algorithm {
            Algorithm::Random => 0,
            _ if number < s.initial => 0,
            Algorithm::Nsga2 => number - number % s.initial,
            Algorithm::Mobo | Algorithm::Tpe | Algorithm::LocalSearch => {
                (number + 1).saturating_sub(s.window.max(1))
            }
        }
    }

    /// The trial that is taken up again as trial `number`: the one that has the best chance to reach the
    /// front by the curves that are known now, if that is at least [`PROMISING`] times what stopped it.
    fn promising(&self, number: usize) -> Option<Record> {
        let visible = self.records.get(..self.horizon(number))?;
        let least = PROMISING * self.settings.hopeless;
        let again: BTreeSet<usize> =
            self.records.iter().filter_map(|r| r.trial.continues).map(|c| c.trial).collect();
        let mut best: Option<(f64, &Record, usize)> = None;
        for r in visible.iter().filter(|r| least > 0.0 && !again.contains(&r.trial.number)) {
            let Some(step) = r.stopped_after() else { continue };
            let Some(sample) = r.curve.iter().find(|s| s.step == step) else { continue };
            let known = |name: &str| r.known.values.get(name).copied();
            let Some(p) = fidelity::prospect(&self.problem, &known, sample, visible) else { continue };
            if p.chance >= least && best.as_ref().is_none_or(|b| p.chance > b.0) {
                best = Some((p.chance, r, step));
            }
        }
        best.map(|(_, r, step)| {
            let continues = Some(Continued { trial: r.trial.number, step });
            let trial = Trial { number, source: Source::Continued, continues, ..r.trial.clone() };
            Record { trial, outcome: None, ..r.clone() }
        })
    }

    fn next(&mut self, number: usize) -> Result<Record, Shortage> {
        if let Some(record) = self.promising(number) {
            return Ok(record);
        }
        let mut rng = stream(self.settings.seed, number, "point");
        let (visible, hidden) = self.records.split_at(self.horizon(number).min(self.records.len()));
        let mut chosen = None;
        if self.settings.algorithm != Algorithm::Random {
            let design = match self.design.take() {
                Some(d) => d,
                None => design::Design::new(&mut self.explorer, &self.problem, &self.settings)?,
            };
            let settings = &self.settings;
            let (explorer, problem) = (&mut self.explorer, &self.problem);
            chosen = if number < settings.initial {
                design.points.get(number).and_then(|p| explorer.usable(p))
            } else {
                match settings.algorithm {
                    Algorithm::Nsga2 => {
                        nsga2::suggest(explorer, problem, visible, settings.initial, &mut rng)
                    }
                    Algorithm::Tpe => tpe::suggest(explorer, problem, settings, visible, hidden, &mut rng),
                    Algorithm::LocalSearch => local::suggest(explorer, problem, visible, &mut rng),
                    Algorithm::Mobo => {
                        self.mobo.suggest(explorer, problem, settings, &design, visible, hidden, &mut rng)
                    }
                    Algorithm::Random => None,
                }
            };
            self.design = Some(design);
        } else if let Some(p) = self.settings.seed_points.get(number) {
            chosen = self.explorer.usable(p);
        }
        let (candidate, source) = match chosen {
            Some(c) if self.settings.seed_points.contains(&c.point) => (c, Source::Seed),
            Some(c) if number < self.settings.initial => (c, Source::Initial),
            Some(c) => (c, Source::Chosen),
            None => (self.explorer.find(&mut rng)?, Source::Random),
        };
        let seed = fnv1a(format!("{} trial {number}", self.settings.seed).as_bytes());
        Ok(Record {
            trial: Trial {
                number,
                point: candidate.point.clone(),
                seed: (seed ^ (seed >> 32)) & ((1 << 53) - 1),
                hash: candidate.known.hash.clone(),
                source,
                continues: None,
            },
            known: Arc::new(candidate.known.clone()),
            curve: Vec::new(),
            outcome: None,
        })
    }
}

/// The random stream of a study, a trial and a purpose.
pub(super) fn stream(seed: u64, number: usize, purpose: &str) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(format!("{purpose} {number}").as_bytes()));
    rng
}
