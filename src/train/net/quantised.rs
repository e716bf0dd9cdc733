//! The plan of a quantised network: its lowered steps (batch norms folded) with weights and
//! activations rounded where the int8 network rounds them. What integers do inside of a layer norm, a
//! softmax, or the core of attention is finer than eight bits and left out.

use super::{Kind, Layout, ParamInfo, Plan, Step};
use crate::graph::{Fact, Padding, Window};
use crate::lower::ir::{self, Kernel};
use crate::lower::Lowered;
use crate::quant::Quantised;
use crate::train::kernels::Slide;
use crate::train::ops::{self, Gather};
use crate::train::tape::Operation;
use std::sync::Arc;

impl Plan {
    /// Plans a quantised network; the parameters are its slots, by their names.
    pub fn quantised(network: &Quantised) -> Plan {
        let lowered = network.lowered();
        let plan = Plan {
            steps: Vec::new(),
            params: Vec::new(),
            running: Vec::new(),
            output: 0,
            input_len: lowered.fact(lowered.input()).elements(),
        };
        let mut builder = Builder { network, lowered, plan, values: vec![0; lowered.tensors().len()] };
        builder.values[lowered.input().0] =
            builder.fixed(ops::Round(network.scale(lowered.input())), vec![0], vec![]);
        for (i, step) in lowered.steps().iter().enumerate() {
            builder.values[step.output.0] = builder.rounded(i, step);
        }
        let mut plan = builder.plan;
        plan.output = builder.values[lowered.output().0];
        plan.find_last();
        plan
    }
}

struct Builder<'a> {
    network: &'a Quantised,
    lowered: &'a Lowered,
    plan: Plan,
    /// By tensor.
    values: Vec<usize>,
}

