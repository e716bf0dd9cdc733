//! The rules of memory, which the schedule and the plan share: what a tensor takes, what a step may
//! overwrite, what it needs besides its inputs and its output.

use super::ir::{Kernel, Step, TensorId};
use super::Lowered;
use crate::graph::{Fact, Window};
use std::collections::BTreeSet;

/// Every buffer starts at a multiple of this many bytes and takes a multiple of it, so that the
/// arena of int8 code can hold scratch of f32 and be read by words.
pub(super) const ALIGN: usize = 4;

/// No buffer is taken for larger than this (256 terabytes on 64-bit hosts), so that sums
/// of sizes cannot overflow, whatever a spec says; no device has it.
const HUGE: usize = usize::MAX >> 16 & !(ALIGN - 1);

/// Rounds up to [`ALIGN`].
pub(super) fn aligned(bytes: usize) -> usize {
    bytes.min(HUGE).next_multiple_of(ALIGN)
}

/// Bytes of a tensor in the arena.
pub(super) fn tensor_bytes(fact: Fact, element_bytes: usize) -> usize {
    let elements = fact.rows().saturating_mul(fact.channels());
    aligned(elements.saturating_mul(element_bytes))
}

/// Bytes that a step needs for itself while it runs: the core of attention one row of scores, `tokens`
/// of four bytes; in int8 a convolution two windows, and a depthwise convolution that overwrites its
/// input the rows that it still needs. All other kernels keep what they need in registers and on
/// the stack.
pub(super) fn scratch_bytes(lowered: &Lowered, step: &Step, element_bytes: usize, place: Place) -> usize {
    let Some(fact) = step.inputs.first().map(|&t| lowered.fact(t)) else { return 0 };
    let bytes = match (step.kernel, fact) {
        (Kernel::AttentionCore { .. }, Fact::Tokens { tokens, .. }) => tokens.saturating_mul(4),
        (Kernel::Conv { window, .. }, Fact::Map { w, c, .. }) if place != Place::New => {
            reach(&window).saturating_mul(w).saturating_mul(c)
        }
        (Kernel::Conv { window, groups, .. }, _)
            if element_bytes == 1
                && !step.kernel.is_pointwise()
                && !step.kernel.is_plain_depthwise(fact, lowered.fact(step.output)) =>
        {
            let area = window.kernel.saturating_mul(window.kernel);
            area.saturating_mul(fact.channels() / groups.max(1)).saturating_mul(2)
        }
        _ => 0,
    };
    aligned(bytes)
}

/// Rows that a window covers.
fn reach(window: &Window) -> usize {
    window.kernel.saturating_sub(1).saturating_mul(window.dilation).saturating_add(1)
}

/// Whether an int8 depthwise convolution may write its output over its input: the rows it writes
/// are of the size of those it reads, it never writes a row before it has read it, and the rows
/// that it keeps meanwhile are less than another map.
fn depthwise_in_place(lowered: &Lowered, step: &Step) -> bool {
    let (Some(&x), Kernel::Conv { window, .. }) = (step.inputs.first(), step.kernel) else { return false };
    let (x, y) = (lowered.fact(x), lowered.fact(step.output));
    let Fact::Map { h, .. } = x else { return false };
    step.kernel.is_plain_depthwise(x, y)
        && x == y
        && window.stride == 1
        && window.padding.top < reach(&window)
        && reach(&window) < h
}

/// Where a step's output lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a buffer of its own.
    New,
    /// Over the input of this port, which dies.
    Over(usize),
    /// It is the input of port 0, which may live on: nothing moves.
    Alias,
}

/// The ports of a kernel whose tensors its output may overwrite: those it reads element by element,
/// or row by row, at the place it writes.
fn overwritable(kernel: &Kernel) -> std::ops::Range<usize> {
    match kernel {
        Kernel::Affine
        | Kernel::LayerNorm { .. }
        | Kernel::Softmax
        | Kernel::Activation(_)
        | Kernel::AddChannels
        | Kernel::MulChannels => 0..1,
        Kernel::Add | Kernel::Mul => 0..2,
        // Pooling could run in place too: that comes with row streaming.
        _ => 0..0,
    }
}

/// Tensors that are one value: a flattened tensor and its source.
#[derive(Debug)]
pub(super) struct Groups {
    /// The first tensor of each tensor's group.
    root: Vec<TensorId>,
    /// Outputs of depthwise convolutions that may run in place.
    depthwise: BTreeSet<TensorId>,
}

impl Groups {
    pub(super) fn of(lowered: &Lowered, element_bytes: usize) -> Groups {
        let mut root: Vec<TensorId> = (0..lowered.tensors.len()).map(TensorId).collect();
        for step in lowered.steps.iter().filter(|s| s.kernel == Kernel::Flatten) {
            let source = step.inputs.first().and_then(|t| root.get(t.0)).copied();
            if let (Some(source), Some(own)) = (source, root.get_mut(step.output.0)) {
                *own = source;
            }
        }
        let in_place = lowered.steps.iter().filter(|s| element_bytes == 1 && depthwise_in_place(lowered, s));
        Groups { root, depthwise: in_place.map(|s| s.output).collect() }
    }

    /// The group of a tensor.
    pub(super) fn root(&self, t: TensorId) -> TensorId {
        self.root.get(t.0).copied().unwrap_or(t)
    }

    /// The groups a step reads, each once.
    pub(super) fn read_by(&self, step: &Step) -> Vec<TensorId> {
        let mut groups: Vec<TensorId> = step.inputs.iter().map(|&t| self.root(t)).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// How many steps still read each group when none has run; being the result counts as one.
    pub(super) fn pending(&self, lowered: &Lowered) -> Vec<usize> {
        let mut pending = vec![0; lowered.tensors.len()];
        let reads = lowered.steps.iter().flat_map(|s| self.read_by(s));
        for t in reads.chain([self.root(lowered.output)]) {
            if let Some(n) = pending.get_mut(t.0) {
                *n += 1;
            }
        }
        pending
    }

    /// Where the output of a step goes, if `pending` steps (this one included) read each group.
    pub(super) fn place(&self, step: &Step, pending: &[usize]) -> Place {
        if step.kernel == Kernel::Flatten {
            return Place::Alias;
        }
        let groups: Vec<TensorId> = step.inputs.iter().map(|&t| self.root(t)).collect();
        let free = |port: &usize| {
            groups.get(*port).is_some_and(|g| {
                pending.get(g.0) == Some(&1) && groups.iter().filter(|other| *other == g).count() == 1
            })
        };
        let ports = match self.depthwise.contains(&step.output) {
            true => 0..1,
            false => overwritable(&step.kernel),
        };
        ports.into_iter().find(free).map_or(Place::New, Place::Over)
    }
}
