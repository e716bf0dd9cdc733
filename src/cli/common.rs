//! What several verbs need: opening a spec, saying what is wrong, printing.

use super::{exit, Failure};
use crate::diag::{self, Diagnostic};
use crate::project::{Project, ProjectError};
use crate::source::Sources;
use crate::space::Size;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// The spec that a verb works on.
#[derive(clap::Args)]
pub(super) struct SpecArgs {
    /// The spec, a .hyt file
    pub(super) spec: PathBuf,
}

/// The numbers of emitted code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum PrecisionArg {
    /// 32-bit floating point
    #[default]
    Float,
    /// 8-bit integers
    Int8,
}

impl PrecisionArg {
    pub(super) fn name(self) -> &'static str {
        match self {
            PrecisionArg::Float => "float",
            PrecisionArg::Int8 => "int8",
        }
    }
}

/// A count on the command line that must be at least one.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_string()),
        Ok(n) => Ok(n),
        Err(e) => Err(format!("{e}")),
    }
}

/// `1 point`, `6 points`
pub(super) fn points(size: &Size) -> String {
    let one = matches!(size, Size::Exact(n) if *n == 1u32.into());
    format!("{size:#} point{}", if one { "" } else { "s" })
}

/// Diagnostics as text for standard error.
pub(super) fn rendered(found: &[Diagnostic], sources: &Sources) -> String {
    let mut text = diag::render(found, sources, std::io::stderr().is_terminal());
    let errors = found.iter().filter(|d| d.is_error()).count();
    let warnings = found.len() - errors;
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => {}
        (0, w) => text += &count(w, "warning"),
        (e, 0) => text += &count(e, "error"),
        (e, w) => text += &format!("{}, {}", count(e, "error"), count(w, "warning")),
    }
    text
}

/// An error in the form of the diagnostics.
pub(super) fn error(message: impl std::fmt::Display) -> String {
    if std::io::stderr().is_terminal() {
        format!("\u{1b}[1;31merror\u{1b}[0m: {message}")
    } else {
        format!("error: {message}")
    }
}

/// A wrong command line: what is wrong, and what to write instead.
pub(super) fn usage(message: impl std::fmt::Display, help: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}\n  = help: {help}", error(message))).code(exit::USAGE)
}

/// A name on the command line that nothing has; `what` it should be the name of.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> Failure {
    usage(
        format!("there is no {what} `{name}`"),
        format!("{}there are {}", meant(name, known), known.join(", ")),
    )
}

/// `did you mean ..? `, if one is near enough.
pub(super) fn meant(name: &str, known: &[&str]) -> String {
    let near = crate::syntax::nearest(name, known.iter().copied());
    near.map_or(String::new(), |n| format!("did you mean `{n}`? "))
}

impl From<ProjectError> for Failure {
    fn from(e: ProjectError) -> Failure {
        match e {
            ProjectError::Spec(found) => Failure::new(rendered(&found.0, &found.1)),
            other => Failure::new(error(other)),
        }
    }
}

/// Opens a spec; prints its warnings.
pub(super) fn open(args: &SpecArgs) -> Result<Project, Failure> {
    let project = Project::open(&args.spec)?;
    if !project.warnings.is_empty() {
        say(format_args!("{}", rendered(&project.warnings, &project.sources)));
    }
    Ok(project)
}

/// Diagnostics of a project as a failure.
pub(super) fn failed(project: &Project) -> impl Fn(Vec<Diagnostic>) -> Failure + '_ {
    |found| Failure::new(rendered(&found, &project.sources))
}

/// Prints a line, or lines, on standard output: what a verb gives. A reader who has seen enough and
/// closed the pipe is no failure; the verb goes on to its exit code.
///
/// # Errors
/// If the system refuses the text, as a full disk does.
pub(super) fn out(text: impl std::fmt::Display) -> Result<(), Failure> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(error(format!("standard output cannot be written: {e}"))))
        }
        _ => Ok(()),
    }
}

/// Says something on standard error. Where nobody can hear it, that is nobody's failure.
pub(super) fn say(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints a JSON value, indented.
///
/// # Errors
/// As [`out`].
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    // Values of maps with text keys cannot fail to serialise.
    out(serde_json::to_string_pretty(value).unwrap_or_default())
}

/// A value with a list `front` of points, each with its `decisions` by path instead of the numbers of
/// its `point`: what another program can use.
#[cfg(feature = "search")]
pub(super) fn with_decisions(project: &Project, summary: &impl serde::Serialize) -> serde_json::Value {
    let mut value = serde_json::to_value(summary).unwrap_or_default();
    let front = value.get_mut("front").and_then(serde_json::Value::as_array_mut);
    for entry in front.into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
        let Some(point) = entry.remove("point") else { continue };
        if let Ok(point) = serde_json::from_value::<Vec<Option<u32>>>(point) {
            entry.insert(
                "decisions".into(),
                project.checked.space.describe(&crate::space::Point(point)).into(),
            );
        }
    }
    value
}

/// Writes files below a folder, and removes kernels that an earlier emission left there and the
/// network of this one does not need. Other files are the user's and stay.
pub(super) fn write_all(folder: &Path, files: &[crate::project::Artifact]) -> Result<(), Failure> {
    for f in files {
        crate::project::write_atomic(&folder.join(&f.path), &f.bytes)?;
    }
    let kernels = files.iter().filter_map(|f| f.path.parent().filter(|p| p.ends_with("src/kernels")));
    for place in kernels.collect::<BTreeSet<_>>() {
        for kernel in hytc_kernels::sources::FLOAT.iter().chain(hytc_kernels::sources::INT8) {
            let path = place.join(format!("{}.rs", kernel.name));
            if files.iter().any(|f| f.path == path) {
                continue;
            }
            let path = folder.join(path);
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(crate::project::io(&path, "removed", e).into());
                }
                _ => {}
            }
        }
    }
    Ok(())
}
