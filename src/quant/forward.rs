//! The network in floating point, by the kernels of emitted code, step by step: what calibration
//! looks at. The reference interpreter would take minutes for what takes these seconds.

use crate::emit::rust::arrange;
use crate::graph::{Act, Fact};
use crate::lower::ir::{Kernel, Step};
use crate::lower::Bound;
use hytc_kernels::float::{
    activation, affine, attention, conv, depthwise, elementwise, layer_norm, linear, matmul, patches, pool,
    shape, softmax,
};

/// A network ready to run often.
pub(super) struct Forward<'a> {
    bound: &'a Bound,
    /// By step, by slot: elements in the order of the kernels.
    arrays: Vec<Vec<Vec<f32>>>,
}

impl<'a> Forward<'a> {
    pub(super) fn new(bound: &'a Bound) -> Self {
        let of = |step: &Step| (0..step.slots.len()).map(|i| arrange(bound, step, i).0).collect();
        Forward { bound, arrays: bound.lowered.steps.iter().map(of).collect() }
    }

    /// Runs one image. `visit` sees of every step its index, its result before its activation, and
    /// its output.
    pub(super) fn run(&self, image: &[f32], mut visit: impl FnMut(usize, &[f32], &[f32])) -> Vec<f32> {
        let lowered = &self.bound.lowered;
        let mut values: Vec<Vec<f32>> = vec![Vec::new(); lowered.tensors.len()];
        if let Some(v) = values.get_mut(lowered.input.0) {
            *v = image.to_vec();
        }
        for (i, step) in lowered.steps.iter().enumerate() {
            let before = self.step(i, step, &values);
            let mut y = before.clone();
            if let Some(act) = step.act {
                activate(act, &mut y);
            }
            visit(i, &before, &y);
            if let Some(v) = values.get_mut(step.output.0) {
                *v = y;
            }
        }
        values.get(lowered.output.0).cloned().unwrap_or_default()
    }

    fn step(&self, index: usize, step: &Step, values: &[Vec<f32>]) -> Vec<f32> {
        let lowered = &self.bound.lowered;
        let value = |i: usize| {
            let id = step.inputs.get(i);
            id.and_then(|t| values.get(t.0)).map_or(&[][..], Vec::as_slice)
        };
        let slot = |i: usize| {
            let arrays = self.arrays.get(index);
            arrays.and_then(|a| a.get(i)).map_or(&[][..], Vec::as_slice)
        };
        let facts = lowered.input_facts(step);
        let fact = facts.first().copied().unwrap_or(Fact::Vector { n: 0 });
        let out = lowered.fact(step.output);
        let (x, b, w0, w1) = (value(0), value(1), slot(0), slot(1));
        let (c, m) = (fact.channels(), out.channels());
        let id = activation::identity;
        let mut y = vec![0.0; out.elements()];
        let (height, width) = match fact {
            Fact::Map { h, w, .. } => (h, w),
            other => (1, other.rows()),
        };
        let out_width = if let Fact::Map { w, .. } = out { w } else { 1 };
        match step.kernel {
            Kernel::Conv { .. } if step.kernel.is_pointwise() => linear::linear(x, w0, w1, &mut y, c, m, id),
            Kernel::Conv { window, groups, .. } if step.kernel.is_depthwise(fact) && m == groups => {
                let s = depthwise::Depthwise {
                    height,
                    width,
                    channels: c,
                    out_width,
                    kernel: window.kernel,
                    stride: window.stride,
                    dilation: window.dilation,
                    top: window.padding.top,
                    left: window.padding.left,
                };
                depthwise::depthwise(x, w0, w1, &mut y, &s, id);
            }
            Kernel::Conv { window, groups, .. } => {
                let s = conv::Conv {
                    height,
                    width,
                    channels: c,
                    out_width,
                    out_channels: m,
                    kernel: window.kernel,
                    stride: window.stride,
                    dilation: window.dilation,
                    top: window.padding.top,
                    left: window.padding.left,
                    groups,
                };
                conv::conv(x, w0, w1, &mut y, &s, id);
            }
            Kernel::Linear { .. } => linear::linear(x, w0, w1, &mut y, c, m, id),
            Kernel::Affine => affine::affine(x, w0, w1, &mut y, id),
            Kernel::LayerNorm { eps } => layer_norm::layer_norm(x, w0, w1, &mut y, eps),
            Kernel::AttentionCore { heads, head_dim } => {
                let tokens = if let Fact::Tokens { tokens, .. } = fact { tokens } else { 1 };
                let scale = (1.0 / (head_dim.max(1) as f64).sqrt()) as f32;
                let s = attention::Attention { tokens, heads, head_dim, scale };
                attention::attention(x, &mut vec![0.0; tokens], &mut y, &s);
            }
            Kernel::Activation(act) => {
                shape::copy(x, &mut y);
                activate(act, &mut y);
            }
            Kernel::Softmax => softmax::softmax(x, &mut y, c),
            Kernel::MaxPool(window) | Kernel::AvgPool(window) => {
                let s = pool::Pool {
                    height,
                    width,
                    channels: c,
                    out_width,
                    kernel: window.kernel,
                    stride: window.stride,
                    dilation: window.dilation,
                    top: window.padding.top,
                    left: window.padding.left,
                };
                if let Kernel::MaxPool(_) = step.kernel {
                    pool::max_pool(x, &mut y, &s);
                } else {
                    pool::avg_pool(x, &mut y, &s);
                }
            }
            Kernel::GlobalAvgPool => pool::global_avg_pool(x, &mut y),
            Kernel::Add => elementwise::add(x, b, &mut y, id),
            Kernel::AddChannels => elementwise::add_channels(x, b, &mut y, id),
            Kernel::Mul => elementwise::mul(x, b, &mut y, id),
            Kernel::MulChannels => elementwise::mul_channels(x, b, &mut y, id),
            Kernel::Concat => {
                let mut at = 0;
                for (i, fact) in facts.iter().enumerate() {
                    shape::concat(value(i), &mut y, fact.channels(), m, at);
                    at += fact.channels();
                }
            }
            Kernel::MatMul => {
                let tokens = if let Fact::Tokens { tokens, .. } = fact { tokens } else { 1 };
                matmul::matmul(x, b, &mut y, [tokens, c, m], id);
            }
            Kernel::Transpose => {
                let tokens = if let Fact::Tokens { tokens, .. } = fact { tokens } else { 1 };
                matmul::transpose(x, &mut y, tokens, c);
            }
            Kernel::Unfold { patch } => {
                patches::unfold(x, &mut y, &patches::Patches { height, width, channels: c, patch });
            }
            Kernel::Fold => {
                if let Fact::Tokens { from: Some(p), .. } = fact {
                    let s = patches::Patches { height: p.h, width: p.w, channels: c, patch: p.patch };
                    patches::fold(x, &mut y, &s);
                }
            }
            Kernel::Flatten => shape::copy(x, &mut y),
        }
        y
    }
}

fn activate(act: Act, y: &mut [f32]) {
    match act {
        Act::Relu => activation::map_in_place(y, activation::relu),
        Act::Relu6 => activation::map_in_place(y, activation::relu6),
        Act::HardSwish => activation::map_in_place(y, activation::hard_swish),
        Act::Sigmoid => activation::map_in_place(y, activation::sigmoid),
        Act::Silu => activation::map_in_place(y, activation::silu),
        Act::Gelu => activation::map_in_place(y, activation::gelu),
    }
}
