//! Other engines on the machine that hytc runs on, timed as [`super::host`] times emitted code: one
//! thread, one image, the median.

use super::BenchError;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const SCRIPT: &str = include_str!("peers.py");

/// An engine's time.
#[derive(Debug, Clone, Serialize)]
pub struct Peer {
    /// The engine and its version.
    pub engine: String,
    /// `float` or `int8`.
    pub precision: &'static str,
    /// The median of the times of an inference.
    pub nanoseconds: u64,
    /// The fastest inference.
    pub fastest_nanoseconds: u64,
    /// How many inferences were timed.
    pub repetitions: usize,
}

impl Peer {
    fn of(engine: String, precision: &'static str, mut times: Vec<u64>) -> Result<Peer, BenchError> {
        times.sort_unstable();
        match (times.get(times.len() / 2), times.first()) {
            (Some(&nanoseconds), Some(&fastest_nanoseconds)) => {
                Ok(Peer { engine, precision, nanoseconds, fastest_nanoseconds, repetitions: times.len() })
            }
            _ => Err(wrong(&engine, "it gave no times".into())),
        }
    }
}

fn wrong(engine: &str, said: String) -> BenchError {
    BenchError::Tool { what: format!("timing {engine}"), said }
}

/// Times an ONNX file in ONNX Runtime; `python` is an interpreter with `numpy` and `onnxruntime`.
///
/// # Errors
/// See [`BenchError`].
pub fn onnxruntime(
    python: &Path,
    onnx: &[u8],
    precision: &'static str,
    (c, h, w): (usize, usize, usize),
    seconds: f64,
) -> Result<Peer, BenchError> {
    #[derive(Deserialize)]
    struct Answer {
        version: String,
        times: Vec<u64>,
    }
    let failed = |said: String| wrong("ONNX Runtime", format!("`{}`: {said}", python.display()));
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .args([c, h, w].map(|n| n.to_string()))
        .arg(seconds.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    // The script reads all of its input before it writes, so the pipes cannot block each other. An
    // error while writing means that it ended early: what it said is the better message.
    let sent = child.stdin.take().map(|mut pipe| pipe.write_all(onnx));
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(said.trim().lines().last().unwrap_or("no message").to_string()));
    }
    sent.transpose()?;
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|e| failed(e.to_string()))?;
    Peer::of(format!("ONNX Runtime {}", answer.version), precision, answer.times)
}

/// Times an ONNX file in tract.
///
/// # Errors
/// See [`BenchError`].
#[cfg(feature = "verify")]
pub fn tract(onnx: &[u8], shape: (usize, usize, usize), seconds: f64) -> Result<Peer, BenchError> {
    let times = crate::verify::time_tract(onnx, shape, seconds).map_err(|e| wrong("tract", e))?;
    Peer::of("tract".into(), "float", times)
}
