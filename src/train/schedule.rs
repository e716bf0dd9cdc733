//! Learning rate and optimisers.

use super::net::Plan;
use crate::check::spec::{Optimizer, Training};
use burn::module::{ParamGroup, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, ModuleOptimizer, SgdConfig};

/// The learning rate of step `step` of `steps`: a linear rise over the first `warmup` (0..1) of all
/// steps, then half a cosine down to zero (arXiv 1608.03983, without restarts).
pub fn learning_rate(config: &Training, step: usize, steps: usize) -> f64 {
    let rise = (config.warmup * steps as f64).ceil() as usize;
    if step < rise {
        return config.learning_rate * (step + 1) as f64 / rise as f64;
    }
    let part = (step - rise) as f64 / (steps - rise).max(1) as f64;
    config.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
}

/// burn's optimiser as configured: one group of parameters with weight decay, one without.
pub(crate) fn optimizer(config: &Training, plan: &Plan) -> ModuleOptimizer {
    let id = |(i, _): (usize, _)| ParamId::from(i as u64 + 1);
    let decaying =
        ParamGroup::from_ids(plan.params.iter().enumerate().filter(|p| p.1.decays).map(id).collect());
    match config.optimizer {
        Optimizer::AdamW => {
            let base = AdamWConfig::new().with_epsilon(1e-8);
            let plain: ModuleOptimizer = base.clone().with_weight_decay(0.0).build().into();
            plain.with_group(decaying, base.with_weight_decay(config.weight_decay as f32).build(), None)
        }
        Optimizer::Sgd { momentum } => {
            let momentum = MomentumConfig { momentum, dampening: 0.0, nesterov: false };
            let base = SgdConfig::new().with_momentum((momentum.momentum > 0.0).then_some(momentum));
            let decay = WeightDecayConfig::new(config.weight_decay as f32);
            let plain: ModuleOptimizer = base.clone().build().into();
            plain.with_group(decaying, base.with_weight_decay(Some(decay)).build(), None)
        }
    }
}
