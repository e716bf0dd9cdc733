//! The graph under construction: nodes with unique names, constants, initialisers, shapes.

use super::{fault, meta::Metadata, quantise, Fault, INPUT, OUTPUT};
use crate::graph::Fact;
use crate::lower::ir::{Slot, SlotId, Step, TensorId};
use crate::lower::Lowered;
use crate::quant::{Quantised, Scale};
use crate::source::Span;
use crate::weights::Array;
use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_proto::DataType;
use onnx_protobuf::tensor_shape_proto::{dimension, Dimension};
use onnx_protobuf::{
    type_proto, AttributeProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
};
use std::collections::{BTreeMap, BTreeSet};

/// How a slot's array lies in its initialiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// As in the slot.
    AsIs,
    /// `[out, in]` as `[in, out]`, what `MatMul` multiplies by from the right.
    Transposed,
    /// `[c]` as `[c, 1, 1]`, which broadcasts over the positions of a map.
    PerChannel,
}

/// The finished pieces of a graph.
pub(super) struct Parts {
    pub nodes: Vec<NodeProto>,
    pub initializers: Vec<TensorProto>,
    pub values: Vec<ValueInfoProto>,
    pub input: ValueInfoProto,
    pub output: ValueInfoProto,
}

/// Where the weights come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Arrays, by slot.
    Float(&'a [Array]),
    /// The integers of steps.
    Int8(&'a Quantised),
}

/// A graph under construction.
pub(super) struct Builder<'a> {
    lowered: &'a Lowered,
    source: Source<'a>,
    meta: &'a Metadata,
    nodes: Vec<NodeProto>,
    values: Vec<ValueInfoProto>,
    /// All names of nodes and values given so far.
    names: BTreeSet<String>,
    /// The value that holds each tensor.
    tensors: BTreeMap<TensorId, String>,
    slots: BTreeMap<SlotId, (String, Layout)>,
    constants: BTreeMap<String, String>,
    /// Initialisers of integers.
    integers: Vec<TensorProto>,
    /// The index of the step whose nodes are being made.
    step: Option<usize>,
    /// Name of the step whose nodes are being made.
    scope: String,
    /// Where its nodes start.
    start: usize,
}

impl<'a> Builder<'a> {
    pub fn new(lowered: &'a Lowered, source: Source<'a>, meta: &'a Metadata) -> Result<Self, Fault> {
        let mut b = Builder {
            lowered,
            source,
            meta,
            integers: Vec::new(),
            step: None,
            nodes: Vec::new(),
            values: Vec::new(),
            names: [INPUT.to_string(), OUTPUT.to_string()].into(),
            tensors: BTreeMap::new(),
            slots: BTreeMap::new(),
            constants: BTreeMap::new(),
            scope: String::new(),
            start: 0,
        };
        let mut input = INPUT.to_string();
        if let Source::Int8(network) = source {
            b.scope = INPUT.into();
            input = quantise::through(&mut b, INPUT, network.scale(lowered.input));
        }
        b.tensors.insert(lowered.input, input.clone());
        if lowered.input == lowered.output {
            b.push("Identity", OUTPUT.into(), vec![input], vec![OUTPUT.into()], Vec::new());
        }
        Ok(b)
    }

    /// Begins the nodes of a step.
    pub fn begin(&mut self, step: &Step) {
        self.scope.clone_from(&step.name);
        self.step = Some(self.step.map_or(0, |i| i + 1));
        self.start = self.nodes.len();
    }

