//! Lowering: from a validated network to a schedule of kernel calls with planned memory.
//!
//! [`lower`] is a short chain of passes over one representation, [`Lowered`]: `translate` makes
//! naive steps, `fold` folds batch norms, `fuse` fuses activations, `schedule` orders the
//! steps for the smallest peak of memory. [`plan()`] then gives every tensor its place in the arena.
//!
//! Invariants of a [`Lowered`]: ids are in range; every tensor but the input is written by exactly
//! one step, before any step reads it; every tensor and every slot is used; step names are unique.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod bind;
mod dump;
mod fold;
mod fuse;
pub mod interpret;
pub mod ir;
mod memory;
mod pack;
mod plan;
mod prune;
mod schedule;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod translate;
mod work;

pub use plan::{plan, Buffer, InPlace, Optimality, Plan, StepMemory};
pub use prune::prune;

use crate::graph::{Fact, Network};
use crate::weights::Array;
use ir::{Slot, SlotId, Step, Tensor, TensorId};

/// A network as a schedule of kernel calls. Made only by [`lower`].
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    /// Activations.
    pub(crate) tensors: Vec<Tensor>,
    /// Weight arrays.
    pub(crate) slots: Vec<Slot>,
    /// Kernel calls in the order of execution.
    pub(crate) steps: Vec<Step>,
    /// The image.
    pub(crate) input: TensorId,
    /// The result.
    pub(crate) output: TensorId,
}

/// A lowered network with the values of its weights: what can be emitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The structure.
    pub lowered: Lowered,
    /// One array per slot.
    pub arrays: Vec<Array>,
}

impl Bound {
    /// The values of a slot.
    pub fn array(&self, id: SlotId) -> Option<&Array> {
        self.arrays.get(id.0)
    }
}

/// One stage of lowering.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Its name, as `hytc dump --pass` takes it.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    run: fn(Lowered) -> Lowered,
}

/// The passes after the translation of the graph, in their order.
pub const PASSES: [Pass; 3] = [
    Pass { name: "fold", about: "Folds batch norms into the layers before them.", run: fold::run },
    Pass { name: "fuse", about: "Fuses activations into the steps before them.", run: fuse::run },
    Pass { name: "schedule", about: "Orders the steps for the smallest peak of memory.", run: schedule::run },
];

/// Lowers a network: all of [`PASSES`].
pub fn lower(network: &Network) -> Lowered {
    PASSES.iter().fold(translate::run(network), |lowered, pass| (pass.run)(lowered))
}

/// Lowers a network up to and including the named pass (`translate` is the state before the first).
/// `None` if there is no such pass.
pub fn lower_until(network: &Network, pass: &str) -> Option<Lowered> {
    let first = translate::run(network);
    if pass == "translate" {
        return Some(first);
    }
    let count = PASSES.iter().position(|p| p.name == pass)? + 1;
    Some(PASSES.iter().take(count).fold(first, |lowered, p| (p.run)(lowered)))
}

impl Lowered {
    /// All activations; [`TensorId`] indexes them.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All weight arrays; [`SlotId`] indexes them.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The kernel calls in the order of execution.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The image.
    pub fn input(&self) -> TensorId {
        self.input
    }

    /// The result.
    pub fn output(&self) -> TensorId {
        self.output
    }

    /// A tensor.
    pub fn tensor(&self, id: TensorId) -> Option<&Tensor> {
        self.tensors.get(id.0)
    }

    /// The fact of a tensor; an empty vector for an id that is not of this network.
    pub fn fact(&self, id: TensorId) -> Fact {
        self.tensors.get(id.0).map_or(Fact::Vector { n: 0 }, |t| t.fact)
    }

    /// A weight array.
    pub fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(id.0)
    }

    /// The facts of a step's inputs, in order.
    pub fn input_facts(&self, step: &Step) -> Vec<Fact> {
        step.inputs.iter().map(|&t| self.fact(t)).collect()
    }

    /// Weights and biases: the elements of all slots. Equals what the initialisers of the emitted
    /// ONNX file and the constants of the emitted crate hold.
    pub fn params(&self) -> u64 {
        self.slots.iter().map(Slot::elements).fold(0, u64::saturating_add)
    }

    /// How often each tensor is read, by tensor; being the result counts as once.
    pub(crate) fn reads(&self) -> Vec<usize> {
        let mut reads = vec![0; self.tensors.len()];
        for &t in self.steps.iter().flat_map(|s| &s.inputs).chain([&self.output]) {
            if let Some(n) = reads.get_mut(t.0) {
                *n += 1;
            }
        }
        reads
    }

    /// Lets everything that reads `old` read `new`.
    pub(crate) fn replace(&mut self, old: TensorId, new: TensorId) {
        let inputs = self.steps.iter_mut().flat_map(|s| &mut s.inputs);
        for t in inputs.chain([&mut self.output]).filter(|t| **t == old) {
            *t = new;
        }
    }

    /// Drops tensors and slots that no step uses any more, and numbers both in the order of the
    /// steps.
    pub(crate) fn compact(mut self) -> Lowered {
        let mut tensors: Vec<Option<TensorId>> = vec![None; self.tensors.len()];
        let mut slots: Vec<Option<SlotId>> = vec![None; self.slots.len()];
        let (mut kept_tensors, mut kept_slots) = (Vec::new(), Vec::new());
        let mut number = |id: TensorId| {
            if let (Some(new @ None), Some(t)) = (tensors.get_mut(id.0), self.tensors.get(id.0)) {
                *new = Some(TensorId(kept_tensors.len()));
                kept_tensors.push(t.clone());
            }
            tensors.get(id.0).copied().flatten().unwrap_or(id)
        };
        self.input = number(self.input);
        for step in &mut self.steps {
            for t in step.inputs.iter_mut().chain([&mut step.output]) {
                *t = number(*t);
            }
            for s in &mut step.slots {
                if let (Some(new @ None), Some(slot)) = (slots.get_mut(s.0), self.slots.get(s.0)) {
                    *new = Some(SlotId(kept_slots.len()));
                    kept_slots.push(slot.clone());
                }
                *s = slots.get(s.0).copied().flatten().unwrap_or(*s);
            }
        }
        self.output = number(self.output);
        Lowered { tensors: kept_tensors, slots: kept_slots, ..self }
    }
}

impl Slot {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |n, &d| n.saturating_mul(d as u64))
    }
}
