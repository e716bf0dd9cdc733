//! Weights: named arrays of f32, how they start, and their file form (safetensors).

use crate::graph::{Init, Network};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// A dense array, row major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Array {
    /// Sizes of the dimensions.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f32>,
}

/// The parameters of one network by `<node name>.<param name>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights(pub BTreeMap<String, Array>);

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file is not safetensors of f32.
    #[error("not a safetensors file of 32-bit floats: {0}")]
    Format(String),
    /// A parameter is missing or has another shape.
    #[error("parameter `{name}` should have shape {wanted:?}, the weights hold {found}")]
    Mismatch {
        /// The parameter.
        name: String,
        /// The network's shape.
        wanted: Vec<usize>,
        /// What is there.
        found: String,
    },
}

impl Weights {
    /// Fresh weights: every parameter by its [`Init`], from its own random stream, so that the
    /// values do not depend on the order of the nodes.
    pub fn init(network: &Network, seed: u64) -> Weights {
        Self::fill(network, seed, |init, rng| match init {
            Init::Const(c) => c,
            Init::He { fan_in } => uniform(rng, (6.0 / fan_in.max(1) as f32).sqrt()),
            Init::Glorot { fan_in, fan_out } => uniform(rng, (6.0 / (fan_in + fan_out).max(1) as f32).sqrt()),
        })
    }

    /// Random weights for tests of the compiler: like [`Weights::init`], but with normalisations,
    /// biases and running statistics that are not trivial, so that a mistake in folding shows.
    pub fn random(network: &Network, seed: u64) -> Weights {
        Self::fill(network, seed, |init, rng| match init {
            Init::Const(c) => c + rng.random_range(-0.3..0.3),
            Init::He { fan_in } => uniform(rng, (6.0 / fan_in.max(1) as f32).sqrt()),
            Init::Glorot { fan_in, fan_out } => uniform(rng, (6.0 / (fan_in + fan_out).max(1) as f32).sqrt()),
        })
    }

    fn fill(network: &Network, seed: u64, value: impl Fn(Init, &mut ChaCha8Rng) -> f32) -> Weights {
        let mut all = BTreeMap::new();
        for view in network.nodes() {
            for p in view.params() {
                let name = format!("{}.{}", view.node.name, p.name);
                let mut rng = ChaCha8Rng::seed_from_u64(seed ^ crate::hash::fnv1a(name.as_bytes()));
                let n = p.shape.iter().product();
                let data = (0..n).map(|_| value(p.init, &mut rng)).collect();
                all.insert(name, Array { shape: p.shape, data });
            }
        }
        Weights(all)
    }

    /// Checks that these are the parameters of this network, all of them and no others' shapes.
    ///
    /// # Errors
    /// The first parameter that is missing or has another shape.
    pub fn check(&self, network: &Network) -> Result<(), WeightsError> {
        for view in network.nodes() {
            for p in view.params() {
                let name = format!("{}.{}", view.node.name, p.name);
                match self.0.get(&name) {
                    Some(a) if a.shape == p.shape => {}
                    other => {
                        let found = other.map_or("nothing".to_string(), |a| format!("{:?}", a.shape));
                        return Err(WeightsError::Mismatch { name, wanted: p.shape, found });
                    }
                }
            }
        }
        Ok(())
    }

    /// The weights as the bytes of a safetensors file.
    ///
    /// # Errors
    /// If the format's library refuses.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, WeightsError> {
        let bytes: BTreeMap<&str, Vec<u8>> = self
            .0
            .iter()
            .map(|(name, a)| (name.as_str(), a.data.iter().flat_map(|x| x.to_le_bytes()).collect()))
            .collect();
        let mut views = Vec::new();
        for (name, a) in &self.0 {
            let data = bytes.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, a.shape.clone(), data)
                .map_err(|e| WeightsError::Format(e.to_string()))?;
            views.push((name.clone(), view));
        }
        safetensors::serialize(views, None).map_err(|e| WeightsError::Format(e.to_string()))
    }

    /// Reads a safetensors file's bytes.
    ///
    /// # Errors
    /// If the bytes are not such a file, or hold another type than f32.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Weights, WeightsError> {
        let file =
            safetensors::SafeTensors::deserialize(bytes).map_err(|e| WeightsError::Format(e.to_string()))?;
        let mut all = BTreeMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != safetensors::Dtype::F32 {
                return Err(WeightsError::Format(format!("`{name}` is {:?}", view.dtype())));
            }
            let data = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(<[u8; 4]>::try_from(b).unwrap_or_default()))
                .collect();
            all.insert(name, Array { shape: view.shape().to_vec(), data });
        }
        Ok(Weights(all))
    }
}

fn uniform(rng: &mut ChaCha8Rng, bound: f32) -> f32 {
    rng.random_range(-bound..=bound)
}
