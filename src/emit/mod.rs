//! Emission: from a lowered network with weights to files. Pure functions; nothing here does IO.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub mod onnx;
pub mod rust;
