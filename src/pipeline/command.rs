//! Trials run by the program that the spec names.

use super::evaluator::{Evaluator, TrialControl};
use super::PipelineError;
use crate::check::spec::{Evaluate, Metric, Returned};
use crate::evaluate::{Caller, Failure, Metrics, Pool, Program, Request};
use crate::project::{Design, Project};
use crate::search::{Outcome, Sample, Trial, Verdict};
use crate::weights::Weights;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// The spec's program, one process for each trial that runs at a time.
pub struct Command<'a> {
    project: &'a Project,
    says: &'a Evaluate,
    devices: Vec<String>,
    fidelity: Map<String, Value>,
    pool: Pool,
}

impl<'a> Command<'a> {
    /// The program of a spec; `None` if it names none. Nothing is started yet.
    ///
    /// # Errors
    /// If the study's folder cannot be made.
    pub fn new(project: &'a Project) -> Result<Option<Command<'a>>, PipelineError> {
        let Some(says) = &project.checked.spec.evaluate else { return Ok(None) };
        let train = &project.checked.spec.search.train;
        let program = Program {
            argv: says.command.clone(),
            dir: project.dir().to_path_buf(),
            timeout: says.timeout.map(Duration::from_secs_f64),
            metrics: says.metrics.iter().map(|m| m.key.clone()).collect(),
            log: Some(project.study_path().join("program.log")),
        };
        let fidelity = [("epochs", train.epochs.into()), ("subset", train.subset.into())];
        Ok(Some(Command {
            project,
            says,
            devices: project.device_names(),
            fidelity: fidelity.into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
            pool: Pool::new(program),
        }))
    }

    /// Closes the processes.
    pub fn close(self) {
        self.pool.close();
    }

    /// Writes the network with random weights, for the program to measure.
    fn onnx(&self, trial: &Trial, design: &Design) -> Result<PathBuf, String> {
        let first = |d: Vec<crate::diag::Diagnostic>| d.first().map_or(String::new(), |d| d.message.clone());
        let weights = Weights::init(&design.network, trial.seed);
        let bound = self.project.bind(design, &weights).map_err(first)?;
        let bytes = self.project.onnx(design, &bound, None).map_err(first)?;
        let folder = self.project.study_path().join("onnx");
        let folder = std::path::absolute(&folder).map_err(|e| format!("`{}`: {e}", folder.display()))?;
        let path = folder.join(format!("trial-{}.onnx", trial.number));
        crate::project::write_atomic(&path, &bytes).map_err(|e| e.to_string())?;
        Ok(path)
    }

    fn ask(
        &self,
        trial: &Trial,
        onnx: Option<&Path>,
        control: &dyn TrialControl,
    ) -> Result<Outcome, Failure> {
        let decisions = self.project.checked.space.describe(&trial.point);
        let request = Request {
            trial: trial.number,
            seed: trial.seed,
            fidelity: &self.fidelity,
            decisions: &decisions,
            onnx,
            continues: trial.continues,
        };
        let steps = Steps { command: self, control, stopped: Mutex::new(None) };
        let answer = self.pool.run(&request, &steps);
        // Ended early, it need not have anything more to say.
        if let (Ok(_) | Err(Failure::Reported(_)), Ok(Some(stopped))) = (&answer, steps.stopped.into_inner())
        {
            return Ok(stopped);
        }
        Ok(Outcome::Done { metrics: self.based(&answer?)? })
    }

    /// What the program returned, in base units and by hytc's names.
    fn based(&self, metrics: &Metrics) -> Result<BTreeMap<String, f64>, Failure> {
        let mut out = BTreeMap::new();
        for r in &self.says.metrics {
            let Some(value) = metrics.get(&r.key) else { continue };
            implausible(r, *value).map_or(Ok(()), Err)?;
            out.insert(r.measure.name(&self.devices), value * r.scale);
        }
        Ok(out)
    }
}

/// A value that cannot be one of its metric, which mostly means that the unit is another.
fn implausible(r: &Returned, value: f64) -> Option<Failure> {
    let kind = match &r.measure.metric {
        Metric::Other(_) => return None,
        Metric::Accuracy if value * r.scale > 1.0 => format!("its `{}` is more than 100 %", r.key),
        _ if value < 0.0 => format!("its `{}` is negative", r.key),
        _ => return None,
    };
    let help = match r.measure.metric {
        Metric::Accuracy if r.scale == 1.0 => "; if it is in percent, write `accuracy in %` in `metrics`",
        _ => "",
    };
    Some(Failure::Broken { reason: format!("{kind}: {value}{help}"), kind })
}

impl Evaluator for Command<'_> {
    fn identity(&self) -> BTreeMap<String, String> {
        let metrics: Vec<String> =
            self.says.metrics.iter().map(|r| format!("{} times {}", r.key, r.scale)).collect();
        let values = [
            ("command", format!("{:?}", self.says.command)),
            ("metrics", metrics.join(", ")),
            ("onnx", self.says.onnx.to_string()),
            ("fidelity", Value::from(self.fidelity.clone()).to_string()),
        ];
        values.into_iter().map(|(k, v)| (format!("evaluate.{k}"), v)).collect()
    }

    fn run(&self, trial: &Trial, design: &Design, control: &dyn TrialControl) -> Result<Outcome, Failure> {
        if !self.says.onnx {
            return self.ask(trial, None, control);
        }
        // A network that cannot be written is the trial's failure, a full disk that of all.
        let path = self.onnx(trial, design).map_err(Failure::Reported)?;
        let result = self.ask(trial, Some(&path), control);
        if result.is_ok() {
            let _ = std::fs::remove_file(&path);
        }
        result
    }
}

/// Passes what the program reports on to the study.
struct Steps<'a> {
    command: &'a Command<'a>,
    control: &'a dyn TrialControl,
    /// What the study made of a trial that it ended.
    stopped: Mutex<Option<Outcome>>,
}

impl Caller for Steps<'_> {
    fn stop(&self) -> bool {
        self.control.stop()
    }

    fn step(&self, step: usize, metrics: Metrics) -> bool {
        // An implausible value will fail the trial in the end.
        let Ok(metrics) = self.command.based(&metrics) else { return true };
        let Verdict::Stop { predicted, .. } = self.control.step(Sample { step, metrics }) else {
            return true;
        };
        if let Ok(mut s) = self.stopped.lock() {
            *s = Some(Outcome::Stopped { step, predicted });
        }
        false
    }
}
