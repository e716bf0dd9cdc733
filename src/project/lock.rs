//! The lock file: what a search decided, pinned, so that the same code can be made again without it.

use crate::quant::REVISION;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the file's layout.
pub const FORMAT: u32 = 1;

/// What is known of one network, in the units in which programs read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Metrics {
    /// Fraction of images classified rightly: of the test images for the result, of the validation
    /// images after the trial's short training for the other points of the front. Not a number where
    /// the trials were evaluated by a program that returns none.
    #[serde(with = "maybe")]
    pub accuracy: f64,
    /// Fraction of the validation images classified rightly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// What `accuracy` is in int8, by the integer interpreter; of the result only, and only where int8
    /// is emitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_int8: Option<f64>,
    /// The [`crate::quant::REVISION`] of the arithmetic that `accuracy_int8` was measured in; `None` in
    /// locks of before there were revisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8_revision: Option<u32>,
    /// Weights and biases after folding.
    pub params: u64,
    /// Multiply-accumulate operations of one inference.
    pub macs: u64,
    /// Weights and code.
    pub flash_bytes: u64,
    /// The arena, input included.
    pub ram_bytes: u64,
    /// Predicted milliseconds of one inference by device.
    pub latency_ms: BTreeMap<String, f64>,
    /// What the spec's program returned of the trial, by name in base units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub returned: BTreeMap<String, f64>,
}

/// A number, or null where it is none: JSON has no other way to say so.
mod maybe {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(x: &f64, s: S) -> Result<S::Ok, S::Error> {
        x.is_finite().then_some(x).serialize(s)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(d)?.unwrap_or(f64::NAN))
    }
}

impl Metrics {
    /// `accuracy_int8`, if it is of the arithmetic that this hytc emits.
    pub fn current_int8(&self) -> Option<f64> {
        self.accuracy_int8.filter(|_| self.int8_revision == Some(REVISION))
    }

    /// Notes what this hytc has measured of int8.
    pub fn set_int8(&mut self, accuracy: Option<f64>) {
        self.accuracy_int8 = accuracy;
        self.int8_revision = accuracy.map(|_| REVISION);
    }

    /// What contradicts the figures computed of the same network, as sentences.
    pub fn wrong(&self, computed: &Metrics) -> Vec<String> {
        let mut out = Vec::new();
        let counts = [
            ("params", self.params, computed.params),
            ("macs", self.macs, computed.macs),
            ("flash_bytes", self.flash_bytes, computed.flash_bytes),
            ("ram_bytes", self.ram_bytes, computed.ram_bytes),
        ];
        for (name, says, is) in counts.into_iter().filter(|(_, says, is)| says != is) {
            out.push(format!("it says `{name}` {says}, the network has {is}"));
        }
        // The same sum may round differently on another machine.
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        let same = self.latency_ms.len() == computed.latency_ms.len()
            && computed
                .latency_ms
                .iter()
                .all(|(d, &is)| self.latency_ms.get(d).is_some_and(|&says| close(says, is)));
        if !same {
            out.push("its `latency_ms` is not what the network is predicted to take".to_string());
        }
        out
    }

    /// Accuracies that are no fractions, as sentences.
    pub fn wrong_accuracies(&self) -> Vec<String> {
        let mut out = Vec::new();
        let accuracies = [
            ("accuracy", Some(self.accuracy)),
            ("validation_accuracy", self.validation_accuracy),
            ("accuracy_int8", self.accuracy_int8),
        ];
        for (name, value) in accuracies {
            if let Some(value) = value.filter(|v| *v < 0.0 || *v > 1.0) {
                out.push(format!("its `{name}` {value} is no fraction between 0 and 1"));
            }
        }
        out
    }
}

/// One network: what was decided, and what it is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Values by path.
    pub decisions: serde_json::Map<String, serde_json::Value>,
    /// Its figures.
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// The lock file `<spec>.lock`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of hytc that wrote it.
    pub hytc: String,
    /// Hashes of the parts of the spec that the result depends on.
    pub spec: BTreeMap<String, String>,
    /// Hashes of the device profiles.
    pub devices: BTreeMap<String, String>,
    /// Hash of the training and test data; `None` if there were none.
    pub data: Option<String>,
    /// The structure's hash, see [`crate::graph::Network::hash`].
    pub network: String,
    /// Hash of the weights file.
    pub weights: String,
    /// What was chosen.
    pub chosen: Entry,
    /// The Pareto front it was chosen from, with the accuracies of the trials.
    pub front: Vec<Entry>,
}

/// Why a lock file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Not a lock file.
    #[error("{0}")]
    Format(#[from] serde_yaml::Error),
    /// Written by a version with another layout.
    #[error("its format is {0}, this version of hytc reads format {FORMAT}")]
    Version(u32),
}

const HEADER: &str = "# Written by hytc; keep it under version control together with the weights.\n";

impl Lock {
    /// Reads a lock file's text.
    ///
    /// # Errors
    /// If it is not one, or of another format.
    pub fn parse(text: &str) -> Result<Lock, LockError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_yaml::from_str(text)?;
        if version.format != FORMAT {
            return Err(LockError::Version(version.format));
        }
        Ok(serde_yaml::from_str(text)?)
    }

    /// The file's text.
    ///
    /// # Errors
    /// If YAML cannot hold it (a figure that is not a number).
    pub fn print(&self) -> Result<String, LockError> {
        Ok(HEADER.to_string() + &serde_yaml::to_string(self)?)
    }

    /// What has changed since the lock was written, as sentences; empty if nothing.
    pub fn differences(
        &self,
        spec: &BTreeMap<String, String>,
        devices: &BTreeMap<String, String>,
        data: Option<&str>,
    ) -> Vec<String> {
        let mut out = Vec::new();
        for (part, hash) in spec {
            if self.spec.get(part) != Some(hash) {
                out.push(format!("`{part}` of the spec has changed"));
            }
        }
        for part in self.spec.keys().filter(|p| !spec.contains_key(*p)) {
            out.push(format!("`{part}` of the spec has gone"));
        }
        for (device, hash) in devices {
            if self.devices.get(device) != Some(hash) {
                out.push(format!("the profile of `{device}` has changed"));
            }
        }
        // Data that is not at hand cannot be compared: a build machine need not have it.
        if let (Some(now), Some(then)) = (data, &self.data) {
            if now != then {
                out.push("the data have changed".to_string());
            }
        }
        out
    }
}
