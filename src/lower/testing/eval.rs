//! Plain evaluation: of a network node by node, every value in memory of its own; and of a lowered
//! network step by step in one arena, at the plan's offsets, where everything that the plan does
//! not call live is overwritten with NaN. Layout as in emitted code: `[h][w][c]`.

use crate::graph::{Act, Fact, Network, Op, Patches, Window};
use crate::lower::ir::Kernel;
use crate::lower::{Bound, InPlace, Plan};
use crate::weights::Weights;
use std::collections::BTreeMap;

/// The output of a network.
pub(crate) fn network(network: &Network, weights: &Weights, image: &[f32]) -> Vec<f32> {
    let mut values = BTreeMap::new();
    for view in network.nodes() {
        let x: Vec<&[f32]> = view.inputs.iter().map(|id| -> &[f32] { &values[id] as &Vec<f32> }).collect();
        let param = |p: &str| -> &[f32] {
            weights.0.get(&format!("{}.{p}", view.node.name)).map_or(&[], |a| &a.data)
        };
        let (f, out) = (&view.facts, view.output);
        let value = match view.node.op {
            Op::Input => image.to_vec(),
            Op::Dropout { .. } => x[0].to_vec(),
            Op::BatchNorm { eps } => {
                let (g, b, m, v) =
                    (param("weight"), param("bias"), param("running_mean"), param("running_var"));
                let c = out.channels();
                let norm =
                    |(i, &x): (usize, &f32)| (x - m[i % c]) / (v[i % c] + eps).sqrt() * g[i % c] + b[i % c];
                x[0].iter().enumerate().map(norm).collect()
            }
            Op::Attention { heads, head_dim } => {
                let wide = out.with_channels(3 * heads * head_dim);
                let qkv = linear(x[0], param("qkv.weight"), param("qkv.bias"), f[0], wide);
                let core = attention(&qkv, wide, heads, head_dim);
                let inner = out.with_channels(heads * head_dim);
                linear(&core, param("out.weight"), param("out.bias"), inner, out)
            }
            Op::Add => {
                let mut sum = x[0].to_vec();
                for y in &x[1..] {
                    for (i, s) in sum.iter_mut().enumerate() {
                        *s += y[i % y.len()];
                    }
                }
                sum
            }
            Op::Mul => x[0].iter().enumerate().map(|(i, a)| a * x[1][i % x[1].len()]).collect(),
            op => {
                let kernel = match op {
                    Op::Conv { window, groups, bias, .. } => Kernel::Conv { window, groups, bias },
                    Op::Linear { bias, .. } => Kernel::Linear { bias },
                    Op::LayerNorm { eps } => Kernel::LayerNorm { eps },
                    Op::Activation(a) => Kernel::Activation(a),
                    Op::Softmax => Kernel::Softmax,
                    Op::MaxPool(w) => Kernel::MaxPool(w),
                    Op::AvgPool(w) => Kernel::AvgPool(w),
                    Op::GlobalAvgPool => Kernel::GlobalAvgPool,
                    Op::Concat => Kernel::Concat,
                    Op::MatMul => Kernel::MatMul,
                    Op::Transpose => Kernel::Transpose,
                    Op::Unfold { patch } => Kernel::Unfold { patch },
                    Op::Fold => Kernel::Fold,
                    Op::Flatten => Kernel::Flatten,
                    other => panic!("{other:?}"),
                };
                let arrays = [param("weight"), param("bias")];
                run(kernel, &x, f, out, &arrays)
            }
        };
        values.insert(view.id, value);
    }
    values.remove(&network.output()).unwrap()
}

/// The output of a lowered network, computed in an arena of the plan's size.
pub(crate) fn lowered(bound: &Bound, plan: &Plan, image: &[f32]) -> Vec<f32> {
    let low = &bound.lowered;
    assert_eq!(plan.element_bytes, 4);
    let mut arena = vec![f32::NAN; plan.arena_bytes / 4];
    let range = |t| {
        let at = plan.element_offset(t).unwrap();
        at..at + low.fact(t).elements()
    };
    arena[range(low.input())].copy_from_slice(image);
    for (i, (step, memory)) in low.steps().iter().zip(&plan.steps).enumerate() {
        if let Some(b) = plan.scratch(i) {
            arena[b.offset / 4..(b.offset + b.bytes) / 4].fill(f32::NAN);
        }
        let inputs: Vec<Vec<f32>> = step.inputs.iter().map(|&t| arena[range(t)].to_vec()).collect();
        let facts = low.input_facts(step);
        let arrays: Vec<&[f32]> = step.slots.iter().map(|s| &bound.arrays[s.0].data[..]).collect();
        let x: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let mut y = run(step.kernel, &x, &facts, low.fact(step.output), &arrays);
        if let Some(a) = step.act {
            y.iter_mut().for_each(|v| *v = act(a, *v));
        }
        match memory.in_place {
            InPlace::No => assert!(step.inputs.iter().all(|&t| plan.buffer(t) != plan.buffer(step.output))),
            InPlace::Over(port) => assert_eq!(range(step.inputs[port]), range(step.output)),
            InPlace::Alias => {
                assert_eq!(range(step.inputs[0]), range(step.output));
                assert_eq!(y, x[0], "an alias must not compute");
            }
        }
        arena[range(step.output)].copy_from_slice(&y);
        let mut dead = vec![true; arena.len()];
        for b in plan.buffers.iter().filter(|b| b.is_live(i) && (b.last > i || i + 1 == low.steps().len())) {
            dead[b.offset / 4..(b.offset + b.bytes) / 4].fill(false);
        }
        arena.iter_mut().zip(dead).for_each(|(x, dead)| *x = if dead { f32::NAN } else { *x });
    }
    arena[range(low.output())].to_vec()
}

