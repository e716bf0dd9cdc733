//! The RAM timeline: how full the arena is at every step, and with what.

use super::table::grouped;
use crate::lower::{Buffer, InPlace, Lowered, Optimality, Plan};

/// Characters of the widest bar.
const WIDTH: usize = 48;

/// A map of the arena at every step, as text: the bar is the arena from its first byte to its last,
/// `#` where a buffer is in use, `=` where it is scratch, `.` where it is free; then the bytes live,
/// and the tensors.
pub fn timeline(lowered: &Lowered, plan: &Plan) -> String {
    let name_width = lowered.steps().iter().map(|s| s.name.chars().count()).max().unwrap_or(5).max(5);
    let bytes_width = grouped(plan.arena_bytes as u64).len();
    let width = WIDTH.min(plan.arena_bytes);
    let mut out = format!("{:<name_width$}  {:<width$}  {:>bytes_width$}  live\n", "step", "arena", "bytes");
    for (i, (step, memory)) in lowered.steps().iter().zip(&plan.steps).enumerate() {
        let live: Vec<&Buffer> = memory.live.iter().filter_map(|&b| plan.buffers.get(b)).collect();
        let bar: String = (0..width).map(|column| cell(&live, plan.arena_bytes, column, width)).collect();
        let peak = if memory.live_bytes == plan.lower_bound { " <" } else { "" };
        let mut names: Vec<String> = live
            .iter()
            .filter(|b| !b.tensors.is_empty())
            .map(|b| {
                let held = current(lowered, plan, b, i);
                format!("{held} {}", grouped(b.bytes as u64))
            })
            .collect();
        names.extend(plan.scratch(i).map(|b| format!("scratch {}", grouped(b.bytes as u64))));
        let place = match memory.in_place {
            InPlace::No => "",
            InPlace::Over(_) => " (in place)",
            InPlace::Alias => " (no movement)",
        };
        out.push_str(&format!(
            "{:<name_width$}  {bar}  {:>bytes_width$}  {}{place}{peak}\n",
            step.name,
            grouped(memory.live_bytes as u64),
            names.join(", ")
        ));
    }
    out.push_str(&verdict(lowered, plan));
    out
}

/// The arena beside its lower bound, and what is proven.
fn verdict(lowered: &Lowered, plan: &Plan) -> String {
    let bound = grouped(plan.lower_bound as u64);
    let proven = match (plan.optimality(lowered), plan.arena_bytes == plan.lower_bound) {
        (Optimality::Proven, _) => "proved optimal: no order of the steps needs less".to_string(),
        (Optimality::ForSchedule(smallest), equal) => {
            let why = if equal { "equal to the lower bound" } else { "all placements tried" };
            let others = match smallest {
                Some(peak) if peak < plan.lower_bound => {
                    format!("another order of the steps has a lower bound of {}", grouped(peak as u64))
                }
                Some(_) => "no order of the steps has a smaller lower bound".to_string(),
                None => "not all orders of the steps were looked at".to_string(),
            };
            format!("optimal for this order of the steps ({why}); {others}")
        }
        (Optimality::Open, _) => "not proved optimal".to_string(),
    };
    let arena = grouped(plan.arena_bytes as u64);
    format!(
        "arena {arena} bytes, lower bound {bound} (the most bytes live at one step, marked <); {proven}\n"
    )
}

/// What a column of the bar shows: whether anything lies in its part of the arena.
fn cell(live: &[&Buffer], arena: usize, column: usize, width: usize) -> char {
    let edge = |c: usize| (c as u128 * arena as u128 / width.max(1) as u128) as usize;
    let part = edge(column)..edge(column + 1);
    let there = |b: &&&Buffer| b.offset < part.end && part.start < b.range().end;
    match live.iter().filter(there).map(|b| b.tensors.is_empty()).min() {
        None => '.',
        Some(false) => '#',
        Some(true) => '=',
    }
}

/// The name of the tensor that a buffer holds when a step has run.
fn current(lowered: &Lowered, plan: &Plan, buffer: &Buffer, step: usize) -> String {
    let written = lowered
        .steps()
        .iter()
        .take(step + 1)
        .rev()
        .find(|s| buffer.tensors.contains(&s.output))
        .map(|s| s.output);
    let first = buffer.tensors.first().copied().filter(|&t| plan.buffer(t).is_some());
    written.or(first).and_then(|t| lowered.tensor(t)).map_or_else(String::new, |t| t.name.clone())
}
