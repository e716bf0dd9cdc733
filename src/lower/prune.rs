//! Removing channels that are constant or never read, of a network with its weights.
//!
//! Trained networks hold many: half of MLPerf Tiny's network for visual wake words gives nothing but
//! constants. A channel of a group of tensors that go through it side by side (a convolution, the
//! depthwise one behind it, norms, activations, sums) is removed where every layer that reads it
//! gives it weights of zero, or can take its constant value into the bias: a convolution with padding
//! only the value zero, since its border sees fewer of them.

use super::interpret::apply;
use super::ir::{Kernel, Recipe, Slot, SlotId, Step, TensorId};
use super::Bound;
use crate::graph::{Fact, Padding};
use crate::weights::Array;

/// The network without such channels; it computes the same.
pub fn prune(bound: &Bound) -> Bound {
    let mut bound = bound.clone();
    // Removing a channel can leave those that it was made of without a reader.
    while let Some(smaller) = once(&bound) {
        bound = smaller;
    }
    bound
}

/// How a step treats channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Makes new ones of all it reads: convolution, linear.
    Mixes,
    /// Keeps each by itself.
    Keeps,
    /// Needs them as they are.
    Fixes,
}

fn role(bound: &Bound, step: &Step) -> Role {
    let input = step.inputs.first().map_or(Fact::Vector { n: 0 }, |&t| bound.lowered.fact(t));
    let output = bound.lowered.fact(step.output);
    match step.kernel {
        Kernel::Conv { groups: 1, .. } | Kernel::Linear { .. } => Role::Mixes,
        Kernel::Conv { .. } if step.kernel.is_plain_depthwise(input, output) => Role::Keeps,
        Kernel::MaxPool(w) | Kernel::AvgPool(w) => {
            let p = w.padding;
            let seen = w.dilation == 1 && [p.top, p.left, p.bottom, p.right].iter().all(|&n| n < w.kernel);
            if seen {
                Role::Keeps
            } else {
                Role::Fixes
            }
        }
        Kernel::Affine
        | Kernel::Activation(_)
        | Kernel::GlobalAvgPool
        | Kernel::Add
        | Kernel::AddChannels
        | Kernel::Mul
        | Kernel::MulChannels => Role::Keeps,
        _ => Role::Fixes,
    }
}

fn slot(bound: &Bound, step: &Step, i: usize) -> Vec<f32> {
    let array = step.slots.get(i).and_then(|&id| bound.array(id));
    array.map(|a| a.data.clone()).unwrap_or_default()
}

/// The weights of output `o` for input channel `i`; `depth` input channels.
fn taps(weights: &[f32], outputs: usize, depth: usize, o: usize, i: usize) -> &[f32] {
    let area = weights.len() / (outputs * depth).max(1);
    weights.get((o * depth + i) * area..).and_then(|w| w.get(..area)).unwrap_or_default()
}

fn padded(kernel: &Kernel) -> bool {
    matches!(kernel, Kernel::Conv { window, .. } if window.padding != Padding::default())
}

/// What a layer takes of a channel of one value: `None` if its border sees something else.
fn absorbed(weights: &[f32], value: Option<f64>, padded: bool) -> Option<f64> {
    if weights.iter().all(|&w| w == 0.0) {
        return Some(0.0);
    }
    match value {
        Some(0.0) => Some(0.0),
        Some(v) if !padded => Some(v * weights.iter().map(|&w| f64::from(w)).sum::<f64>()),
        _ => None,
    }
}

type Values = Vec<Vec<Option<f64>>>;

