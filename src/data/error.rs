//! What can be wrong with a data set, always with the file and what to do about it.

use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use std::path::PathBuf;

/// Why a data set cannot be used. `Display` says what is wrong and names the file,
/// [`DataError::help`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The spec names no data for this purpose.
    #[error("the task names no {0} images")]
    NoSource(&'static str),
    /// Nothing is there, under any of the names that were tried.
    #[error("`{}` does not exist{}", path.display(), also(tried))]
    Missing {
        /// The first name tried.
        path: PathBuf,
        /// Other names tried.
        tried: Vec<PathBuf>,
    },
    /// The operating system refused.
    #[error("`{}` cannot be read: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The file ends before its header says it should.
    #[error("`{}` is cut off: {what}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// The file is not of the format that the spec says.
    #[error("`{}` is not {wanted}: {found}", path.display())]
    WrongFormat {
        /// The file.
        path: PathBuf,
        /// The format.
        wanted: &'static str,
        /// What was seen instead.
        found: String,
    },
    /// The file is of the right format, but its bytes are not those that were written.
    #[error("`{}` is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that is known.
        what: String,
    },
    /// A folder is wanted, this is something else.
    #[error("`{}` is not a folder", .0.display())]
    NoFolder(PathBuf),
    /// Images that cannot be decoded.
    #[error("`{}` is not an image that can be decoded: {reason}{}", path.display(), nor(others))]
    CorruptImage {
        /// The first file.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
        /// All others of the folder that cannot be decoded either.
        others: Vec<PathBuf>,
    },
    /// Images of another size than the task's input, in a format that is not resized.
    #[error(
        "`{}` holds images of {}x{}x{}, the task's input is {}x{}x{}",
        path.display(), found.0, found.1, found.2, wanted.0, wanted.1, wanted.2
    )]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Height, width, channels of the file.
        found: (usize, usize, usize),
        /// Height, width, channels of the task.
        wanted: (usize, usize, usize),
    },
    /// A label without a class.
    #[error("`{}` gives image {index} the label {label}, the task has {classes} classes", path.display())]
    LabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// Number of the image, from 0.
        index: usize,
        /// Its label.
        label: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// Images and labels differ in number.
    #[error("`{}` holds {image_count} images, `{}` {label_count} labels", images.display(), labels.display())]
    CountMismatch {
        /// The file of images.
        images: PathBuf,
        /// The file of labels.
        labels: PathBuf,
        /// How many images.
        image_count: usize,
        /// How many labels.
        label_count: usize,
    },
    /// The folders are not the task's classes.
    #[error(
        "the folders of `{}` are not the task's classes: {}",
        path.display(), differences(missing, unknown)
    )]
    WrongClasses {
        /// The folder.
        path: PathBuf,
        /// Classes without a folder.
        missing: Vec<String>,
        /// Folders without a class.
        unknown: Vec<String>,
        /// All folders that are there.
        found: Vec<String>,
    },
    /// A class without a single image.
    #[error("class `{class}` has no image in `{}` ({set} set)", path.display())]
    EmptyClass {
        /// The folder or file.
        path: PathBuf,
        /// The class.
        class: String,
        /// `training` or `test`.
        set: &'static str,
    },
    /// Too few images to hold some out.
    #[error(
        "class `{class}` has {count} training image{}, too few to hold {percent} % out for validation",
        if *count == 1 { "" } else { "s" }
    )]
    TooFew {
        /// The class.
        class: String,
        /// How many images it has.
        count: usize,
        /// The part held out, in per cent.
        percent: f64,
    },
}

fn also(tried: &[PathBuf]) -> String {
    if tried.is_empty() {
        return String::new();
    }
    let names: Vec<String> = tried.iter().map(|p| format!("`{}`", p.display())).collect();
    format!(", nor does {}", names.join(" or "))
}

fn nor(others: &[PathBuf]) -> String {
    if others.is_empty() {
        return String::new();
    }
    let names: Vec<String> = others.iter().map(|p| p.display().to_string()).collect();
    format!("; nor {} {}", if names.len() == 1 { "is" } else { "are" }, quoted(&names))
}

fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut list: Vec<String> = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect();
    if names.len() > SHOWN {
        list.push(format!("and {} more", names.len() - SHOWN));
    }
    list.join(", ")
}

fn differences(missing: &[String], unknown: &[String]) -> String {
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("{} missing", quoted(missing)));
    }
    if !unknown.is_empty() {
        parts.push(format!("{} not a class", quoted(unknown)));
    }
    parts.join("; ")
}

impl DataError {
    /// What to do about it, in one sentence.
    pub fn help(&self) -> String {
        match self {
            DataError::NoSource(set) => {
                let key = if *set == "test" { "test" } else { "train" };
                format!("add `{key} = idx(\"...\")`, `folder(\"...\")` or `cifar(\"...\")` to the task")
            }
            DataError::Missing { .. } => {
                "paths are relative to the spec's folder; put the data there, or correct the path".into()
            }
            DataError::Io { .. } => "check the file's permissions and the disk".into(),
            DataError::Truncated { .. } => "the file was not copied whole: fetch it again".into(),
            DataError::WrongFormat { wanted, .. } => {
                format!("use the reader that fits the file; this one reads {wanted}")
            }
            DataError::Damaged { .. } => "fetch the file again".into(),
            DataError::NoFolder(_) => {
                "`folder(..)` names a folder with one folder of images for every class".into()
            }
            DataError::CorruptImage { others, .. } if others.is_empty() => {
                "remove the file, or replace it by a sound copy".into()
            }
            DataError::CorruptImage { .. } => "remove the files, or replace them by sound copies".into(),
            DataError::WrongSize { found: (h, w, c), .. } => {
                format!("write `input = image({h}, {w}, {c})`; only image folders are resized")
            }
            DataError::LabelOutOfRange { label, .. } => {
                format!("list at least {} names in `classes`, in the order of the labels", label + 1)
            }
            DataError::CountMismatch { .. } => {
                "the two files must belong together: fetch both from the same place".into()
            }
            DataError::WrongClasses { found, .. } if found.is_empty() => {
                "it must hold one folder for every class, named as in `classes`; it holds none".into()
            }
            DataError::WrongClasses { found, .. } => {
                format!(
                    "`classes` and the folders must have the same names; the folders are {}",
                    quoted(found)
                )
            }
            DataError::EmptyClass { class, .. } => {
                format!("add images of `{class}`, or remove the class from `classes`")
            }
            DataError::TooFew { .. } => "add images, or lower `validation`".into(),
        }
    }

    /// The error as a diagnostic at the line of the spec that names the data.
    pub fn diagnostic(&self, span: Span) -> Diagnostic {
        let code = match self {
            DataError::NoSource(_)
            | DataError::Missing { .. }
            | DataError::NoFolder(_)
            | DataError::Io { .. } => codes::DATA_MISSING,
            DataError::Truncated { .. }
            | DataError::WrongFormat { .. }
            | DataError::Damaged { .. }
            | DataError::CorruptImage { .. }
            | DataError::CountMismatch { .. } => codes::DATA_CORRUPT,
            _ => codes::DATA_MISFIT,
        };
        Diagnostic::error(code, span, self.to_string()).help(self.help())
    }
}
