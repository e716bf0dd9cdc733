//! The kinds of surrogate model behind one face.

use super::covariance::{Group, Hyper};
use super::forest::Forest;
use super::gp::Gp;
use crate::check::spec::Surrogate;

/// Results from which on `auto` means a forest.
const MANY: usize = 1000;

/// Whether a forest is grown for so many results.
pub(super) fn is_forest(surrogate: Surrogate, results: usize) -> bool {
    match surrogate {
        Surrogate::Gp => false,
        Surrogate::Forest => true,
        Surrogate::Auto => results >= MANY,
    }
}

/// What foretells values from coordinates, both standardised.
pub(super) enum Model {
    Process(Box<Gp>),
    Forest(Forest),
}

impl Model {
    /// A Gaussian process with these hyperparameters, or a forest without; `None` where the covariance
    /// cannot be factorised.
    pub(super) fn new(x: &[Vec<f64>], y: &[f64], groups: &[Group], hyper: Option<&Hyper>) -> Option<Model> {
        match hyper {
            Some(hyper) => Gp::new(x, y, groups, hyper).map(|gp| Model::Process(Box::new(gp))),
            None if x.is_empty() => None,
            None => Some(Model::Forest(Forest::new(x, y))),
        }
    }

    /// Mean and variance at coordinates.
    pub(super) fn predict(&self, x: &[f64]) -> (f64, f64) {
        match self {
            Model::Process(gp) => gp.predict(x),
            Model::Forest(forest) => forest.predict(x),
        }
    }

    /// Mean and variance of each observation given all others.
    pub(super) fn leave_one_out(&self, y: &[f64]) -> Vec<(f64, f64)> {
        match self {
            Model::Process(gp) => gp.leave_one_out(y),
            Model::Forest(forest) => forest.out_of_bag().to_vec(),
        }
    }
}
