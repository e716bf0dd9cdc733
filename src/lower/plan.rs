//! The memory plan: one arena that holds the image, every activation and all scratch, and the place
//! of each. The emitted code uses these offsets, and `ram` is the arena's size: there is no second
//! estimate anywhere.

use super::ir::TensorId;
use super::memory::{scratch_bytes, tensor_bytes, Groups, Place};
use super::pack::{pack, Item};
use super::Lowered;

/// A contiguous part of the arena, in use during some steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffer {
    /// Byte offset in the arena; a multiple of 4.
    pub offset: usize,
    /// Size in bytes, rounded up to a multiple of 4. (Row streaming will make it smaller than the
    /// tensor: a ring of rows.)
    pub bytes: usize,
    /// The first step during which it is in use.
    pub first: usize,
    /// The last step during which it is in use.
    pub last: usize,
    /// The tensors it holds, one after the other (or at once, a tensor and its flattened form);
    /// none: scratch of one step.
    pub tensors: Vec<TensorId>,
}

impl Buffer {
    /// Whether it is in use during a step.
    pub fn is_live(&self, step: usize) -> bool {
        (self.first..=self.last).contains(&step)
    }

    /// The bytes of the arena it takes.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset.saturating_add(self.bytes)
    }
}

/// Whether a step's output lies on one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InPlace {
    /// The output has a place that none of the inputs uses.
    No,
    /// The output overwrites the input of this port, which nobody reads afterwards. No other input
    /// of the step shares that place.
    Over(usize),
    /// The output *is* the input (flatten): there is nothing to execute.
    Alias,
}

/// The memory of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepMemory {
    /// Whether it runs in place.
    pub in_place: InPlace,
    /// The buffer of its scratch, an index into [`Plan::buffers`].
    pub scratch: Option<usize>,
    /// The buffers in use while it runs, its inputs, output and scratch included: indices into
    /// [`Plan::buffers`], rising.
    pub live: Vec<usize>,
    /// Bytes of these together.
    pub live_bytes: usize,
}

/// Where everything lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of an element of an activation: 4 for float, 1 for int8.
    pub element_bytes: usize,
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// The buffer of every tensor, an index into `buffers`.
    pub tensors: Vec<usize>,
    /// By step, in the order of execution.
    pub steps: Vec<StepMemory>,
    /// Size of the arena.
    pub arena_bytes: usize,
    /// The most bytes live during one step: no arena for this schedule can be smaller.
    pub lower_bound: usize,
    /// Whether `arena_bytes` is proven to be the smallest for this schedule.
    pub optimal: bool,
}

/// How far the size of an arena is proven to be the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optimality {
    /// No order of the steps and no places of the buffers need less.
    Proven,
    /// No places of the buffers need less for this order of the steps; of other orders nothing is known but
    /// the lower bound of the best of them, if all were looked at.
    ForSchedule(Option<usize>),
    /// Nothing is proven.
    Open,
}

impl Plan {
    /// How far the size of the arena is proven to be the smallest. Looks at all orders of the steps, unless
    /// there are too many.
    pub fn optimality(&self, lowered: &Lowered) -> Optimality {
        let smallest = super::schedule::smallest_peak(lowered, self.element_bytes);
        match (smallest, self.optimal) {
            (Some(peak), _) if peak == self.arena_bytes => Optimality::Proven,
            (_, true) => Optimality::ForSchedule(smallest),
            _ => Optimality::Open,
        }
    }

    /// The buffer of a tensor.
    pub fn buffer(&self, tensor: TensorId) -> Option<&Buffer> {
        self.buffers.get(*self.tensors.get(tensor.0)?)
    }

    /// Byte offset of a tensor.
    pub fn offset(&self, tensor: TensorId) -> Option<usize> {
        self.buffer(tensor).map(|b| b.offset)
    }

    /// Offset of a tensor in elements, exact since offsets are multiples of 4 bytes.
    pub fn element_offset(&self, tensor: TensorId) -> Option<usize> {
        self.offset(tensor)?.checked_div(self.element_bytes)
    }

    /// The scratch buffer of a step.
    pub fn scratch(&self, step: usize) -> Option<&Buffer> {
        self.buffers.get(self.steps.get(step)?.scratch?)
    }
}

/// Plans the memory of a lowered network whose activations have `element_bytes` bytes (4 or 1).
pub fn plan(lowered: &Lowered, element_bytes: usize) -> Plan {
    let groups = Groups::of(lowered, element_bytes);
    let mut pending = groups.pending(lowered);
    let mut tensors = vec![0; lowered.tensors.len()];
    let bytes = |t: TensorId| tensor_bytes(lowered.fact(t), element_bytes);
    let new = |t: TensorId, step: usize| Buffer {
        offset: 0,
        bytes: bytes(t),
        first: step,
        last: step,
        tensors: vec![t],
    };
    let mut buffers = vec![new(lowered.input, 0)];
    let mut steps = Vec::new();
    for (i, step) in lowered.steps.iter().enumerate() {
        let place = groups.place(step, &pending);
        for &t in &step.inputs {
            if let Some(b) = tensors.get(t.0).and_then(|&b: &usize| buffers.get_mut(b)) {
                b.last = i;
            }
        }
        for g in groups.read_by(step) {
            if let Some(n) = pending.get_mut(g.0) {
                *n = n.saturating_sub(1);
            }
        }
        let on = |port: usize| step.inputs.get(port).and_then(|t| tensors.get(t.0)).copied();
        let (in_place, shared) = match place {
            Place::New => (InPlace::No, None),
            Place::Over(port) => (InPlace::Over(port), on(port)),
            Place::Alias => (InPlace::Alias, on(0)),
        };
        let index = shared.unwrap_or(buffers.len());
        match buffers.get_mut(index) {
            Some(b) => b.tensors.push(step.output),
            None => buffers.push(new(step.output, i)),
        }
        if let Some(t) = tensors.get_mut(step.output.0) {
            *t = index;
        }
        let scratch = match scratch_bytes(lowered, step, element_bytes, place) {
            0 => None,
            bytes => {
                buffers.push(Buffer { offset: 0, bytes, first: i, last: i, tensors: Vec::new() });
                Some(buffers.len() - 1)
            }
        };
        steps.push(StepMemory { in_place, scratch, live: Vec::new(), live_bytes: 0 });
    }
    if let Some(b) = tensors.get(lowered.output.0).and_then(|&b| buffers.get_mut(b)) {
        b.last = steps.len().saturating_sub(1);
    }

    let items: Vec<Item> =
        buffers.iter().map(|b| Item { bytes: b.bytes, first: b.first, last: b.last }).collect();
    let packing = pack(&items, steps.len());
    for (b, &offset) in buffers.iter_mut().zip(&packing.offsets) {
        b.offset = offset;
    }
    for (i, step) in steps.iter_mut().enumerate() {
        let live = buffers.iter().enumerate().filter(|(_, b)| b.is_live(i));
        (step.live, step.live_bytes) = live.fold((Vec::new(), 0), |(mut live, bytes), (index, b)| {
            live.push(index);
            (live, b.bytes.saturating_add(bytes))
        });
    }
    Plan {
        element_bytes,
        buffers,
        tensors,
        steps,
        arena_bytes: packing.bytes,
        lower_bound: packing.lower_bound,
        optimal: packing.optimal,
    }
}
