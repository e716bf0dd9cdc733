//! `hytc cost`

use super::common::{failed, open, out, print_json, PrecisionArg, SpecArgs};
use super::point::{point, PointArgs};
use super::Done;
use crate::check::spec::Precision;
use crate::cost::{cost, table, timeline};
use crate::lower::{plan, Optimality};
use std::process::ExitCode;

const AFTER: &str = "Examples:
  hytc cost specs/mobilenet_v1.hyt
  hytc cost specs/fashion.hyt --point mixer=attention --ram
  hytc cost specs/mobilenet_v1.hyt --precision int8 --ram
  hytc cost specs/fashion.hyt --json | jq .ram_bytes";

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    point: PointArgs,
    /// The numbers of the emitted code
    #[arg(long, value_enum, default_value_t)]
    precision: PrecisionArg,
    /// Draw only what lives in RAM from step to step
    #[arg(long)]
    ram: bool,
    /// Print JSON: `params` (after folding), `macs`, `weight_bytes`, `ram_bytes`, `flash_bytes`,
    /// `latency_ms` by device, `layers`, `decisions`, `ram_lower_bound`, `ram_optimal` (proved: `true`;
    /// for this order of the steps: `"for this schedule"`; else `false`)
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let project = open(&args.spec)?;
    let (point, origin) = point(&project, &args.point)?;
    let mut design = project.design(&point).map_err(failed(&project))?;
    if args.precision == PrecisionArg::Int8 {
        design.plan = plan(&design.lowered, 1);
        design.cost = cost(&design.lowered, &design.plan, &project.profiles, Precision::Int8);
    }
    if args.json {
        let mut value = serde_json::to_value(&design.cost).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.insert("decisions".into(), project.checked.space.describe(&point).into());
            map.insert("ram_lower_bound".into(), design.plan.lower_bound.into());
            let optimal = match design.plan.optimality(&design.lowered) {
                Optimality::Proven => true.into(),
                Optimality::ForSchedule(_) => "for this schedule".into(),
                Optimality::Open => false.into(),
            };
            map.insert("ram_optimal".into(), optimal);
        }
        print_json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    out(format_args!("{}: {origin}, {}\n", project.name(), args.precision.name()))?;
    if !args.ram {
        out(format_args!("{}", table(&design.cost)))?;
    }
    out(format_args!("{}", timeline(&design.lowered, &design.plan)))?;
    Ok(ExitCode::SUCCESS)
}
