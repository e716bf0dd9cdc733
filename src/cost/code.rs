//! The bytes of int8 code in flash, besides the weights: the kernels that a network calls, each once
//! however often it is called, and for every call its constants and its place in the list of steps
//! (`src/emit/rust/steps.rs`).
//!
//! What a call takes follows from the emitted types, exactly. What the kernels take was found by linking
//! random networks; `kernels.rs` has the figures.

use super::kernels::{Architecture, SHARED};
use crate::lower::ir::{Kernel, Step};
use crate::lower::{InPlace, Lowered, Plan};
use std::collections::BTreeMap;

/// The calls that emitted int8 code makes for a step, by the names of the kernels.
fn step_calls(lowered: &Lowered, step: &Step, in_place: InPlace) -> Vec<&'static str> {
    let output = lowered.fact(step.output);
    let input = step.inputs.first().map_or(output, |&t| lowered.fact(t));
    let mut calls = match step.kernel {
        _ if in_place == InPlace::Alias => Vec::new(),
        Kernel::Concat => vec!["concat"; step.inputs.len()],
        Kernel::Conv { .. } if step.kernel.is_pointwise() => vec!["linear"],
        Kernel::Conv { .. } if step.kernel.is_plain_depthwise(input, output) => vec!["depthwise"],
        Kernel::Conv { .. } => vec!["conv"],
        Kernel::Linear { .. } => vec!["linear"],
        Kernel::Affine => vec!["affine"],
        Kernel::LayerNorm { .. } => vec!["layer_norm"],
        Kernel::AttentionCore { .. } => vec!["attention"],
        Kernel::Softmax => vec!["softmax"],
        Kernel::MaxPool(_) => vec!["max_pool"],
        Kernel::AvgPool(_) => vec!["avg_pool"],
        Kernel::GlobalAvgPool => vec!["global_avg_pool"],
        Kernel::Add | Kernel::AddChannels => vec!["add"],
        Kernel::Mul | Kernel::MulChannels => vec!["mul"],
        Kernel::MatMul => vec!["matmul"],
        Kernel::Transpose => vec!["transpose"],
        Kernel::Unfold { .. } => vec!["unfold"],
        Kernel::Fold => vec!["fold"],
        Kernel::Activation(_) => vec!["map"],
        Kernel::Flatten => Vec::new(),
    };
    if crate::quant::has_table(step) && !matches!(step.kernel, Kernel::Activation(_)) {
        calls.push("map");
    }
    calls
}

/// How often emitted int8 code calls each kernel, by the names of the kernels.
pub fn calls(lowered: &Lowered, plan: &Plan) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (i, step) in lowered.steps().iter().enumerate() {
        let in_place = plan.steps.get(i).map_or(InPlace::No, |m| m.in_place);
        for name in step_calls(lowered, step, in_place) {
            *counts.entry(name).or_default() += 1;
        }
    }
    counts
}

/// The constants of a call, `kernels/src/int8/*.rs`: words of the size of a pointer, numbers of 32 bits,
/// of 64, and of 8.
fn fields(kernel: &str) -> [usize; 4] {
    // Three slices, a number and a flag, in `kernels/src/int8/channels.rs`.
    const CHANNELS: [usize; 2] = [6, 2];
    let dense = |words| [2 + CHANNELS[0] + words, CHANNELS[1], 0, 0];
    match kernel {
        "affine" => dense(0),
        "linear" => dense(2),
        "conv" => [2 + CHANNELS[0] + 11, CHANNELS[1], 0, 1],
        "depthwise" => [2 + CHANNELS[0] + 9, CHANNELS[1], 0, 1],
        "add" => [0, 8, 0, 0],
        "mul" => [0, 5, 0, 0],
        "attention" => [3, 7, 0, 0],
        "max_pool" | "avg_pool" => [9, 0, 0, 1],
        "global_avg_pool" => [0, 4, 0, 0],
        "concat" => [4, 0, 0, 0],
        "unfold" | "fold" => [4, 0, 0, 1],
        "layer_norm" => [4, 3, 1, 0],
        "matmul" => [3, 5, 0, 0],
        "transpose" => [2, 0, 0, 0],
        "softmax" => [1, 3, 0, 0],
        // The table itself.
        _ => [0; 4],
    }
}

/// Bytes of the calls: their constants and the list, where a pointer has so many bytes.
pub fn call_bytes(calls: &BTreeMap<&str, usize>, plan: &Plan, pointer: usize) -> usize {
    let own = |kernel: &str| {
        let [words, ints, longs, small] = fields(kernel);
        let align = match (words, longs) {
            (_, 1..) => 8,
            (1.., _) => pointer,
            _ => 4,
        };
        (words * pointer + ints * 4 + longs * 8 + small).next_multiple_of(align)
    };
    // Offsets and lengths of three parts, and the kernel: a tag, if there are several, and a pointer.
    let parts = if plan.arena_bytes <= usize::from(u16::MAX) { 12usize } else { 24 };
    let kernel = if calls.len() > 1 { 2 * pointer } else { pointer };
    let step = (parts.next_multiple_of(pointer) + kernel).next_multiple_of(pointer);
    calls.iter().map(|(kernel, n)| n.saturating_mul(own(kernel) + step)).fold(0, usize::saturating_add)
}

/// Bytes of code of an int8 network besides its weights, on one architecture.
pub(super) fn code_bytes(lowered: &Lowered, plan: &Plan, architecture: &Architecture) -> u64 {
    let calls = calls(lowered, plan);
    if calls.is_empty() {
        return 0;
    }
    let has = |kernel: &str| calls.contains_key(kernel);
    let kernels = architecture.kernels.iter().filter(|(name, _)| has(name)).map(|(_, bytes)| bytes);
    let shared =
        SHARED.iter().zip(architecture.shared).filter(|((_, users), _)| users.iter().any(|u| has(u)));
    let text = architecture.base + kernels.sum::<usize>() + shared.map(|(_, bytes)| bytes).sum::<usize>();
    let all: usize = calls.values().sum();
    let padding = (architecture.padding * all as f64).round() as usize;
    (text + padding).saturating_add(call_bytes(&calls, plan, architecture.pointer)) as u64
}
