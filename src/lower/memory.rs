//! The rules of memory, which the schedule and the plan share: what a tensor takes, what a step may
//! overwrite, what it needs besides its inputs and its output.

use super::ir::{Kernel, Step, TensorId};
use super::Lowered;
use crate::graph::Fact;

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

/// Bytes that a step needs for itself while it runs: [`Kernel::AttentionCore`] one row of scores,
/// `tokens` f32. All other kernels keep what they need in registers and on the stack.
pub(super) fn scratch_bytes(lowered: &Lowered, step: &Step) -> usize {
    match (step.kernel, step.inputs.first().map(|&t| lowered.fact(t))) {
        (Kernel::AttentionCore { .. }, Some(Fact::Tokens { tokens, .. })) => {
            aligned(tokens.saturating_mul(4))
        }
        _ => 0,
    }
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
        // A depthwise convolution can run in place with a buffer of a few rows, pooling too: that
        // comes with row streaming.
        _ => 0..0,
    }
}

/// Tensors that are one value: a flattened tensor and its source.
#[derive(Debug)]
pub(super) struct Groups {
    /// The first tensor of each tensor's group.
    root: Vec<TensorId>,
}

impl Groups {
    pub(super) fn of(lowered: &Lowered) -> Groups {
        let mut root: Vec<TensorId> = (0..lowered.tensors.len()).map(TensorId).collect();
        for step in lowered.steps.iter().filter(|s| s.kernel == Kernel::Flatten) {
            let source = step.inputs.first().and_then(|t| root.get(t.0)).copied();
            if let (Some(source), Some(own)) = (source, root.get_mut(step.output.0)) {
                *own = source;
            }
        }
        Groups { root }
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
        overwritable(&step.kernel).find(free).map_or(Place::New, Place::Over)
    }
}
