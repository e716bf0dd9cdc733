//! Trials trained with burn within this process. The state of a trial that is stopped early is kept in the
//! study's folder; should the trial be taken up again, its training goes on from there, which gives the
//! same bits as never having stopped. Where the file is gone, it is trained from the start: the same again.

use super::evaluator::{Evaluator, TrialControl};
use crate::check::spec::Training;
use crate::evaluate::Failure;
use crate::project::{Design, Project};
use crate::search::{Outcome, Sample, Trial, Verdict};
use crate::train::{resume, train, Checkpoint, Control, EpochStats, Progress, TrainData, TrainError};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// Trains trials as the spec's `train` says; their metric is `accuracy`, of the validation images.
pub struct Burn<'a> {
    training: &'a Training,
    data: &'a TrainData,
    data_hash: &'a str,
    threads: usize,
    /// Where stopped trials are kept; `None` where none is ever stopped.
    paused: Option<PathBuf>,
}

impl<'a> Burn<'a> {
    /// For so many trainings at a time: one alone uses all cores, several one each.
    pub fn new(project: &'a Project, data: &'a TrainData, data_hash: &'a str, workers: usize) -> Burn<'a> {
        let search = &project.checked.spec.search;
        let paused = (search.hopeless > 0.0).then(|| project.study_path().join("paused"));
        Burn { training: &search.train, data, data_hash, threads: if workers > 1 { 1 } else { 0 }, paused }
    }

    /// Where the state of a stopped trial is.
    fn file(&self, trial: usize) -> Option<PathBuf> {
        self.paused.as_ref().map(|folder| folder.join(format!("trial-{trial}")))
    }

    /// The state of the trial that this one takes up again, if it is still there.
    fn kept(&self, trial: &Trial) -> Option<Checkpoint> {
        let bytes = std::fs::read(self.file(trial.continues?.trial)?).ok()?;
        Checkpoint::from_bytes(&bytes).ok()
    }

    /// Keeps the state of a trial. Without it a later trial takes longer, no more.
    fn keep(&self, trial: usize, checkpoint: Option<Checkpoint>) {
        let bytes = checkpoint.and_then(|c| c.to_bytes().ok());
        if let (Some(path), Some(bytes)) = (self.file(trial), bytes) {
            let _ = crate::project::write_atomic(&path, &bytes);
        }
    }
}

impl Evaluator for Burn<'_> {
    fn identity(&self) -> BTreeMap<String, String> {
        let training = ("training".to_string(), format!("{:?}", self.training));
        BTreeMap::from([training, ("data".to_string(), self.data_hash.to_string())])
    }

