//! Every operation's gradients against finite differences, and the convolutions, pools, batch
//! normalisation and attention against burn's own operators, values and gradients.

use super::*;
use crate::graph::{Act, Padding, Patches, Window};
use crate::train::kernels::Slide;
use crate::train::net::{training_device, values};
use crate::train::tape::{infer, record, Call, Operation, Value};
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{activation, Tensor, TensorData};
use std::sync::Arc;

/// Numbers in -1..1 without pattern.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Compares the gradient of `sum(r * result)` for a random `r` with central differences, for every
/// element of every input.
fn differences(op: &dyn Operation, batch: usize, inputs: &[Vec<f32>]) {
    const STEP: f32 = 4e-3;
    let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let result = op.forward(batch, &slices);
    let r = noise(result.value.len(), 99);
    let call = Call {
        batch,
        inputs: &slices,
        output: &result.value,
        saved: &result.saved,
        wanted: &vec![true; inputs.len()],
    };
    let grads = op.backward(&call, &mut r.clone());
    assert_eq!(grads.len().min(inputs.len()), inputs.len());
    let value = |inputs: &[Vec<f32>]| -> f64 {
        let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let y = op.forward(batch, &slices).value;
        y.iter().zip(&r).map(|(y, r)| f64::from(*y) * f64::from(*r)).sum()
    };
    for (i, grad) in grads.iter().take(inputs.len()).enumerate() {
        let grad = grad.as_ref().expect("a gradient that was asked for");
        assert_eq!(grad.len(), inputs[i].len(), "input {i} of {op:?}");
        for j in (0..grad.len()).step_by((grad.len() / 64).max(1)) {
            let mut moved = inputs.to_vec();
            moved[i][j] += STEP;
            let up = value(&moved);
            moved[i][j] -= 2.0 * STEP;
            let difference = (up - value(&moved)) / f64::from(2.0 * STEP);
            let error = (difference - f64::from(grad[j])).abs();
            assert!(
                error < 4e-3 * (1.0 + difference.abs()),
                "input {i}[{j}] of {op:?}: {difference} by differences, {} by backward",
                grad[j]
            );
        }
    }
}

fn window(kernel: usize, stride: usize, dilation: usize, pad: [usize; 4]) -> Window {
    let [top, left, bottom, right] = pad;
    Window { kernel, stride, dilation, padding: Padding { top, left, bottom, right } }
}

/// Kernel, stride, dilation, padding, height, width.
fn windows() -> Vec<(Window, usize, usize)> {
    vec![
        (window(3, 1, 1, [1, 1, 1, 1]), 6, 7),
        (window(3, 2, 1, [0, 0, 1, 1]), 8, 8),
        (window(3, 2, 1, [1, 1, 1, 1]), 7, 5),
        (window(5, 1, 1, [2, 2, 2, 2]), 6, 5),
        (window(5, 2, 1, [1, 1, 2, 2]), 8, 9),
        (window(2, 2, 1, [0, 0, 0, 0]), 5, 6),
        (window(3, 1, 2, [2, 2, 2, 2]), 6, 6),
        (window(1, 2, 1, [0, 0, 0, 0]), 6, 5),
        (window(3, 1, 1, [0, 1, 2, 0]), 5, 6),
        (window(4, 3, 1, [1, 1, 1, 1]), 9, 9),
        (window(1, 1, 1, [1, 1, 1, 1]), 3, 3),
    ]
}

