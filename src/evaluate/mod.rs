//! Trials run by a program of the user's own: PyTorch on a GPU, a board farm, a simulator.
//!
//! # Protocol
//!
//! hytc starts the program once per worker and keeps it running. For every trial it writes one line of
//! JSON to the program's standard input, and waits for one line of JSON on its standard output:
//!
//! ```text
//! {"trial":12,"seed":5123,"fidelity":{"epochs":3},"decisions":{"space.w1":16,"space.tail":true},"onnx":null}
//! {"trial":12,"metrics":{"accuracy":83.1,"latency":1500.0}}
//! ```
//!
//! or `{"trial":12,"error":"why not"}`. Before that it may report how the trial stands after a step of
//! its training (counted from 1), and is told whether the next one is worth it:
//!
//! ```text
//! {"trial":12,"step":1,"metrics":{"accuracy":61.0}}
//! {"trial":12,"continue":false}
//! ```
//!
//! A trial that is not continued is answered all the same, as soon as possible. Other fields of an answer are ignored. Standard error is the
//! program's own: its last lines become part of what is said of a trial that fails. When the search ends,
//! standard input is closed, and the program should end.
//!
//! A program that crashes, ends, is silent for too long, or answers with anything else fails the trial
//! at hand; it is killed with all processes of its group and started again for the next trial. A program
//! may end (status 0) between two trials; it is started again, too.
//!
//! [`Worker`] is one such process, [`Pool`] several; [`Probation`] tells a program that does not work at
//! all from a trial that failed.
//!
//! Invariant: no answer, however wrong, makes hytc panic, block beyond the timeout, or keep more than a
//! bounded number of bytes of it.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod answer;
mod pool;
mod probation;
mod process;
mod worker;

#[cfg(all(test, unix))]
mod tests;

pub use pool::Pool;
pub use probation::{Probation, Verdict, PATIENCE};
pub use worker::Worker;

use crate::search::Continued;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the program is started, and what is expected of its answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Program {
    /// The program and its arguments. A program with a `/` in it is relative to `dir`, one without is
    /// looked for in `PATH`.
    pub argv: Vec<String>,
    /// Its working directory; empty for that of this process.
    pub dir: PathBuf,
    /// How long a trial may take, the start of the program included; `None` for ever.
    pub timeout: Option<Duration>,
    /// What every answer must have, as finite numbers. Other metrics are passed on if they are finite.
    pub metrics: Vec<String>,
    /// What the program writes to standard error is appended to this file.
    pub log: Option<PathBuf>,
}

/// What the program is told of a trial: one line of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Request<'a> {
    /// The trial's number.
    pub trial: usize,
    /// For everything random in the trial; less than 2^53.
    pub seed: u64,
    /// How thoroughly to measure: `{"epochs":3}`.
    pub fidelity: &'a serde_json::Map<String, serde_json::Value>,
    /// The values of the decisions that exist at this point, by path: numbers, truth values, texts.
    pub decisions: &'a serde_json::Map<String, serde_json::Value>,
    /// The network with random weights, where the spec asks for it.
    pub onnx: Option<&'a Path>,
    /// The earlier trial that this one takes up again, and the steps that it has done: a program that has
    /// kept its state may go on from there, any other one begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continued>,
}

/// Who waits for the result of a trial. A closure is one that is asked whether to stop.
pub trait Caller {
    /// Asked often: give the trial up and kill the program?
    fn stop(&self) -> bool {
        false
    }

    /// How the trial stands after a step, in the program's units: is the next step worth it?
    fn step(&self, _step: usize, _metrics: Metrics) -> bool {
        true
    }
}

impl<F: Fn() -> bool> Caller for F {
    fn stop(&self) -> bool {
        self()
    }
}

/// What the program returned of a trial, by name, in its own units.
pub type Metrics = BTreeMap<String, f64>;

/// Why a trial has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The program said so itself.
    #[error("{0}")]
    Reported(String),
    /// The program did not answer in time, and was killed.
    #[error("{0}")]
    TimedOut(String),
    /// The program ended, or did not keep to the protocol, and was killed.
    #[error("{reason}")]
    Broken {
        /// What went wrong in a few words, the same for every trial it goes wrong with.
        kind: String,
        /// The same with the details of this trial and the program's last words.
        reason: String,
    },
    /// The program cannot be started at all: no trial can be run.
    #[error("{0}")]
    NotStarted(String),
    /// The caller asked to stop; the program was killed.
    #[error("stopped")]
    Stopped,
}
