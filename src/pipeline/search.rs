//! Runs a study: asks for trials, trains them on several threads, tells the results.

use super::{Event, PipelineError, Watch};
use crate::project::Project;
use crate::search::{
    front_svg, JournalError, Known, Outcome, Sample, Session, Settings, Study, StudySummary, Trial, Verdict,
};
use crate::space::Point;
use crate::train::{train, Control, EpochStats, Progress, TrainData, TrainError};
use std::collections::BTreeMap;
use std::path::Path;
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

/// Searches, or goes on with an interrupted search. `workers` trainings run at a time; the result
/// does not depend on it, as long as it is at most the spec's `workers`.
///
/// # Errors
/// See [`PipelineError`]. What was finished stays in the journal in every case.
pub fn search(
    project: &Project,
    data: &TrainData,
    data_hash: &str,
    workers: usize,
    watch: &dyn Watch,
) -> Result<Searched, PipelineError> {
    let spec = &project.checked.spec;
    let settings = Settings::from_spec(&spec.search);
    let trials = settings.trials;
    let workers = workers.clamp(1, settings.window.max(1));
    let known_of = |p: &Point| project.known_point(p);
    let known_of: &Known<'_> = &known_of;
    let features_of = |p: &Point| project.features(p);
    let study =
        Study::new(&project.checked.space, known_of, project.problem(), settings).with_features(&features_of);
    let folder = project.study_path();
    std::fs::create_dir_all(&folder)
        .map_err(|e| PipelineError::Other(format!("`{}` cannot be made: {e}", folder.display())))?;
    let mut identity = project.parts();
    // What the study records itself, or what may change without making its results others.
    for part in ["search", "final", "devices"] {
        identity.remove(part);
    }
    identity.insert("training".into(), format!("{:?}", spec.search.train));
    identity.insert("data".into(), data_hash.to_string());
    for (name, hash) in project.profile_hashes() {
        identity.insert(format!("profile of {name}"), hash.clone());
    }
    let (mut session, warning) = Session::open(&folder.join("journal.jsonl"), study, &identity)?;
    if let Some(w) = warning {
        watch.event(Event::Note(w));
    }
    let done = session.study().records().iter().filter(|r| r.outcome.is_some()).count();
    watch.event(Event::Search { done, trials });
    run(project, data, &mut session, workers, watch)?;
    report(&session, &folder, project.name())
}

/// What the thread of a trial says.
enum Message {
    /// A step of its training is done: is the next one worth it?
    Step { number: usize, sample: Sample, reply: mpsc::SyncSender<Verdict> },
    /// It has ended.
    Ended { number: usize, what: String, result: Result<Outcome, TrainError> },
}

fn run(
    project: &Project,
    data: &TrainData,
    session: &mut Session<'_>,
    workers: usize,
    watch: &dyn Watch,
) -> Result<(), PipelineError> {
    let (tell, results) = mpsc::channel::<Message>();
    std::thread::scope(|scope| {
        let mut running = 0;
        let mut stopped = false;
        loop {
            while running < workers && !stopped && !watch.stop() {
                let asked = match session.ask(1) {
                    Ok(asked) => asked,
                    Err(JournalError::Study(e)) => return Err(PipelineError::NoResult(e.to_string())),
                    Err(e) => return Err(e.into()),
                };
                let Some(trial) = asked.into_iter().next() else { break };
                running += 1;
                let tell = tell.clone();
                scope.spawn(move || {
                    let number = trial.number;
                    let threads = if workers > 1 { 1 } else { 0 };
                    let told =
                        Told { trial: Some(number), watch, steps: Some(tell.clone()), verdict: None.into() };
                    let (what, result) = train_trial(project, data, trial, threads, &told);
                    // The receiver is gone only if the search has failed already.
                    let _ = tell.send(Message::Ended { number, what, result });
                });
            }
            if running == 0 {
                return if stopped || watch.stop() { Err(PipelineError::Stopped) } else { Ok(()) };
            }
            let (number, what, result) = match results.recv() {
                Err(_) => return Ok(()),
                Ok(Message::Step { number, sample, reply }) => {
                    // A trial that does not wait for the answer has ended otherwise.
                    let _ = reply.send(session.report(number, sample)?);
                    continue;
                }
                Ok(Message::Ended { number, what, result }) => (number, what, result),
            };
            running -= 1;
            let outcome = match result {
                Ok(outcome) => outcome,
                Err(TrainError::Stopped) => {
                    stopped = true;
                    continue;
                }
                Err(e) => Outcome::Failed { reason: e.to_string() },
            };
            let outcome = session.tell(number, outcome)?;
            watch.event(Event::Done { trial: number, outcome: &outcome, what });
        }
    })
}

fn train_trial(
    project: &Project,
    data: &TrainData,
    trial: Trial,
    threads: usize,
    control: &Told<'_>,
) -> (String, Result<Outcome, TrainError>) {
    let design = match project.design(&trial.point) {
        Ok(d) => d,
        Err(d) => {
            let reason = d.first().map_or_else(|| "not a network".to_string(), |d| d.message.clone());
            return ("no network".into(), Ok(Outcome::Failed { reason }));
        }
    };
    let what = format!("{} parameters, {} MACs", count(design.cost.params), count(design.cost.macs));
    control.watch.event(Event::Start { trial: Some(trial.number), what: what.clone() });
    let result =
        train(&design.network, data, &project.checked.spec.search.train, trial.seed, threads, control);
    let outcome = match result {
        Ok(t) => match t.validation_accuracy {
            Some(a) => Ok(Outcome::Done { metrics: accuracy(a) }),
            None => Err(TrainError::NoImages),
        },
        Err(TrainError::Hopeless { epoch }) => match control.verdict.lock().ok().and_then(|mut v| v.take()) {
            Some(Verdict::Stop { predicted, .. }) => Ok(Outcome::Stopped { step: epoch, predicted }),
            _ => Err(TrainError::Hopeless { epoch }),
        },
        Err(e) => Err(e),
    };
    (what, outcome)
}

fn accuracy(value: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([("accuracy".to_string(), value)])
}

/// Passes a training's progress on, and asks the study about every step.
pub(super) struct Told<'a> {
    pub(super) trial: Option<usize>,
    pub(super) watch: &'a dyn Watch,
    /// To the study.
    steps: Option<mpsc::Sender<Message>>,
    /// Why the training was ended.
    verdict: Mutex<Option<Verdict>>,
}

impl<'a> Told<'a> {
    /// For a training that is no trial.
    pub(super) fn alone(watch: &'a dyn Watch) -> Told<'a> {
        Told { trial: None, watch, steps: None, verdict: Mutex::new(None) }
    }
}

impl Control for Told<'_> {
    fn progress(&self, progress: &Progress) {
        self.watch.event(Event::Progress { trial: self.trial, progress });
    }

    fn stop(&self) -> bool {
        self.watch.stop()
    }

    fn promote(&self, epoch: &EpochStats) -> bool {
        let (Some(number), Some(steps), Some(value)) = (self.trial, &self.steps, epoch.validation_accuracy)
        else {
            return true;
        };
        let (reply, verdict) = mpsc::sync_channel(1);
        let sample = Sample { step: epoch.epoch, metrics: accuracy(value) };
        let sent = steps.send(Message::Step { number, sample, reply });
        match sent.ok().and_then(|()| verdict.recv().ok()) {
            Some(stop @ Verdict::Stop { .. }) => {
                if let Ok(mut v) = self.verdict.lock() {
                    *v = Some(stop);
                }
                false
            }
            // No answer: the search has failed, and `stop` will say so.
            _ => true,
        }
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
