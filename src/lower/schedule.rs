//! The order of the steps. A chain has one; where branches meet, the order decides which tensors
//! wait in memory, and this pass picks one whose peak is smallest.
//!
//! The memory that is live after a set of steps does not depend on their order, so the search runs
//! over sets of executed steps, smallest peak first (Dijkstra's algorithm with the maximum in place
//! of the sum). A ready step that neither raises the peak nor the live memory is executed at once:
//! doing it later could not be better. That leaves few sets for the networks people draw; beyond
//! [`LIMIT`] sets a greedy order is taken.

use super::ir::{Step, TensorId};
use super::memory::{scratch_bytes, tensor_bytes, Groups, Place};
use super::Lowered;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

/// Sets of executed steps that are looked at before the search gives up.
const LIMIT: usize = 20_000;

/// Bytes of an element while ordering: one order serves both precisions. [`smallest_peak`] tells whether it
/// is best in int8 too, where scratch and steps in place are others.
const ELEMENT: usize = 4;

/// Reorders the steps.
pub(super) fn run(mut lowered: Lowered) -> Lowered {
    let order = {
        let search = Search::new(&lowered, ELEMENT);
        search.best().map_or_else(|| search.greedy(), |state| state.order)
    };
    if order.len() == lowered.steps.len() {
        lowered.steps = order.iter().filter_map(|&i| lowered.steps.get(i).cloned()).collect();
    }
    lowered.compact()
}

/// The smallest peak of any order of the steps, for elements of so many bytes; `None` if the search over
/// the orders was given up.
pub(super) fn smallest_peak(lowered: &Lowered, element_bytes: usize) -> Option<usize> {
    Search::new(lowered, element_bytes).best().map(|state| state.peak)
}

/// What is known of a step.
struct Job<'a> {
    step: &'a Step,
    output: usize,
    reads: Vec<TensorId>,
    /// Steps that make its inputs.
    after: Vec<usize>,
}

struct Search<'a> {
    lowered: &'a Lowered,
    /// Bytes of an element.
    element: usize,
    groups: Groups,
    jobs: Vec<Job<'a>>,
}

/// Some steps have been executed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    done: Vec<bool>,
    /// The order in which they were.
    order: Vec<usize>,
    pending: Vec<usize>,
    live: usize,
    peak: usize,
}

/// What executing a step would do.
struct Effect {
    transient: usize,
    after: usize,
}

impl<'a> Search<'a> {
    fn new(lowered: &'a Lowered, element: usize) -> Self {
        let groups = Groups::of(lowered, element);
        let mut maker = vec![None; lowered.tensors.len()];
        for (i, step) in lowered.steps.iter().enumerate() {
            if let Some(m) = maker.get_mut(step.output.0) {
                *m = Some(i);
            }
        }
        let jobs = lowered
            .steps
            .iter()
            .map(|step| Job {
                step,
                output: tensor_bytes(lowered.fact(step.output), element),
                reads: groups.read_by(step),
                after: step.inputs.iter().filter_map(|t| maker.get(t.0).copied().flatten()).collect(),
            })
            .collect();
        Search { lowered, element, groups, jobs }
    }

    fn start(&self) -> State {
        let live = self.group_bytes(self.lowered.input);
        State {
            done: vec![false; self.jobs.len()],
            order: Vec::new(),
            pending: self.groups.pending(self.lowered),
            live,
            peak: live,
        }
    }

    fn group_bytes(&self, t: TensorId) -> usize {
        tensor_bytes(self.lowered.fact(t), self.element)
    }

    fn ready(&self, state: &State) -> Vec<usize> {
        let done = |i: &usize| state.done.get(*i).copied().unwrap_or(false);
        let ready = |(i, job): (usize, &Job<'_>)| (!done(&i) && job.after.iter().all(done)).then_some(i);
        self.jobs.iter().enumerate().filter_map(ready).collect()
    }

    fn effect(&self, state: &State, job: &Job<'_>) -> Effect {
        let dying = job.reads.iter().filter(|g| state.pending.get(g.0) == Some(&1));
        let freed = dying.map(|&g| self.group_bytes(g)).fold(0, usize::saturating_add);
        let place = self.groups.place(job.step, &state.pending);
        let scratch = scratch_bytes(self.lowered, job.step, self.element, place);
        let (during, made) = match place {
            Place::Alias => (0, 0),
            Place::Over(_) => (0, job.output),
            Place::New => (job.output, job.output),
        };
        Effect {
            transient: state.live.saturating_add(during).saturating_add(scratch),
            after: state.live.saturating_add(made).saturating_sub(freed),
        }
    }

    fn execute(&self, state: &mut State, i: usize) {
        let Some(job) = self.jobs.get(i) else { return };
        let effect = self.effect(state, job);
        state.live = effect.after;
        state.peak = state.peak.max(effect.transient);
        for g in &job.reads {
            if let Some(n) = state.pending.get_mut(g.0) {
                *n = n.saturating_sub(1);
            }
        }
        if let Some(done) = state.done.get_mut(i) {
            *done = true;
        }
        state.order.push(i);
    }

    /// Executes all steps that cannot be better executed later; gives the ready ones that remain.
    fn advance(&self, state: &mut State) -> Vec<usize> {
        loop {
            let ready = self.ready(state);
            let harmless = |&&i: &&usize| {
                self.jobs.get(i).is_some_and(|job| {
                    let e = self.effect(state, job);
                    e.transient <= state.peak && e.after <= state.live
                })
            };
            match (ready.as_slice(), ready.iter().find(harmless)) {
                ([only], _) => self.execute(state, *only),
                (_, Some(&i)) => self.execute(state, i),
                _ => return ready,
            }
        }
    }

    /// All steps executed in an order with the smallest peak; `None` if the search was given up.
    fn best(&self) -> Option<State> {
        let mut heap = BinaryHeap::new();
        let mut seen: HashSet<Vec<bool>> = HashSet::new();
        let start = self.start();
        heap.push(Reverse((start.peak, Reverse(0), 0, start)));
        let mut pushed = 0;
        while let Some(Reverse((peak, .., mut state))) = heap.pop() {
            let ready = self.advance(&mut state);
            if state.peak > peak {
                // What could not be avoided has raised its peak: others may be better now.
                pushed += 1;
                heap.push(Reverse((state.peak, Reverse(state.order.len()), pushed, state)));
                continue;
            }
            if ready.is_empty() {
                return Some(state);
            }
            if !seen.insert(state.done.clone()) {
                continue;
            }
            for i in ready {
                let mut next = state.clone();
                self.execute(&mut next, i);
                pushed += 1;
                heap.push(Reverse((next.peak, Reverse(next.order.len()), pushed, next)));
            }
            if pushed > LIMIT {
                return None;
            }
        }
        None
    }

    /// Always the ready step that needs least, then the one that leaves least.
    fn greedy(&self) -> Vec<usize> {
        let mut state = self.start();
        loop {
            let ready = self.advance(&mut state);
            let key = |i: &usize| {
                self.jobs.get(*i).map(|job| {
                    let e = self.effect(&state, job);
                    (e.transient.max(state.peak), e.after)
                })
            };
            match ready.into_iter().min_by_key(key) {
                Some(i) => self.execute(&mut state, i),
                None => return state.order,
            }
        }
    }
}
