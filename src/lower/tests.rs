//! Tests of the whole of lowering, on known networks and on random ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::ir::{Kernel, Recipe};
use super::testing::{eval, mobilenet, random, resnet8, same, Net};
use super::{lower, lower_until, plan, InPlace, Lowered, Optimality, Plan};
use crate::graph::{Act, Fact, Network, Op};
use crate::weights::{Weights, WeightsError};
use rand::{RngExt, SeedableRng};
use std::collections::HashSet;

const RANDOM: u64 = 300;

#[test]
fn mobilenet_has_the_published_size() {
    let lowered = lower(&mobilenet());
    assert_eq!(lowered.params(), 210_850);
    assert_eq!(lowered.macs(), 7_489_664);
    assert_eq!(lowered.steps().len(), 1 + 26 + 2);
    let int8 = plan(&lowered, 1);
    assert_eq!(int8.arena_bytes, 55_296);
    assert!(int8.optimal);
    assert_eq!(plan(&lowered, 4).arena_bytes, 4 * 55_296);
}

#[test]
fn resnet8_has_the_published_size_and_adds_in_place() {
    let lowered = lower(&resnet8());
    // Keras counts 78,666: with four arrays for each of the 240 channels that have a norm, and
    // with biases in the two side convolutions.
    assert_eq!(lowered.params() + 32 + 64, 78_666 - 4 * 240);
    assert_eq!(lowered.macs(), 12_501_632);
    let p = plan(&lowered, 1);
    let adds = lowered.steps().iter().zip(&p.steps).filter(|(s, _)| s.kernel == Kernel::Add);
    assert!(adds.clone().count() == 3 && adds.into_iter().all(|(_, m)| m.in_place != InPlace::No));
    // The first block: its input, the first convolution's output, the second's; two windows.
    assert_eq!(p.arena_bytes, 3 * 32 * 32 * 16 + 2 * 3 * 3 * 16);
}

#[test]
fn lowering_does_not_change_what_is_computed() {
    let (mut kernels, mut tried) = (HashSet::new(), 0);
    for seed in 0..RANDOM {
        let network = random::network(seed);
        let weights = Weights::random(&network, seed);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let image: Vec<f32> =
            (0..network.input_fact().elements()).map(|_| rng.random_range(-1.0..1.0)).collect();
        let wanted = eval::network(&network, &weights, &image);
        if wanted.iter().any(|v| v.is_nan() || v.abs() > 1e4) {
            continue; // products of products: rounding would hide a mistake
        }
        tried += 1;
        for pass in ["translate", "fold", "fuse", "schedule"] {
            let lowered = lower_until(&network, pass).unwrap();
            invariants(&lowered);
            kernels.extend(lowered.steps().iter().map(|s| s.kernel.name(Fact::Vector { n: 0 })));
            let p = plan(&lowered, 4);
            let bound = lowered.bind(&weights).unwrap();
            let got = eval::lowered(&bound, &p, &image);
            let scale = wanted.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            let error = wanted.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(
                wanted.len() == got.len() && error <= 2e-4 * scale,
                "seed {seed} {pass}: {error}\n{lowered}"
            );
        }
    }
    assert!(tried > RANDOM * 9 / 10, "{tried}");
    assert_eq!(kernels.len(), 24, "the random networks must use every kernel: {kernels:?}");
}

/// What `Lowered` promises.
fn invariants(l: &Lowered) {
    let mut written = HashSet::from([l.input()]);
    let mut names = HashSet::new();
    let (mut tensors, mut slots) = (HashSet::from([l.input()]), HashSet::new());
    for step in l.steps() {
        assert!(step.inputs.iter().all(|t| written.contains(t)), "{} reads too early\n{l}", step.name);
        assert!(written.insert(step.output), "{} writes again", step.name);
        assert!(names.insert(&step.name), "{} is there twice", step.name);
        tensors.extend(step.inputs.iter().chain([&step.output]).copied());
        slots.extend(step.slots.iter().copied());
    }
    assert!(written.contains(&l.output()));
    assert_eq!((tensors.len(), slots.len()), (l.tensors().len(), l.slots().len()), "unused entries\n{l}");
}