    /// Ends the nodes of a step, whose result is `value`: gives it the step's name, and its first
    /// node a description.
    pub fn end(&mut self, step: &Step, value: String, about: &str) -> Result<(), Fault> {
        let last = self.nodes.last().and_then(|n| n.output.first());
        let own = self.nodes.len() > self.start && last == Some(&value);
        // A step that moves nothing (a vector flattened) is still a node of its own.
        let value = if own { value } else { self.node("Identity", &[&value], Vec::new()) };
        let name = match step.output == self.lowered.output {
            true => OUTPUT.to_string(),
            false => {
                self.names.remove(&value);
                self.unique(&step.name)
            }
        };
        let doc = match self.meta.place(step.span) {
            Some(place) => format!("{about} ({place})"),
            None => about.to_string(),
        };
        let mut made: Vec<&mut NodeProto> =
            self.nodes.iter_mut().skip(self.start).filter(|n| n.op_type != "Constant").collect();
        if let [only] = made.as_mut_slice() {
            only.name.clone_from(&step.name);
        }
        if let Some(first) = made.first_mut() {
            first.doc_string = doc;
        }
        if let Some(output) = made.last_mut().and_then(|n| n.output.first_mut()) {
            output.clone_from(&name);
        }
        if self.tensors.insert(step.output, name.clone()).is_some() {
            return Err(fault(step.span, format!("`{}` writes a tensor that is written already", step.name)));
        }
        if step.output != self.lowered.output {
            let fact = self.fact(step.output, step.span)?;
            self.values.push(value_info(&name, fact));
        }
        Ok(())
    }

