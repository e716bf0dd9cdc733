//! The long work: searching, the final training, verification.
//!
//! A search runs its trials by an [`Evaluator`]: burn, or the program that the spec names. Nothing here
//! prints: a [`Watch`] is told what happens and asked whether to stop.

#[cfg(feature = "train")]
mod burn;
mod command;
mod evaluator;
#[cfg(feature = "train")]
mod finish;
#[cfg(feature = "train")]
mod int8;
mod search;
mod seeds;
mod status;
#[cfg(all(feature = "train", feature = "verify"))]
mod verify;

#[cfg(feature = "train")]
pub use burn::Burn;
pub use command::Command;
pub use evaluator::{Evaluator, TrialControl};
#[cfg(feature = "train")]
pub use finish::{finish, pin, Finished};
#[cfg(feature = "train")]
pub use int8::{accuracy, calibrate, measure_int8};
pub use search::{problem, search, Searched};
pub use status::{status, Status};
#[cfg(all(feature = "train", feature = "verify"))]
pub use verify::{verify, Comparison, ComparisonInt8, Images, Verified, VerifiedInt8};

#[cfg(feature = "train")]
use crate::data::DataError;
use crate::diag::Diagnostic;
use crate::project::ProjectError;
use crate::search::{JournalError, Outcome};
#[cfg(feature = "train")]
use crate::train::{Progress, TrainError};

/// What happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something worth a line.
    Note(String),
    /// A search begins or goes on: trials with a result, trials in all.
    Search {
        /// With a result already.
        done: usize,
        /// In all.
        trials: usize,
    },
    /// A trial or a training begins.
    Start {
        /// The trial's number, `None` for the final training.
        trial: Option<usize>,
        /// The network, in a few words.
        what: String,
    },
    /// A training goes on.
    #[cfg(feature = "train")]
    Progress {
        /// As above.
        trial: Option<usize>,
        /// How far.
        progress: &'a Progress,
    },
    /// A trial has ended.
    Done {
        /// Its number.
        trial: usize,
        /// How.
        outcome: &'a Outcome,
        /// The network, in a few words.
        what: String,
        /// What was measured, or predicted of a trial that was stopped.
        values: String,
    },
}

/// Who is told, and may ask to stop.
pub trait Watch: Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
    /// Asked often: end as soon as possible?
    fn stop(&self) -> bool {
        false
    }
}

/// Why the work ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// [`Watch::stop`] asked for it; what was finished is on disk.
    #[error("stopped; the same command continues")]
    Stopped,
    /// The data cannot be used.
    #[cfg(feature = "train")]
    #[error("{error}\n  = help: {}", error.help())]
    Data {
        /// What is wrong with them.
        error: DataError,
    },
    /// The study cannot be used or continued.
    #[error(transparent)]
    Study(#[from] JournalError),
    /// No trial has a result that keeps the requirements.
    #[error("{0}")]
    NoResult(String),
    /// The program that evaluates trials does not work.
    #[error("{0}")]
    Program(String),
    /// The final training failed.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(TrainError),
    /// A file.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A network of the space cannot be made, a defect of the check.
    #[error("{}", .0.first().map_or("an unknown error", |d| d.message.as_str()))]
    Diagnostics(Vec<Diagnostic>),
    /// Something else, in a sentence.
    #[error("{0}")]
    Other(String),
}

#[cfg(feature = "train")]
impl From<DataError> for PipelineError {
    fn from(error: DataError) -> Self {
        PipelineError::Data { error }
    }
}

#[cfg(feature = "train")]
impl From<TrainError> for PipelineError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Stopped => PipelineError::Stopped,
            other => PipelineError::Train(other),
        }
    }
}
