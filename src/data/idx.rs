//! The IDX format of MNIST (yann.lecun.com/exdb/mnist): a big-endian header, then bytes.

use super::{read, DataError, Dataset};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The two files of a prefix, as they exist on disk.
pub(super) fn files(prefix: &Path) -> Result<[PathBuf; 2], DataError> {
    Ok([find(prefix, "-images-idx3-ubyte")?, find(prefix, "-labels-idx1-ubyte")?])
}

fn find(prefix: &Path, suffix: &str) -> Result<PathBuf, DataError> {
    let name = |end: &str| {
        let mut s = prefix.as_os_str().to_owned();
        s.push(suffix);
        s.push(end);
        PathBuf::from(s)
    };
    let (plain, gz) = (name(""), name(".gz"));
    if plain.exists() {
        Ok(plain)
    } else if gz.exists() {
        Ok(gz)
    } else {
        Err(DataError::Missing { path: plain, tried: vec![gz] })
    }
}

pub(super) fn load(
    prefix: &Path,
    input: (usize, usize, usize),
    classes: usize,
) -> Result<Dataset, DataError> {
    let [image_file, label_file] = files(prefix)?;
    let ([count, h, w], pixels) = array(&image_file)?;
    let ([_], labels) = array(&label_file)?;
    if (h, w, 1) != input {
        return Err(DataError::WrongSize { path: image_file, found: (h, w, 1), wanted: input });
    }
    if count != labels.len() {
        return Err(DataError::CountMismatch {
            images: image_file,
            labels: label_file,
            image_count: count,
            label_count: labels.len(),
        });
    }
    if let Some((index, &label)) = labels.iter().enumerate().find(|&(_, &l)| usize::from(l) >= classes) {
        return Err(DataError::LabelOutOfRange { path: label_file, index, label: label.into(), classes });
    }
    Ok(Dataset { h, w, c: 1, pixels, labels: labels.into_iter().map(u16::from).collect() })
}

/// The sizes and the bytes of an IDX file of unsigned bytes with `RANK` dimensions.
fn array<const RANK: usize>(path: &Path) -> Result<([usize; RANK], Vec<u8>), DataError> {
    let bytes = unpacked(path)?;
    let wanted = if RANK == 3 { "an IDX file of images" } else { "an IDX file of labels" };
    let wrong = |found: String| DataError::WrongFormat { path: path.to_path_buf(), wanted, found };
    let cut = |what: String| DataError::Truncated { path: path.to_path_buf(), what };
    let header = 4 + 4 * RANK;
    match bytes.get(..4) {
        None => return Err(cut(format!("it has {} bytes, the header alone is {header}", bytes.len()))),
        Some(magic) if magic != [0, 0, 8, RANK as u8] => {
            let hex: String = magic.iter().map(|b| format!("{b:02x}")).collect();
            return Err(wrong(format!("it starts with {hex}, not with 000008{RANK:02x}")));
        }
        Some(_) => {}
    }
    let Some(sizes) = bytes.get(4..header) else {
        return Err(cut(format!("it has {} bytes, the header alone is {header}", bytes.len())));
    };
    let mut shape = [0usize; RANK];
    for (side, bytes) in shape.iter_mut().zip(sizes.chunks_exact(4)) {
        *side = bytes.iter().fold(0, |n, &byte| n << 8 | usize::from(byte));
    }
    let Some(size) = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) else {
        return Err(wrong(format!("its header says {shape:?}, which is too large")));
    };
    let data = bytes.get(header..).unwrap_or(&[]);
    if data.len() < size {
        return Err(cut(format!("{} bytes after the header, {size} expected for {shape:?}", data.len())));
    }
    if data.len() > size {
        let more = data.len() - size;
        return Err(wrong(format!("{more} bytes follow the {size} that its header announces")));
    }
    Ok((shape, data.to_vec()))
}

/// The file's bytes, unpacked if they are a gzip stream, whatever its name.
fn unpacked(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = read(path)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut out).map_err(|e| {
        let path = path.to_path_buf();
        match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                DataError::Truncated { path, what: "the gzip stream has no end".into() }
            }
            _ => DataError::Damaged { path, what: e.to_string() },
        }
    })?;
    Ok(out)
}
