//! A burn module made at run time from a [`Network`].
//!
//! burn's records hold tensors only, so the module proper is [`Parameters`], a list of flat arrays;
//! [`Plan`] beside it says what is computed of them. Parameters lie in the order that the kernels
//! read best ([`Layout`]); optimisers do not mind, and [`Weights`] have the network's own order.

mod quantised;

use super::kernels::Slide;
use super::ops::{self, Gather};
use super::tape::{self, Operation, Value};
use crate::graph::{Act, Fact, Network, NodeId, NodeView, Op};
use crate::weights::{Array, Weights};
use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::HashMap;
use std::sync::Arc;

/// The trained parameters in the order of [`Plan::params`].
#[derive(Module, Debug)]
pub(crate) struct Parameters {
    /// Flat arrays.
    pub arrays: Vec<Param<Tensor<1>>>,
}

/// The order of a parameter's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// As in [`Weights`].
    Plain,
    /// `[out, in, taps]` there, `[out, taps, in]` here.
    TapsBeforeInputs { inputs: usize, taps: usize },
    /// `[c, taps]` there, `[taps, c]` here.
    ChannelsLast { channels: usize, taps: usize },
}

impl Layout {
    /// For every element here, its place in [`Weights`].
    fn source(self, i: usize) -> usize {
        match self {
            Layout::Plain => i,
            Layout::TapsBeforeInputs { inputs, taps } => {
                let (out, rest) = (i / (inputs * taps), i % (inputs * taps));
                out * inputs * taps + rest % inputs * taps + rest / inputs
            }
            Layout::ChannelsLast { channels, taps } => i % channels * taps + i / channels,
        }
    }

    fn import(self, data: &[f32]) -> Vec<f32> {
        (0..data.len()).map(|i| data[self.source(i)]).collect()
    }

    fn export(self, data: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; data.len()];
        for (i, &x) in data.iter().enumerate() {
            out[self.source(i)] = x;
        }
        out
    }
}

/// A trained parameter.
#[derive(Debug, Clone)]
pub(crate) struct ParamInfo {
    /// Its name in [`Weights`].
    name: String,
    shape: Vec<usize>,
    layout: Layout,
    /// Whether weight decay applies: matrices and kernels, not biases and normalisations.
    pub decays: bool,
}

/// Running mean and variance of one batch normalisation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Running {
    /// The node's name.
    name: String,
    /// Values of one channel in a batch, over images: rows of one image.
    rows: usize,
    /// Mean and variance.
    pub values: Arc<(Vec<f32>, Vec<f32>)>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Always the same.
    Fixed(Arc<dyn Operation>),
    /// With the batch's or the running statistics (the index into the running ones).
    BatchNorm(ops::BatchNorm, usize),
    /// Only while training; the index makes its random stream its own.
    Dropout(f32, u64),
    /// The sum of two values.
    Add,
}

#[derive(Debug, Clone)]
struct Step {
    kind: Kind,
    inputs: Vec<usize>,
    params: Vec<usize>,
    /// Values that nobody reads after this step.
    last: Vec<usize>,
}

/// What a network computes, as steps. Value 0 is the input, value `i + 1` the result of step `i`.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    /// The trained parameters.
    pub params: Vec<ParamInfo>,
    running: Vec<Running>,
    output: usize,
    /// Elements of an input image.
    pub input_len: usize,
}

/// A network's state while it is trained or evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// What is computed.
    pub plan: Arc<Plan>,
    /// The trained parameters.
    pub parameters: Parameters,
    /// The running statistics, in the plan's order.
    pub running: Vec<Running>,
}

struct Builder<'a> {
    network: &'a Network,
    plan: Plan,
    values: HashMap<NodeId, usize>,
}

impl Plan {
    /// Plans a network. A batch normalisation and the non-linearity after it become one step.
    pub fn new(network: &Network) -> Plan {
        let plan = Plan {
            steps: Vec::new(),
            params: Vec::new(),
            running: Vec::new(),
            output: 0,
            input_len: network.input_fact().elements(),
        };
        let mut builder = Builder { network, plan, values: HashMap::new() };
        for view in network.nodes() {
            if !builder.values.contains_key(&view.id) {
                builder.node(&view);
            }
        }
        let mut plan = builder.plan;
        plan.output = builder.values.get(&network.output()).copied().unwrap_or(0);
        plan.find_last();
        plan
    }

