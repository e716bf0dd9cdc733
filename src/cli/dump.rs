//! `hytc dump`

use super::common::{failed, meant, open, out, usage, SpecArgs};
use super::point::{point, PointArgs};
use super::Done;
use crate::lower::{lower_until, PASSES};
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc dump specs/fashion.hyt --pass fuse
  hytc dump specs/hytnas.hyt --pass schedule --point layer2=1";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    point: PointArgs,
    /// The last pass to run: `translate`, `fold`, `fuse`, `schedule` [default: all of them]
    #[arg(long, value_name = "NAME")]
    pass: Option<String>,
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let (point, _) = point(&project, &args.point)?;
    let network = project.checked.space.network(&point).map_err(failed(&project))?;
    let last = PASSES.last().map_or("translate", |p| p.name);
    let pass = args.pass.as_deref().unwrap_or(last);
    let lowered = lower_until(&network, pass).ok_or_else(|| {
        let names: Vec<&str> = ["translate"].into_iter().chain(PASSES.iter().map(|p| p.name)).collect();
        let about = PASSES.iter().map(|p| format!("\n  {}: {}", p.name, p.about)).collect::<String>();
        let help = format!(
            "{}the passes are\n  translate: Makes steps of the operators.{about}",
            meant(pass, &names)
        );
        usage(format!("there is no pass `{pass}`"), help)
    })?;
    out(lowered.to_string().trim_end())?;
    Ok(ExitCode::SUCCESS)
}