#[test]
fn gradients_agree_with_finite_differences() {
    let batch = 2;
    for (n, k) in [(5, 3), (16, 8), (24, 20)] {
        let op = Dense { rows: 3, input: k, output: n };
        differences(&op, batch, &[noise(batch * 3 * k, 1), noise(n * k, 2), noise(n, 3)]);
    }
    for (w, height, width) in windows() {
        let slide = Slide::new(&w, height, width);
        for (c, out, groups) in [(1, 4, 1), (4, 6, 2)] {
            let op = Conv { slide, input: c, output: out, groups };
            let weights = noise(out * w.kernel * w.kernel * c / groups, 5);
            differences(&op, batch, &[noise(batch * height * width * c, 4), weights, noise(out, 6)]);
        }
        for c in [3, 8, 27] {
            let op = Depthwise { slide, channels: c };
            let weights = noise(c * w.kernel * w.kernel, 7);
            differences(&op, batch, &[noise(batch * height * width * c, 8), weights, noise(c, 9)]);
        }
        let far_apart: Vec<f32> = {
            let n = batch * height * width * 3;
            (0..n).map(|i| ((i * 7919) % n) as f32 * 0.1).collect()
        };
        // A window that sees padding only has the maximum -inf.
        if 2 * w.padding.top <= w.kernel {
            differences(&MaxPool { slide, channels: 3 }, batch, &[far_apart]);
        }
        differences(&AvgPool { slide, channels: 3 }, batch, &[noise(batch * height * width * 3, 10)]);
    }
    for act in [None, Some(Act::Silu), Some(Act::Gelu), Some(Act::Sigmoid)] {
        let op = BatchNorm { rows: 5, channels: 6, eps: 1e-3, act, frozen: None };
        differences(&op, 3, &[noise(3 * 5 * 6, 11), noise(6, 12), noise(6, 13)]);
    }
    let frozen = Some(Arc::new((noise(6, 14), vec![0.5; 6])));
    let op = BatchNorm { rows: 5, channels: 6, eps: 1e-3, act: Some(Act::Silu), frozen };
    differences(&op, 3, &[noise(3 * 5 * 6, 11), noise(6, 12), noise(6, 13)]);
    for act in Act::ALL {
        // Away from the kinks at -3, 0, 3 and 6.
        let x: Vec<f32> = (0..200).map(|i| i as f32 * 0.1 - 9.95).collect();
        differences(&Activation(act), 1, &[x]);
    }
    differences(
        &LayerNorm { rows: 4, channels: 7, eps: 1e-5 },
        2,
        &[noise(56, 15), noise(7, 16), noise(7, 17)],
    );
    differences(&Softmax { channels: 5 }, 2, &[noise(30, 18)]);
    differences(&Attend { groups: 2, tokens: 5, heads: 2, dim: 3 }, 2, &[noise(2 * 2 * 5 * 18, 19)]);
    differences(&Multiply, 2, &[noise(12, 20), noise(12, 21)]);
    for multiply in [true, false] {
        let op = Broadcast { channels: 3, rows: 4, multiply };
        differences(&op, 2, &[noise(24, 22), noise(6, 23)]);
    }
    differences(&MatMul { n: 3, k: 4, m: 5 }, 2, &[noise(2 * 3 * 12, 24), noise(2 * 3 * 20, 25)]);
    differences(&GlobalPool { rows: 6, channels: 4 }, 2, &[noise(48, 26)]);
    differences(&Concat { a: 3, b: 2 }, 2, &[noise(24, 27), noise(16, 28)]);
    let p = Patches { h: 5, w: 7, patch: 2 };
    differences(&Gather::unfold(p, 3), 2, &[noise(2 * 35 * 3, 29)]);
    differences(&Gather::fold(p, 3), 2, &[noise(2 * 48 * 3, 30)]);
    differences(&Gather::transpose(2, 3, 4), 2, &[noise(48, 31)]);
    differences(&Dropout { p: 0.3, seed: 5 }, 2, &[noise(40, 32)]);
    for smoothing in [0.0, 0.2] {
        let op = CrossEntropy { classes: 4, labels: Arc::new(vec![1, 3, 0]), smoothing };
        differences(&op, 3, &[noise(12, 33)]);
    }
}

/// A leaf on the tape.
fn leaf<const D: usize>(data: &[f32], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(data.to_vec(), shape), &training_device()).require_grad()
}

fn close(what: &str, ours: Vec<f32>, burns: Vec<f32>) {
    assert_eq!(ours.len(), burns.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(&burns).enumerate() {
        assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{what}[{i}]: {a} is ours, {b} burn's");
    }
}

fn list<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_to_vec::<f32>().expect("floats")
}

/// The gradient of a leaf after `sum(result * r)`.
fn grads<const D: usize>(result: Tensor<D>, leaves: &[Value]) -> Vec<Vec<f32>> {
    let r = noise(result.shape().num_elements(), 77);
    let r = Tensor::<1>::from_data(TensorData::new(r.clone(), [r.len()]), &training_device());
    let flat: Tensor<1> = result.reshape([-1]);
    let grads = (flat * r).sum().backward();
    leaves.iter().map(|l| list(l.grad(&grads).expect("a gradient"))).collect()
}

/// `[b][h][w][c]` as burn's `[b, c, h, w]`, on the tape of the same leaf.
fn nchw(x: &Value, b: usize, h: usize, w: usize, c: usize) -> Tensor<4> {
    x.clone().reshape([b, h, w, c]).permute([0, 3, 1, 2])
}

