//! The binary format of CIFAR-10 (Krizhevsky 2009): records of a label byte and 3 x 32 x 32 bytes,
//! the red plane first.

use super::{entries, io, read, DataError, Dataset};
use std::path::{Path, PathBuf};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + 3 * PLANE;

/// The file itself, or the `.bin` files of a folder in the order of their names. CIFAR-10 comes as one
/// folder with the test images among the others: `test*.bin` are not taken from it.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let meta = std::fs::metadata(path).map_err(|e| io(path, e))?;
    if !meta.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let wanted = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".bin") && !name.starts_with("test")
    };
    let found: Vec<PathBuf> = entries(path)?.into_iter().filter(wanted).collect();
    if found.is_empty() {
        return Err(DataError::Missing { path: path.join("*.bin"), tried: Vec::new() });
    }
    Ok(found)
}

pub(super) fn load(path: &Path, input: (usize, usize, usize), classes: usize) -> Result<Dataset, DataError> {
    let size = (SIDE, SIDE, 3);
    if input != size {
        return Err(DataError::WrongSize { path: path.to_path_buf(), found: size, wanted: input });
    }
    let mut data = Dataset { h: SIDE, w: SIDE, c: 3, ..Dataset::default() };
    for file in files(path)? {
        let bytes = read(&file)?;
        if bytes.is_empty() || bytes.len() % RECORD != 0 {
            let what = format!("{} bytes are not a whole number of records of {RECORD} bytes", bytes.len());
            return Err(DataError::Truncated { path: file, what });
        }
        for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
            let Some((&label, planes)) = record.split_first() else { continue };
            if usize::from(label) >= classes {
                return Err(DataError::LabelOutOfRange { path: file, index, label: label.into(), classes });
            }
            data.labels.push(label.into());
            let (red, rest) = planes.split_at(PLANE);
            let (green, blue) = rest.split_at(PLANE);
            data.pixels.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
        }
    }
    Ok(data)
}
