//! Building networks by hand, a line for each operator.
#![allow(dead_code)]

use hytc::graph::{Act, Fact, Graph, Network, NodeId, Op, Padding, Window};
use hytc::source::Span;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The value of a node: what [`Graph::add`] takes and gives.
pub type Value = (NodeId, Fact);

/// A network under construction.
pub struct Net {
    graph: Graph,
    input: Value,
}

impl Net {
    /// A network over images of `c` channels, `h` x `w`, and its input.
    pub fn new(c: usize, h: usize, w: usize) -> (Net, Value) {
        let mut graph = Graph::default();
        let input = (graph.add_input(Span::default()), Fact::Map { c, h, w });
        (Net { graph, input }, input)
    }

    /// The image.
    pub fn input(&self) -> Value {
        self.input
    }

    /// Any operator; panics where it cannot take these inputs.
    pub fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        match self.graph.add(op, op.name(), Span::default(), inputs) {
            Ok(value) => value,
            Err(d) => panic!("{op} of {:?}: {}", inputs.iter().map(|i| i.1).collect::<Vec<_>>(), d.message),
        }
    }

    /// A convolution with a window, groups, and bias.
    pub fn conv(&mut self, x: Value, out: usize, window: Window, groups: usize) -> Value {
        self.op(Op::Conv { out, window, groups, bias: true }, &[x])
    }

    /// A convolution without bias, batch norm, activation; padded to `same`.
    pub fn conv_bn(&mut self, x: Value, out: usize, kernel: usize, stride: usize, act: Act) -> Value {
        let x = self.op(Op::Conv { out, window: same(x, kernel, stride, 1), groups: 1, bias: false }, &[x]);
        let x = self.op(Op::BatchNorm { eps: 1e-3 }, &[x]);
        self.act(x, act)
    }

    /// The same, depthwise.
    pub fn dw_bn(&mut self, x: Value, kernel: usize, stride: usize, act: Act) -> Value {
        let c = x.1.channels();
        let x =
            self.op(Op::Conv { out: c, window: same(x, kernel, stride, 1), groups: c, bias: false }, &[x]);
        let x = self.op(Op::BatchNorm { eps: 1e-3 }, &[x]);
        self.act(x, act)
    }

    /// An activation.
    pub fn act(&mut self, x: Value, act: Act) -> Value {
        self.op(Op::Activation(act), &[x])
    }

    /// A dense layer with bias.
    pub fn linear(&mut self, x: Value, out: usize) -> Value {
        self.op(Op::Linear { out, bias: true }, &[x])
    }

    /// Squeeze and excite (arXiv 1709.01507).
    pub fn squeeze_excite(&mut self, x: Value, hidden: usize) -> Value {
        let c = x.1.channels();
        let s = self.op(Op::GlobalAvgPool, &[x]);
        let s = self.linear(s, hidden);
        let s = self.act(s, Act::Silu);
        let s = self.linear(s, c);
        let s = self.act(s, Act::Sigmoid);
        self.op(Op::Mul, &[x, s])
    }

    /// A pre-norm transformer encoder layer on tokens (arXiv 2002.04745).
    pub fn transformer(&mut self, x: Value, heads: usize, head_dim: usize, hidden: usize) -> Value {
        let y = self.op(Op::LayerNorm { eps: 1e-5 }, &[x]);
        let y = self.op(Op::Attention { heads, head_dim }, &[y]);
        let x = self.op(Op::Add, &[x, y]);
        let y = self.op(Op::LayerNorm { eps: 1e-5 }, &[x]);
        let y = self.linear(y, hidden);
        let y = self.act(y, Act::Gelu);
        let y = self.op(Op::Dropout { p: 0.1 }, &[y]);
        let y = self.linear(y, x.1.channels());
        self.op(Op::Add, &[x, y])
    }

    /// A MobileViT block (arXiv 2110.02178).
    pub fn mobilevit(&mut self, x: Value, dim: usize, patch: usize, heads: usize) -> Value {
        let c = x.1.channels();
        let y = self.conv_bn(x, c, 3, 1, Act::Silu);
        let y = self.op(Op::Conv { out: dim, window: plain(1, 1), groups: 1, bias: false }, &[y]);
        let t = self.op(Op::Unfold { patch }, &[y]);
        let t = self.transformer(t, heads, dim / heads, 2 * dim);
        let t = self.op(Op::LayerNorm { eps: 1e-5 }, &[t]);
        let y = self.op(Op::Fold, &[t]);
        let y = self.conv_bn(y, c, 1, 1, Act::Silu);
        let y = self.op(Op::Concat, &[x, y]);
        self.conv_bn(y, c, 3, 1, Act::Silu)
    }

    /// Attention of one head out of linear layers, `transpose`, `matmul` and `softmax`.
    pub fn hand_made_attention(&mut self, x: Value, dim: usize) -> Value {
        let (q, k, v) = (self.linear(x, dim), self.linear(x, dim), self.linear(x, x.1.channels()));
        let k = self.op(Op::Transpose, &[k]);
        let scores = self.op(Op::MatMul, &[q, k]);
        let shares = self.op(Op::Softmax, &[scores]);
        let mixed = self.op(Op::MatMul, &[shares, v]);
        self.op(Op::Add, &[x, mixed])
    }

    /// The validated network.
    pub fn finish(mut self, output: Value) -> Network {
        self.graph.set_output(output.0);
        self.graph.validate(self.input.1).unwrap_or_else(|d| panic!("{}", d[0].message))
    }

    /// Global pooling and a linear layer to the classes; the validated network.
    pub fn classify(mut self, x: Value, classes: usize) -> Network {
        let x = if let Fact::Vector { .. } = x.1 { x } else { self.op(Op::GlobalAvgPool, &[x]) };
        let x = self.linear(x, classes);
        self.finish(x)
    }
}

/// A window without padding.
pub fn plain(kernel: usize, stride: usize) -> Window {
    Window { kernel, stride, dilation: 1, padding: Padding::default() }
}

/// A window padded to `same` for a map.
pub fn same(x: Value, kernel: usize, stride: usize, dilation: usize) -> Window {
    let Fact::Map { h, w, .. } = x.1 else { panic!("not a map: {}", x.1) };
    Window { kernel, stride, dilation, padding: Window::same(kernel, stride, dilation, h, w) }
}

/// A window with padding `[top, left, bottom, right]`.
pub fn padded(kernel: usize, stride: usize, dilation: usize, pads: [usize; 4]) -> Window {
    let [top, left, bottom, right] = pads;
    Window { kernel, stride, dilation, padding: Padding { top, left, bottom, right } }
}

/// Images of normalised pixels, in ±2.
pub fn images(input: Fact, count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count * input.elements()).map(|_| rng.random_range(-2.0..2.0)).collect()
}
