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
    if path.exists() {
        return Err(Failure::new(error(format!("`{}` exists already; choose another name", path.display()))));
    }
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    crate::project::write_atomic(&path, TEMPLATE.replace("NAME", &name).as_bytes())?;
    out(format_args!("wrote {}", path.display()))?;
    out(format_args!(
        "put images into {name}-images/train/<class>/ and {name}-images/test/<class>/, then run"
    ))?;
    out(format_args!("  hytc check {0} && hytc compile {0}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}
