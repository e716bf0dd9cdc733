//! Trials trained with burn within this process.

use super::evaluator::{Evaluator, TrialControl};
use crate::check::spec::Training;
use crate::evaluate::Failure;
use crate::project::{Design, Project};
use crate::search::{Outcome, Sample, Trial, Verdict};
use crate::train::{train, Control, EpochStats, Progress, TrainData, TrainError};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Trains trials as the spec's `train` says; their metric is `accuracy`, of the validation images.
pub struct Burn<'a> {
    training: &'a Training,
    data: &'a TrainData,
    data_hash: &'a str,
    threads: usize,
}

impl<'a> Burn<'a> {
    /// For so many trainings at a time: one alone uses all cores, several one each.
    pub fn new(project: &'a Project, data: &'a TrainData, data_hash: &'a str, workers: usize) -> Burn<'a> {
        let training = &project.checked.spec.search.train;
        Burn { training, data, data_hash, threads: if workers > 1 { 1 } else { 0 } }
    }
}

impl Evaluator for Burn<'_> {
    fn identity(&self) -> BTreeMap<String, String> {
        let training = ("training".to_string(), format!("{:?}", self.training));
        BTreeMap::from([training, ("data".to_string(), self.data_hash.to_string())])
    }

    fn run(&self, trial: &Trial, design: &Design, control: &dyn TrialControl) -> Result<Outcome, Failure> {
        let told = Told { control, verdict: Mutex::new(None) };
        match train(&design.network, self.data, self.training, trial.seed, self.threads, &told) {
            Ok(t) => match t.validation_accuracy {
                Some(a) => Ok(Outcome::Done { metrics: accuracy(a) }),
                None => Err(Failure::Reported(TrainError::NoImages.to_string())),
            },
            Err(TrainError::Stopped) => Err(Failure::Stopped),
            Err(e @ TrainError::Hopeless { epoch }) => match told.verdict.into_inner() {
                Ok(Some(predicted)) => Ok(Outcome::Stopped { step: epoch, predicted }),
                _ => Err(Failure::Reported(e.to_string())),
            },
            Err(e) => Err(Failure::Reported(e.to_string())),
        }
    }
}

fn accuracy(value: f64) -> BTreeMap<String, f64> {
    BTreeMap::from([("accuracy".to_string(), value)])
}

/// Passes a training's progress on, and asks the study about every step.
struct Told<'a> {
    control: &'a dyn TrialControl,
    /// What the study predicted when it ended the training.
    verdict: Mutex<Option<BTreeMap<String, f64>>>,
}

impl Control for Told<'_> {
    fn progress(&self, progress: &Progress) {
        self.control.progress(progress);
    }

    fn stop(&self) -> bool {
        self.control.stop()
    }

    fn promote(&self, epoch: &EpochStats) -> bool {
        let Some(value) = epoch.validation_accuracy else { return true };
        match self.control.step(Sample { step: epoch.epoch, metrics: accuracy(value) }) {
            Verdict::Promote => true,
            Verdict::Stop { predicted, .. } => {
                if let Ok(mut v) = self.verdict.lock() {
                    *v = Some(predicted);
                }
                false
            }
        }
    }
}