    /// Adds a node to the current step; gives the name of its one output.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.unique(&format!("{}/{op}", self.scope));
        self.push(
            op,
            name.clone(),
            inputs.iter().map(ToString::to_string).collect(),
            vec![name.clone()],
            attributes,
        );
        name
    }

    /// Adds a node with several outputs.
    pub fn split<const N: usize>(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: [&str; N],
        attributes: Vec<AttributeProto>,
    ) -> [String; N] {
        let name = self.unique(&format!("{}/{op}", self.scope));
        let outputs = outputs.map(|o| self.unique(&format!("{}/{o}", self.scope)));
        self.push(op, name, inputs.iter().map(ToString::to_string).collect(), outputs.to_vec(), attributes);
        outputs
    }

    fn push(
        &mut self,
        op: &str,
        name: String,
        input: Vec<String>,
        output: Vec<String>,
        attribute: Vec<AttributeProto>,
    ) {
        let op_type = op.to_string();
        self.nodes.push(NodeProto { op_type, name, input, output, attribute, ..NodeProto::default() });
    }

    /// A one-dimensional constant of integers: a shape, axes, bounds.
    pub fn ints(&mut self, values: &[i64]) -> String {
        let text: Vec<String> = values.iter().map(ToString::to_string).collect();
        let tensor = TensorProto {
            dims: vec![int(values.len())],
            data_type: DataType::INT64 as i32,
            raw_data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            ..TensorProto::default()
        };
        self.constant(format!("const/i64_{}", text.join("_")), tensor)
    }

    /// A constant number.
    pub fn scalar(&mut self, value: f32) -> String {
        self.constant(format!("const/f32_{value}"), floats(&[], &[value]))
    }

    /// A constant array of this step. It is not a parameter, and so not an initialiser.
    pub fn array(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constant(format!("{}/{name}", self.scope), floats(shape, values))
    }

    /// A `Constant` node; one for each `key`.
    fn constant(&mut self, key: String, value: TensorProto) -> String {
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let name = self.unique(&key);
        let attribute = AttributeProto {
            name: "value".into(),
            type_: AttributeType::TENSOR.into(),
            t: Some(value).into(),
            ..AttributeProto::default()
        };
        self.push("Constant", name.clone(), Vec::new(), vec![name.clone()], vec![attribute]);
        self.constants.insert(key, name.clone());
        name
    }

    /// The name of the initialiser of a step's slot.
    pub fn weight(&mut self, step: &Step, position: usize, layout: Layout) -> Result<String, Fault> {
        let lost = || fault(step.span, format!("`{}` has no weight slot {position}", step.name));
        if let (Source::Int8(network), 1, [_]) = (self.source, position, step.slots.as_slice()) {
            return self.integer_weight(network, step, position, layout, &[]);
        }
        let id = *step.slots.get(position).ok_or_else(lost)?;
        let slot: &Slot = self.lowered.slots.get(id.0).ok_or_else(lost)?;
        if let Source::Int8(network) = self.source {
            let shape = slot.shape.clone();
            return self.integer_weight(network, step, position, layout, &shape);
        }
        match self.slots.get(&id) {
            Some((name, had)) if *had == layout => Ok(name.clone()),
            Some(_) => Err(fault(step.span, format!("`{}` is used in two layouts", slot.name))),
            None => {
                let name = self.unique(&slot.name);
                self.slots.insert(id, (name.clone(), layout));
                Ok(name)
            }
        }
    }

    fn integer_weight(
        &mut self,
        network: &Quantised,
        step: &Step,
        position: usize,
        layout: Layout,
        shape: &[usize],
    ) -> Result<String, Fault> {
        let lost = || fault(step.span, format!("`{}` has no integers", step.name));
        let q = self.step.and_then(|i| network.steps().get(i)).ok_or_else(lost)?;
        let x = step.inputs.first().map(|&t| network.scale(t)).ok_or_else(lost)?;
        quantise::weight(self, q, x, step, position, layout, shape)
    }

    /// Whether the graph is of integers.
    pub fn is_int8(&self) -> bool {
        matches!(self.source, Source::Int8(_))
    }

    /// Whether the current step adds a bias: in int8 all layers do, to make up for rounded weights.
    pub fn has_bias(&self, bias: bool) -> bool {
        bias || self.is_int8()
    }

    /// The scales that the result of the current step goes through: before its activation, where
    /// there is a table, and after it.
    pub fn scales(&self, step: &Step) -> (Option<Scale>, Option<Scale>) {
        let Source::Int8(network) = self.source else { return (None, None) };
        let q = self.step.and_then(|i| network.steps().get(i));
        let before = q.filter(|q| q.table.is_some() && step.act.is_some()).map(|q| q.before);
        (before, Some(network.scale(step.output)))
    }

    /// An initialiser that is not a slot's.
    pub fn initializer(&mut self, wish: &str, mut tensor: TensorProto) -> String {
        let name = self.unique(wish);
        tensor.name.clone_from(&name);
        self.integers.push(tensor);
        name
    }

    /// A constant of eight bits.
    pub fn int8(&mut self, value: i8) -> String {
        let tensor = quantise::integers(&[], DataType::INT8, vec![value as u8]);
        self.constant(format!("const/i8_{value}"), tensor)
    }

    /// The value that holds an input of a step, and its fact.
    pub fn input(&self, step: &Step, position: usize) -> Result<(String, Fact), Fault> {
        let lost = || fault(step.span, format!("`{}` reads input {position} before it is made", step.name));
        let id = *step.inputs.get(position).ok_or_else(lost)?;
        let name = self.tensors.get(&id).cloned().ok_or_else(lost)?;
        Ok((name, self.fact(id, step.span)?))
    }

    /// The fact of a tensor.
    pub fn fact(&self, id: TensorId, span: Span) -> Result<Fact, Fault> {
        let lost = || fault(span, format!("tensor {} does not exist", id.0));
        self.lowered.tensors.get(id.0).map(|t| t.fact).ok_or_else(lost)
    }

    /// A name that nothing has yet: `wish`, or `wish_2` and so on.
    fn unique(&mut self, wish: &str) -> String {
        let mut name = wish.to_string();
        let mut n = 1usize;
        while !self.names.insert(name.clone()) {
            n += 1;
            name = format!("{wish}_{n}");
        }
        name
    }

    pub fn finish(mut self) -> Result<Parts, Fault> {
        let lowered = self.lowered;
        let mut initializers = Vec::new();
        let arrays = if let Source::Float(arrays) = self.source { arrays } else { &[] };
        for (i, (slot, array)) in lowered.slots.iter().zip(arrays).enumerate() {
            let Some((name, layout)) = self.slots.get(&SlotId(i)) else {
                return Err(fault(Span::default(), format!("no step reads the weights `{}`", slot.name)));
            };
            initializers.push(initializer(name, array, *layout));
        }
        initializers.append(&mut self.integers);
        if !self.tensors.contains_key(&lowered.output) {
            return Err(fault(Span::default(), "no step makes the result of the network"));
        }
        let mut input = value_info(INPUT, self.fact(lowered.input, Span::default())?);
        // What the dimensions mean, in the words of ONNX's docs/DimensionDenotation.md.
        if let Some(t) = input.type_.as_mut() {
            t.denotation = "IMAGE".into();
            if let Some(type_proto::Value::TensorType(t)) = t.value.as_mut() {
                let words = ["DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", "DATA_FEATURE"];
                let dims = t.shape.as_mut().map(|s| s.dim.as_mut_slice()).unwrap_or_default();
                for (dim, word) in dims.iter_mut().zip(words) {
                    dim.denotation = word.into();
                }
            }
        }
        let output = value_info(OUTPUT, self.fact(lowered.output, Span::default())?);
        Ok(Parts { nodes: self.nodes, initializers, values: self.values, input, output })
    }
}