fn run(kernel: Kernel, x: &[&[f32]], f: &[Fact], out: Fact, arrays: &[&[f32]]) -> Vec<f32> {
    let c = out.channels();
    let map = |f: Fact| match f {
        Fact::Map { h, w, c } => (h, w, c),
        other => panic!("{other} is no map"),
    };
    match kernel {
        Kernel::Conv { window, groups, bias } => {
            assert_eq!(arrays.len() - usize::from(!bias && arrays.len() == 2), 1 + usize::from(bias));
            conv(x[0], arrays[0], if bias { arrays[1] } else { &[] }, map(f[0]), map(out), &window, groups)
        }
        Kernel::Linear { bias } => linear(x[0], arrays[0], if bias { arrays[1] } else { &[] }, f[0], out),
        Kernel::Affine => {
            x[0].iter().enumerate().map(|(i, v)| v * arrays[0][i % c] + arrays[1][i % c]).collect()
        }
        Kernel::LayerNorm { eps } => rows(x[0], c, |row| {
            let mean = row.iter().sum::<f32>() / c as f32;
            let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / c as f32;
            let norm = |(i, v): (usize, &f32)| (v - mean) / (var + eps).sqrt() * arrays[0][i] + arrays[1][i];
            row.iter().enumerate().map(norm).collect()
        }),
        Kernel::AttentionCore { heads, head_dim } => attention(x[0], f[0], heads, head_dim),
        Kernel::Activation(a) => x[0].iter().map(|&v| act(a, v)).collect(),
        Kernel::Softmax => rows(x[0], c, softmax),
        Kernel::MaxPool(w) => {
            pool(x[0], map(f[0]), map(out), &w, |v| v.iter().copied().fold(f32::MIN, f32::max))
        }
        Kernel::AvgPool(w) => pool(x[0], map(f[0]), map(out), &w, |v| v.iter().sum::<f32>() / v.len() as f32),
        Kernel::GlobalAvgPool => {
            let mean = |i| x[0].iter().skip(i).step_by(c).sum::<f32>() / f[0].rows() as f32;
            (0..c).map(mean).collect()
        }
        Kernel::Add => x[0].iter().zip(x[1]).map(|(a, b)| a + b).collect(),
        Kernel::Mul => x[0].iter().zip(x[1]).map(|(a, b)| a * b).collect(),
        Kernel::AddChannels => x[0].iter().enumerate().map(|(i, a)| a + x[1][i % c]).collect(),
        Kernel::MulChannels => x[0].iter().enumerate().map(|(i, a)| a * x[1][i % c]).collect(),
        Kernel::Concat => (0..out.rows())
            .flat_map(|r| {
                x.iter().zip(f).flat_map(move |(x, f)| x[r * f.channels()..][..f.channels()].to_vec())
            })
            .collect(),
        Kernel::MatMul | Kernel::Transpose => {
            let Fact::Tokens { groups, tokens: n, dim: k, .. } = f[0] else { panic!() };
            let mut y = vec![0.0; out.elements()];
            for g in 0..groups {
                for (i, j) in (0..n).flat_map(|i| (0..k).map(move |j| (i, j))) {
                    let a = x[0][(g * n + i) * k + j];
                    if kernel == Kernel::Transpose {
                        y[(g * k + j) * n + i] = a;
                    } else {
                        (0..c).for_each(|m| y[(g * n + i) * c + m] += a * x[1][(g * k + j) * c + m]);
                    }
                }
            }
            y
        }
        Kernel::Unfold { patch } => {
            let (h, w, _) = map(f[0]);
            let mut y = vec![0.0; out.elements()];
            patches(Patches { h, w, patch }, |pixel, token| {
                y[token * c..][..c].copy_from_slice(&x[0][pixel * c..][..c]);
            });
            y
        }
        Kernel::Fold => {
            let Fact::Tokens { from: Some(p), .. } = f[0] else { panic!() };
            let mut y = vec![0.0; out.elements()];
            patches(p, |pixel, token| y[pixel * c..][..c].copy_from_slice(&x[0][token * c..][..c]));
            y
        }
        Kernel::Flatten => x[0].to_vec(),
    }
}