#[test]
fn the_plan_never_overlaps_what_is_live() {
    let (mut over, mut bounds, mut unproven) = (0, 0, 0u64);
    for seed in 0..RANDOM {
        let lowered = lower(&random::network(seed));
        for element in [1, 4] {
            let p = plan(&lowered, element);
            sound(&lowered, &p);
            over += usize::from(p.steps.iter().any(|s| matches!(s.in_place, InPlace::Over(_))));
            bounds += usize::from(p.arena_bytes == p.lower_bound);
            unproven += u64::from(!p.optimal);
            assert!(p.arena_bytes * 20 <= p.lower_bound * 21, "seed {seed}");
        }
    }
    // These networks are wilder than what people draw: up to 98 buffers with branches in branches.
    assert!(unproven <= RANDOM / 50, "{unproven} of {} unproven", 2 * RANDOM);
    assert!(over > 100 && bounds > 500, "{over} in place, {bounds} at the bound");
}

fn sound(l: &Lowered, p: &Plan) {
    assert!(p.lower_bound <= p.arena_bytes);
    for (i, a) in p.buffers.iter().enumerate() {
        assert!(a.range().end <= p.arena_bytes && a.offset % 4 == 0 && a.first <= a.last);
        for b in p.buffers.iter().skip(i + 1) {
            let together = a.first <= b.last && b.first <= a.last;
            let apart = a.range().end <= b.offset || b.range().end <= a.offset;
            assert!(!together || apart, "{a:?} and {b:?} overlap");
        }
    }
    for (i, (step, memory)) in l.steps().iter().zip(&p.steps).enumerate() {
        for t in step.inputs.iter().chain([&step.output]) {
            let b = p.buffer(*t).unwrap();
            assert!(b.is_live(i) && b.tensors.contains(t));
            assert!(b.bytes >= l.fact(*t).elements() * p.element_bytes);
        }
        assert_eq!(memory.live_bytes, memory.live.iter().map(|&b| p.buffers[b].bytes).sum::<usize>());
        if let InPlace::Over(port) = memory.in_place {
            let lives = l.steps().iter().skip(i + 1).any(|s| s.inputs.contains(&step.inputs[port]));
            assert!(!lives && l.output() != step.inputs[port], "{} overwrites what is read", step.name);
            let shared = step.inputs.iter().filter(|&&t| p.buffer(t) == p.buffer(step.output)).count();
            assert_eq!(shared, 1, "{} shares its place with another input", step.name);
        }
        if matches!(step.kernel, Kernel::AttentionCore { .. }) {
            let Fact::Tokens { tokens, .. } = l.fact(step.output) else { panic!() };
            assert!(p.scratch(i).unwrap().bytes >= 4 * tokens);
        }
    }
    assert_eq!(p.lower_bound, p.steps.iter().map(|s| s.live_bytes).max().unwrap_or(p.lower_bound));
}

#[test]
fn norms_fold_only_where_nothing_else_reads() {
    let (mut n, x) = Net::new(4, 4, 2);
    let a = n.conv(x, 3, 3, 1, 1);
    let b = n.bn(a);
    let c = n.op(Op::Add, &[a, b]);
    let l = lower(&n.finish(c));
    let kinds: Vec<_> = l.steps().iter().map(|s| s.kernel.name(l.fact(s.inputs[0]))).collect();
    assert_eq!(kinds, ["conv", "affine", "add"]);
    assert_eq!(l.params(), 3 * 2 * 9 + 3 + 3);
    assert!(matches!(l.steps()[0].kernel, Kernel::Conv { bias: false, .. }));

    let (mut n, x) = Net::new(4, 4, 2);
    let a = n.conv(x, 3, 3, 1, 1);
    let b = n.op(Op::Dropout { p: 0.5 }, &[a]);
    let b = n.bn(b);
    let b = n.act(b, Act::Silu);
    let b = n.bn(b);
    let l = lower(&n.finish(b));
    assert_eq!(l.steps().len(), 2, "{l}");
    assert_eq!(l.steps()[0].act, Some(Act::Silu));
    assert_eq!(l.steps()[1].kernel, Kernel::Affine);
    assert!(matches!(l.slots()[0].recipe, Recipe::ScaledWeight(..)));
    assert!(matches!(l.slots()[1].recipe, Recipe::FoldedBias(None, _)));
    assert_eq!(l.slots()[1].name, "conv.bias");
}

#[test]
fn activations_do_not_fuse_into_movement() {
    let (mut n, x) = Net::new(4, 4, 2);
    let a = n.conv(x, 3, 3, 1, 1);
    let b = n.op(Op::Flatten, &[a]);
    let b = n.act(b, Act::Gelu);
    let l = lower(&n.finish(b));
    assert_eq!(l.steps().len(), 3);
    let p = plan(&l, 4);
    assert_eq!(p.steps[1].in_place, InPlace::Alias);
    assert_eq!(p.steps[2].in_place, InPlace::Over(0));
}

