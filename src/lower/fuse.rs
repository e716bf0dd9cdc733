//! Fusing an activation into the step that makes its input, where nothing else reads it.

use super::ir::Kernel;
use super::Lowered;

/// Fuses every activation that can be fused.
pub(super) fn run(mut lowered: Lowered) -> Lowered {
    let mut at = 0;
    while at < lowered.steps.len() {
        if fuse(&mut lowered, at).is_some() {
            lowered.steps.remove(at);
        } else {
            at += 1;
        }
    }
    lowered.compact()
}

fn fuse(lowered: &mut Lowered, at: usize) -> Option<()> {
    let step = lowered.steps.get(at)?;
    let Kernel::Activation(act) = step.kernel else { return None };
    let (&x, output) = (step.inputs.first()?, step.output);
    if lowered.reads().get(x.0) != Some(&1) {
        return None;
    }
    let maker = lowered.steps.iter_mut().find(|s| s.output == x)?;
    if maker.act.is_some() || !takes_act(&maker.kernel) {
        return None;
    }
    maker.act = Some(act);
    lowered.replace(output, x);
    Some(())
}

/// Kernels that compute each output element once and may change it then. The others only move data,
/// or are activations themselves.
fn takes_act(kernel: &Kernel) -> bool {
    match kernel {
        Kernel::Conv { .. }
        | Kernel::Linear { .. }
        | Kernel::Affine
        | Kernel::LayerNorm { .. }
        | Kernel::Softmax
        | Kernel::MaxPool(_)
        | Kernel::AvgPool(_)
        | Kernel::GlobalAvgPool
        | Kernel::Add
        | Kernel::AddChannels
        | Kernel::Mul
        | Kernel::MulChannels
        | Kernel::MatMul => true,
        Kernel::AttentionCore { .. }
        | Kernel::Activation(_)
        | Kernel::Concat
        | Kernel::Transpose
        | Kernel::Unfold { .. }
        | Kernel::Fold
        | Kernel::Flatten => false,
    }
}