/// Calls with every pixel of the map and the token row that holds it.
fn patches(p: Patches, mut visit: impl FnMut(usize, usize)) {
    let (rows, columns) = p.grid();
    for (y, x) in (0..p.h).flat_map(|y| (0..p.w).map(move |x| (y, x))) {
        let group = (y % p.patch) * p.patch + x % p.patch;
        visit(y * p.w + x, (group * rows + y / p.patch) * columns + x / p.patch);
    }
}

fn rows(x: &[f32], c: usize, f: impl Fn(&[f32]) -> Vec<f32>) -> Vec<f32> {
    x.chunks(c).flat_map(f).collect()
}

fn softmax(row: &[f32]) -> Vec<f32> {
    let top = row.iter().copied().fold(f32::MIN, f32::max);
    let e: Vec<f32> = row.iter().map(|v| (v - top).exp()).collect();
    let sum: f32 = e.iter().sum();
    e.iter().map(|v| v / sum).collect()
}

fn linear(x: &[f32], w: &[f32], b: &[f32], f: Fact, out: Fact) -> Vec<f32> {
    let k = f.channels();
    rows(x, k, |row| {
        let dot = |o: usize| row.iter().zip(&w[o * k..]).map(|(a, b)| a * b).sum::<f32>();
        (0..out.channels()).map(|o| dot(o) + b.get(o).unwrap_or(&0.0)).collect()
    })
}

fn attention(qkv: &[f32], f: Fact, heads: usize, d: usize) -> Vec<f32> {
    let Fact::Tokens { groups, tokens, dim, .. } = f else { panic!() };
    let inner = heads * d;
    let mut y = vec![0.0; groups * tokens * inner];
    for (g, h, i) in
        (0..groups).flat_map(|g| (0..heads).flat_map(move |h| (0..tokens).map(move |i| (g, h, i))))
    {
        let row = |part: usize, t: usize| &qkv[(g * tokens + t) * dim + part * inner + h * d..][..d];
        let score = |t| row(0, i).iter().zip(row(1, t)).map(|(a, b)| a * b).sum::<f32>() / (d as f32).sqrt();
        let p = softmax(&(0..tokens).map(score).collect::<Vec<_>>());
        for j in 0..d {
            y[(g * tokens + i) * inner + h * d + j] = (0..tokens).map(|t| p[t] * row(2, t)[j]).sum();
        }
    }
    y
}

type Map = (usize, usize, usize);

/// The input positions under a window, with the taps that see them.
fn taps(w: &Window, (h, wide, _): Map, oy: usize, ox: usize) -> Vec<(usize, usize, usize)> {
    let at = |o: usize, k: usize, pad: usize, n: usize| {
        (o * w.stride + k * w.dilation).checked_sub(pad).filter(|&i| i < n)
    };
    (0..w.kernel * w.kernel)
        .filter_map(|k| {
            let y = at(oy, k / w.kernel, w.padding.top, h)?;
            Some((k, y, at(ox, k % w.kernel, w.padding.left, wide)?))
        })
        .collect()
}

fn conv(x: &[f32], w: &[f32], b: &[f32], f: Map, out: Map, win: &Window, groups: usize) -> Vec<f32> {
    let (per_in, per_out, kk) = (f.2 / groups, out.2 / groups, win.kernel * win.kernel);
    let mut y = Vec::new();
    for (oy, ox) in (0..out.0).flat_map(|y| (0..out.1).map(move |x| (y, x))) {
        let taps = taps(win, f, oy, ox);
        for o in 0..out.2 {
            let mut sum = b.get(o).copied().unwrap_or(0.0);
            for &(k, iy, ix) in &taps {
                for i in 0..per_in {
                    let channel = o / per_out * per_in + i;
                    sum += x[(iy * f.1 + ix) * f.2 + channel] * w[(o * per_in + i) * kk + k];
                }
            }
            y.push(sum);
        }
    }
    y
}

fn pool(x: &[f32], f: Map, out: Map, w: &Window, of: impl Fn(&[f32]) -> f32) -> Vec<f32> {
    let mut y = Vec::new();
    for (oy, ox) in (0..out.0).flat_map(|y| (0..out.1).map(move |x| (y, x))) {
        let taps = taps(w, f, oy, ox);
        for c in 0..out.2 {
            let seen: Vec<f32> = taps.iter().map(|&(_, iy, ix)| x[(iy * f.1 + ix) * f.2 + c]).collect();
            y.push(of(&seen));
        }
    }
    y
}

fn act(a: Act, x: f32) -> f32 {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    match a {
        Act::Relu => x.max(0.0),
        Act::Relu6 => x.clamp(0.0, 6.0),
        Act::Silu => x * sigmoid(x),
        // The tanh form: near enough, both evaluations use it.
        Act::Gelu => x / 2.0 * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh()),
        Act::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Act::Sigmoid => sigmoid(x),
    }
}
