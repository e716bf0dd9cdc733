//! Device profiles: what a device has, and what each kind of work costs on it.
//!
//! A profile is a YAML text, `devices/*.yaml` for the built-in ones; the format is documented in
//! `docs/devices.md`. Nothing here reads files: the caller gives the text.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod figures;
mod parse;

pub use figures::{Call, Figure, Rate, Rates, Work};
pub use parse::ProfileError;

use crate::check::spec::Precision;
use serde::Deserialize;

/// A device. Made by [`Profile::parse`], so its figures are finite and not negative.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The device's name, as in `latency_ms` of a report.
    pub name: String,
    /// The processor core, `cortex-m4`.
    pub core: String,
    /// Clock frequency in hertz.
    pub clock_hz: Figure,
    /// Bytes of contiguous RAM that an arena can lie in.
    #[serde(deserialize_with = "figures::bytes")]
    pub ram_bytes: Figure,
    /// Bytes of flash (or of whatever holds the program).
    #[serde(deserialize_with = "figures::bytes")]
    pub flash_bytes: Figure,
    /// Power while computing, in milliwatts; without it no energy is predicted.
    #[serde(default)]
    pub active_milliwatts: Option<Figure>,
    /// What 32-bit float kernels cost.
    pub float: Rates,
    /// What 8-bit integer kernels cost.
    pub int8: Rates,
}

/// Names and texts of the built-in profiles.
pub const BUILTIN: [(&str, &str); 5] = [
    ("stm32f446", include_str!("../../devices/stm32f446.yaml")),
    ("stm32l4r5", include_str!("../../devices/stm32l4r5.yaml")),
    ("stm32h743", include_str!("../../devices/stm32h743.yaml")),
    ("rp2040", include_str!("../../devices/rp2040.yaml")),
    ("raspberry-pi-4", include_str!("../../devices/raspberry-pi-4.yaml")),
];

impl Profile {
    /// The built-in profile of this name; `None` if there is none (see [`BUILTIN`] for the names).
    pub fn builtin(name: &str) -> Option<Profile> {
        let (file, text) = BUILTIN.iter().find(|(n, _)| *n == name)?;
        Profile::parse(text, file).ok()
    }

    /// What kernels of a precision cost.
    pub fn rates(&self, precision: Precision) -> &Rates {
        match precision {
            Precision::Float => &self.float,
            Precision::Int8 => &self.int8,
        }
    }

    /// Bytes of contiguous RAM.
    pub fn ram(&self) -> u64 {
        self.ram_bytes.value as u64
    }

    /// Bytes of flash.
    pub fn flash(&self) -> u64 {
        self.flash_bytes.value as u64
    }

    /// Seconds that a number of cycles takes.
    pub fn seconds(&self, cycles: f64) -> f64 {
        cycles / self.clock_hz.value
    }

    /// Joules that the device takes in a time, if its power is known.
    pub fn joules(&self, seconds: f64) -> Option<f64> {
        self.active_milliwatts.as_ref().map(|p| p.value * 1e-3 * seconds)
    }
}

#[cfg(test)]
mod tests;
