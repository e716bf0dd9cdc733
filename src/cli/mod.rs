//! The command line: one file a verb, each a thin layer over the library.
//!
//! Results go to standard output, everything else (diagnostics, progress) to standard error.

mod bench;
mod bench_host;
#[cfg(feature = "search")]
mod bench_search;
mod bench_target;
mod check;
mod common;
mod compile;
mod cost;
mod dump;
#[cfg(all(feature = "train", feature = "verify"))]
mod emitted;
mod graph;
mod new;
mod point;
#[cfg(feature = "search")]
mod progress;
#[cfg(feature = "search")]
mod search;
mod space;
#[cfg(feature = "search")]
mod status;
#[cfg(feature = "train")]
mod train;
#[cfg(all(feature = "train", feature = "verify"))]
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Exit codes, the same for all verbs. Clap itself ends with 2 on a wrong command line.
mod exit {
    /// The spec, the data, a file or a result is not usable.
    pub(super) const FAILED: u8 = 1;
    /// The command line asks for something that there is not.
    pub(super) const USAGE: u8 = 2;
    /// `--locked`, and the lock is missing or not current.
    pub(super) const NOT_LOCKED: u8 = 3;
    /// The forms of a network do not agree.
    pub(super) const DIFFERENT: u8 = 4;
    /// Interrupted; the same command continues.
    #[cfg(feature = "search")]
    pub(super) const STOPPED: u8 = 130;
}

const AFTER: &str = "\
Exit codes: 0 success, 1 the spec or something it needs is not usable, 2 wrong command line,
3 --locked and the lock is not current, 4 verification found a difference, 130 interrupted (the same
command continues).

Examples:
  hytc new cats                        a spec to start from
  hytc check cats.hyt                  all mistakes at once
  hytc compile cats.hyt --out out      search, train, emit ONNX and Rust; afterwards emit from the lock
  hytc verify cats.hyt                 network, ONNX and Rust compute the same";

/// A compiler for tiny vision models: from a .hyt file to verified ONNX and no_std Rust.
#[derive(Parser)]
#[command(name = "hytc", version, after_help = AFTER, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Write a spec to start from
    New(new::Args),
    /// Report every mistake of a spec
    Check(check::Args),
    /// Print the decisions of a spec's space and how many points it has
    Space(space::Args),
    /// Print one network as text, DOT or SVG
    Graph(graph::Args),
    /// Print what one network costs: parameters, MACs, memory, latency
    Cost(cost::Args),
    /// Print the schedule of one network after a pass of lowering
    Dump(dump::Args),
    /// Measure emitted code on an emulated target (instructions, flash, stack), or the search engine
    Bench(Box<bench::Args>),
    /// Search the space for the Pareto front (continues where it stopped)
    #[cfg(feature = "search")]
    Search(search::Args),
    /// Show where a search stands and whether its models can be trusted
    #[cfg(feature = "search")]
    Status(status::Args),
    /// Train one network fully
    #[cfg(feature = "train")]
    Train(train::Args),
    /// Search, train, and emit ONNX and Rust; emit from the lock where there is one
    Compile(compile::Args),
    /// Compare the trained network, the ONNX file and the compiled Rust crate on the test images
    #[cfg(all(feature = "train", feature = "verify"))]
    Verify(verify::Args),
}

/// Why a verb ends early: what to print, and the exit code.
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), code: exit::FAILED }
    }

    fn code(self, code: u8) -> Failure {
        Failure { code, ..self }
    }
}

type Done = Result<ExitCode, Failure>;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::New(a) => new::run(&a),
        Verb::Check(a) => check::run(&a),
        Verb::Space(a) => space::run(&a),
        Verb::Graph(a) => graph::run(&a),
        Verb::Cost(a) => cost::run(&a),
        Verb::Dump(a) => dump::run(&a),
        Verb::Bench(a) => bench::run(&a),
        #[cfg(feature = "search")]
        Verb::Search(a) => search::run(&a),
        #[cfg(feature = "search")]
        Verb::Status(a) => status::run(&a),
        #[cfg(feature = "train")]
        Verb::Train(a) => train::run(&a),
        Verb::Compile(a) => compile::run(&a),
        #[cfg(all(feature = "train", feature = "verify"))]
        Verb::Verify(a) => verify::run(&a),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            common::say(format_args!("{}", failure.text.trim_end()));
            ExitCode::from(failure.code)
        }
    }
}
