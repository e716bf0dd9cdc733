//! The first pass: every graph node becomes one or a few naive steps. Dropout and other identities
//! of inference vanish, attention becomes three steps, sums of many become chains of two.

use super::ir::{Kernel, Norm, Recipe, Slot, SlotId, Step, Tensor, TensorId};
use super::Lowered;
use crate::graph::{Fact, Network, NodeId, NodeView, Op};
use std::collections::{BTreeMap, BTreeSet};

/// Translates a network, in the order of its nodes.
pub(super) fn run(network: &Network) -> Lowered {
    let names = network.nodes().map(|n| n.node.name.clone()).collect();
    let mut b = Builder { names, values: BTreeMap::new(), out: empty(network.input_fact()) };
    for view in network.nodes() {
        let value = b.node(&view);
        b.values.insert(view.id, value);
    }
    b.out.output = b.value(network.output());
    b.out
}

fn empty(input: Fact) -> Lowered {
    Lowered {
        tensors: vec![Tensor { fact: input, name: "input".into() }],
        slots: Vec::new(),
        steps: Vec::new(),
        input: TensorId(0),
        output: TensorId(0),
    }
}

struct Builder {
    /// Names of all nodes, and of the steps that are not named after one.
    names: BTreeSet<String>,
    /// The tensor that holds a node's value.
    values: BTreeMap<NodeId, TensorId>,
    out: Lowered,
}

/// One array of a step: its name after the step's, its shape, its recipe.
type Array = (&'static str, Vec<usize>, Recipe);

impl Builder {
    fn value(&self, id: NodeId) -> TensorId {
        self.values.get(&id).copied().unwrap_or(TensorId(0))
    }

    /// Adds the steps of a node and gives the tensor of its value.
    fn node(&mut self, view: &NodeView<'_>) -> TensorId {
        let inputs: Vec<TensorId> = view.inputs.iter().map(|&id| self.value(id)).collect();
        let x = inputs.first().copied().unwrap_or(TensorId(0));
        let copied = |b: &Builder| b.copies(view);
        let (kernel, arrays) = match view.node.op {
            Op::Input => return self.out.input,
            Op::Dropout { .. } => return x,
            Op::Flatten if matches!(self.out.fact(x), Fact::Vector { .. }) => return x,
            Op::Add => return self.sum(view, &inputs),
            Op::Attention { heads, head_dim } => return self.attention(view, x, heads, head_dim),
            Op::Conv { window, groups, bias, .. } => (Kernel::Conv { window, groups, bias }, copied(self)),
            Op::Linear { bias, .. } => (Kernel::Linear { bias }, copied(self)),
            Op::LayerNorm { eps } => (Kernel::LayerNorm { eps }, copied(self)),
            Op::BatchNorm { eps } => {
                let norm = Norm { node: view.node.name.clone(), eps };
                let shape = vec![view.output.channels()];
                let scale = ("scale", shape.clone(), Recipe::NormScale(norm.clone()));
                (Kernel::Affine, vec![scale, ("shift", shape, Recipe::NormShift(norm))])
            }
            Op::Mul => match view.facts.as_slice() {
                [Fact::Map { .. }, Fact::Vector { .. }] => (Kernel::MulChannels, Vec::new()),
                _ => (Kernel::Mul, Vec::new()),
            },
            Op::Activation(act) => (Kernel::Activation(act), Vec::new()),
            Op::Softmax => (Kernel::Softmax, Vec::new()),
            Op::MaxPool(w) => (Kernel::MaxPool(w), Vec::new()),
            Op::AvgPool(w) => (Kernel::AvgPool(w), Vec::new()),
            Op::GlobalAvgPool => (Kernel::GlobalAvgPool, Vec::new()),
            Op::Concat => (Kernel::Concat, Vec::new()),
            Op::MatMul => (Kernel::MatMul, Vec::new()),
            Op::Transpose => (Kernel::Transpose, Vec::new()),
            Op::Unfold { patch } => (Kernel::Unfold { patch }, Vec::new()),
            Op::Fold => (Kernel::Fold, Vec::new()),
            Op::Flatten => (Kernel::Flatten, Vec::new()),
        };
        self.step(view, view.node.name.clone(), kernel, inputs, view.output, arrays)
    }

    /// `x1 + x2 + x3` as two steps; the last has the node's name.
    fn sum(&mut self, view: &NodeView<'_>, inputs: &[TensorId]) -> TensorId {
        let Some((&first, rest)) = inputs.split_first() else { return TensorId(0) };
        let mut total = first;
        for (i, &y) in rest.iter().enumerate() {
            let broadcast =
                matches!((self.out.fact(first), self.out.fact(y)), (Fact::Map { .. }, Fact::Vector { .. }));
            let kernel = if broadcast { Kernel::AddChannels } else { Kernel::Add };
            let last = i + 1 == rest.len();
            let name = if last { view.node.name.clone() } else { self.part(view, &format!("part{}", i + 1)) };
            total = self.step(view, name, kernel, vec![total, y], view.output, Vec::new());
        }
        total
    }

    /// Projections to queries, keys and values; the core; the projection back.
    fn attention(&mut self, view: &NodeView<'_>, x: TensorId, heads: usize, head_dim: usize) -> TensorId {
        let inner = heads.saturating_mul(head_dim);
        let dim = view.output.channels();
        let copy = |param: &str| Recipe::Copy(format!("{}.{param}", view.node.name));
        let wide = inner.saturating_mul(3);
        let arrays =
            vec![("weight", vec![wide, dim], copy("qkv.weight")), ("bias", vec![wide], copy("qkv.bias"))];
        let linear = Kernel::Linear { bias: true };
        let name = self.part(view, "qkv");
        let qkv = self.step(view, name, linear, vec![x], view.output.with_channels(wide), arrays);
        let name = self.part(view, "core");
        let kernel = Kernel::AttentionCore { heads, head_dim };
        let core = self.step(view, name, kernel, vec![qkv], view.output.with_channels(inner), Vec::new());
        let arrays =
            vec![("weight", vec![dim, inner], copy("out.weight")), ("bias", vec![dim], copy("out.bias"))];
        let name = self.part(view, "out");
        self.step(view, name, linear, vec![core], view.output, arrays)
    }

    /// The node's parameters as they are.
    fn copies(&self, view: &NodeView<'_>) -> Vec<Array> {
        let recipe = |param: &str| Recipe::Copy(format!("{}.{param}", view.node.name));
        view.params().into_iter().map(|p| (p.name, p.shape, recipe(p.name))).collect()
    }

    /// A name for a part of a node that is no node's and no other part's.
    fn part(&mut self, view: &NodeView<'_>, part: &str) -> String {
        let mut name = format!("{}.{part}", view.node.name);
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        name
    }

    fn step(
        &mut self,
        view: &NodeView<'_>,
        name: String,
        kernel: Kernel,
        inputs: Vec<TensorId>,
        fact: Fact,
        arrays: Vec<Array>,
    ) -> TensorId {
        let output = TensorId(self.out.tensors.len());
        self.out.tensors.push(Tensor { fact, name: name.clone() });
        let mut slots = Vec::new();
        for (array, shape, recipe) in arrays {
            slots.push(SlotId(self.out.slots.len()));
            self.out.slots.push(Slot { name: format!("{name}.{array}"), shape, recipe });
        }
        self.out.steps.push(Step { name, span: view.node.span, kernel, act: None, inputs, output, slots });
        output
    }
}
