//! `hytc graph`

use super::common::{error, failed, open, out, SpecArgs};
use super::point::{point, PointArgs};
use super::{exit, Done, Failure};
use crate::graph::draw;
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc graph specs/fashion.hyt
  hytc graph specs/fashion.hyt --point mixer=attention,w1=24 --format svg --out net.svg
  hytc graph specs/fashion.hyt --format dot | dot -Tpdf > net.pdf";

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Dot,
    Svg,
}

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    point: PointArgs,
    /// How to print it [default: by the ending of --out, else text]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let (point, origin) = point(&project, &args.point)?;
    let network = project.checked.space.network(&point).map_err(failed(&project))?;
    let ending = args.out.as_ref().and_then(|o| Some(o.extension()?.to_str()?.to_ascii_lowercase()));
    let format = match (args.format, ending.as_deref()) {
        (Some(format), _) => format,
        (None, Some("svg")) => Format::Svg,
        (None, Some("dot" | "gv")) => Format::Dot,
        (None, Some("txt") | None) => Format::Text,
        (None, Some(other)) => {
            let m =
                format!("hytc draws no .{other}: end the file's name in .svg, .dot or .txt, or say --format");
            return Err(Failure::new(error(m)).code(exit::USAGE));
        }
    };
    let text = match format {
        Format::Text => format!("{origin}, hash {}\n\n{}", network.hash(), draw::text(&network)),
        Format::Dot => draw::dot(&network),
        Format::Svg => draw::svg(&network),
    };
    match &args.out {
        Some(path) => crate::project::write_atomic(path, text.as_bytes())?,
        None => out(text.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}
