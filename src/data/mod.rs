//! Data sets: read from disk, checked against the task, split, normalised, augmented.
//!
//! [`load`] reads one [`DataSource`]; [`load_train`] and [`load_test`] read what a [`Task`] names
//! and check it; [`fingerprint`] hashes the files without decoding them, for the lock.
//!
//! A [`Dataset`] holds bytes as they are in the files; [`Pipeline`] makes normalised (and, while
//! training, augmented) input of them. Whatever is random is keyed on (seed, epoch, image), so it
//! depends neither on threads nor on the order in which images are asked for.

mod cifar;
mod error;
mod fingerprint;
mod folder;
mod idx;
mod pipeline;
mod split;

pub use error::DataError;
pub use fingerprint::{absent, fingerprint, missing};
pub use pipeline::Pipeline;
#[cfg(feature = "train")]
pub(crate) use split::shuffle;
pub use split::{hold_out, subset};

use crate::check::spec::{DataFormat, DataSource, Task};
use std::path::{Path, PathBuf};

/// Labelled images of one size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dataset {
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
    /// Channels: 1 (gray) or 3 (red, green, blue).
    pub c: usize,
    /// `[image][h][w][c]`
    pub pixels: Vec<u8>,
    /// Index of the class of every image.
    pub labels: Vec<u16>,
}

impl Dataset {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image.
    pub fn image_len(&self) -> usize {
        self.h * self.w * self.c
    }

    /// The bytes `[h][w][c]` of image `i`; empty if there is no such image.
    pub fn image(&self, i: usize) -> &[u8] {
        let n = self.image_len();
        self.pixels.get(i * n..(i + 1) * n).unwrap_or(&[])
    }

    /// Images of every class.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &l in &self.labels {
            if let Some(n) = counts.get_mut(usize::from(l)) {
                *n += 1;
            }
        }
        counts
    }
}

/// Reads the images of `source`. A relative path is relative to `base`, the spec's folder. Images of
/// folders are resized to `input` (height, width, channels) and made gray or colour as it says;
/// IDX and CIFAR files must have this size.
///
/// # Errors
/// See [`DataError`]; every one names the file.
pub fn load(
    source: &DataSource,
    base: &Path,
    input: (usize, usize, usize),
    classes: &[String],
) -> Result<Dataset, DataError> {
    let path = base.join(&source.path);
    match source.format {
        DataFormat::Idx => idx::load(&path, input, classes.len()),
        DataFormat::Folder => folder::load(&path, input, classes),
        DataFormat::Cifar => cifar::load(&path, input, classes.len()),
    }
}

/// The task's training images (of which some are to be held out, see [`hold_out`]).
///
/// # Errors
/// As [`load`]; also if the task names none, or a class has none.
pub fn load_train(task: &Task, base: &Path) -> Result<Dataset, DataError> {
    load_set(task, task.train.as_ref(), base, "training")
}

/// The task's test images.
///
/// # Errors
/// As [`load`]; also if the task names none, or a class has none.
pub fn load_test(task: &Task, base: &Path) -> Result<Dataset, DataError> {
    load_set(task, task.test.as_ref(), base, "test")
}

fn load_set(
    task: &Task,
    source: Option<&DataSource>,
    base: &Path,
    set: &'static str,
) -> Result<Dataset, DataError> {
    let source = source.ok_or(DataError::NoSource(set))?;
    let data = load(source, base, task.input, &task.classes)?;
    let counts = data.class_counts(task.classes.len());
    match task.classes.iter().zip(counts).find(|&(_, n)| n == 0) {
        Some((class, _)) => {
            let path = base.join(&source.path);
            Err(DataError::EmptyClass { path, class: class.clone(), set })
        }
        None => Ok(data),
    }
}

/// Reads a file whole.
fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|error| io(path, error))
}

fn io(path: &Path, error: std::io::Error) -> DataError {
    let path = path.to_path_buf();
    match error.kind() {
        std::io::ErrorKind::NotFound => DataError::Missing { path, tried: Vec::new() },
        _ => DataError::Io { path, error },
    }
}

/// The entries of a folder that are not hidden, sorted by name.
fn entries(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| io(path, e))? {
        let entry = entry.map_err(|e| io(path, e))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
