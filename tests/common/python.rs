//! Finding the Python that has onnx and ONNX Runtime, and asking it about a directory of cases.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of `HYTC_PYTHON`, or one of the usual places. A test that needs it fails without it:
/// a check that is skipped in silence is no check.
pub fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = std::env::var_os("HYTC_PYTHON").map(PathBuf::from);
    let places = [Path::new("/opt/hyt-venv/bin/python").to_path_buf(), root.join("target/venv/bin/python")];
    let found = match &told {
        Some(p) => Some(p.clone()).filter(|p| p.exists()),
        None => places.into_iter().find(|p| p.exists()),
    };
    found.unwrap_or_else(|| {
        panic!(
            "no Python with onnx and onnxruntime{}.\nMake one in the project's directory:\n  \
             python3 -m venv target/venv\n  \
             target/venv/bin/python -m pip install -r scripts/requirements.txt\n\
             or name one in the environment variable HYTC_PYTHON.",
            told.map_or(String::new(), |p| format!(
                " (HYTC_PYTHON is {}, which does not exist)",
                p.display()
            ))
        )
    })
}

/// Runs `scripts/onnx_check.py` on a directory of cases; what it found, and whether all was well.
pub fn onnx_check(directory: &Path) -> (bool, serde_json::Value) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/onnx_check.py");
    let output = Command::new(python())
        .args([script.as_os_str(), directory.as_os_str(), "--json".as_ref()])
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", python().display()));
    let said = String::from_utf8_lossy(&output.stdout);
    match serde_json::from_str(&said) {
        Ok(report) => (output.status.success(), report),
        Err(_) => panic!("onnx_check.py: {said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}
