//! HyT-NAS's own measurements over the space of `specs/hytnas.hyt`, in a Python program that speaks
//! the evaluators' protocol. What the graph gives for free (parameters, MACs, widths by stage, the
//! predicted latency) is known to the model as features, as in any search over that spec; the two
//! objectives are not.

use super::{problem, target, Bench, BenchError, Metrics, Sources};
use crate::project::Project;
use crate::space::{DecisionInfo, Point, SearchSpace};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const SPEC: &str = include_str!("../../specs/hytnas.hyt");
const PROGRAM: &str = include_str!("../../scripts/hytnas23_evaluator.py");

struct Space(Arc<Project>);

impl SearchSpace for Space {
    fn decisions(&self) -> &[DecisionInfo] {
        self.0.checked.space.decisions()
    }

    fn sample(&self, rng: &mut dyn rand::Rng) -> Point {
        self.0.checked.space.sample(rng)
    }

    fn repair(&self, wish: &[Option<u32>], rng: &mut dyn rand::Rng) -> Option<Point> {
        self.0.checked.space.repair(wish, rng)
    }
}

pub(super) fn open(name: &'static str, sources: &Sources) -> Result<Bench, BenchError> {
    for file in ["tools/mobo/hytnas23.py", "tables/hytnas_vww_accuracy.csv", "tables/hytnas_rpi_latency.csv"]
    {
        let path = sources.shared.join(file);
        std::fs::metadata(&path).map_err(|e| BenchError::Data { path: path.clone(), why: e.to_string() })?;
    }
    let project = Project::from_text(Path::new("specs/hytnas.hyt"), SPEC.to_owned())
        .map_err(|e| BenchError::Evaluation(e.to_string()))?;
    let project = Arc::new(project);
    let mut program = Program::start(sources)?;
    let (space, known) = (project.clone(), project.clone());
    Ok(Bench {
        name,
        space: Box::new(Space(space)),
        known: Box::new(move |p: &Point| known.known_point(p)),
        features: Some(project.clone()),
        problem: problem(vec![target("accuracy", true), target("latency", false)], Vec::new()),
        reference: vec![75.0, 3500.0],
        trials: 120,
        evaluate: Box::new(move |trial| {
            let decisions = project.checked.space.describe(&trial.point);
            let request = serde_json::json!({
                "trial": trial.number, "seed": trial.seed, "fidelity": {}, "decisions": decisions, "onnx": null,
            });
            program.evaluate(&request.to_string())
        }),
    })
}

struct Program {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

#[derive(Deserialize)]
struct Answer {
    metrics: Option<Metrics>,
    error: Option<String>,
}

impl Program {
    fn start(sources: &Sources) -> Result<Program, BenchError> {
        let failed = |why: String| {
            BenchError::Evaluation(format!(
                "`{}` cannot be run: {why}; `--python` names a Python with numpy, pandas and scikit-learn",
                sources.python
            ))
        };
        let mut child = Command::new(&sources.python)
            .args(["-c", PROGRAM])
            .arg(&sources.shared)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(e.to_string()))?;
        let out = child.stdout.take().ok_or_else(|| failed("it has no standard output".into()))?;
        Ok(Program { child, answers: BufReader::new(out) })
    }

    fn evaluate(&mut self, request: &str) -> Result<Metrics, BenchError> {
        let failed = |why: String| BenchError::Evaluation(format!("the program of `hytnas` {why}"));
        if let Some(input) = &mut self.child.stdin {
            writeln!(input, "{request}").map_err(|e| failed(format!("takes no input: {e}")))?;
        }
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|e| failed(format!("gives no answer: {e}")))?;
        let answer: Answer =
            serde_json::from_str(&line).map_err(|e| failed(format!("answered `{}`: {e}", line.trim())))?;
        answer.metrics.ok_or_else(|| failed(answer.error.unwrap_or_else(|| "returned no metrics".into())))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
