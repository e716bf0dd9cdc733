//! What the operators of a network tell a surrogate model for free, without building the network.

use super::Project;
use crate::graph::{Fact, Op};
use crate::search::Sketch;
use crate::space::Point;

/// Stages told apart: from the input's resolution to a 32nd of it and less.
const STAGES: usize = 6;

impl Project {
    /// Of a network's operators, on scales where equal distances mean about equal changes. Amounts:
    /// logarithms (to base 2) of weights and of multiply-accumulate operations. General: depth (layers with
    /// weights), the share of attention among them. Sizes: for each stage (the layers at one
    /// resolution) the logarithms of its width and of its widest layer on tokens. The width is that
    /// of the last dense convolution without an activation behind it (what a bottleneck ends with, not
    /// what it expands to), or where there is none of the last dense convolution. `None` where the point is no network.
    pub fn features(&self, point: &Point) -> Option<Sketch> {
        let side = match self.checked.space.input() {
            Fact::Map { h, .. } => h.max(1) as f64,
            _ => 1.0,
        };
        // Width, widest layer on tokens, width of the last convolution with an activation.
        let mut stages = [[0.0f64; 3]; STAGES];
        let mut last: Option<(usize, f64)> = None;
        let (mut at, mut depth, mut attention, mut weights, mut macs) = (0, 0.0, 0.0, 0.0, 0.0);
        self.checked.space.operators(point, &mut |op: &Op, input: Fact, output: Fact| {
            if let Fact::Map { h, .. } = output {
                at = ((side / h.max(1) as f64).log2().round().max(0.0) as usize).min(STAGES - 1);
            }
            let cin = input.channels();
            let own = match *op {
                Op::Conv { out, window, groups, .. } => {
                    if groups == 1 {
                        end(&mut stages, last.replace((at, log2(out))), 0);
                    }
                    (out * cin / groups.max(1) * window.kernel * window.kernel) as f64
                }
                Op::Linear { out, .. } => {
                    if let (Fact::Tokens { .. }, Some([_, hidden, _])) = (output, stages.get_mut(at)) {
                        *hidden = hidden.max(log2(out));
                    }
                    (out * cin) as f64
                }
                Op::Attention { heads, head_dim } => {
                    attention += 1.0;
                    if let Fact::Tokens { groups, tokens, .. } = input {
                        macs += 2.0 * (groups * tokens * tokens * heads * head_dim) as f64;
                    }
                    (4 * cin * heads * head_dim) as f64
                }
                Op::Activation(_) => return end(&mut stages, last.take(), 2),
                _ => return,
            };
            depth += 1.0;
            weights += own;
            macs += own * output.rows() as f64;
        })?;
        end(&mut stages, last, 0);
        let share = attention / f64::max(depth, 1.0);
        Some(Sketch {
            amounts: vec![f64::max(weights, 1.0).log2(), f64::max(macs, 1.0).log2()],
            general: vec![depth, share],
            sizes: stages.iter().flat_map(|s| [if s[0] > 0.0 { s[0] } else { s[2] }, s[1]]).collect(),
        })
    }
}

/// Notes the width of a convolution in its stage.
fn end(stages: &mut [[f64; 3]; STAGES], convolution: Option<(usize, f64)>, place: usize) {
    let width = convolution.and_then(|(at, width)| Some((stages.get_mut(at)?.get_mut(place)?, width)));
    if let Some((place, width)) = width {
        *place = width;
    }
}

fn log2(n: usize) -> f64 {
    (n.max(1) as f64).log2()
}
