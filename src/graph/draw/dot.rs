//! A network in the language of Graphviz.

use super::{params, thousands, Kind};
use crate::graph::Network;
use std::collections::HashMap;

/// The network as a Graphviz digraph, with shapes on the edges and colours by kind of operator.
pub fn dot(network: &Network) -> String {
    let mut out = String::from(
        "digraph network {\n  rankdir=TB;\n  \
         node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11];\n  \
         edge [fontname=\"Helvetica\", fontsize=10, color=\"#555555\"];\n",
    );
    let mut numbers = HashMap::new();
    for (number, view) in network.nodes().enumerate() {
        numbers.insert(view.id, number);
        let (fill, line) = Kind::of(&view.node.op).colors();
        let mut label = escape(&view.node.op.label());
        if view.node.name != view.node.op.name() {
            label += &format!("\\n{}", escape(&view.node.name));
        }
        let own = params(&view);
        if own > 0 {
            label += &format!("\\n{} params", thousands(own));
        }
        out += &format!("  n{number} [label=\"{label}\", fillcolor=\"{fill}\", color=\"{line}\"];\n");
        for (port, (from, fact)) in view.inputs.iter().zip(&view.facts).enumerate() {
            let Some(from) = numbers.get(from) else { continue };
            let order = if view.inputs.len() > 1 { format!(", headlabel=\"{port}\"") } else { String::new() };
            out += &format!("  n{from} -> n{number} [label=\"{}\"{order}];\n", escape(&fact.to_string()));
        }
    }
    let (fill, line) = Kind::Terminal.colors();
    out += &format!("  output [label=\"output\", fillcolor=\"{fill}\", color=\"{line}\"];\n");
    if let Some(last) = numbers.get(&network.output()) {
        let fact = network.output_fact().to_string();
        out += &format!("  n{last} -> output [label=\"{}\"];\n", escape(&fact));
    }
    out += "}\n";
    out
}

/// Text within quotation marks.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
