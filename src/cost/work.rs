//! The work of a step in the units of device profiles.

use crate::device::Work;
use crate::graph::{Act, Fact};
use crate::lower::ir::{Kernel, Step};
use crate::lower::Lowered;

/// An amount of one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// The kind.
    pub work: Work,
    /// How many units of it; [`Work`] says which.
    pub units: u64,
    /// Outputs, where the kind is counted by MAC; 0 otherwise.
    pub outputs: u64,
}

/// The work of a step; empty where there is nothing to execute.
pub fn work(lowered: &Lowered, step: &Step) -> Vec<Amount> {
    let output = lowered.fact(step.output);
    let input = step.inputs.first().map_or(output, |&t| lowered.fact(t));
    let size = |f: Fact| (f.rows() as u64).saturating_mul(f.channels() as u64);
    let elements = size(output);
    let macs = |work| Amount { work, units: lowered.step_macs(step), outputs: elements };
    let each = |work, units| Amount { work, units, outputs: 0 };
    let main = match step.kernel {
        Kernel::Conv { .. } if step.kernel.is_depthwise(input) => macs(Work::Depthwise),
        Kernel::Conv { .. } if step.kernel.is_pointwise() => macs(Work::Pointwise),
        Kernel::Conv { .. } => macs(Work::Conv),
        Kernel::Linear { .. } if output.rows() > 1 => macs(Work::Pointwise),
        Kernel::Linear { .. } => macs(Work::Linear),
        Kernel::AttentionCore { heads, .. } => {
            let tokens = match output {
                Fact::Tokens { tokens, .. } => tokens as u64,
                _ => 1,
            };
            let rows = (output.rows() as u64).saturating_mul(heads as u64);
            Amount { outputs: rows.saturating_mul(tokens), ..macs(Work::Attention) }
        }
        Kernel::MatMul => macs(Work::Matmul),
        Kernel::Activation(act) => match transcendental(act) {
            Some(work) => return vec![each(work, elements)],
            None => each(Work::Elementwise, elements),
        },
        Kernel::Affine | Kernel::Add | Kernel::AddChannels | Kernel::Mul | Kernel::MulChannels => {
            each(Work::Elementwise, elements)
        }
        Kernel::LayerNorm { .. } => each(Work::LayerNorm, elements),
        Kernel::Softmax => each(Work::Softmax, elements),
        Kernel::MaxPool(w) | Kernel::AvgPool(w) => {
            let window = (w.kernel as u64).saturating_mul(w.kernel as u64);
            each(Work::Pool, elements.saturating_mul(window))
        }
        Kernel::GlobalAvgPool => each(Work::Pool, size(input)),
        Kernel::Concat | Kernel::Transpose | Kernel::Unfold { .. } | Kernel::Fold => {
            each(Work::Copy, elements)
        }
        Kernel::Flatten => return Vec::new(),
    };
    let fused = step.act.and_then(transcendental).map(|work| each(work, elements));
    [main].into_iter().chain(fused).collect()
}

/// The work of an activation that takes an exponential; the others are free where they are fused.
fn transcendental(act: Act) -> Option<Work> {
    match act {
        Act::Sigmoid | Act::Silu => Some(Work::Sigmoid),
        Act::Gelu => Some(Work::Gelu),
        Act::Relu | Act::Relu6 | Act::HardSwish => None,
    }
}
