//! Images in one folder per class.

use super::{entries, io, DataError, Dataset};
use image::imageops::FilterType;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The image files of every class, in the order of the classes, sorted by name.
pub(super) fn files(path: &Path, classes: &[String]) -> Result<Vec<Vec<PathBuf>>, DataError> {
    if path.exists() && !path.is_dir() {
        return Err(DataError::NoFolder(path.to_path_buf()));
    }
    let folders = entries(path)?.into_iter().filter(|p| p.is_dir());
    let found: BTreeSet<String> =
        folders.filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
    let missing: Vec<String> = classes.iter().filter(|c| !found.contains(*c)).cloned().collect();
    let unknown: Vec<String> = found.iter().filter(|f| !classes.contains(f)).cloned().collect();
    if !missing.is_empty() || !unknown.is_empty() {
        return Err(DataError::WrongClasses {
            path: path.to_path_buf(),
            missing,
            unknown,
            found: found.into_iter().collect(),
        });
    }
    let is_image = |p: &PathBuf| {
        let extension = p.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        extension.is_some_and(|e| ["jpg", "jpeg", "png"].contains(&e.as_str()))
    };
    let images = |class: &String| Ok(entries(&path.join(class))?.into_iter().filter(is_image).collect());
    classes.iter().map(images).collect()
}

pub(super) fn load(
    path: &Path,
    input: (usize, usize, usize),
    classes: &[String],
) -> Result<Dataset, DataError> {
    let (h, w, c) = input;
    let mut all = Vec::new();
    for (label, files) in files(path, classes)?.into_iter().enumerate() {
        all.extend(files.into_iter().map(|f| (label as u16, f)));
    }
    let size = h * w * c;
    let mut pixels = vec![0; size * all.len()];
    let results: Vec<Result<(), DataError>> = pixels
        .par_chunks_mut(size.max(1))
        .zip(all.par_iter())
        .map(|(out, (_, file))| decode(file, input, out))
        .collect();
    // All that is corrupt at once, in the order of the files, whichever thread finds one first.
    let mut failed = results.into_iter().filter_map(Result::err);
    if let Some(mut first) = failed.next() {
        if let DataError::CorruptImage { others, .. } = &mut first {
            others.extend(failed.filter_map(|e| match e {
                DataError::CorruptImage { path, .. } => Some(path),
                _ => None,
            }));
        }
        return Err(first);
    }
    Ok(Dataset { h, w, c, pixels, labels: all.into_iter().map(|(label, _)| label).collect() })
}

/// Decodes one image and writes it as `[h][w][c]`. Another size is resized (not cropped) with a
/// Catmull-Rom filter whose support grows with the reduction, so that nothing aliases.
fn decode(file: &Path, (h, w, c): (usize, usize, usize), out: &mut [u8]) -> Result<(), DataError> {
    let corrupt = |reason: String| {
        // Decoders end their reasons with full stops and line breaks.
        let words: Vec<&str> = reason.split_whitespace().collect();
        let reason = words.join(" ").trim_end_matches('.').to_string();
        DataError::CorruptImage { path: file.to_path_buf(), reason, others: Vec::new() }
    };
    let reader = image::ImageReader::open(file).map_err(|e| io(file, e))?;
    let reader = reader.with_guessed_format().map_err(|e| io(file, e))?;
    let image = reader.decode().map_err(|e| corrupt(e.to_string()))?;
    let (width, height) = (w as u32, h as u32);
    let resize = (image.width(), image.height()) != (width, height);
    let bytes = match c {
        1 => {
            let gray = image.into_luma8();
            if resize {
                image::imageops::resize(&gray, width, height, FilterType::CatmullRom).into_raw()
            } else {
                gray.into_raw()
            }
        }
        _ => {
            let rgb = image.into_rgb8();
            if resize {
                image::imageops::resize(&rgb, width, height, FilterType::CatmullRom).into_raw()
            } else {
                rgb.into_raw()
            }
        }
    };
    if bytes.len() != out.len() {
        return Err(corrupt(format!("{} bytes came out, {} are needed", bytes.len(), out.len())));
    }
    out.copy_from_slice(&bytes);
    Ok(())
}
