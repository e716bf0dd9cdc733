//! The final training of the chosen network, and the lock.

use super::{Event, PipelineError, Searched, Watch};
use crate::check::spec::Precision;
use crate::project::{write_atomic, Design, Entry, Lock, Project, FORMAT};
use crate::search::FrontPoint;
use crate::train::{evaluate, resume, train, Checkpoint, Control, Progress, TrainData, TrainError, Trained};
use crate::weights::Weights;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A finished compilation.
#[derive(Debug)]
pub struct Finished {
    /// What was pinned.
    pub lock: Lock,
    /// The chosen network.
    pub design: Design,
    /// Its weights.
    pub weights: Weights,
}

/// Trains the chosen network of a search fully, measures it on the test images, and writes weights
/// and lock. Interrupted, it goes on after the last finished epoch.
///
/// # Errors
/// See [`PipelineError`].
pub fn finish(
    project: &Project,
    searched: &Searched,
    data: &TrainData,
    data_hash: &str,
    watch: &dyn Watch,
) -> Result<Finished, PipelineError> {
    let spec = &project.checked.spec;
    let chosen = searched
        .summary
        .front
        .iter()
        .find(|f| f.chosen)
        .or(searched.summary.front.first())
        .ok_or_else(|| PipelineError::NoResult("the front is empty".into()))?;
    let design = project.design(&chosen.point).map_err(PipelineError::Diagnostics)?;
    let what = format!(
        "{} parameters, {} MACs",
        super::search::count(design.cost.params),
        super::search::count(design.cost.macs)
    );
    watch.event(Event::Start { trial: None, what });
    let trained = train_final(project, &design, data, watch)?;
    // Without test images the validation images are all there is to say.
    let validation = trained.validation_accuracy;
    let accuracy = match &spec.task.test {
        Some(_) => {
            let test = crate::data::load_test(&spec.task, project.dir())?;
            evaluate(&design.network, &trained.weights, &test, &data.pipeline, 0)?.accuracy
        }
        None => validation.unwrap_or(f64::NAN),
    };
    let space = &project.checked.space;
    let mut front = Vec::new();
    for point in &searched.summary.front {
        let d = project.design(&point.point).map_err(PipelineError::Diagnostics)?;
        let accuracy = point.values.get("accuracy").copied();
        let mut metrics = project.metrics(&d, accuracy.unwrap_or(f64::NAN));
        metrics.validation_accuracy = accuracy;
        metrics.returned = returned(project, point);
        front.push(Entry { decisions: space.describe(&point.point), metrics });
    }
    let mut trained = trained;
    super::int8::prepare(project, &design, data, &mut trained.weights, validation, watch)?;
    let mut metrics = project.metrics(&design, accuracy);
    metrics.validation_accuracy = validation;
    metrics.returned = returned(project, chosen);
    if project.wants(Precision::Int8) {
        metrics.set_int8(super::measure_int8(project, &design, &trained.weights, Some(data))?);
    }
    let mut lock = Lock {
        format: FORMAT,
        hytc: env!("CARGO_PKG_VERSION").to_string(),
        spec: project.parts(),
        devices: project.profile_hashes().clone(),
        data: Some(data_hash.to_string()),
        network: design.network.hash(),
        weights: String::new(),
        chosen: Entry { decisions: space.describe(&chosen.point), metrics },
        front,
    };
    pin(project, &mut lock, &trained.weights)?;
    let _ = std::fs::remove_file(checkpoint_path(project));
    Ok(Finished { lock, design, weights: trained.weights })
}

/// Writes weights, and a lock that pins them.
///
/// # Errors
/// If a file cannot be written.
pub fn pin(project: &Project, lock: &mut Lock, weights: &Weights) -> Result<(), PipelineError> {
    let bytes = weights.to_safetensors().map_err(|e| PipelineError::Other(e.to_string()))?;
    lock.weights = crate::hash::sha256(&bytes);
    // An older lock goes first and the new one comes last: at no moment does a lock pin weights that are
    // not there. Interrupted in between, the next run finds the study and the checkpoint.
    if let Err(e) = std::fs::remove_file(project.lock_path()) {
        if e.kind() != std::io::ErrorKind::NotFound {
            return Err(crate::project::io(&project.lock_path(), "written", e).into());
        }
    }
    write_atomic(&project.weights_path(), &bytes)?;
    let text = lock.print().map_err(|e| PipelineError::Other(e.to_string()))?;
    write_atomic(&project.lock_path(), text.as_bytes())?;
    Ok(())
}

/// What the spec's program returned of a point.
fn returned(project: &Project, point: &FrontPoint) -> BTreeMap<String, f64> {
    let names = project.device_names();
    let metrics = project.checked.spec.evaluate.iter().flat_map(|e| &e.metrics);
    metrics
        .filter_map(|r| {
            let name = r.measure.name(&names);
            point.values.get(&name).map(|v| (name, *v))
        })
        .collect()
}

fn checkpoint_path(project: &Project) -> PathBuf {
    project.study_path().join("final.checkpoint")
}

fn train_final(
    project: &Project,
    design: &Design,
    data: &TrainData,
    watch: &dyn Watch,
) -> Result<Trained, PipelineError> {
    let spec = &project.checked.spec;
    let seed = spec.search.seed ^ crate::hash::fnv1a(b"final");
    let path = checkpoint_path(project);
    let control = Saving { watch, path: &path, failure: Mutex::new(None) };
    let afresh = |why: &dyn std::fmt::Display| {
        let m = format!("`{}` is of no use, the final training begins again: {why}", path.display());
        watch.event(Event::Note(m));
        train(&design.network, data, &spec.finish, seed, 0, &control)
    };
    let trained = match std::fs::read(&path) {
        Ok(bytes) => match Checkpoint::from_bytes(&bytes) {
            Ok(checkpoint) => {
                let epochs = checkpoint.epochs();
                watch.event(Event::Note(format!("going on with the final training after epoch {epochs}")));
                match resume(&design.network, data, &spec.finish, seed, 0, &control, checkpoint) {
                    // Of another network, configuration or data set.
                    Err(e @ TrainError::Checkpoint(_)) => afresh(&e),
                    other => other,
                }
            }
            Err(e) => afresh(&e),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            train(&design.network, data, &spec.finish, seed, 0, &control)
        }
        Err(e) => afresh(&e),
    };
    if let Ok(Some(failure)) = control.failure.into_inner() {
        watch.event(Event::Note(format!("the final training could not be saved on the way: {failure}")));
    }
    Ok(trained?)
}

/// Saves the training after every epoch.
struct Saving<'a> {
    watch: &'a dyn Watch,
    path: &'a Path,
    failure: Mutex<Option<String>>,
}

impl Control for Saving<'_> {
    fn progress(&self, progress: &Progress) {
        self.watch.event(Event::Progress { trial: None, progress });
    }

    fn stop(&self) -> bool {
        self.watch.stop()
    }

    fn wants_checkpoints(&self) -> bool {
        true
    }

    fn checkpoint(&self, checkpoint: Checkpoint) {
        let written = checkpoint
            .to_bytes()
            .map_err(|e| e.to_string())
            .and_then(|bytes| write_atomic(self.path, &bytes).map_err(|e| e.to_string()));
        if let (Err(e), Ok(mut failure)) = (written, self.failure.lock()) {
            *failure = Some(e);
        }
    }
}
