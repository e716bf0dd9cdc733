//! A network as an aligned table.

use super::{params, thousands};
use crate::graph::Network;
use std::collections::HashMap;

/// One line for each node, every node after its inputs: its number, name, operator, the numbers of
/// its inputs, its output's shape, and its trained parameters (before batch norms are folded).
pub fn text(network: &Network) -> String {
    let mut rows = vec![["#", "name", "operator", "inputs", "output", "params"].map(String::from)];
    let mut numbers = HashMap::new();
    let mut total = 0usize;
    for (number, view) in network.nodes().enumerate() {
        numbers.insert(view.id, number);
        let inputs: Vec<String> =
            view.inputs.iter().filter_map(|id| numbers.get(id)).map(ToString::to_string).collect();
        let own = params(&view);
        total = total.saturating_add(own);
        rows.push([
            number.to_string(),
            view.node.name.clone(),
            view.node.op.label(),
            inputs.join(", "),
            view.output.to_string(),
            if own == 0 { String::new() } else { thousands(own) },
        ]);
    }
    let sum = thousands(total);
    let mut widths = [0usize; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [.., last] = &mut widths;
    *last = (*last).max(sum.len());

    let mut out = String::new();
    let line = |cells: &[String], out: &mut String| {
        let mut row = String::new();
        for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            // Numbers end at one place, words begin at one.
            match column {
                0 | 5 => row += &format!("{cell:>width$}"),
                _ => row += &format!("{cell:width$}"),
            }
            row += "  ";
        }
        out.push_str(row.trim_end());
        out.push('\n');
    };
    for (i, row) in rows.iter().enumerate() {
        line(row, &mut out);
        if i == 0 {
            line(&widths.map(|w| "-".repeat(w)), &mut out);
        }
    }
    line(&["", "", "", "", "total", &sum].map(String::from), &mut out);
    out
}
