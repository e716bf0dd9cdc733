//! NAS-Bench-201 (Dong and Yang 2020) with measured hardware: every cell is in a table.

use super::{problem, read, target, Bench, BenchError, Grid, Metrics};
use crate::search::{Features, KnownPoint, Sketch};
use crate::space::{DecisionInfo, DecisionKind, Point};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The operations by their code in the column `ops`.
const OPERATIONS: [&str; 5] = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];

pub(super) fn open(name: &'static str, shared: &Path) -> Result<Bench, BenchError> {
    // Column, name, factor to the unit.
    let (columns, reference) = if name == "nb201" {
        (vec![("acc_cifar100", "accuracy", 1.0), ("nezha_d1_ms_c10", "latency", 1.0)], vec![50.0, 1400.0])
    } else {
        (
            vec![
                ("acc_cifar100", "accuracy", 1.0),
                // ONNX Runtime's column is complete; LiteRT optimises cells without a path away.
                ("pi5_onnx_mj_c100", "energy", 1.0),
                ("params_c10", "params", 1e-6),
            ],
            vec![50.0, 24.0, 1.4],
        )
    };
    let path = shared.join("tables/nb201_hw_joined.csv");
    let table = parse(&read(&path)?, &columns).map_err(|why| BenchError::Data { path: path.clone(), why })?;
    let objectives = columns.iter().map(|(_, n, _)| target(n, *n == "accuracy")).collect();
    let names: Vec<&str> = columns.iter().map(|c| c.1).collect();
    let decisions = (0..6)
        .map(|edge| DecisionInfo {
            path: format!("space.edge{edge}"),
            values: OPERATIONS.iter().map(|o| (*o).to_owned()).collect(),
            kind: DecisionKind::Categorical,
        })
        .collect();
    Ok(Bench {
        name,
        space: Box::new(Grid(decisions)),
        known: Box::new(|p: &Point| Ok(KnownPoint { hash: format!("{:?}", p.0), ..KnownPoint::default() })),
        // Where weights are an objective, features that tell them would give it away.
        features: (name == "nb201").then(|| Arc::new(|p: &Point| Some(sketch(p))) as Arc<dyn Features>),
        problem: problem(objectives, Vec::new()),
        reference,
        trials: 100,
        evaluate: Box::new(move |trial| {
            let ops: Vec<u32> = trial.point.0.iter().flatten().copied().collect();
            let row = table
                .get(&ops)
                .ok_or_else(|| BenchError::Evaluation(format!("the table has no cell {ops:?}")))?;
            Ok(names.iter().map(|n| (*n).to_owned()).zip(row.iter().copied()).collect::<Metrics>())
        }),
    })
}

/// The edges in the order of `ops`: from node, to node; 0 is the cell's input, 3 its output.
const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];

/// MACs of a convolution by one weight a pair of channels in the fifteen cells: 16 channels of 32x32
/// pixels, 32 of 16x16 and 64 of 8x8 come to the same.
const MACS: f64 = 15.0 * 16.0 * 16.0 * 32.0 * 32.0;
/// MACs of what is not in the cells: stem, reductions, head.
const OTHER_MACS: f64 = 7.78e6;

/// What the graph of a cell gives for free, as that of any spec: the logarithm of MACs, and how many
/// convolutions its longest path has. What is not on a path from input to output does not count.
fn sketch(point: &Point) -> Sketch {
    let ops: Vec<usize> = point.0.iter().map(|v| v.map_or(0, |v| v as usize)).collect();
    let edges =
        || EDGES.iter().zip(&ops).filter(|(_, op)| **op != 0).map(|((from, to), op)| (*from, *to, *op));
    // Edges are sorted by where they end, so one pass in each direction is enough.
    let (mut reached, mut needed) = ([true, false, false, false], [false, false, false, true]);
    edges().for_each(|(from, to, _)| reached[to] |= reached[from]);
    edges().rev().for_each(|(from, to, _)| needed[from] |= needed[to]);
    let (mut weights, mut depth) = (0.0, [0.0f64; 4]);
    for (from, to, op) in edges().filter(|(from, to, _)| reached[*from] && needed[*to]) {
        let (size, layers) = match OPERATIONS[op] {
            "nor_conv_1x1" => (1.0, 1.0),
            "nor_conv_3x3" => (9.0, 1.0),
            _ => (0.0, 0.0),
        };
        weights += size;
        depth[to] = depth[to].max(depth[from] + layers);
    }
    Sketch { amounts: vec![(OTHER_MACS + MACS * weights).log2()], general: vec![depth[3]], sizes: vec![] }
}

type Table = HashMap<Vec<u32>, Vec<f64>>;

fn parse(text: &str, columns: &[(&str, &str, f64)]) -> Result<Table, String> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column =
        |name: &str| header.iter().position(|h| *h == name).ok_or(format!("there is no column `{name}`"));
    let ops = column("ops")?;
    let at: Vec<(usize, f64)> =
        columns.iter().map(|(c, _, f)| Ok((column(c)?, *f))).collect::<Result<_, String>>()?;
    let mut table = Table::new();
    for (i, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let wrong = || format!("line {} is not understood", i + 2);
        let key: Vec<u32> = cells
            .get(ops)
            .map(|c| c.chars().filter_map(|c| c.to_digit(5)).collect())
            .filter(|k: &Vec<u32>| k.len() == 6)
            .ok_or_else(wrong)?;
        let values: Vec<f64> = at
            .iter()
            .map(|(c, f)| cells.get(*c).and_then(|v| v.parse::<f64>().ok()).map(|v| v * f))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        table.insert(key, values);
    }
    if table.len() != 15_625 {
        return Err(format!("it has {} cells, NAS-Bench-201 has 15,625", table.len()));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_a_path_does_not_count() {
        let of = |ops: [u32; 6]| sketch(&Point(ops.map(Some).to_vec())).all();
        let macs = |weights: f64| (OTHER_MACS + MACS * weights).log2();
        assert_eq!(of([3, 0, 0, 0, 0, 0]), [macs(0.0), 0.0], "leads nowhere");
        assert_eq!(of([0, 0, 3, 1, 0, 3]), [macs(0.0), 0.0], "comes from nowhere");
        assert_eq!(of([3, 0, 2, 2, 0, 3]), [macs(20.0), 3.0]);
        assert_eq!(of([1, 3, 4, 0, 2, 1]), [macs(10.0), 1.0]);
    }
}
