//! The search engine: multi-objective, constrained, over discrete conditional spaces.
//!
//! [`Study`] is asked for trials and told their results; it does no IO and starts no training.
//! [`Session`] is a study with a journal on disk, the only part that does IO. Objectives that can be
//! computed before training are known exactly and never modelled; points that break a computed
//! requirement are never given out, nor is a network twice.
//!
//! Invariants: a suggestion is a pure function of the study's settings and of the results before its
//! horizon (see [`study`]); nothing here depends on time, threads or the order of a hash map.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cores;
pub mod covariance;
mod design;
pub mod ehvi;
pub mod encode;
pub mod explore;
pub mod fidelity;
mod forest;
pub mod front;
pub mod gp;
pub mod journal;
mod lbfgs;
mod local;
mod maximise;
mod mobo;
mod model;
mod nsga2;
pub mod plot;
pub mod problem;
pub mod report;
pub mod shown;
pub mod study;
mod tpe;
pub mod trust;
pub mod volume;

#[cfg(test)]
mod tests;

pub use explore::{NearMiss, Shortage};
pub use fidelity::{Sample, Verdict};
pub use journal::{Journal, JournalError, Session};
pub use plot::front_svg;
pub use problem::{Choice, Features, Known, KnownPoint, Limit, Problem, Quantity, Sketch, Target};
pub use report::{FrontPoint, StudySummary};
pub use study::{Continued, Finish, Outcome, Record, Settings, Source, Study, StudyError, Trial};
pub use trust::{ModelCheck, Share};