    /// Notes after which step a value is no longer needed.
    fn find_last(&mut self) {
        let mut last: HashMap<usize, usize> = HashMap::new();
        for (i, step) in self.steps.iter().enumerate() {
            last.extend(step.inputs.iter().map(|&v| (v, i)));
        }
        last.remove(&self.output);
        for (value, step) in last {
            self.steps[step].last.push(value);
        }
    }
}

impl Builder<'_> {
    fn step(&mut self, kind: Kind, inputs: Vec<usize>, params: Vec<usize>) -> usize {
        self.plan.steps.push(Step { kind, inputs, params, last: Vec::new() });
        self.plan.steps.len()
    }

    fn fixed(&mut self, op: impl Operation + 'static, inputs: Vec<usize>, params: Vec<usize>) -> usize {
        self.step(Kind::Fixed(Arc::new(op)), inputs, params)
    }

    /// Registers the node's trained parameters, in their order.
    fn params(&mut self, view: &NodeView, layout: Layout) -> Vec<usize> {
        let normalisation = matches!(view.node.op, Op::BatchNorm { .. } | Op::LayerNorm { .. });
        let mut indices = Vec::new();
        for p in view.params().into_iter().filter(|p| p.trained) {
            let is_weight = p.name.ends_with("weight");
            indices.push(self.plan.params.len());
            self.plan.params.push(ParamInfo {
                name: format!("{}.{}", view.node.name, p.name),
                shape: p.shape,
                layout: if is_weight { layout } else { Layout::Plain },
                decays: is_weight && !normalisation,
            });
        }
        indices
    }

    fn node(&mut self, view: &NodeView) {
        let inputs: Vec<usize> = view.inputs.iter().map(|id| self.values[id]).collect();
        let first = view.facts.first().copied().unwrap_or(Fact::Vector { n: 0 });
        let (c, rows) = (first.channels(), first.rows());
        let slide = |window| match first {
            Fact::Map { h, w, .. } => Slide::new(window, h, w),
            _ => Slide::new(window, 1, rows),
        };
        let value = match view.node.op {
            Op::Input => 0,
            Op::Flatten => inputs[0],
            Op::Conv { out, window, groups, .. } => {
                let taps = window.kernel * window.kernel;
                let plain = window.padding == crate::graph::Padding::default();
                if taps == 1 && groups == 1 && window.stride == 1 && plain {
                    let params = self.params(view, Layout::Plain);
                    self.fixed(ops::Dense { rows, input: c, output: out }, inputs, params)
                } else if groups == c && out == c {
                    let params = self.params(view, Layout::ChannelsLast { channels: c, taps });
                    self.fixed(ops::Depthwise { slide: slide(&window), channels: c }, inputs, params)
                } else {
                    let layout = Layout::TapsBeforeInputs { inputs: c / groups, taps };
                    let params = self.params(view, layout);
                    let op = ops::Conv { slide: slide(&window), input: c, output: out, groups };
                    self.fixed(op, inputs, params)
                }
            }
            Op::Linear { out, .. } => {
                let params = self.params(view, Layout::Plain);
                self.fixed(ops::Dense { rows, input: c, output: out }, inputs, params)
            }
            Op::BatchNorm { eps } => {
                let params = self.params(view, Layout::Plain);
                let act = self.following_activation(view.id);
                let op = ops::BatchNorm { rows, channels: c, eps, act: act.map(|a| a.1), frozen: None };
                let statistics = self.plan.running.len();
                self.plan.running.push(Running {
                    name: view.node.name.clone(),
                    rows,
                    values: Arc::new((vec![0.0; c], vec![1.0; c])),
                });
                let value = self.step(Kind::BatchNorm(op, statistics), inputs, params);
                if let Some((id, _)) = act {
                    self.values.insert(id, value);
                }
                value
            }
            Op::LayerNorm { eps } => {
                let params = self.params(view, Layout::Plain);
                self.fixed(ops::LayerNorm { rows, channels: c, eps }, inputs, params)
            }
            Op::Activation(act) => self.fixed(ops::Activation(act), inputs, vec![]),
            Op::Softmax => self.fixed(ops::Softmax { channels: c }, inputs, vec![]),
            Op::MaxPool(window) => {
                self.fixed(ops::MaxPool { slide: slide(&window), channels: c }, inputs, vec![])
            }
            Op::AvgPool(window) => {
                self.fixed(ops::AvgPool { slide: slide(&window), channels: c }, inputs, vec![])
            }
            Op::GlobalAvgPool => self.fixed(ops::GlobalPool { rows, channels: c }, inputs, vec![]),
            Op::Attention { heads, head_dim } => {
                let inner = heads * head_dim;
                let params = self.params(view, Layout::Plain);
                let (qkv, out) = params.split_at(2);
                let (groups, tokens) = match first {
                    Fact::Tokens { groups, tokens, .. } => (groups, tokens),
                    _ => (1, rows),
                };
                let project = ops::Dense { rows, input: c, output: 3 * inner };
                let x = self.fixed(project, inputs, qkv.to_vec());
                let x = self.fixed(ops::Attend { groups, tokens, heads, dim: head_dim }, vec![x], vec![]);
                self.fixed(ops::Dense { rows, input: inner, output: c }, vec![x], out.to_vec())
            }
            Op::Add | Op::Mul => {
                let multiply = view.node.op == Op::Mul;
                let mut sum = inputs[0];
                for (&other, &fact) in inputs.iter().zip(&view.facts).skip(1) {
                    let pair = vec![sum, other];
                    sum = if matches!((first, fact), (Fact::Map { .. }, Fact::Vector { .. })) {
                        self.fixed(ops::Broadcast { channels: c, rows, multiply }, pair, vec![])
                    } else if multiply {
                        self.fixed(ops::Multiply, pair, vec![])
                    } else {
                        self.step(Kind::Add, pair, vec![])
                    };
                }
                sum
            }
            Op::Concat => {
                let (mut all, mut width) = (inputs[0], c);
                for (&other, &fact) in inputs.iter().zip(&view.facts).skip(1) {
                    let b = fact.channels();
                    all = self.fixed(ops::Concat { a: width, b }, vec![all, other], vec![]);
                    width += b;
                }
                all
            }
            Op::MatMul => {
                let m = view.facts.get(1).map_or(0, Fact::channels);
                let n = match first {
                    Fact::Tokens { tokens, .. } => tokens,
                    _ => rows,
                };
                self.fixed(ops::MatMul { n, k: c, m }, inputs, vec![])
            }
            Op::Transpose => match first {
                Fact::Tokens { groups, tokens, dim, .. } => {
                    self.fixed(Gather::transpose(groups, tokens, dim), inputs, vec![])
                }
                _ => inputs[0],
            },
            Op::Unfold { .. } => match view.output {
                Fact::Tokens { from: Some(p), .. } => self.fixed(Gather::unfold(p, c), inputs, vec![]),
                _ => inputs[0],
            },
            Op::Fold => match first {
                Fact::Tokens { from: Some(p), .. } => self.fixed(Gather::fold(p, c), inputs, vec![]),
                _ => inputs[0],
            },
            Op::Dropout { p } => {
                let index = self.plan.steps.len() as u64;
                self.step(Kind::Dropout(p, index), inputs, vec![])
            }
        };
        self.values.insert(view.id, value);
    }

    /// The non-linearity that alone reads this node, if there is one.
    fn following_activation(&self, id: NodeId) -> Option<(NodeId, Act)> {
        let [reader] = self.network.consumers(id)[..] else { return None };
        match self.network.node(reader)?.node.op {
            Op::Activation(act) if self.network.output() != id => Some((reader, act)),
            _ => None,
        }
    }
}