#[test]
fn attention_becomes_three_steps_with_scratch() {
    let (mut n, x) = Net::new(4, 4, 6);
    let t = n.op(Op::Unfold { patch: 2 }, &[x]);
    let t = n.op(Op::Attention { heads: 2, head_dim: 3 }, &[t]);
    let l = lower(&n.finish(t));
    let names: Vec<_> = l.steps().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["unfold", "attention.qkv", "attention.core", "attention.out"]);
    // 4 groups of 4 tokens; q k^T and p v, 2 heads of 3.
    assert_eq!(l.step_macs(&l.steps()[2]), 2 * 4 * 2 * 4 * 4 * 3);
    assert_eq!(plan(&l, 1).scratch(2).unwrap().bytes, 16);
}

/// One branch shrinks at once and keeps little, the other needs much room while it runs. The order
/// in which the graph was built is the bad one.
fn lopsided() -> Network {
    let (mut n, x) = Net::new(16, 16, 4);
    let wide = n.conv(x, 4, 1, 1, 1);
    let small = n.op(Op::AvgPool(same(x, 16, 16)), &[x]);
    let small = n.conv(small, 4, 1, 1, 1);
    let big = n.conv(wide, 32, 1, 1, 1);
    let big = n.op(Op::MaxPool(same(big, 16, 16)), &[big]);
    let big = n.conv(big, 4, 1, 1, 1);
    let y = n.op(Op::Add, &[small, big]);
    n.finish(y)
}

#[test]
fn the_schedule_lowers_the_peak() {
    let before = lower_until(&lopsided(), "fuse").unwrap();
    let after = lower(&lopsided());
    let (a, b) = (plan(&before, 4).lower_bound, plan(&after, 4).lower_bound);
    // `small` first: then the image is dead while the wide branch runs.
    assert_eq!(b, 4 * (16 * 16 * (4 + 32) + 4));
    assert!(b <= a);
}

#[test]
fn no_order_is_better_than_the_schedule() {
    let mut compared = 0;
    for seed in 0..5 * RANDOM {
        let fused = lower_until(&random::network(seed), "fuse").unwrap();
        if fused.steps().len() > 9 {
            continue;
        }
        let lowered = lower(&random::network(seed));
        let best = plan(&lowered, 4).lower_bound;
        let mut orders = 0;
        let mut smallest = [usize::MAX; 2];
        every_order(&fused, &mut Vec::new(), &mut |order| {
            let steps = order.iter().map(|&i| fused.steps[i].clone()).collect();
            let l = Lowered { steps, ..fused.clone() };
            let bounds = [1, 4].map(|element| plan(&l, element).lower_bound);
            assert!(best <= bounds[1], "seed {seed}: {order:?} needs {} of {best}", bounds[1]);
            smallest = [0, 1].map(|i| smallest[i].min(bounds[i]));
            orders += 1;
        });
        // What is claimed of all orders, in int8 and in float.
        for (element, smallest) in [1, 4].into_iter().zip(smallest) {
            let claimed = super::schedule::smallest_peak(&lowered, element);
            assert_eq!(claimed, Some(smallest), "seed {seed}, elements of {element}");
            let p = plan(&lowered, element);
            let proven = p.optimality(&lowered) == Optimality::Proven;
            assert_eq!(proven, p.arena_bytes == smallest, "seed {seed}, elements of {element}");
        }
        compared += usize::from(orders > 1);
    }
    assert!(compared > 10, "{compared} networks had a choice");
}

fn every_order(l: &Lowered, order: &mut Vec<usize>, visit: &mut impl FnMut(&[usize])) {
    if order.len() == l.steps.len() {
        return visit(order);
    }
    for i in 0..l.steps.len() {
        let made = |t: &super::ir::TensorId| t == &l.input || order.iter().any(|&j| l.steps[j].output == *t);
        if !order.contains(&i) && l.steps[i].inputs.iter().all(made) {
            order.push(i);
            every_order(l, order, visit);
            order.pop();
        }
    }
}

#[test]
fn an_identity_network_is_its_input() {
    let (mut n, x) = Net::new(2, 2, 1);
    let x = n.op(Op::Dropout { p: 0.5 }, &[x]);
    let l = lower(&n.finish(x));
    assert_eq!((l.steps().len(), l.input()), (0, l.output()));
    assert_eq!(plan(&l, 4).arena_bytes, 16);
}