    fn run(&self, trial: &Trial, design: &Design, control: &dyn TrialControl) -> Result<Outcome, Failure> {
        let told = Told {
            control,
            keeps: self.paused.is_some(),
            verdict: Mutex::new(None),
            checkpoint: Mutex::new(None),
        };
        let (network, seed, threads) = (&design.network, trial.seed, self.threads);
        let begin = || train(network, self.data, self.training, seed, threads, &told);
        let trained = match self.kept(trial) {
            None => begin(),
            Some(kept) => match resume(network, self.data, self.training, seed, threads, &told, kept) {
                Err(TrainError::Checkpoint(_)) => begin(),
                trained => trained,
            },
        };
        if !matches!(trained, Err(TrainError::Stopped)) {
            let before = trial.continues.and_then(|c| self.file(c.trial));
            before.map(std::fs::remove_file);
        }
        match trained {
            Ok(t) => match t.validation_accuracy {
                Some(a) => Ok(Outcome::Done { metrics: accuracy(a) }),
                None => Err(Failure::Reported(TrainError::NoImages.to_string())),
            },
            Err(TrainError::Stopped) => Err(Failure::Stopped),
            Err(e @ TrainError::Hopeless { epoch }) => match told.verdict.into_inner() {
                Ok(Some(predicted)) => {
                    self.keep(trial.number, told.checkpoint.into_inner().ok().flatten());
                    Ok(Outcome::Stopped { step: epoch, predicted })
                }
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
    /// Trials may be stopped and taken up again.
    keeps: bool,
    /// The state after the last epoch.
    checkpoint: Mutex<Option<Checkpoint>>,
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

    fn wants_checkpoints(&self) -> bool {
        self.keeps
    }

    fn checkpoint(&self, checkpoint: Checkpoint) {
        if let Ok(mut c) = self.checkpoint.lock() {
            *c = Some(checkpoint);
        }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::search::{Continued, Source};
    use crate::space::SearchSpace;
    use rand::SeedableRng;

    const SPEC: &str = r#"
task {
    input   = image(8, 8, 1)
    classes = ["dark", "light"]
    train   = idx("train")
    validation = 25%
}
space {
    conv_bn(choice(4, 6), 3, act = relu)
    global_avg_pool > linear(classes)
}
device board = "stm32f446"
goal {
    maximize accuracy
    minimize params
}
search mobo { trials = 4, seed = 1, train { epochs = 3, batch = 16 } }
"#;

    /// Stops a training after so many epochs.
    struct Until(usize);

    impl TrialControl for Until {
        fn stop(&self) -> bool {
            false
        }

        fn step(&self, sample: Sample) -> Verdict {
            match sample.step < self.0 {
                true => Verdict::Promote,
                false => Verdict::Stop { predicted: sample.metrics, chance: 0.0 },
            }
        }

        fn progress(&self, _: &Progress) {}
    }

    #[test]
    fn a_trial_taken_up_again_ends_as_if_it_had_never_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let header = |magic: u32, sizes: &[u32]| -> Vec<u8> {
            std::iter::once(magic).chain(sizes.iter().copied()).flat_map(u32::to_be_bytes).collect()
        };
        let (mut images, mut labels) = (header(0x0803, &[120, 8, 8]), header(0x0801, &[120]));
        for i in 0..120u32 {
            labels.push((i % 2) as u8);
            images.extend((0..64).map(|p| (90 + 20 * (i % 2) + (i * 37 + p * 11) % 60) as u8));
        }
        std::fs::write(dir.path().join("train-images-idx3-ubyte"), images).unwrap();
        std::fs::write(dir.path().join("train-labels-idx1-ubyte"), labels).unwrap();
        let spec = dir.path().join("net.hyt");
        std::fs::write(&spec, SPEC).unwrap();
        let project = Project::open(&spec).unwrap();
        let data = TrainData::load(&project.checked.spec.task, project.dir(), 1).unwrap();
        let burn = Burn::new(&project, &data, "", 1);

        let point = project.checked.space.sample(&mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
        let design = project.design(&point).unwrap();
        let trial = |number, continues| {
            let source = Source::Chosen;
            Trial { number, point: point.clone(), seed: 5, hash: String::new(), source, continues }
        };
        let run = |trial: &Trial, until| burn.run(trial, &design, &Until(until)).unwrap();
        let whole = run(&trial(9, None), usize::MAX);
        assert!(matches!(whole, Outcome::Done { .. }));

        let stopped = run(&trial(0, None), 1);
        assert!(matches!(stopped, Outcome::Stopped { step: 1, .. }));
        let kept = |number: usize| burn.file(number).unwrap().exists();
        assert!(kept(0));
        // Stopped once more, the later state takes the place of the earlier one.
        let again = trial(1, Some(Continued { trial: 0, step: 1 }));
        assert!(matches!(run(&again, 2), Outcome::Stopped { step: 2, .. }));
        assert!(!kept(0) && kept(1));
        let last = trial(2, Some(Continued { trial: 1, step: 2 }));
        assert_eq!(run(&last, usize::MAX), whole);
        assert!(!kept(1) && !kept(2));
        // The state is gone, or of another training: from the start.
        assert_eq!(run(&last, usize::MAX), whole);
        std::fs::write(burn.file(1).unwrap(), "torn").unwrap();
        assert_eq!(run(&last, usize::MAX), whole);
    }
}
