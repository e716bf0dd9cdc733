//! Training with burn on its CPU backend flex.
//!
//! ```text
//! TrainData::load(task, base, seed)                   images, split into training and validation
//! train(network, data, config, seed, threads, control) -> Trained { weights, history, .. }
//! resume(.., checkpoint)                               the same, continued after a finished epoch
//! evaluate(network, weights, dataset, pipeline, threads) -> Evaluation { logits, accuracy, .. }
//! fine_tune(bound, quantised, data, config, ..)        weights that suffer less from int8
//! forward(network, weights, inputs, batch)             inference on given inputs, for comparison
//! ```
//!
//! Weights come from [`Weights::init`] and go back into [`Weights`]; nothing uses burn's random
//! numbers. The same network, data, configuration and seed give bit-identical weights on one
//! machine, whatever the number of threads and whatever else runs beside it.
//!
//! `threads` is how many threads one call may use; 0 means one per core. With several trainings at
//! a time, one thread each is best; a training alone gains from two or more.

mod checkpoint;
mod kernels;
mod net;
mod ops;
mod run;
mod schedule;
mod tape;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use run::{evaluate, fine_tune, forward, resume, train};
pub use schedule::learning_rate;

use crate::check::spec::Task;
use crate::data::{self, DataError, Dataset, Pipeline};
use crate::weights::{Weights, WeightsError};
use std::path::Path;
use std::sync::Arc;

/// Images to train on and to validate with.
#[derive(Debug, Clone)]
pub struct TrainData {
    /// All of them.
    pub images: Arc<Dataset>,
    /// Which ones are trained on.
    pub train: Vec<u32>,
    /// Which ones are held out.
    pub validation: Vec<u32>,
    /// What is done to them.
    pub pipeline: Pipeline,
    /// Number of classes.
    pub classes: usize,
}

impl TrainData {
    /// Reads the task's training images and holds out the part that it says, by the seed.
    ///
    /// # Errors
    /// As [`data::load_train`] and [`data::hold_out`].
    pub fn load(task: &Task, base: &Path, seed: u64) -> Result<TrainData, DataError> {
        Self::new(task, Arc::new(data::load_train(task, base)?), seed)
    }

    /// Splits images that have been read already.
    ///
    /// # Errors
    /// As [`data::hold_out`].
    pub fn new(task: &Task, images: Arc<Dataset>, seed: u64) -> Result<TrainData, DataError> {
        let (train, validation) = data::hold_out(&images.labels, &task.classes, task.validation, seed)?;
        Ok(TrainData {
            images,
            train,
            validation,
            pipeline: Pipeline::new(task),
            classes: task.classes.len(),
        })
    }
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Steps of this epoch that are done.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Mean training loss of this epoch so far.
    pub loss: f64,
    /// Validation accuracy: after the last step, this epoch's; before, the best so far.
    pub validation_accuracy: Option<f64>,
    /// Training images per second in this epoch so far.
    pub images_per_second: f64,
}

/// What a training tells, and asks, while it runs. All methods have defaults that do nothing.
pub trait Control: Sync {
    /// Called after every step, and once more after an epoch's validation.
    fn progress(&self, _: &Progress) {}

    /// Asked after every step; if so, the training ends with [`TrainError::Stopped`].
    fn stop(&self) -> bool {
        false
    }

    /// Asked after every epoch but the last, with its figures: is the next one worth it? If not, the
    /// training ends with [`TrainError::Hopeless`].
    fn promote(&self, _: &EpochStats) -> bool {
        true
    }

    /// Whether [`Control::checkpoint`] is to be called.
    fn wants_checkpoints(&self) -> bool {
        false
    }

    /// Called after every epoch but the last, one that is not promoted included, with all that is needed to
    /// [`resume`] from there.
    fn checkpoint(&self, _: Checkpoint) {}
}

/// Neither looks nor stops.
impl Control for () {}

/// One epoch's figures.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EpochStats {
    /// From 1.
    pub epoch: usize,
    /// Mean loss of its steps.
    pub train_loss: f64,
    /// Mean cross entropy on the validation images, without label smoothing.
    pub validation_loss: Option<f64>,
    /// Fraction of the validation images classified rightly.
    pub validation_accuracy: Option<f64>,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// How long it took, with validation. The only figure that is not reproducible.
    pub seconds: f64,
}

/// A trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Those of the best epoch.
    pub weights: Weights,
    /// The epoch (from 1) of the highest validation accuracy (ties: of the lowest validation loss);
    /// the last one if no images are held out.
    pub best_epoch: usize,
    /// Every epoch.
    pub history: Vec<EpochStats>,
    /// Of the best epoch; `None` if no images are held out.
    pub validation_accuracy: Option<f64>,
}

/// Why there is no trained network.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The loss or the network's results became infinite or not a number.
    #[error("training diverged in epoch {epoch}, step {step}: {why}")]
    Diverged {
        /// From 1.
        epoch: usize,
        /// From 1.
        step: usize,
        /// What was seen.
        why: String,
    },
    /// [`Control::promote`] found the next epoch not worth it.
    #[error("training was ended after epoch {epoch}: its result would not matter")]
    Hopeless {
        /// Epochs done.
        epoch: usize,
    },
    /// [`Control::stop`] asked for it.
    #[error("training was stopped")]
    Stopped,
    /// There are no images to train on or to evaluate.
    #[error("there are no images")]
    NoImages,
    /// The network does not fit the data.
    #[error("the network does not fit the data: {0}")]
    Misfit(String),
    /// The weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The threads could not be started.
    #[error("cannot start threads: {0}")]
    Threads(String),
}

/// A network's results on a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// `[image][class]`
    pub logits: Vec<f32>,
    /// Classes.
    pub classes: usize,
    /// Fraction of the images whose label has the largest logit (the first, if several).
    pub accuracy: f64,
    /// Mean cross entropy.
    pub loss: f64,
}

#[cfg(test)]
mod tests;