#[test]
fn wrong_weights_are_named() {
    let network = mobilenet();
    let l = lower(&network);
    let mut weights = Weights::random(&network, 1);
    assert!(l.bind(&weights).is_ok());
    weights.0.get_mut("batch_norm_3.running_var").unwrap().shape = vec![3];
    let Err(WeightsError::Mismatch { name, .. }) = l.bind(&weights) else { panic!() };
    assert_eq!(name, "batch_norm_3.running_var");
    weights.0.remove("conv.weight");
    let e = l.bind(&weights).unwrap_err().to_string();
    assert_eq!(e, "parameter `conv.weight` should have shape [8, 3, 3, 3], the weights hold nothing");
}

#[test]
fn the_largest_sizes_do_not_overflow() {
    let (mut n, x) = Net::new(8, 8, 2);
    let t = n.op(Op::Unfold { patch: 2 }, &[x]);
    let t = n.op(Op::Linear { out: 1 << 25, bias: true }, &[t]);
    let u = n.act(t, Act::Gelu);
    let t = n.op(Op::Add, &[t, u]);
    let t = n.op(Op::Linear { out: 2, bias: true }, &[t]);
    let l = lower(&n.finish(t));
    let p = plan(&l, 4);
    assert!(p.arena_bytes >= 1 << 33 && l.params() > 1 << 26 && l.macs() > 1 << 32);
}

/// Networks with many dead weights give the same without them, and have fewer.
#[test]
fn pruning_does_not_change_what_is_computed() {
    let (mut removed, mut tried) = (0, 0);
    let networks = (0..150u64).map(|seed| (seed, random::network(seed))).chain([(7, mobilenet())]);
    for (seed, network) in networks {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut bound = lower(&network).bind(&Weights::random(&network, seed)).unwrap();
        for (slot, array) in bound.lowered.slots.iter().zip(&mut bound.arrays) {
            let row = array.data.len() / slot.shape[0];
            for row in array.data.chunks_mut(row) {
                // Whole outputs, biases, and what is given to single inputs.
                if rng.random_bool(0.3) {
                    row.fill(0.0);
                }
            }
        }
        let image: Vec<f32> =
            (0..network.input_fact().elements()).map(|_| rng.random_range(-1.0..1.0)).collect();
        let wanted = super::interpret::interpret(&bound, &image);
        if wanted.iter().any(|v| v.is_nan() || v.abs() > 1e4) {
            continue;
        }
        let pruned = super::prune(&bound);
        invariants(&pruned.lowered);
        let found = super::interpret::interpret(&pruned, &image);
        let scale = wanted.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        let error = wanted.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(
            wanted.len() == found.len() && error <= 1e-4 * scale,
            "seed {seed}: {error}\n{}\n{}",
            bound.lowered,
            pruned.lowered
        );
        assert!(pruned.lowered.params() <= bound.lowered.params());
        removed += usize::from(pruned.lowered.params() < bound.lowered.params());
        tried += 1;
        sound(&pruned.lowered, &plan(&pruned.lowered, 1));
    }
    assert!(tried > 130 && removed > tried / 4, "{removed} of {tried} had something to remove");
}

/// Every second output of the pointwise layers dead, as in MLPerf Tiny's own network: they, their
/// depthwise layers and the weights that read them go.
#[test]
fn half_a_mobilenet_is_pruned() {
    let network = mobilenet();
    let mut bound = lower(&network).bind(&Weights::random(&network, 1)).unwrap();
    for step in bound.lowered.steps.clone().iter().filter(|s| s.kernel.is_pointwise()) {
        let weights = &mut bound.arrays[step.slots[0].0].data;
        let row = weights.len() / bound.lowered.slots[step.slots[0].0].shape[0];
        weights.chunks_mut(row).step_by(2).for_each(|row| row.fill(0.0));
        bound.arrays[step.slots[1].0].data.iter_mut().step_by(2).for_each(|b| *b = -b.abs());
    }
    let pruned = super::prune(&bound).lowered;
    assert!(pruned.params() < bound.lowered.params() / 3, "{}", pruned.params());
    assert!(pruned.macs() < bound.lowered.macs() * 2 / 5);
    // The first pointwise layer, 8 to 16, holds the peak: it is 8 to 8 now.
    assert_eq!(plan(&pruned, 1).arena_bytes, 96 * 96 * 3 + 48 * 48 * 8 + 56);
}
