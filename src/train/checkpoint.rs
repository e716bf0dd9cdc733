//! The state of a training between two epochs, as bytes.

use super::EpochStats;
use crate::weights::Weights;
use serde::{Deserialize, Serialize};

/// All that [`super::resume`] needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub(super) state: State,
    /// As after the last epoch.
    pub(super) weights: Weights,
    /// Of the best epoch.
    pub(super) best: Weights,
    /// burn's record of the optimiser.
    pub(super) optimizer: Vec<u8>,
}

/// The small part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Identifies network, configuration, data and seed.
    pub key: String,
    /// Every finished epoch.
    pub history: Vec<EpochStats>,
    /// From 1; 0 while there is none.
    pub best_epoch: usize,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// The bytes are not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Format(String),
    /// It belongs to another training.
    #[error("the checkpoint is of another network, configuration, data set or seed")]
    Other,
}

const MAGIC: &[u8; 8] = b"hytckpt1";

impl Checkpoint {
    /// Finished epochs.
    pub fn epochs(&self) -> usize {
        self.state.history.len()
    }

    /// The checkpoint as bytes: a magic number and four parts, each after its length.
    ///
    /// # Errors
    /// If a part cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let format = |e: &dyn std::fmt::Display| CheckpointError::Format(e.to_string());
        let parts = [
            serde_json::to_vec(&self.state).map_err(|e| format(&e))?,
            self.weights.to_safetensors().map_err(|e| format(&e))?,
            self.best.to_safetensors().map_err(|e| format(&e))?,
            self.optimizer.clone(),
        ];
        let mut bytes = MAGIC.to_vec();
        for part in parts {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
        Ok(bytes)
    }

    /// Reads what [`Checkpoint::to_bytes`] wrote.
    ///
    /// # Errors
    /// If the bytes are something else, or not all of it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
        let format = |e: &dyn std::fmt::Display| CheckpointError::Format(e.to_string());
        let cut = || CheckpointError::Format("it is cut off".into());
        let mut rest =
            bytes.strip_prefix(MAGIC).ok_or_else(|| CheckpointError::Format("wrong magic number".into()))?;
        let mut part = || {
            let (length, after) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
            let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
            let part = after.get(..length).ok_or_else(cut)?;
            rest = after.get(length..).unwrap_or(&[]);
            Ok::<&[u8], CheckpointError>(part)
        };
        Ok(Checkpoint {
            state: serde_json::from_slice(part()?).map_err(|e| format(&e))?,
            weights: Weights::from_safetensors(part()?).map_err(|e| format(&e))?,
            best: Weights::from_safetensors(part()?).map_err(|e| format(&e))?,
            optimizer: part()?.to_vec(),
        })
    }
}
