//! Runs a study: asks for trials, has them evaluated several at a time, tells the results.

use super::evaluator::{Evaluator, TrialControl};
use super::{seeds, Event, PipelineError, Watch};
use crate::check::spec::Metric;
use crate::evaluate::{Failure, Probation, Verdict as Standing};
use crate::project::Project;
use crate::search::journal::Identity;
use crate::search::report::show;
use crate::search::{
    front_svg, Finish, JournalError, Known, Limit, Outcome, Problem, Quantity, Record, Sample, Session,
    Settings, Study, StudySummary, Trial, Verdict,
};
use crate::space::{Point, SearchSpace};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Mutex};

/// What a search ends with.
#[derive(Debug)]
pub struct Searched {
    /// All of it.
    pub summary: StudySummary,
    /// The front as a table.
    pub table: String,
    /// The front as a picture.
    pub svg: String,
}

/// The problem of a spec: its goal, and that the network fits every device it names.
pub fn problem(project: &Project) -> Problem {
    let names = project.device_names();
    let spec = &project.checked.spec;
    let returned: Vec<String> =
        spec.evaluate.iter().flat_map(|e| &e.metrics).map(|r| r.measure.name(&names)).collect();
    let mut problem = Problem::from_goal(&spec.goal, &names);
    for (name, profile) in names.iter().zip(&project.profiles) {
        for (metric, limit) in [(Metric::Ram, profile.ram()), (Metric::Flash, profile.flash())] {
            let key = format!("{} on {name}", metric.name());
            // A limit of the spec that is at least as strict says it already.
            if !problem.limits.iter().any(|l| l.name == key && l.limit <= limit as f64) {
                problem.limits.push(Limit {
                    known: !returned.contains(&key),
                    name: key,
                    quantity: Quantity::Bytes,
                    at_least: false,
                    limit: limit as f64,
                });
            }
        }
    }
    problem
}

/// Searches, or goes on with an interrupted search. `workers` trials run at a time, at most as many as
/// the spec says: the result does not depend on it.
///
/// # Errors
/// See [`PipelineError`]. What was finished stays in the journal in every case.
pub fn search(
    project: &Project,
    evaluator: &dyn Evaluator,
    workers: usize,
    watch: &dyn Watch,
) -> Result<Searched, PipelineError> {
    let spec = &project.checked.spec;
    let problem = problem(project);
    let seed_points = seeds::points(project, &problem, watch)?;
    let settings = Settings::from_spec(&spec.search, project.checked.space.decisions(), seed_points);
    let (trials, initial, given) = (settings.trials, settings.initial, settings.seed_points.len());
    if workers > settings.window {
        watch.event(Event::Note(format!(
            "{workers} trials at a time would choose others than the spec's `workers = {0}`: {0} at a time",
            settings.window
        )));
    }
    let workers = workers.clamp(1, settings.window.max(1));
    let known_of = |p: &Point| project.known_point(p);
    let known_of: &Known<'_> = &known_of;
    let study = Study::new(&project.checked.space, known_of, problem, settings).with_features(project);
    let folder = project.study_path();
    std::fs::create_dir_all(&folder)
        .map_err(|e| PipelineError::Other(format!("`{}` cannot be made: {e}", folder.display())))?;
    let mut identity = identity(project);
    identity.extend(evaluator.identity());
    let (mut session, warning) = Session::open(&folder.join("journal.jsonl"), study, &identity)?;
    if let Some(w) = warning {
        watch.event(Event::Note(w));
    }
    let first = session.study().settings().initial;
    if first != initial {
        watch.event(Event::Note(format!(
            "the study goes on with `initial = {first}`, as it began; one begun now would have {initial}"
        )));
    }
    if given > first {
        watch.event(Event::Note(format!(
            "of {given} seed points the first {first} are tried: for more write `initial = ..` into `search`"
        )));
    }
    let done = session.study().records().iter().filter(|r| r.outcome.is_some()).count();
    watch.event(Event::Search { done, trials });
    run(project, evaluator, &mut session, workers, watch)?;
    if session.study().is_over() {
        // Stopped trials that are not taken up again.
        let _ = std::fs::remove_dir_all(folder.join("paused"));
    }
    if let Some(Finish::Exhausted(shortage)) = session.study().finish() {
        let count = session.study().records().len();
        watch.event(Event::Note(format!("the search ended after {count} of {trials} trials: {shortage}")));
    }
    report(&session, &folder, project.name())
}

