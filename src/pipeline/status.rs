//! Where a study stands, and what its models are worth.

use super::search::{identity, problem};
use super::{seeds, PipelineError, Watch};
use crate::project::Project;
use crate::search::{journal, Known, ModelCheck, Settings, Share, Study, StudySummary};
use crate::space::{Point, SearchSpace};
use serde::Serialize;

/// The state of a study.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The search algorithm.
    pub algorithm: String,
    /// Trials in all, by the spec.
    pub budget: usize,
    /// Trials, front, reference point, hypervolume and its history.
    #[serde(flatten)]
    pub summary: StudySummary,
    /// The budget by the source of trials.
    pub shares: Vec<Share>,
    /// Leave-one-out checks of the models; empty with fewer than five results.
    pub models: Vec<ModelCheck>,
    /// The front as a table.
    #[serde(skip)]
    pub table: String,
}

/// The state of the study of a spec, which may be running: its journal is read without a lock.
///
/// # Errors
/// [`PipelineError::Study`] where there is no journal or it is of another study.
pub fn status(project: &Project, watch: &dyn Watch) -> Result<Status, PipelineError> {
    let problem = problem(project);
    let spec = &project.checked.spec.search;
    let seed_points = seeds::points(project, &problem, watch)?;
    let settings = Settings::from_spec(spec, project.checked.space.decisions(), seed_points);
    let known_of = |p: &Point| project.known_point(p);
    let known_of: &Known<'_> = &known_of;
    let mut study = Study::new(&project.checked.space, known_of, problem, settings).with_features(project);
    journal::view(&project.study_path().join("journal.jsonl"), &mut study, &identity(project))?;
    Ok(Status {
        algorithm: spec.algorithm.name().to_owned(),
        budget: spec.trials,
        summary: study.summary(),
        shares: study.shares(),
        models: study.check_models(),
        table: study.front_table(),
    })
}