impl Builder<'_> {
    fn step(&mut self, kind: Kind, inputs: Vec<usize>, params: Vec<usize>) -> usize {
        self.plan.steps.push(Step { kind, inputs, params, last: Vec::new() });
        self.plan.steps.len()
    }

    fn fixed(&mut self, op: impl Operation + 'static, inputs: Vec<usize>, params: Vec<usize>) -> usize {
        self.step(Kind::Fixed(Arc::new(op)), inputs, params)
    }

    /// A layer with the step's slots, the weights in this layout.
    fn layer(&mut self, step: &ir::Step, op: impl Operation + 'static, layout: Layout) -> usize {
        let mut params = Vec::new();
        for (position, slot) in step.slots.iter().filter_map(|&id| self.lowered.slot(id)).enumerate() {
            params.push(self.plan.params.len());
            self.plan.params.push(ParamInfo {
                name: slot.name.clone(),
                shape: slot.shape.clone(),
                layout: if position == 0 { layout } else { Layout::Plain },
                decays: position == 0 && matches!(step.kernel, Kernel::Conv { .. } | Kernel::Linear { .. }),
            });
        }
        let inputs = vec![self.values[step.inputs[0].0]];
        if let Kernel::LayerNorm { .. } = step.kernel {
            return self.fixed(op, inputs, params);
        }
        let outputs = self.lowered.fact(step.output).channels();
        let last = matches!(layout, Layout::ChannelsLast { .. });
        self.fixed(ops::Rounded { layer: Arc::new(op), outputs, last }, inputs, params)
    }

    /// A step, its activation, and the rounding of what it gives.
    fn rounded(&mut self, index: usize, step: &ir::Step) -> usize {
        let mut value = self.kernel(step);
        let quantised = &self.network.steps()[index];
        let moves = matches!(
            step.kernel,
            Kernel::MaxPool(_)
                | Kernel::Transpose
                | Kernel::Unfold { .. }
                | Kernel::Fold
                | Kernel::Flatten
                | Kernel::Activation(_)
        );
        if !moves {
            // Where there is no table, saturation is the activation.
            value = self.fixed(ops::Round(quantised.before), vec![value], vec![]);
        }
        let act = match step.kernel {
            Kernel::Activation(act) => Some(act),
            _ => step.act,
        };
        if let (Some(act), true) = (act, quantised.table.is_some()) {
            value = self.fixed(ops::Activation(act), vec![value], vec![]);
            value = self.fixed(ops::Round(self.network.scale(step.output)), vec![value], vec![]);
        }
        value
    }

    fn kernel(&mut self, step: &ir::Step) -> usize {
        let facts = self.lowered.input_facts(step);
        let first = facts[0];
        let (c, rows) = (first.channels(), first.rows());
        let out = self.lowered.fact(step.output).channels();
        let inputs: Vec<usize> = step.inputs.iter().map(|t| self.values[t.0]).collect();
        let slide = |window: &Window| match first {
            Fact::Map { h, w, .. } => Slide::new(window, h, w),
            _ => Slide::new(window, 1, rows),
        };
        let (groups, tokens) = match first {
            Fact::Tokens { groups, tokens, .. } => (groups, tokens),
            _ => (1, rows),
        };
        match step.kernel {
            Kernel::Conv { .. } if step.kernel.is_pointwise() => {
                self.layer(step, ops::Dense { rows, input: c, output: out }, Layout::Plain)
            }
            Kernel::Conv { window, groups, .. } => {
                let taps = window.kernel * window.kernel;
                if groups == c && out == c {
                    let layout = Layout::ChannelsLast { channels: c, taps };
                    return self.layer(step, ops::Depthwise { slide: slide(&window), channels: c }, layout);
                }
                let layout = Layout::TapsBeforeInputs { inputs: c / groups, taps };
                let op = ops::Conv { slide: slide(&window), input: c, output: out, groups };
                self.layer(step, op, layout)
            }
            Kernel::Linear { .. } => {
                self.layer(step, ops::Dense { rows, input: c, output: out }, Layout::Plain)
            }
            // A norm that nothing precedes: a depthwise convolution with a kernel of one.
            Kernel::Affine => {
                let window = Window { kernel: 1, stride: 1, dilation: 1, padding: Padding::default() };
                let op = ops::Depthwise { slide: Slide::new(&window, 1, rows), channels: c };
                self.layer(step, op, Layout::ChannelsLast { channels: c, taps: 1 })
            }
            Kernel::LayerNorm { eps } => {
                self.layer(step, ops::LayerNorm { rows, channels: c, eps }, Layout::Plain)
            }
            Kernel::AttentionCore { heads, head_dim } => {
                self.fixed(ops::Attend { groups, tokens, heads, dim: head_dim }, inputs, vec![])
            }
            Kernel::Activation(_) | Kernel::Flatten => inputs[0],
            Kernel::Softmax => self.fixed(ops::Softmax { channels: c }, inputs, vec![]),
            Kernel::MaxPool(window) => {
                self.fixed(ops::MaxPool { slide: slide(&window), channels: c }, inputs, vec![])
            }
            Kernel::AvgPool(window) => {
                self.fixed(ops::AvgPool { slide: slide(&window), channels: c }, inputs, vec![])
            }
            Kernel::GlobalAvgPool => self.fixed(ops::GlobalPool { rows, channels: c }, inputs, vec![]),
            Kernel::Add => self.step(Kind::Add, inputs, vec![]),
            Kernel::Mul => self.fixed(ops::Multiply, inputs, vec![]),
            Kernel::AddChannels | Kernel::MulChannels => {
                let multiply = step.kernel == Kernel::MulChannels;
                self.fixed(ops::Broadcast { channels: c, rows, multiply }, inputs, vec![])
            }
            Kernel::Concat => {
                let (mut all, mut width) = (inputs[0], c);
                for (&other, fact) in inputs.iter().zip(&facts).skip(1) {
                    let b = fact.channels();
                    all = self.fixed(ops::Concat { a: width, b }, vec![all, other], vec![]);
                    width += b;
                }
                all
            }
            Kernel::MatMul => self.fixed(ops::MatMul { n: tokens, k: c, m: out }, inputs, vec![]),
            Kernel::Transpose => self.fixed(Gather::transpose(groups, tokens, c), inputs, vec![]),
            Kernel::Unfold { .. } => match self.lowered.fact(step.output) {
                Fact::Tokens { from: Some(p), .. } => self.fixed(Gather::unfold(p, c), inputs, vec![]),
                _ => inputs[0],
            },
            Kernel::Fold => match first {
                Fact::Tokens { from: Some(p), .. } => self.fixed(Gather::fold(p, c), inputs, vec![]),
                _ => inputs[0],
            },
        }
    }
}
