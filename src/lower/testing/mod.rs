//! Networks for tests, and a plain evaluation of networks before and after lowering.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub(crate) mod eval;
pub(crate) mod random;

use crate::graph::{Act, Fact, Graph, Network, NodeId, Op, Window};
use crate::source::Span;

/// A graph being built, node by node.
pub(crate) struct Net {
    graph: Graph,
    input: Fact,
}

pub(crate) type Value = (NodeId, Fact);

impl Net {
    pub(crate) fn new(h: usize, w: usize, c: usize) -> (Net, Value) {
        let mut graph = Graph::default();
        let id = graph.add_input(Span::default());
        let input = Fact::Map { c, h, w };
        (Net { graph, input }, (id, input))
    }

    pub(crate) fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        self.graph.add(op, op.name(), Span::default(), inputs).unwrap()
    }

    /// A convolution without bias that keeps the map's size but for the stride.
    pub(crate) fn conv(
        &mut self,
        x: Value,
        out: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
    ) -> Value {
        let window = same(x, kernel, stride);
        self.op(Op::Conv { out, window, groups, bias: false }, &[x])
    }

    pub(crate) fn bn(&mut self, x: Value) -> Value {
        self.op(Op::BatchNorm { eps: 1e-3 }, &[x])
    }

    pub(crate) fn act(&mut self, x: Value, act: Act) -> Value {
        self.op(Op::Activation(act), &[x])
    }

    pub(crate) fn bn_act(&mut self, x: Value, act: Act) -> Value {
        let x = self.bn(x);
        self.act(x, act)
    }

    pub(crate) fn finish(mut self, output: Value) -> Network {
        self.graph.set_output(output.0);
        self.graph.validate(self.input).unwrap()
    }
}

/// A window with the padding `same`.
pub(crate) fn same(x: Value, kernel: usize, stride: usize) -> Window {
    let Fact::Map { h, w, .. } = x.1 else { panic!("{} is no map", x.1) };
    Window { kernel, stride, dilation: 1, padding: Window::same(kernel, stride, 1, h, w) }
}

/// MobileNetV1 0.25, 96x96x3, 2 classes: MLPerf Tiny's network for visual wake words.
pub(crate) fn mobilenet() -> Network {
    let (mut n, x) = Net::new(96, 96, 3);
    let x = n.conv(x, 8, 3, 2, 1);
    let x = n.bn(x);
    let mut x = n.act(x, Act::Relu);
    let wide = [(128, 1); 5];
    let blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)];
    for (out, stride) in blocks.into_iter().chain(wide).chain([(256, 2), (256, 1)]) {
        let c = x.1.channels();
        for (out, kernel, stride, groups) in [(c, 3, stride, c), (out, 1, 1, 1)] {
            x = n.conv(x, out, kernel, stride, groups);
            x = n.bn(x);
            x = n.act(x, Act::Relu);
        }
    }
    let x = n.op(Op::GlobalAvgPool, &[x]);
    let x = n.op(Op::Linear { out: 2, bias: true }, &[x]);
    n.finish(x)
}

/// ResNet-8, 32x32x3, 10 classes: MLPerf Tiny's network for image classification.
pub(crate) fn resnet8() -> Network {
    let (mut n, x) = Net::new(32, 32, 3);
    let x = n.conv(x, 16, 3, 1, 1);
    let x = n.bn(x);
    let mut x = n.act(x, Act::Relu);
    for (out, stride) in [(16, 1), (32, 2), (64, 2)] {
        let y = n.conv(x, out, 3, stride, 1);
        let y = n.bn(y);
        let y = n.act(y, Act::Relu);
        let y = n.conv(y, out, 3, 1, 1);
        let y = n.bn(y);
        let side = if stride == 1 { x } else { n.conv(x, out, 1, stride, 1) };
        x = n.op(Op::Add, &[side, y]);
        x = n.act(x, Act::Relu);
    }
    let x = n.op(Op::GlobalAvgPool, &[x]);
    let x = n.op(Op::Linear { out: 10, bias: true }, &[x]);
    n.finish(x)
}