/// What the results of a study depend on besides its own settings and the evaluator.
pub(super) fn identity(project: &Project) -> Identity {
    let mut identity = project.parts();
    // What the study and the evaluator record themselves, or what may change without making the results
    // others.
    for part in ["search", "evaluate", "final", "devices", "goal"] {
        identity.remove(part);
    }
    for (name, hash) in project.profile_hashes() {
        identity.insert(format!("profile of {name}"), hash.clone());
    }
    identity
}

/// What the thread of a trial says.
enum Message {
    /// A step of its training is done: is the next one worth it?
    Step { number: usize, sample: Sample, reply: mpsc::SyncSender<Verdict> },
    /// It has ended.
    Ended { number: usize, what: String, result: Result<Outcome, Failure> },
}

fn run(
    project: &Project,
    evaluator: &dyn Evaluator,
    session: &mut Session<'_>,
    workers: usize,
    watch: &dyn Watch,
) -> Result<(), PipelineError> {
    let (tell, results) = mpsc::channel::<Message>();
    // Set when no trial is worth anything any more: those that run are ended.
    let halt = &AtomicBool::new(false);
    let worked = session.study().records().iter().any(Record::is_done);
    let mut desk = Desk { session, watch, probation: Probation::new(worked), shown: BTreeMap::new() };
    std::thread::scope(|scope| {
        let mut running = 0;
        let mut stopped = false;
        let mut error = None;
        loop {
            while running < workers && !stopped && error.is_none() && !watch.stop() {
                let trial = match desk.next() {
                    Ok(Some(trial)) => trial,
                    Ok(None) => break,
                    Err(e) => {
                        error = Some(e);
                        break;
                    }
                };
                running += 1;
                let tell = tell.clone();
                scope.spawn(move || {
                    let number = trial.number;
                    let control = Trying { number, watch, halt, tell: Mutex::new(tell.clone()) };
                    let (what, result) = try_trial(project, evaluator, &trial, &control);
                    // The receiver is gone only if the search has ended already.
                    let _ = tell.send(Message::Ended { number, what, result });
                });
            }
            halt.store(error.is_some(), Ordering::SeqCst);
            if running == 0 {
                return match error {
                    Some(e) => Err(e),
                    None if stopped || watch.stop() => Err(PipelineError::Stopped),
                    None => desk.close(),
                };
            }
            let handled = match results.recv() {
                Err(_) => return Ok(()),
                Ok(Message::Step { number, sample, reply }) => {
                    // A trial that does not wait for the answer has ended otherwise.
                    let told = desk.session.report(number, sample).map(|verdict| reply.send(verdict));
                    told.map(|_| ()).map_err(PipelineError::from)
                }
                Ok(Message::Ended { number, what, result }) => {
                    running -= 1;
                    stopped |= result == Err(Failure::Stopped);
                    desk.ended(number, what, result)
                }
            };
            error = error.or(handled.err());
        }
    })
}

/// Where trials are given out and their results taken.
struct Desk<'s, 'a, 'w> {
    session: &'s mut Session<'a>,
    watch: &'w dyn Watch,
    probation: Probation,
    /// What is said of a trial whose result is held back.
    shown: BTreeMap<usize, String>,
}

impl Desk<'_, '_, '_> {
    fn next(&mut self) -> Result<Option<Trial>, PipelineError> {
        match self.session.ask(1) {
            Ok(asked) => Ok(asked.into_iter().next()),
            Err(JournalError::Study(e)) => Err(PipelineError::NoResult(e.to_string())),
            Err(e) => Err(e.into()),
        }
    }

    fn ended(
        &mut self,
        number: usize,
        what: String,
        result: Result<Outcome, Failure>,
    ) -> Result<(), PipelineError> {
        self.shown.insert(number, what);
        match result {
            Ok(outcome) => {
                for (number, reason) in self.probation.passed() {
                    self.tell(number, Outcome::Failed { reason })?;
                }
                self.tell(number, outcome)
            }
            Err(failure) => match self.probation.failed(number, &failure) {
                Standing::Hold => Ok(()),
                Standing::GiveUp(why) => Err(PipelineError::Program(why)),
                Standing::Tell(failed) => failed
                    .into_iter()
                    .try_for_each(|(number, reason)| self.tell(number, Outcome::Failed { reason })),
            },
        }
    }

    /// No more trials can be had: an error if that is because the program does not work.
    fn close(&self) -> Result<(), PipelineError> {
        let worked = self.session.study().records().iter().any(Record::is_done);
        match self.probation.message().filter(|_| !worked) {
            Some(why) => Err(PipelineError::Program(why)),
            None => Ok(()),
        }
    }

    fn tell(&mut self, number: usize, outcome: Outcome) -> Result<(), PipelineError> {
        let outcome = self.session.tell(number, outcome)?;
        let what = self.shown.remove(&number).unwrap_or_default();
        let values = values(self.session.study().problem(), &outcome);
        self.watch.event(Event::Done { trial: number, outcome: &outcome, what, values });
        Ok(())
    }
}