fn flat(x: Tensor<4>) -> Value {
    let [b, c, h, w] = x.dims();
    x.permute([0, 2, 3, 1]).reshape([b, h * w * c])
}

#[test]
fn convolutions_and_pools_agree_with_burn() {
    let b = 3;
    for (win, h, w) in windows() {
        let (k, p) = (win.kernel, win.padding);
        for (c, out, groups) in [(3, 5, 1), (4, 6, 2), (8, 8, 8), (17, 17, 17)] {
            let slide = Slide::new(&win, h, w);
            let (x, bias) = (noise(b * h * w * c, 1), noise(out, 3));
            let weight = noise(out * k * k * (c / groups), 2);
            let op: Arc<dyn Operation> = if groups == c {
                Arc::new(Depthwise { slide, channels: c })
            } else {
                Arc::new(Conv { slide, input: c, output: out, groups })
            };
            let ours = (leaf(&x, [b, h * w * c]), leaf(&weight, [weight.len()]), leaf(&bias, [out]));
            let y = record(op, b, &[&ours.0], &[&ours.1, &ours.2]).0;
            let theirs = (leaf(&x, [b, h * w * c]), leaf(&weight, [1, weight.len()]), leaf(&bias, [1, out]));
            let kernel = if groups == c {
                theirs.1.clone().reshape([k, k, c, 1]).permute([2, 3, 0, 1])
            } else {
                theirs.1.clone().reshape([out, k, k, c / groups]).permute([0, 3, 1, 2])
            };
            let padded = nchw(&theirs.0, b, h, w, c).pad((p.left, p.right, p.top, p.bottom), 0.0);
            let options = ConvOptions::new([win.stride; 2], [0; 2], [win.dilation; 2], groups);
            let z = flat(conv2d(padded, kernel, Some(theirs.2.clone().reshape([out])), options));
            let what = format!("{win:?} {c} -> {out}, {groups} groups");
            close(&what, list(y.clone()), list(z.clone()));
            let as_value = |t: &Tensor<1>, g: &burn::tensor::Gradients| list(t.grad(g).expect("a gradient"));
            let r = noise(list(y.clone()).len(), 77);
            let r = Tensor::<1>::from_data(TensorData::new(r.clone(), [r.len()]), &training_device());
            let g = (y.reshape([-1]) * r).sum().backward();
            let [dx, dw, db] = <[Vec<f32>; 3]>::try_from(grads(z, &[theirs.0, theirs.1, theirs.2]))
                .expect("three gradients");
            close(&format!("{what}: dx"), list(ours.0.grad(&g).expect("a gradient")), dx);
            close(&format!("{what}: dw"), as_value(&ours.1, &g), dw);
            close(&format!("{what}: db"), as_value(&ours.2, &g), db);
        }
        // burn wants pools' padding to be at most half the kernel.
        if [p.top, p.bottom, p.left, p.right].iter().any(|p| 2 * p > k) {
            continue;
        }
        let (c, slide) = (3, Slide::new(&win, h, w));
        let x = noise(b * h * w * c, 4);
        let (ours, theirs) = (leaf(&x, [b, h * w * c]), leaf(&x, [b, h * w * c]));
        let map = || nchw(&theirs, b, h, w, c);
        let options = MaxPoolOptions {
            kernel_size: [k; 2],
            stride: [win.stride; 2],
            padding: [(p.top, p.bottom), (p.left, p.right)],
            dilation: [win.dilation; 2],
            ceil_mode: false,
        };
        let y = record(Arc::new(MaxPool { slide, channels: c }), b, &[&ours], &[]).0;
        let z = flat(max_pool2d(map(), options.clone()));
        close("max pool", list(y.clone()), list(z.clone()));
        close(
            "max pool: dx",
            grads(y, std::slice::from_ref(&ours)).remove(0),
            grads(z, std::slice::from_ref(&theirs)).remove(0),
        );
        if win.dilation == 1 {
            let y = record(Arc::new(AvgPool { slide, channels: c }), b, &[&ours], &[]).0;
            let options = AvgPoolOptions {
                kernel_size: options.kernel_size,
                stride: options.stride,
                padding: options.padding,
                count_include_pad: false,
                ceil_mode: false,
            };
            let z = flat(avg_pool2d(map(), options));
            close("average pool", list(y.clone()), list(z.clone()));
            let (dy, dz) = (grads(y, std::slice::from_ref(&ours)), grads(z, std::slice::from_ref(&theirs)));
            close("average pool: dx", dy[0].clone(), dz[0].clone());
        }
    }
}

