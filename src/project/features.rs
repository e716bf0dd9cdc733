//! What the graph of a network tells a surrogate model for free.

use super::Design;
use crate::graph::{Fact, Op};

/// Stages told apart: from the input's resolution to a 32nd of it and less.
const STAGES: usize = 6;

/// Features of one stage: all layers at one resolution.
#[derive(Clone, Copy, Default)]
struct Stage {
    width: f64,
    layers: f64,
    hidden: f64,
}

impl Design {
    /// Features on scales where equal distances mean about equal changes: depth, share of attention,
    /// logarithm (to base 2) of the mean width of the layers with weights, and for each stage (the
    /// layers at one resolution) the logarithms of the width it ends with, of its number of layers,
    /// and of its widest feed-forward layer.
    pub fn features(&self) -> Vec<f64> {
        let side = match self.network.input_fact() {
            Fact::Map { h, .. } => h.max(1) as f64,
            _ => 1.0,
        };
        let mut stages = [Stage::default(); STAGES];
        let (mut at, mut depth, mut attention) = (0, 0.0, 0.0);
        let mut widths = Vec::new();
        for n in self.network.nodes() {
            if let Fact::Map { c, h, .. } = n.output {
                at = ((side / h.max(1) as f64).log2().round().max(0.0) as usize).min(STAGES - 1);
                if let Some(s) = stages.get_mut(at) {
                    s.width = log2(c);
                }
            }
            let Some(stage) = stages.get_mut(at) else { continue };
            match n.node.op {
                Op::Conv { out, .. } | Op::Linear { out, .. } => {
                    depth += 1.0;
                    stage.layers += 1.0;
                    widths.push(log2(out));
                    if matches!(n.output, Fact::Tokens { .. }) {
                        stage.hidden = stage.hidden.max(log2(out));
                    }
                }
                Op::Attention { .. } => {
                    depth += 1.0;
                    stage.layers += 1.0;
                    attention += 1.0;
                }
                _ => {}
            }
        }
        // The classifier is as wide as there are classes, whatever the network.
        widths.pop();
        let mean = widths.iter().sum::<f64>() / widths.len().max(1) as f64;
        let mut out = vec![depth, if depth > 0.0 { attention / depth } else { 0.0 }, mean];
        out.extend(stages.iter().flat_map(|s| [s.width, (1.0 + s.layers).log2(), s.hidden]));
        out
    }
}

fn log2(n: usize) -> f64 {
    (n.max(1) as f64).log2()
}
