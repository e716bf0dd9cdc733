//! The portable int8 kernels: the arithmetic of hytc's docs/arithmetic.md, bit for bit.
//!
//! Activations and weights are `i8`. [`dot`] holds the inner loops: an implementation for one
//! target takes its place by `cfg` at compile time, with the same functions and results.

pub mod affine;
pub mod attention;
pub mod channels;
pub mod conv;
pub mod depthwise;
pub mod dot;
pub mod elementwise;
pub mod exp;
pub mod layer_norm;
pub mod linear;
pub mod matmul;
pub mod patches;
pub mod pool;
pub mod requantise;
pub mod shape;
pub mod softmax;