#[test]
fn attention_agrees_with_burn() {
    let (b, g, t, heads, d) = (2, 3, 7, 2, 4);
    let x = noise(b * g * t * 3 * heads * d, 1);
    let (ours, theirs) = (leaf(&x, [b, x.len() / b]), leaf(&x, [b, x.len() / b]));
    let y = record(Arc::new(Attend { groups: g, tokens: t, heads, dim: d }), b, &[&ours], &[]).0;
    // [b g, t, 3, heads, d] -> [3, b g, heads, t, d]
    let parts = theirs.clone().reshape([b * g, t, 3, heads, d]).permute([2, 0, 3, 1, 4]);
    let part = |i: usize| parts.clone().narrow(0, i, 1).reshape([b * g, heads, t, d]);
    let scores = part(0).matmul(part(1).swap_dims(2, 3)) / (d as f32).sqrt();
    let z = activation::softmax(scores, 3).matmul(part(2));
    let z = z.permute([0, 2, 1, 3]).reshape([b, g * t * heads * d]);
    close("attention", list(y.clone()), list(z.clone()));
    close("attention: dx", grads(y, &[ours]).remove(0), grads(z, &[theirs]).remove(0));
}

#[test]
fn batch_normalisation_agrees_with_burn_and_survives_large_means() {
    let (b, rows, c) = (20, 9, 5);
    let x: Vec<f32> = noise(b * rows * c, 1).iter().map(|x| x + 100.0).collect();
    let (ours, theirs) = (leaf(&x, [b, rows * c]), leaf(&x, [b, rows * c]));
    let (weight, bias) = (leaf(&noise(c, 2), [c]), leaf(&noise(c, 3), [c]));
    let op = BatchNorm { rows, channels: c, eps: 1e-3, act: Some(Act::Relu6), frozen: None };
    let y = record(Arc::new(op), b, &[&ours], &[&weight, &bias]).0;
    let flat = theirs.clone().reshape([b * rows, c]);
    let centered = flat.clone() - flat.mean_dim(0);
    let variance = centered.clone().powi_scalar(2).mean_dim(0);
    let z =
        centered / (variance + 1e-3).sqrt() * weight.clone().reshape([1, c]) + bias.clone().reshape([1, c]);
    let z = z.clamp(0.0, 6.0).reshape([b, rows * c]);
    for (a, b) in list(y.clone()).iter().zip(list(z.clone())) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
    let (dy, dz) = (grads(y, &[ours]).remove(0), grads(z, &[theirs]).remove(0));
    for (a, b) in dy.iter().zip(dz) {
        assert!((a - b).abs() < 2e-3, "{a} {b}");
    }
}

#[test]
fn exponential_and_curves_are_accurate() {
    let x: Vec<f32> = (-8000..8000).map(|i| i as f32 * 0.01).collect();
    let y: Vec<f32> = x.iter().map(|&x| crate::train::kernels::simd::exp::<false>(x)).collect();
    for (x, y) in x.iter().zip(y) {
        let want = f64::from(*x).exp();
        assert!((f64::from(y) / want - 1.0).abs() < 3e-7, "exp({x}) = {y}");
    }
    let value = |act: Act, x: f32| {
        infer(&Activation(act), 1, &[&values(vec![x], 1, &burn::tensor::Device::flex())], &[])
    };
    // From tables of the normal distribution function.
    for (x, want) in [(-3.0, -0.004_049_7), (-1.0, -0.158_655_3), (0.5, 0.345_731_2), (2.0, 1.954_499_7)] {
        assert!((list(value(Act::Gelu, x))[0] - want).abs() < 1e-6);
    }
    assert!((list(value(Act::Silu, 1.0))[0] - 0.731_058_6).abs() < 1e-6);
    assert_eq!(list(value(Act::HardSwish, 3.0))[0], 3.0);
    assert_eq!(list(value(Act::Relu6, 9.0))[0], 6.0);
    for act in Act::ALL {
        assert!(list(value(act, f32::NAN))[0].is_nan(), "{act:?} hides NaN");
        assert!(list(value(act, -200.0))[0].abs() < 1e-30, "{act:?}");
    }
}