/// How a model is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On the tape, with batch statistics and dropout by this seed.
    Train(u64),
    /// Without tape, with running statistics.
    Infer,
}

/// The device that trains.
pub(crate) fn training_device() -> Device {
    Device::flex().autodiff()
}

impl Model {
    /// A model with these weights, its parameters on `device` (see [`Model::to_inference`]).
    ///
    /// # Panics
    /// If the weights have not passed [`Weights::check`].
    pub fn new(plan: Arc<Plan>, weights: &Weights, device: &Device) -> Model {
        let get = |name: &str| &weights.0[name].data;
        let array = |(i, p): (usize, &ParamInfo)| {
            let data = TensorData::new(p.layout.import(get(&p.name)), [p.shape.iter().product::<usize>()]);
            let tensor = Tensor::<1>::from_data(data, device);
            let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
            Param::initialized(ParamId::from(i as u64 + 1), tensor)
        };
        let arrays = plan.params.iter().enumerate().map(array).collect();
        let running = plan.running.iter().map(|r| {
            let of = |what| get(&format!("{}.{what}", r.name)).clone();
            Running { values: Arc::new((of("running_mean"), of("running_var"))), ..r.clone() }
        });
        let running = running.collect();
        Model { plan, parameters: Parameters { arrays }, running }
    }

