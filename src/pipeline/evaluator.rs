//! What runs the trials of a search: burn within this process, or a program outside.

use crate::evaluate::Failure;
use crate::project::Design;
use crate::search::{Outcome, Sample, Trial, Verdict};
use std::collections::BTreeMap;

/// Something that runs trials, several at a time. What comes of a trial must depend on the trial alone.
pub trait Evaluator: Sync {
    /// What results depend on besides the spec's task, space and goal: names and values, for people to
    /// read where a study was begun with others.
    fn identity(&self) -> BTreeMap<String, String>;

    /// Runs a trial. Metrics are in base units, by the names of the problem's objectives and limits.
    ///
    /// # Errors
    /// See [`Failure`].
    fn run(&self, trial: &Trial, design: &Design, control: &dyn TrialControl) -> Result<Outcome, Failure>;
}

/// The search, as a running trial sees it.
pub trait TrialControl: Sync {
    /// Asked often: the search is to end.
    fn stop(&self) -> bool;

    /// A step of the trial's training is done, not the last one. If it is not worth going on, the trial
    /// ends at once with [`Outcome::Stopped`].
    fn step(&self, sample: Sample) -> Verdict;

    /// The training goes on.
    #[cfg(feature = "train")]
    fn progress(&self, progress: &crate::train::Progress);
}