/// The measured values of an outcome, as people read them.
fn values(problem: &Problem, outcome: &Outcome) -> String {
    let metrics = match outcome {
        Outcome::Done { metrics } => metrics,
        Outcome::Stopped { predicted, .. } => predicted,
        Outcome::Failed { .. } => return String::new(),
    };
    let quantity = |name: &String| {
        let objective = problem.objectives.iter().find(|o| o.name == *name).map(|o| o.quantity);
        let limit = problem.limits.iter().find(|l| l.name == *name).map(|l| l.quantity);
        objective.or(limit).unwrap_or(Quantity::Plain)
    };
    let each: Vec<String> = metrics.iter().map(|(n, v)| format!("{n} {}", show(quantity(n), *v))).collect();
    each.join(", ")
}

fn try_trial(
    project: &Project,
    evaluator: &dyn Evaluator,
    trial: &Trial,
    control: &Trying<'_>,
) -> (String, Result<Outcome, Failure>) {
    let design = match project.design(&trial.point) {
        Ok(d) => d,
        Err(d) => {
            let reason = d.first().map_or_else(|| "not a network".to_string(), |d| d.message.clone());
            return ("no network".into(), Err(Failure::Reported(reason)));
        }
    };
    let mut what = format!("{} parameters, {} MACs", count(design.cost.params), count(design.cost.macs));
    if let Some(c) = trial.continues {
        what += &format!(", trial {} taken up again after step {}", c.trial, c.step);
    }
    control.watch.event(Event::Start { trial: Some(trial.number), what: what.clone() });
    let result = evaluator.run(trial, &design, control);
    (what, result)
}

/// A trial that runs.
struct Trying<'a> {
    number: usize,
    watch: &'a dyn Watch,
    halt: &'a AtomicBool,
    tell: Mutex<mpsc::Sender<Message>>,
}

impl TrialControl for Trying<'_> {
    fn stop(&self) -> bool {
        self.halt.load(Ordering::SeqCst) || self.watch.stop()
    }

    fn step(&self, sample: Sample) -> Verdict {
        let (reply, verdict) = mpsc::sync_channel(1);
        let message = Message::Step { number: self.number, sample, reply };
        let sent = self.tell.lock().ok().and_then(|t| t.send(message).ok());
        // Without an answer the search has failed, and `stop` says so.
        sent.and_then(|()| verdict.recv().ok()).unwrap_or(Verdict::Promote)
    }

    #[cfg(feature = "train")]
    fn progress(&self, progress: &crate::train::Progress) {
        self.watch.event(Event::Progress { trial: Some(self.number), progress });
    }
}

fn report(session: &Session<'_>, folder: &Path, name: &str) -> Result<Searched, PipelineError> {
    let study = session.study();
    let summary = study.summary();
    if summary.front.is_empty() {
        let reasons: Vec<String> =
            summary.failed.iter().take(3).map(|(n, r)| format!("trial {n}: {r}")).collect();
        let why =
            if reasons.is_empty() { "none keeps the requirements".to_string() } else { reasons.join("; ") };
        let m = format!(
            "the search ended without a usable network ({} of {} trials failed): {why}",
            summary.failed.len(),
            summary.trials
        );
        return Err(PipelineError::NoResult(m));
    }
    let svg = front_svg(study, name);
    crate::project::write_atomic(&folder.join("front.svg"), svg.as_bytes())?;
    let table = study.front_table();
    crate::project::write_atomic(&folder.join("front.txt"), table.as_bytes())?;
    Ok(Searched { summary, table, svg })
}

/// A count in k or M.
pub(crate) fn count(n: u64) -> String {
    match n {
        0..=9_999 => n.to_string(),
        10_000..=999_999 => format!("{:.1}k", n as f64 / 1e3),
        _ => format!("{:.2}M", n as f64 / 1e6),
    }
}
