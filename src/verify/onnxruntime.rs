//! ONNX in ONNX Runtime, through a Python that has it.

use super::image_len;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const SCRIPT: &str = include_str!("onnxruntime.py");

/// Runs an ONNX file on `count` images, `inputs` of `[count, c, h, w]`, in ONNX Runtime. `python` is
/// an interpreter with the packages `numpy` and `onnxruntime`. The result is `[count, classes]`.
///
/// # Errors
/// A sentence: Python cannot be started, lacks a package, or ONNX Runtime refuses the model.
pub fn run_onnxruntime(
    python: &Path,
    onnx: &[u8],
    inputs: &[f32],
    count: usize,
    shape: (usize, usize, usize),
) -> Result<Vec<f32>, String> {
    image_len(inputs, count, shape)?;
    let (c, h, w) = shape;
    let mut child = Command::new(python)
        .arg("-c")
        .arg(SCRIPT)
        .args([onnx.len(), count, c, h, w].map(|n| n.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("`{}` cannot be started: {e}", python.display()))?;
    // The script reads all of its input before it writes, so the pipes cannot block each other. An
    // error while writing means that it ended early: what it said is the better message.
    let sent = child.stdin.take().map(|mut pipe| {
        pipe.write_all(onnx)?;
        let bytes: Vec<u8> = inputs.iter().flat_map(|x| x.to_le_bytes()).collect();
        pipe.write_all(&bytes)
    });
    let output = child.wait_with_output().map_err(|e| format!("`{}`: {e}", python.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or("no message");
        return Err(format!("ONNX Runtime in `{}` failed: {last}", python.display()));
    }
    if let Some(Err(e)) = sent {
        return Err(format!("`{}` did not take its input: {e}", python.display()));
    }
    let words = output.stdout.chunks_exact(4);
    if output.stdout.is_empty() != (count == 0) || !words.remainder().is_empty() {
        return Err(format!(
            "`{}` gave {} bytes, which are not logits",
            python.display(),
            output.stdout.len()
        ));
    }
    Ok(words.map(|b| f32::from_le_bytes(<[u8; 4]>::try_from(b).unwrap_or_default())).collect())
}