/// By tensor, by channel: the value it has everywhere, for every image.
fn constants(bound: &Bound) -> Values {
    let lowered = &bound.lowered;
    let mut values: Values = lowered.tensors.iter().map(|t| vec![None; t.fact.channels()]).collect();
    for step in &lowered.steps {
        let of = |port: usize, c: usize| {
            let tensor = step.inputs.get(port).and_then(|t| values.get(t.0));
            tensor.and_then(|v| v.get(c)).copied().flatten()
        };
        let outputs = lowered.fact(step.output).channels();
        let depth = step.inputs.first().map_or(0, |&t| lowered.fact(t).channels());
        let (w0, w1) = (slot(bound, step, 0), slot(bound, step, 1));
        let bias = |o: usize| w1.get(o).copied().map_or(0.0, f64::from);
        let padded = padded(&step.kernel);
        let value = |o: usize| -> Option<f64> {
            let y = match (role(bound, step), step.kernel) {
                (Role::Fixes, _) => return None,
                (Role::Mixes, _) => {
                    let part = |i: usize| absorbed(taps(&w0, outputs, depth, o, i), of(0, i), padded);
                    (0..depth).map(part).try_fold(bias(o), |sum, part| Some(sum + part?))?
                }
                (_, Kernel::Conv { .. }) => {
                    bias(o) + absorbed(taps(&w0, outputs, 1, o, 0), of(0, o), padded)?
                }
                (_, Kernel::Affine) => bias(o) + absorbed(taps(&w0, outputs, 1, o, 0), of(0, o), false)?,
                (_, Kernel::Activation(act)) => apply(act, of(0, o)?),
                (_, Kernel::Add | Kernel::AddChannels) => of(0, o)? + of(1, o)?,
                (_, Kernel::Mul | Kernel::MulChannels) => match (of(0, o), of(1, o)) {
                    (Some(0.0), _) | (_, Some(0.0)) => 0.0,
                    (a, b) => a? * b?,
                },
                _ => of(0, o)?,
            };
            Some(step.act.map_or(y, |act| apply(act, y)))
        };
        let found = (0..outputs).map(value).collect();
        if let Some(v) = values.get_mut(step.output.0) {
            *v = found;
        }
    }
    values
}

/// The first tensor of the group of each tensor, and by group whether it must stay as it is.
fn groups(bound: &Bound) -> (Vec<usize>, Vec<bool>) {
    let lowered = &bound.lowered;
    let mut root: Vec<usize> = (0..lowered.tensors.len()).collect();
    for step in lowered.steps.iter().filter(|s| role(bound, s) == Role::Keeps) {
        let of = |t: &TensorId| root.get(t.0).copied().unwrap_or(t.0);
        let members: Vec<usize> = step.inputs.iter().chain([&step.output]).map(of).collect();
        let first = members.iter().copied().min().unwrap_or(0);
        root.iter_mut().filter(|r| members.contains(r)).for_each(|r| *r = first);
    }
    let mut fixed = vec![false; root.len()];
    let mut fix = |t: TensorId| {
        if let Some(f) = root.get(t.0).and_then(|&r| fixed.get_mut(r)) {
            *f = true;
        }
    };
    fix(lowered.input);
    fix(lowered.output);
    for step in lowered.steps.iter().filter(|s| role(bound, s) == Role::Fixes) {
        step.inputs.iter().chain([&step.output]).for_each(|&t| fix(t));
    }
    (root, fixed)
}

