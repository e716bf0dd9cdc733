//! Whether what lies in an output folder is what the lock emits.

use super::common::error;
use super::Failure;
use crate::project::Artifact;
use std::path::{Path, PathBuf};

/// What an output folder holds of the files that the lock emits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Emitted {
    /// None of them.
    Nothing,
    /// All of them, to the byte.
    Current,
    /// Some of them are missing or others, in the order of the files.
    Other(Vec<(PathBuf, &'static str)>),
}

/// Compares the files in `folder` with those that are emitted now. Emission is deterministic, so what
/// was verified of these is true of equal files.
///
/// # Errors
/// If a file is there and cannot be read.
pub(super) fn compare(folder: &Path, files: &[Artifact]) -> Result<Emitted, Failure> {
    let mut wrong = Vec::new();
    let mut found = false;
    for file in files {
        let path = folder.join(&file.path);
        match std::fs::read(&path) {
            Ok(bytes) => {
                found = true;
                if bytes != file.bytes {
                    wrong.push((path, "is not what the lock emits"));
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => wrong.push((path, "is missing")),
            Err(e) => return Err(crate::project::io(&path, "read", e).into()),
        }
    }
    Ok(match (found, wrong.is_empty()) {
        (false, _) => Emitted::Nothing,
        (true, true) => Emitted::Current,
        (true, false) => Emitted::Other(wrong),
    })
}

/// The files that are wrong, and what to do.
pub(super) fn complaint(wrong: &[(PathBuf, &'static str)]) -> String {
    const SHOWN: usize = 8;
    let mut lines: Vec<String> =
        wrong.iter().take(SHOWN).map(|(path, why)| error(format!("`{}` {why}", path.display()))).collect();
    if wrong.len() > SHOWN {
        lines.push(format!("  and {} more", wrong.len() - SHOWN));
    }
    lines.push("  = help: `hytc compile` emits it anew; `--out` names the folder to look at".to_string());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_compared_to_the_byte() {
        let folder = tempfile::tempdir().expect("a folder");
        let files: Vec<Artifact> = ["a.onnx", "a/src/lib.rs"]
            .iter()
            .map(|p| Artifact { path: p.into(), bytes: p.as_bytes().to_vec() })
            .collect();
        let compared = || compare(folder.path(), &files).unwrap_or_else(|f| panic!("{}", f.text));
        assert_eq!(compared(), Emitted::Nothing);
        super::super::common::write_all(folder.path(), &files).unwrap_or_else(|f| panic!("{}", f.text));
        std::fs::write(folder.path().join("mine.txt"), "other files do not matter").expect("written");
        assert_eq!(compared(), Emitted::Current);
        std::fs::write(folder.path().join("a.onnx"), "a.onnY").expect("written");
        std::fs::remove_file(folder.path().join("a/src/lib.rs")).expect("removed");
        let Emitted::Other(wrong) = compared() else { panic!("both are wrong") };
        let said = complaint(&wrong);
        assert!(said.contains("a.onnx` is not what") && said.contains("lib.rs` is missing"), "{said}");
    }
}