fn initializer(name: &str, array: &Array, layout: Layout) -> TensorProto {
    let mut tensor = match (layout, array.shape.as_slice()) {
        (Layout::PerChannel, &[c]) => floats(&[c, 1, 1], &array.data),
        (Layout::Transposed, &[out, inner]) => {
            let columns = (0..inner).flat_map(|i| array.data.iter().skip(i).step_by(inner.max(1)).copied());
            floats(&[inner, out], &columns.collect::<Vec<f32>>())
        }
        (_, shape) => floats(shape, &array.data),
    };
    tensor.name = name.to_string();
    tensor
}

/// A tensor of floats.
pub(super) fn floats(shape: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: shape.iter().map(|&n| int(n)).collect(),
        data_type: DataType::FLOAT as i32,
        raw_data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

/// The dimensions after the batch.
fn dims(fact: Fact) -> Vec<usize> {
    match fact {
        Fact::Map { c, h, w } => vec![c, h, w],
        Fact::Tokens { groups, tokens, dim, .. } => vec![groups, tokens, dim],
        Fact::Vector { n } => vec![n],
    }
}

fn value_info(name: &str, fact: Fact) -> ValueInfoProto {
    let dim = |value| Dimension { value: Some(value), ..Dimension::default() };
    let batch = dim(dimension::Value::DimParam("N".into()));
    let rest = dims(fact).into_iter().map(|n| dim(dimension::Value::DimValue(int(n))));
    let shape =
        TensorShapeProto { dim: std::iter::once(batch).chain(rest).collect(), ..TensorShapeProto::default() };
    let tensor = type_proto::Tensor {
        elem_type: DataType::FLOAT as i32,
        shape: Some(shape).into(),
        ..type_proto::Tensor::default()
    };
    let type_ = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_string(), type_: Some(type_).into(), ..ValueInfoProto::default() }
}

/// Sizes fit an i64 on every machine whose memory holds them.
pub(super) fn int(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// An integer attribute.
pub(super) fn attr(name: &str, i: usize) -> AttributeProto {
    signed(name, int(i))
}

/// An integer attribute that may be negative.
pub(super) fn signed(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), type_: AttributeType::INT.into(), i, ..AttributeProto::default() }
}

/// A list of integers as an attribute.
pub(super) fn attrs(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&n| int(n)).collect();
    AttributeProto { name: name.into(), type_: AttributeType::INTS.into(), ints, ..AttributeProto::default() }
}

/// A number as an attribute.
pub(super) fn real(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), type_: AttributeType::FLOAT.into(), f, ..AttributeProto::default() }
}
