//! Folding batch norms into the convolution or dense layer that makes their input: at inference a
//! batch norm is `x * s + t` per channel (`s = gamma / sqrt(var + eps)`, `t = beta - mean * s`), and
//! a layer's output channels can take both into its weights and its bias.
//!
//! Not folded, and left as [`Kernel::Affine`]: a norm whose input is read by others too, or is made
//! by anything else than a layer with weights.

use super::ir::{Kernel, Recipe, Slot, SlotId};
use super::Lowered;

/// Folds every norm that can be folded.
pub(super) fn run(mut lowered: Lowered) -> Lowered {
    let mut at = 0;
    while at < lowered.steps.len() {
        if fold(&mut lowered, at).is_some() {
            lowered.steps.remove(at);
        } else {
            at += 1;
        }
    }
    lowered.compact()
}

/// Folds the norm at position `at` into the layer before it; `None` if that cannot be done.
fn fold(lowered: &mut Lowered, at: usize) -> Option<()> {
    let norm_step = lowered.steps.get(at).filter(|s| s.kernel == Kernel::Affine)?;
    let &x = norm_step.inputs.first()?;
    let output = norm_step.output;
    let Recipe::NormScale(norm) = &lowered.slot(*norm_step.slots.first()?)?.recipe else { return None };
    let norm = norm.clone();
    if lowered.reads().get(x.0) != Some(&1) {
        return None;
    }
    let maker = lowered.steps.iter().position(|s| s.output == x)?;
    let layer = lowered.steps.get(maker)?;
    if layer.act.is_some() || !matches!(layer.kernel, Kernel::Conv { .. } | Kernel::Linear { .. }) {
        return None;
    }
    let copied = |id: &SlotId| match &lowered.slot(*id)?.recipe {
        Recipe::Copy(name) => Some(name.clone()),
        _ => None,
    };
    let (weight_id, bias_id) = match layer.slots.as_slice() {
        [w] => (*w, None),
        [w, b] => (*w, Some(*b)),
        _ => return None,
    };
    let weight = copied(&weight_id)?;
    let bias = match &bias_id {
        Some(b) => Some(copied(b)?),
        None => None,
    };
    let folded = Slot {
        name: format!("{}.bias", layer.name),
        shape: vec![lowered.fact(x).channels()],
        recipe: Recipe::FoldedBias(bias, norm.clone()),
    };

    lowered.slots.get_mut(weight_id.0)?.recipe = Recipe::ScaledWeight(weight, norm);
    let new_bias = SlotId(lowered.slots.len());
    lowered.slots.push(folded);
    let layer = lowered.steps.get_mut(maker)?;
    layer.slots = vec![weight_id, new_bias];
    match &mut layer.kernel {
        Kernel::Conv { bias, .. } | Kernel::Linear { bias } => *bias = true,
        _ => {}
    }
    lowered.replace(output, x);
    Some(())
}