/// Removes what can be removed now; `None` if nothing can.
fn once(bound: &Bound) -> Option<Bound> {
    let lowered = &bound.lowered;
    let (values, (root, fixed)) = (constants(bound), groups(bound));
    let group = |t: TensorId| root.get(t.0).copied().unwrap_or(t.0);
    // By group: the channels that stay.
    let mut stays: Vec<Vec<bool>> = lowered.tensors.iter().map(|t| vec![false; t.fact.channels()]).collect();
    let mixing = || lowered.steps.iter().filter(|s| role(bound, s) == Role::Mixes);
    for step in mixing() {
        let Some(&x) = step.inputs.first() else { continue };
        let (outputs, depth) = (lowered.fact(step.output).channels(), lowered.fact(x).channels());
        let weights = slot(bound, step, 0);
        let Some(stay) = stays.get_mut(group(x)) else { continue };
        for (i, stay) in stay.iter_mut().enumerate() {
            let value = values.get(x.0).and_then(|v| v.get(i)).copied().flatten();
            let free =
                |o| absorbed(taps(&weights, outputs, depth, o, i), value, padded(&step.kernel)).is_some();
            *stay |= !(0..outputs).all(free);
        }
    }
    for (stay, &fixed) in stays.iter_mut().zip(&fixed) {
        if fixed {
            stay.fill(true);
        } else if let (true, Some(first)) = (stay.iter().all(|s| !s), stay.first_mut()) {
            *first = true;
        }
    }
    let kept = |t: TensorId| stays.get(group(t)).map_or(&[][..], Vec::as_slice);
    if lowered.tensors.iter().enumerate().all(|(t, _)| kept(TensorId(t)).iter().all(|&s| s)) {
        return None;
    }

    let mut smaller = bound.clone();
    for (t, tensor) in smaller.lowered.tensors.iter_mut().enumerate() {
        let count = kept(TensorId(t)).iter().filter(|&&s| s).count();
        tensor.fact = tensor.fact.with_channels(count);
    }
    for (step, new) in lowered.steps.iter().zip(0..) {
        let Some(&x) = step.inputs.first() else { continue };
        let (xs, ys) = (kept(x), kept(step.output));
        let mixes = role(bound, step) == Role::Mixes;
        let (outputs, depth) = (ys.len(), if mixes { xs.len() } else { 1 });
        let weights = slot(bound, step, 0);
        let everything = [true];
        let inputs = if mixes { xs } else { &everything };
        let mut data = Vec::new();
        for (o, _) in ys.iter().enumerate().filter(|(_, &stay)| stay) {
            for (i, _) in inputs.iter().enumerate().filter(|(_, &stay)| stay) {
                data.extend_from_slice(taps(&weights, outputs, depth, o, i));
            }
        }
        // What the removed channels gave goes into the bias.
        let old = slot(bound, step, 1);
        let lost = |o: usize| -> f64 {
            let removed = xs.iter().enumerate().filter(|(_, &stay)| mixes && !stay);
            let value = |i: usize| values.get(x.0).and_then(|v| v.get(i)).copied().flatten();
            let part =
                |(i, _)| absorbed(taps(&weights, outputs, depth, o, i), value(i), padded(&step.kernel));
            removed.filter_map(part).sum()
        };
        let outs = || ys.iter().enumerate().filter(|(_, &stay)| stay).map(|(o, _)| o);
        let bias: Vec<f32> =
            outs().map(|o| (old.get(o).copied().map_or(0.0, f64::from) + lost(o)) as f32).collect();
        rebuild(&mut smaller, new, data, bias);
    }
    Some(smaller)
}

/// Gives a step of weights its new arrays, with a bias where it had none and needs one.
fn rebuild(bound: &mut Bound, index: usize, weights: Vec<f32>, bias: Vec<f32>) {
    let Bound { lowered, arrays } = bound;
    let facts =
        |t: Option<&TensorId>| t.and_then(|t| lowered.tensors.get(t.0)).map_or(0, |t| t.fact.channels());
    let Some(step) = lowered.steps.get_mut(index) else { return };
    let (inputs, outputs) = (facts(step.inputs.first()), facts(Some(&step.output)));
    let mut put = |slots: &mut Vec<Slot>, id: SlotId, shape: Vec<usize>, data: Vec<f32>| {
        if let (Some(slot), Some(array)) = (slots.get_mut(id.0), arrays.get_mut(id.0)) {
            slot.shape.clone_from(&shape);
            *array = Array { shape, data };
        }
    };
    let shape = match &mut step.kernel {
        Kernel::Conv { window, groups, .. } => {
            let depth = if *groups == 1 { inputs } else { 1 };
            if *groups != 1 && data_is_depthwise(*groups, &weights, window.kernel) {
                *groups = outputs;
            }
            vec![outputs, depth, window.kernel, window.kernel]
        }
        Kernel::Linear { .. } => vec![outputs, inputs],
        Kernel::Affine => vec![outputs],
        _ => return,
    };
    if shape.iter().product::<usize>() != weights.len() {
        return;
    }
    if let Some(&id) = step.slots.first() {
        put(&mut lowered.slots, id, shape, weights);
    }
    match step.slots.get(1) {
        Some(&id) => put(&mut lowered.slots, id, vec![outputs], bias),
        None if bias.iter().any(|&b| b != 0.0) => {
            if let Kernel::Conv { bias, .. } | Kernel::Linear { bias } = &mut step.kernel {
                *bias = true;
            }
            let name = format!("{}.bias", step.name);
            step.slots.push(SlotId(lowered.slots.len()));
            let recipe = Recipe::Copy(name.clone());
            lowered.slots.push(Slot { name, shape: vec![outputs], recipe });
            arrays.push(Array { shape: vec![outputs], data: bias });
        }
        None => {}
    }
}

/// Whether these are the weights of a depthwise convolution with one output of each channel.
fn data_is_depthwise(groups: usize, weights: &[f32], kernel: usize) -> bool {
    weights.len() <= groups * kernel * kernel
}
