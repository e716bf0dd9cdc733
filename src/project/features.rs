//! What the operators of a network tell a surrogate model for free, without building the network.

use super::Project;
use crate::graph::{Fact, Op};
use crate::space::Point;

/// Stages told apart: from the input's resolution to a 32nd of it and less.
const STAGES: usize = 6;

/// Features of one stage: all layers at one resolution.
#[derive(Clone, Copy, Default)]
struct Stage {
    width: f64,
    layers: f64,
    hidden: f64,
}

impl Project {
    /// Features on scales where equal distances mean about equal changes: logarithms (to base 2) of
    /// weights and of multiply-accumulate operations, depth (layers with weights), the share of
    /// attention among them, the logarithm of their mean width; and for each stage (the layers at one
    /// resolution) the logarithms of the width it ends with, of its number of layers, and of its
    /// widest layer on tokens. `None` where the point is no network.
    pub fn features(&self, point: &Point) -> Option<Vec<f64>> {
        let side = match self.checked.space.input() {
            Fact::Map { h, .. } => h.max(1) as f64,
            _ => 1.0,
        };
        let mut stages = [Stage::default(); STAGES];
        let (mut at, mut depth, mut attention, mut weights, mut macs) = (0, 0.0, 0.0, 0.0, 0.0);
        let (mut widths, mut last) = (0.0, 0.0);
        self.checked.space.operators(point, &mut |op: &Op, input: Fact, output: Fact| {
            if let Fact::Map { c, h, .. } = output {
                at = ((side / h.max(1) as f64).log2().round().max(0.0) as usize).min(STAGES - 1);
                if let Some(s) = stages.get_mut(at) {
                    s.width = log2(c);
                }
            }
            let Some(stage) = stages.get_mut(at) else { return };
            let cin = input.channels() as f64;
            let own = match *op {
                Op::Conv { out, window, groups, .. } => {
                    last = log2(out);
                    out as f64 * cin / groups.max(1) as f64 * (window.kernel * window.kernel) as f64
                }
                Op::Linear { out, .. } => {
                    last = log2(out);
                    if matches!(output, Fact::Tokens { .. }) {
                        stage.hidden = stage.hidden.max(last);
                    }
                    out as f64 * cin
                }
                Op::Attention { heads, head_dim } => {
                    last = log2(heads * head_dim);
                    attention += 1.0;
                    if let Fact::Tokens { groups, tokens, .. } = input {
                        macs += 2.0 * (groups * tokens * tokens * heads * head_dim) as f64;
                    }
                    4.0 * cin * (heads * head_dim) as f64
                }
                _ => return,
            };
            depth += 1.0;
            stage.layers += 1.0;
            widths += last;
            weights += own;
            macs += own * output.rows() as f64;
        })?;
        // The classifier is as wide as there are classes, whatever the network.
        let mean = (widths - last) / f64::max(depth - 1.0, 1.0);
        let share = attention / f64::max(depth, 1.0);
        let mut out = vec![f64::max(weights, 1.0).log2(), f64::max(macs, 1.0).log2(), depth, share, mean];
        out.extend(stages.iter().flat_map(|s| [s.width, (1.0 + s.layers).log2(), s.hidden]));
        Some(out)
    }
}

fn log2(n: usize) -> f64 {
    (n.max(1) as f64).log2()
}
