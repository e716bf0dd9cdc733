//! The long work: searching with trainings, the final training, verification.
//!
//! Nothing here prints: a [`Watch`] is told what happens and asked whether to stop.

mod finish;
mod search;
#[cfg(feature = "verify")]
mod verify;

pub use finish::{finish, Finished};
pub use search::{search, Searched};
#[cfg(feature = "verify")]
pub use verify::{verify, Comparison, Verified};

use crate::data::DataError;
use crate::diag::Diagnostic;
use crate::project::ProjectError;
use crate::search::{JournalError, Outcome};
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
    /// A training begins.
    Start {
        /// The trial's number, `None` for the final training.
        trial: Option<usize>,
        /// What is trained, in a few words.
        what: String,
    },
    /// A training goes on.
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
        /// What was trained.
        what: String,
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
    /// The final training failed.
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

impl From<DataError> for PipelineError {
    fn from(error: DataError) -> Self {
        PipelineError::Data { error }
    }
}

impl From<TrainError> for PipelineError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Stopped => PipelineError::Stopped,
            other => PipelineError::Train(other),
        }
    }
}
