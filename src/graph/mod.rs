//! One architecture as a petgraph graph: operators on the nodes, facts on the wires.
//!
//! [`Graph`] is under construction and may be wrong. [`Graph::validate`] either gives a
//! [`Network`], which everything after it requires, or diagnostics that name the line of the spec.
//!
//! Invariant: a [`Network`] is acyclic, has one input and one output, every node reaches the output,
//! and every wire's fact is what [`Op::infer`] gives for its source. Nothing outside this module can
//! make one.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod draw;
mod fact;
mod infer;
mod op;

pub use fact::{Fact, Patches};
pub use op::{Act, Init, Op, Padding, Param, ShapeError, Window};

use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use petgraph::Direction;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A node: an operator, a name unique in its graph, and the place in the spec it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// Unique name: the scope in the spec and the operator, `local1.mbconv.conv_2`. Parameters are
    /// named `<node>.<param>`.
    pub name: String,
    /// Where the spec says so.
    pub span: Span,
}

/// A wire: which input of its target it is, and what flows on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wire {
    /// Position among the target's inputs.
    pub port: usize,
    /// Kind and shape of the value.
    pub fact: Fact,
}

/// The id of a node.
pub type NodeId = NodeIndex<u32>;

/// An architecture under construction.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    inner: DiGraph<Node, Wire>,
    names: HashMap<String, usize>,
    output: Option<NodeId>,
}

impl Graph {
    /// Adds a node, makes its name unique, and infers its output.
    ///
    /// # Errors
    /// A diagnostic at `span` if the operator cannot take these inputs.
    pub fn add(
        &mut self,
        op: Op,
        name: &str,
        span: Span,
        inputs: &[(NodeId, Fact)],
    ) -> Result<(NodeId, Fact), Diagnostic> {
        let facts: Vec<Fact> = inputs.iter().map(|&(_, f)| f).collect();
        let fact =
            op.infer(&facts).map_err(|e| Diagnostic::error(codes::SHAPE, span, e.message).help(e.help))?;
        let id = self.add_unchecked(op, name, span, inputs);
        Ok((id, fact))
    }

    /// Adds the input node.
    pub fn add_input(&mut self, span: Span) -> NodeId {
        self.add_unchecked(Op::Input, "input", span, &[])
    }

    /// The name itself, or with the first number that makes it unique.
    fn unique(&mut self, name: &str) -> String {
        let mut n = self.names.get(name).copied().unwrap_or(0) + 1;
        let mut unique = name.to_string();
        while n > 1 && self.names.contains_key(&unique) {
            unique = format!("{name}_{n}");
            n += 1;
        }
        self.names.insert(name.to_string(), n.saturating_sub(1).max(1));
        self.names.entry(unique.clone()).or_insert(1);
        unique
    }

    fn add_unchecked(&mut self, op: Op, name: &str, span: Span, inputs: &[(NodeId, Fact)]) -> NodeId {
        let name = self.unique(name);
        let id = self.inner.add_node(Node { op, name, span });
        for (port, &(from, fact)) in inputs.iter().enumerate() {
            self.inner.add_edge(from, id, Wire { port, fact });
        }
        id
    }

    /// The operator of a node, to be changed before validation.
    pub fn op_mut(&mut self, id: NodeId) -> Option<&mut Op> {
        self.inner.node_weight_mut(id).map(|n| &mut n.op)
    }

    /// The operator of a node.
    pub fn op(&self, id: NodeId) -> Option<&Op> {
        self.inner.node_weight(id).map(|n| &n.op)
    }

    /// Names the node whose value is the network's result.
    pub fn set_output(&mut self, id: NodeId) {
        self.output = Some(id);
    }

    /// Checks the whole graph and gives the type that the later stages take.
    ///
    /// Nodes that do not reach the output are an error. `input` is the fact of the image.
    ///
    /// # Errors
    /// All violations found, each at the line of the spec that made the node.
    pub fn validate(self, input: Fact) -> Result<Network, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let Some(output) = self.output else {
            let d = Diagnostic::error(codes::GRAPH, Span::default(), "the network has no output");
            return Err(vec![d.help("give the space at least one operator")]);
        };
        let Ok(order) = petgraph::algo::toposort(&self.inner, None) else {
            let d = Diagnostic::error(codes::GRAPH, Span::default(), "the network has a cycle");
            return Err(vec![d.help("a network must be acyclic")]);
        };
        let mut facts: HashMap<NodeId, Fact> = HashMap::new();
        for &id in &order {
            let Some(node) = self.inner.node_weight(id) else { continue };
            if node.op == Op::Input {
                facts.insert(id, input);
                continue;
            }
            let mut wires: Vec<_> = self
                .inner
                .edges_directed(id, Direction::Incoming)
                .map(|e| (*e.weight(), e.source()))
                .collect();
            wires.sort_by_key(|(w, _)| w.port);
            let inputs: Vec<Fact> = wires.iter().map(|(w, _)| w.fact).collect();
            for (position, (wire, source)) in wires.iter().enumerate() {
                let told = facts.get(source).copied();
                if wire.port != position || told != Some(wire.fact) {
                    let m = format!(
                        "input {} of `{}` does not carry what its source gives",
                        wire.port, node.name
                    );
                    found
                        .push(Diagnostic::error(codes::GRAPH, node.span, m).help("this is a defect of hytc"));
                }
            }
            match node.op.infer(&inputs) {
                Ok(fact) => {
                    facts.insert(id, fact);
                }
                Err(e) => found.push(Diagnostic::error(codes::SHAPE, node.span, e.message).help(e.help)),
            }
        }
        let reversed = petgraph::visit::Reversed(&self.inner);
        let mut reached = petgraph::visit::Dfs::new(reversed, output);
        let mut live = std::collections::HashSet::new();
        while let Some(id) = reached.next(reversed) {
            live.insert(id);
        }
        for &id in &order {
            if let Some(node) = self.inner.node_weight(id).filter(|_| !live.contains(&id)) {
                let m = format!("the result of `{}` is never used", node.name);
                found.push(
                    Diagnostic::error(codes::GRAPH, node.span, m).help("remove it, or join it to the rest"),
                );
            }
        }
        let inputs = order.iter().filter(|&&id| self.op(id) == Some(&Op::Input)).count();
        if inputs != 1 {
            let m = format!("the network has {inputs} inputs");
            found.push(Diagnostic::error(codes::GRAPH, Span::default(), m).help("a network has exactly one"));
        }
        if found.is_empty() {
            Ok(Network { graph: self, order, facts, output })
        } else {
            Err(found)
        }
    }
}