    /// The weights, in the network's order.
    pub fn weights(&self) -> Weights {
        let mut weights = Weights::default();
        for (info, param) in self.plan.params.iter().zip(&self.parameters.arrays) {
            let data = param.val().into_data().try_to_vec::<f32>().unwrap_or_default();
            let array = Array { shape: info.shape.clone(), data: info.layout.export(&data) };
            weights.0.insert(info.name.clone(), array);
        }
        for r in &self.running {
            for (what, data) in [("running_mean", &r.values.0), ("running_var", &r.values.1)] {
                let array = Array { shape: vec![data.len()], data: data.clone() };
                weights.0.insert(format!("{}.{what}", r.name), array);
            }
        }
        weights
    }

    /// The same model without tape, sharing the parameters' memory.
    pub fn to_inference(&self) -> Model {
        let strip = |p: &Param<Tensor<1>>| Param::initialized(p.id, p.val().inner());
        let arrays = self.parameters.arrays.iter().map(strip).collect();
        Model { parameters: Parameters { arrays }, ..self.clone() }
    }

    /// The result for a batch of inputs `[batch, input_len]`, with the batch statistics of every
    /// batch normalisation while training.
    #[allow(clippy::type_complexity)]
    pub fn run(&self, input: Value, batch: usize, mode: Mode) -> (Value, Vec<(usize, Arc<Vec<f32>>)>) {
        let params: Vec<Tensor<1>> = self.parameters.arrays.iter().map(Param::val).collect();
        let mut values: Vec<Option<Value>> = vec![Some(input)];
        let mut statistics = Vec::new();
        for step in &self.plan.steps {
            let result = {
                let inputs: Vec<&Value> = step.inputs.iter().filter_map(|&v| values[v].as_ref()).collect();
                let params: Vec<&Tensor<1>> = step.params.iter().map(|&p| &params[p]).collect();
                match (&step.kind, mode) {
                    (Kind::Fixed(op), Mode::Train(_)) => tape::record(op.clone(), batch, &inputs, &params).0,
                    (Kind::Fixed(op), Mode::Infer) => tape::infer(op.as_ref(), batch, &inputs, &params),
                    (Kind::BatchNorm(op, i), Mode::Train(_)) => {
                        let (value, saved) = tape::record(Arc::new(op.clone()), batch, &inputs, &params);
                        statistics.push((*i, saved));
                        value
                    }
                    (Kind::BatchNorm(op, i), Mode::Infer) => {
                        let frozen = Some(self.running[*i].values.clone());
                        tape::infer(&ops::BatchNorm { frozen, ..op.clone() }, batch, &inputs, &params)
                    }
                    (Kind::Dropout(p, index), Mode::Train(seed)) => {
                        let seed = seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        tape::record(Arc::new(ops::Dropout { p: *p, seed }), batch, &inputs, &params).0
                    }
                    (Kind::Dropout(..), Mode::Infer) => inputs[0].clone(),
                    (Kind::Add, _) => inputs[0].clone() + inputs[1].clone(),
                }
            };
            values.push(Some(result));
            for &v in &step.last {
                values[v] = None;
            }
        }
        let output = values[self.plan.output].take().unwrap_or_else(|| unreachable!("the output is kept"));
        (output, statistics)
    }

    /// Moves the running statistics towards the batch's: by a tenth, as is usual, but in the first
    /// ten batches by so much that they are the mean of all batches yet, so that even a few batches
    /// give usable statistics. `seen` is the number of batches before this one. The variance is the
    /// unbiased one, as in PyTorch.
    pub fn update_running(&mut self, batch: usize, seen: usize, statistics: &[(usize, Arc<Vec<f32>>)]) {
        let momentum = (1.0 / (seen as f32 + 1.0)).max(0.1);
        for (i, saved) in statistics {
            let running = &mut self.running[*i];
            let n = (batch * running.rows) as f32;
            let unbiased = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
            let c = running.values.0.len();
            let values = Arc::make_mut(&mut running.values);
            for j in 0..c {
                values.0[j] += momentum * (saved[j] - values.0[j]);
                values.1[j] += momentum * (saved[2 * c + j] * unbiased - values.1[j]);
            }
        }
    }
}

/// A batch of inputs on a device.
pub(crate) fn values(data: Vec<f32>, batch: usize, device: &Device) -> Value {
    let n = data.len() / batch.max(1);
    Tensor::from_data(TensorData::new(data, [batch, n]), device)
}
