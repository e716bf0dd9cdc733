//! Identity of data without decoding it.

use super::{cifar, folder, idx, io, DataError};
use crate::check::spec::{DataFormat, DataSource, Task};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// SHA-256 (hexadecimal) over the names and bytes of the training and test files that the task
/// names, in the order in which they are read. Names are relative to their source, so a data set
/// that has moved keeps its fingerprint.
///
/// # Errors
/// If files are missing or cannot be read.
pub fn fingerprint(task: &Task, base: &Path) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    for source in [&task.train, &task.test] {
        match source {
            Some(source) => hash_source(source, base, &task.classes, &mut hash)?,
            None => hash.update([0]),
        }
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Whether nothing of the data that a task names is there: neither training nor test images.
pub fn absent(task: &Task, base: &Path) -> bool {
    let sources = [&task.train, &task.test].into_iter().flatten().count();
    sources == missing(task, base).len()
}

/// The sources of a task of which nothing is there.
pub fn missing<'a>(task: &'a Task, base: &Path) -> Vec<&'a DataSource> {
    [&task.train, &task.test].into_iter().flatten().filter(|source| !there(source, base)).collect()
}

fn there(source: &DataSource, base: &Path) -> bool {
    let path = base.join(&source.path);
    let Some(prefix) = path.file_name().filter(|_| source.format == DataFormat::Idx) else {
        return path.symlink_metadata().is_ok();
    };
    let prefix = prefix.to_string_lossy().into_owned();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::read_dir(folder) {
        Ok(mut all) => all.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with(&prefix))),
        Err(e) => e.kind() != std::io::ErrorKind::NotFound,
    }
}

fn hash_source(
    source: &DataSource,
    base: &Path,
    classes: &[String],
    hash: &mut Sha256,
) -> Result<(), DataError> {
    let path = base.join(&source.path);
    let files: Vec<PathBuf> = match source.format {
        DataFormat::Idx => idx::files(&path)?.into(),
        DataFormat::Cifar => cifar::files(&path)?,
        DataFormat::Folder => folder::files(&path, classes)?.into_iter().flatten().collect(),
    };
    hash.update((files.len() as u64).to_le_bytes());
    let mut buffer = vec![0; 1 << 16];
    for file in files {
        let folder = path.parent().unwrap_or(Path::new(""));
        let name = file.strip_prefix(&path).or_else(|_| file.strip_prefix(folder)).unwrap_or(&file);
        let name = name.to_string_lossy().replace('\\', "/");
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        let mut length = 0u64;
        let mut reader = File::open(&file).map_err(|e| io(&file, e))?;
        loop {
            let n = reader.read(&mut buffer).map_err(|e| io(&file, e))?;
            if n == 0 {
                break;
            }
            length += n as u64;
            hash.update(buffer.get(..n).unwrap_or(&[]));
        }
        hash.update(length.to_le_bytes());
    }
    Ok(())
}