/// A validated architecture. Made only by [`Graph::validate`].
#[derive(Debug, Clone)]
pub struct Network {
    graph: Graph,
    order: Vec<NodeId>,
    facts: HashMap<NodeId, Fact>,
    output: NodeId,
}

/// A borrowed view of one node of a [`Network`].
#[derive(Debug, Clone)]
pub struct NodeView<'a> {
    /// Its id.
    pub id: NodeId,
    /// Operator, name, place.
    pub node: &'a Node,
    /// The sources of its inputs in the order of the ports.
    pub inputs: Vec<NodeId>,
    /// The facts of its inputs in the order of the ports.
    pub facts: Vec<Fact>,
    /// The fact of its output.
    pub output: Fact,
}

impl NodeView<'_> {
    /// Its parameter tensors.
    pub fn params(&self) -> Vec<Param> {
        self.node.op.params(&self.facts)
    }
}

impl Network {
    /// The nodes, every node after its inputs, in an order that is the same on every run.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        self.order.iter().filter_map(|&id| self.node(id))
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> Option<NodeView<'_>> {
        let node = self.graph.inner.node_weight(id)?;
        let mut wires: Vec<_> = self
            .graph
            .inner
            .edges_directed(id, Direction::Incoming)
            .map(|e| (e.weight().port, e.source(), e.weight().fact))
            .collect();
        wires.sort_by_key(|&(port, ..)| port);
        Some(NodeView {
            id,
            node,
            inputs: wires.iter().map(|w| w.1).collect(),
            facts: wires.iter().map(|w| w.2).collect(),
            output: self.fact(id),
        })
    }

    /// How many nodes read a node's value.
    pub fn consumers(&self, id: NodeId) -> Vec<NodeId> {
        let mut v: Vec<_> = self.graph.inner.neighbors_directed(id, Direction::Outgoing).collect();
        v.sort();
        v
    }

    /// The fact of a node's output.
    pub fn fact(&self, id: NodeId) -> Fact {
        self.facts.get(&id).copied().unwrap_or(Fact::Vector { n: 0 })
    }

    /// The node whose value is the result.
    pub fn output(&self) -> NodeId {
        self.output
    }

    /// The image's fact.
    pub fn input_fact(&self) -> Fact {
        self.nodes().find(|n| n.node.op == Op::Input).map_or(Fact::Vector { n: 0 }, |n| n.output)
    }

    /// The result's fact.
    pub fn output_fact(&self) -> Fact {
        self.fact(self.output)
    }

    /// The underlying petgraph graph, to draw or to walk.
    pub fn petgraph(&self) -> &DiGraph<Node, Wire> {
        &self.graph.inner
    }

    /// A hash that is equal for equal networks, whatever their nodes' names, places and order of
    /// construction: each node's hash covers its operator, its attributes and its inputs' hashes in
    /// port order (sorted where the operator commutes); the network's is its output's.
    pub fn hash(&self) -> String {
        let mut hashes: HashMap<NodeId, [u8; 32]> = HashMap::new();
        for view in self.nodes() {
            let mut inputs: Vec<[u8; 32]> =
                view.inputs.iter().map(|id| hashes.get(id).copied().unwrap_or_default()).collect();
            if view.node.op == Op::Add && view.facts.windows(2).all(|w| w.first() == w.get(1)) {
                inputs.sort_unstable();
            }
            let mut h = Sha256::new();
            h.update(format!("{:?}|{:?}", view.node.op, view.output));
            for i in inputs {
                h.update(i);
            }
            hashes.insert(view.id, h.finalize().into());
        }
        let root = hashes.get(&self.output).copied().unwrap_or_default();
        root.iter().take(16).map(|b| format!("{b:02x}")).collect()
    }
}
