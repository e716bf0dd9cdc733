#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{dot, svg, text, thousands};
use crate::graph::{Act, Network, Op, Padding, Window};
use crate::lower::testing::Net;

fn linear() -> Network {
    let (mut n, x) = Net::new(28, 28, 1);
    let x = n.conv(x, 8, 3, 2, 1);
    let x = n.bn_act(x, Act::Relu);
    let x = n.op(Op::GlobalAvgPool, &[x]);
    let x = n.op(Op::Linear { out: 10, bias: true }, &[x]);
    n.finish(x)
}

fn mobilevit() -> Network {
    let (mut n, x) = Net::new(32, 32, 3);
    let x = n.conv(x, 24, 3, 2, 1);
    let x = n.bn_act(x, Act::Silu);
    let y = n.conv(x, 24, 3, 1, 1);
    let y = n.bn_act(y, Act::Silu);
    let y = n.conv(y, 32, 1, 1, 1);
    let t = n.op(Op::Unfold { patch: 2 }, &[y]);
    let a = n.op(Op::LayerNorm { eps: 1e-5 }, &[t]);
    let a = n.op(Op::Attention { heads: 4, head_dim: 8 }, &[a]);
    let t = n.op(Op::Add, &[t, a]);
    let m = n.op(Op::LayerNorm { eps: 1e-5 }, &[t]);
    let m = n.op(Op::Linear { out: 64, bias: true }, &[m]);
    let m = n.op(Op::Activation(Act::Silu), &[m]);
    let m = n.op(Op::Linear { out: 32, bias: true }, &[m]);
    let t = n.op(Op::Add, &[t, m]);
    let y = n.op(Op::Fold, &[t]);
    let y = n.conv(y, 24, 1, 1, 1);
    let y = n.bn_act(y, Act::Silu);
    let y = n.op(Op::Concat, &[x, y]);
    let y = n.conv(y, 24, 3, 1, 1);
    let y = n.bn_act(y, Act::Silu);
    let v = n.op(Op::GlobalAvgPool, &[y]);
    let v = n.op(Op::Linear { out: 2, bias: true }, &[v]);
    n.finish(v)
}

fn squeeze_excite() -> Network {
    let (mut n, x) = Net::new(48, 48, 3);
    let x = n.conv(x, 16, 3, 2, 1);
    let mut x = n.bn_act(x, Act::HardSwish);
    for _ in 0..2 {
        let y = n.conv(x, 64, 1, 1, 1);
        let y = n.bn_act(y, Act::HardSwish);
        let y = n.conv(y, 64, 5, 1, 64);
        let y = n.bn_act(y, Act::HardSwish);
        let s = n.op(Op::GlobalAvgPool, &[y]);
        let s = n.op(Op::Linear { out: 16, bias: true }, &[s]);
        let s = n.op(Op::Activation(Act::Relu), &[s]);
        let s = n.op(Op::Linear { out: 64, bias: true }, &[s]);
        let s = n.op(Op::Activation(Act::Sigmoid), &[s]);
        let y = n.op(Op::Mul, &[y, s]);
        let y = n.conv(y, 16, 1, 1, 1);
        let y = n.op(Op::BatchNorm { eps: 1e-3 }, &[y]);
        x = n.op(Op::Add, &[x, y]);
    }
    let a =
        n.op(Op::MaxPool(Window { kernel: 2, stride: 2, dilation: 1, padding: Padding::default() }), &[x]);
    let b = n.conv(x, 24, 3, 2, 1);
    let c = n.conv(x, 8, 1, 2, 1);
    let x = n.op(Op::Concat, &[a, b, c]);
    let v = n.op(Op::GlobalAvgPool, &[x]);
    let v = n.op(Op::Linear { out: 2, bias: true }, &[v]);
    n.finish(v)
}

#[test]
fn the_table() {
    let got = text(&linear());
    let cells = |line: usize| got.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(cells(0), "# name operator inputs output params");
    assert_eq!(cells(2), "0 input input 1x28x28");
    assert_eq!(cells(3), "1 conv conv 3x3 s2 -> 8 0 8x14x14 72");
    assert_eq!(cells(7), "5 linear linear -> 10 4 [10] 90");
    assert_eq!(got.lines().count(), 2 + 6 + 1);
    assert_eq!(cells(8), format!("total {}", 72 + 16 + 90));
    // Columns begin at one place.
    let column = got.lines().next().unwrap().find("output").unwrap();
    assert!(got
        .lines()
        .skip(2)
        .take(6)
        .all(|l| &l[column - 2..column] == "  " && &l[column..=column] != " "));
}

#[test]
fn graphviz() {
    let got = dot(&squeeze_excite());
    assert!(got.starts_with("digraph network {") && got.ends_with("}\n"));
    let network = squeeze_excite();
    let wires: usize = network.nodes().map(|n| n.inputs.len()).sum();
    assert_eq!(got.matches(" -> n").count() + got.matches(" -> output").count(), wires + 1);
    assert!(got.contains("label=\"16x24x24\""));
}

#[test]
fn drawings() {
    for (name, network) in [("linear", linear()), ("mobilevit", mobilevit()), ("squeeze", squeeze_excite())] {
        let got = svg(&network);
        if let Some(directory) = std::env::var_os("HYTC_DRAWINGS") {
            std::fs::write(std::path::Path::new(&directory).join(format!("{name}.svg")), &got).unwrap();
        }
        assert_eq!(got, svg(&network), "the same network gives the same drawing");
        assert!(got.starts_with("<svg ") && got.ends_with("</svg>\n"));
        assert!(!got.contains("NaN") && !got.contains("inf"));
        // Everything is inside the picture, and every operator is written in it.
        for view in network.nodes() {
            assert!(got.contains(&view.node.op.label().replace("->", "\u{2192}")), "{}", view.node.op);
        }
        let width: f64 = got.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        for x in got.split(" x=\"").skip(1) {
            let x: f64 = x.split('"').next().unwrap().parse().unwrap();
            assert!(x >= 0.0 && x < width, "{name}: {x}");
        }
    }
}

#[test]
fn names_cannot_break_the_file() {
    let (mut graph, span) = (crate::graph::Graph::default(), crate::source::Span::default());
    let input = crate::graph::Fact::Map { c: 1, h: 2, w: 2 };
    let x = graph.add_input(span);
    let (y, _) = graph.add(Op::Flatten, "<b>&\"\\\u{1}", span, &[(x, input)]).unwrap();
    graph.set_output(y);
    let network = graph.validate(input).unwrap();
    assert!(svg(&network).contains("&lt;b&gt;&amp;&quot;\\ "));
    assert!(dot(&network).contains("<b>&\\\"\\\\"));
    assert_eq!(text(&network).lines().count(), 5);
}

#[test]
fn digits_in_groups() {
    let written = [0, 999, 1000, 1_234_567].map(thousands);
    assert_eq!(written, ["0", "999", "1,000", "1,234,567"]);
}
