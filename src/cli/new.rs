//! `hytc new`

use super::common::{error, out};
use super::{Done, Failure};
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc new cats              writes cats.hyt
  hytc new models/person";

/// What a new spec holds; `NAME` is replaced.
const TEMPLATE: &str = include_str!("template.hyt");

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// The spec's name; `.hyt` is added
    name: PathBuf,
}

pub(super) fn run(args: &Args) -> Done {
    let path = if args.name.extension().is_some_and(|e| e == "hyt") {
        args.name.clone()
    } else {
        let mut p = args.name.clone().into_os_string();
        p.push(".hyt");
        PathBuf::from(p)
    };
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    if name.is_empty() || name.contains(|c: char| matches!(c, '"' | '\\') || c.is_control()) {
        let m = format!("`{}` cannot be a spec's name", name.escape_debug());
        let help = "use a name without quotes, backslashes and control characters";
        return Err(Failure::new(format!("{}\n  = help: {help}", error(m))));
    }
    if path.exists() {
        return Err(Failure::new(error(format!("`{}` exists already; choose another name", path.display()))));
    }
    crate::project::write_atomic(&path, TEMPLATE.replace("NAME", &name).as_bytes())?;
    out(format_args!("wrote {}", path.display()))?;
    let images = path.with_file_name(format!("{name}-images"));
    out(format_args!(
        "put images into {0}/train/<class>/ and {0}/test/<class>/, then run",
        images.display()
    ))?;
    let quoted = quoted(&path.to_string_lossy());
    out(format_args!("  hytc check {quoted} && hytc compile {quoted}"))?;
    Ok(ExitCode::SUCCESS)
}

/// A path as a shell reads it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    match path.chars().all(plain) {
        true => path.to_string(),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}
