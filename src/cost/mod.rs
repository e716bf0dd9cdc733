//! Costs of a lowered network: exact parameters, MACs, weight bytes and RAM; predicted flash,
//! latency and energy.
//!
//! RAM is the arena of the memory plan that the emitted code uses, not an estimate. Flash is the
//! weights, exactly, and an estimate of the code. Latency is the sum over the steps of their work
//! times the rates of a device's profile: how good that is, `docs/devices.md` says.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod code;
mod kernels;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod timeline;
mod work;

pub use code::{call_bytes, calls};
pub use report::{Cost, DeviceCost, LayerCost};
pub use table::table;
pub use timeline::timeline;
pub use work::{work, Amount};

use crate::check::spec::Precision;
use crate::device::{Profile, Work};
use crate::lower::ir::{Kernel, Slot, Step};
use crate::lower::{Lowered, Plan};
use std::collections::BTreeSet;

/// Bytes of an activation's element, for [`crate::lower::plan()`].
pub fn element_bytes(precision: Precision) -> usize {
    match precision {
        Precision::Float => 4,
        Precision::Int8 => 1,
    }
}

/// The costs of a network whose memory was planned for the same precision.
///
/// Code bytes, and with them `flash_bytes`, are the largest over the devices; without a device they
/// are those of the STM32F446.
pub fn cost(lowered: &Lowered, plan: &Plan, devices: &[Profile], precision: Precision) -> Cost {
    let layers: Vec<LayerCost> = lowered
        .steps()
        .iter()
        .enumerate()
        .map(|(i, step)| {
            let input = step.inputs.first().map(|&t| lowered.fact(t));
            let output = lowered.fact(step.output);
            let params = step.slots.iter().filter_map(|&s| lowered.slot(s)).map(|s| s.elements()).sum();
            LayerCost {
                name: step.name.clone(),
                kind: step.kernel.name(input.unwrap_or(output)).to_string(),
                act: step.act.map(|a| a.name().to_string()),
                output: output.to_string(),
                params,
                macs: lowered.step_macs(step),
                weight_bytes: constant_bytes(lowered, step, precision),
                ram_bytes: plan.steps.get(i).map_or(0, |m| m.live_bytes as u64),
                latency_ms: devices
                    .iter()
                    .map(|d| (d.name.clone(), d.seconds(cycles(lowered, step, d, precision)) * 1e3))
                    .collect(),
            }
        })
        .collect();
    let weight_bytes: u64 = layers.iter().map(|l| l.weight_bytes).sum();
    let ram_bytes = plan.arena_bytes as u64;
    let per_device: Vec<DeviceCost> = devices
        .iter()
        .map(|d| {
            let total: f64 = lowered.steps().iter().map(|s| cycles(lowered, s, d, precision)).sum();
            let seconds = d.seconds(total);
            let flash_bytes = weight_bytes.saturating_add(code_bytes(lowered, plan, d, precision));
            DeviceCost {
                name: d.name.clone(),
                latency_s: seconds,
                energy_j: d.joules(seconds),
                flash_bytes,
                fits_ram: ram_bytes <= d.ram(),
                fits_flash: flash_bytes <= d.flash(),
            }
        })
        .collect();
    let default = || {
        let code = Profile::builtin("stm32f446").map_or(0, |d| code_bytes(lowered, plan, &d, precision));
        weight_bytes.saturating_add(code)
    };
    Cost {
        params: lowered.params(),
        macs: lowered.macs(),
        weight_bytes,
        ram_bytes,
        flash_bytes: per_device.iter().map(|d| d.flash_bytes).max().unwrap_or_else(default),
        latency_ms: per_device.iter().map(|d| (d.name.clone(), d.latency_s * 1e3)).collect(),
        devices: per_device,
        layers,
    }
}

/// Bytes of a step's constants in flash. Float: 4 per element. int8: weights 1, and for every output
/// channel 4 of its bias and 5 of its multiplier and shift; layer norm 4 and 4; 256 of a table for an
/// activation that saturation is not, and for every input of a concatenation (at most: one whose
/// scale is that of the result needs none).
fn constant_bytes(lowered: &Lowered, step: &Step, precision: Precision) -> u64 {
    let slots = || step.slots.iter().filter_map(|&id| lowered.slot(id)).map(Slot::elements);
    if precision == Precision::Float {
        return slots().sum::<u64>().saturating_mul(4);
    }
    let channels = lowered.fact(step.output).channels() as u64;
    let own = match step.kernel {
        Kernel::Conv { .. } | Kernel::Linear { .. } | Kernel::Affine => {
            slots().next().unwrap_or(0).saturating_add(channels.saturating_mul(9))
        }
        Kernel::LayerNorm { .. } => channels.saturating_mul(8),
        Kernel::Concat => 256 * step.inputs.len() as u64,
        _ => 0,
    };
    own.saturating_add(if crate::quant::has_table(step) { 256 } else { 0 })
}

/// Predicted cycles of a step.
fn cycles(lowered: &Lowered, step: &Step, device: &Profile, precision: Precision) -> f64 {
    let rates = device.rates(precision);
    let amounts = work(lowered, step);
    if amounts.is_empty() {
        return 0.0; // nothing to call
    }
    let of = |a: &Amount| {
        let rate = rates.of(a.work);
        a.units as f64 * rate.cycles + a.outputs as f64 * rate.per_output
    };
    rates.layer.cycles + amounts.iter().map(of).sum::<f64>()
}

/// Bytes of code. In int8, where the core is one that was measured, what the linked image takes to within
/// 3 %; else an estimate: every kernel that is used once, and every call.
fn code_bytes(lowered: &Lowered, plan: &Plan, device: &Profile, precision: Precision) -> u64 {
    match (precision, kernels::Architecture::of(&device.core)) {
        (Precision::Int8, Some(architecture)) => code::code_bytes(lowered, plan, architecture),
        _ => estimated_code_bytes(lowered, device, precision),
    }
}

/// By the rates of a profile.
fn estimated_code_bytes(lowered: &Lowered, device: &Profile, precision: Precision) -> u64 {
    let rates = device.rates(precision);
    let mut kinds: BTreeSet<Work> = BTreeSet::new();
    let mut bytes = 0.0;
    for step in lowered.steps() {
        let amounts = work(lowered, step);
        bytes += if amounts.is_empty() { 0.0 } else { rates.layer.code_bytes };
        kinds.extend(amounts.iter().map(|a| a.work));
    }
    // Pointwise convolutions and dense layers are one kernel.
    if kinds.contains(&Work::Pointwise) {
        kinds.remove(&Work::Linear);
    }
    bytes += kinds.iter().map(|&k| rates.of(k).code_bytes).sum::<f64>();
    bytes.round() as u64
}
