//! What a network costs, as data. The names of the serialised keys are fixed: programs read them.

use serde::Serialize;
use std::collections::BTreeMap;

/// The costs of a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Weights and biases after folding.
    pub params: u64,
    /// Multiply-accumulate operations of one inference.
    pub macs: u64,
    /// Bytes of the weights in flash.
    pub weight_bytes: u64,
    /// Bytes of the arena: input, activations, scratch.
    pub ram_bytes: u64,
    /// Bytes of weights and, estimated, code.
    pub flash_bytes: u64,
    /// Predicted milliseconds per inference, by device.
    pub latency_ms: BTreeMap<String, f64>,
    /// By device, in the order asked for.
    pub devices: Vec<DeviceCost>,
    /// By step, in the order of execution.
    pub layers: Vec<LayerCost>,
}

/// The costs on one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceCost {
    /// The device.
    pub name: String,
    /// Predicted seconds per inference.
    pub latency_s: f64,
    /// Predicted joules per inference, where the profile knows the power.
    pub energy_j: Option<f64>,
    /// Bytes of weights and, estimated, code.
    pub flash_bytes: u64,
    /// Whether the arena is no larger than the RAM.
    pub fits_ram: bool,
    /// Whether weights and code are no larger than the flash.
    pub fits_flash: bool,
}

/// The costs of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerCost {
    /// The step.
    pub name: String,
    /// The kernel: `conv`, `depthwise`, `pointwise`, `linear`, ...
    pub kind: String,
    /// The activation fused into it.
    pub act: Option<String>,
    /// The output: `24x14x14` (channels first) for maps, `4[49x32]` for tokens, `[10]` for vectors.
    pub output: String,
    /// Weights and biases.
    pub params: u64,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Bytes of the weights in flash.
    pub weight_bytes: u64,
    /// Bytes live in the arena while it runs.
    pub ram_bytes: u64,
    /// Predicted milliseconds, by device.
    pub latency_ms: BTreeMap<String, f64>,
}

impl Cost {
    /// The costs on the device at this position of the devices asked for.
    pub fn device(&self, index: usize) -> Option<&DeviceCost> {
        self.devices.get(index)
    }
}
