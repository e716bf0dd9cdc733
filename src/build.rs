//! For build scripts: the code of a locked spec, made again in seconds, without searching.
//!
//! ```no_run
//! // build.rs
//! fn main() {
//!     hytc::build::compile("model.hyt").unwrap_or_else(|e| panic!("{e}"));
//! }
//! ```
//!
//! ```ignore
//! // src/main.rs
//! mod model {
//!     include!(concat!(env!("OUT_DIR"), "/model.rs"));
//! }
//! ```
//!
//! Depend on hytc with `default-features = false`: then neither burn nor a command line is compiled.

// What a build script looks like is the point of the example.
#![allow(clippy::needless_doctest_main)]

use crate::diag;
use crate::emit::rust::{single_file, single_file_int8};
use crate::project::{write_atomic, LockState, Project, ProjectError};
use std::path::{Path, PathBuf};

/// Why a build script gets no code. `Display` gives the whole text, diagnostics included.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The spec has errors.
    #[error("\n{0}")]
    Spec(String),
    /// The spec has no lock, or it is not current.
    #[error("{0}")]
    Lock(String),
    /// A file.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// Not run by cargo.
    #[error("`{0}` is not set: `hytc::build` is for build scripts that cargo runs")]
    Environment(&'static str),
}

/// Compiles the locked spec at `path` (relative to the package) into `OUT_DIR/<spec name>.rs`, to be
/// included as a module, and tells cargo when to do it again. Gives the file's path.
///
/// # Errors
/// If the spec has errors, or its lock or weights are missing or not current.
pub fn compile(path: impl AsRef<Path>) -> Result<PathBuf, BuildError> {
    let out = std::env::var_os("OUT_DIR").ok_or(BuildError::Environment("OUT_DIR"))?;
    let path = path.as_ref();
    println!("cargo::rerun-if-changed={}", path.display());
    let (name, text, inputs) = generate(path)?;
    for input in inputs {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    let file = Path::new(&out).join(format!("{name}.rs"));
    write_atomic(&file, text.as_bytes())?;
    Ok(file)
}

/// The code of a locked spec: its name, the text of a module, and the files it depends on. It is in
/// int8 if that is the only precision in which the spec emits Rust.
///
/// # Errors
/// As [`compile`].
pub fn generate(path: &Path) -> Result<(String, String, Vec<PathBuf>), BuildError> {
    let project = match Project::open(path) {
        Err(ProjectError::Spec(found)) => {
            return Err(BuildError::Spec(diag::render(&found.0, &found.1, false)))
        }
        other => other?,
    };
    let command = format!("run `hytc compile {}`", path.display());
    let lock = match project.lock(None)? {
        LockState::Current(lock) => lock,
        LockState::Missing => {
            let m = format!(
                "`{}` is missing: {command} once, and commit what it writes",
                project.lock_path().display()
            );
            return Err(BuildError::Lock(m));
        }
        LockState::Stale(_, why) => {
            let m =
                format!("`{}` is not current: {}; {command}", project.lock_path().display(), why.join("; "));
            return Err(BuildError::Lock(m));
        }
    };
    let render =
        |found: Vec<diag::Diagnostic>| BuildError::Spec(diag::render(&found, &project.sources, false));
    let design = project.locked_design(&lock).map_err(render)?;
    let weights = project.locked_weights(&lock, &design)?;
    let bound = project.bind(&design, &weights).map_err(render)?;
    let text = if project.rust_is_int8() {
        let bound = project.bind_int8(&design, &weights).map_err(render)?;
        let quantised = project.quantise(&bound, &weights).map_err(render)?;
        let plan = crate::lower::plan(quantised.lowered(), 1);
        single_file_int8(&quantised, &plan, &project.rust_metadata()).map_err(render)?
    } else {
        single_file(&bound, &design.plan, &project.rust_metadata()).map_err(render)?
    };
    let inputs = project.inputs();
    Ok((project.name().to_string(), text, inputs))
}
