//! Portable kernels on 32-bit floats.

pub mod activation;
pub mod affine;
pub mod attention;
pub mod conv;
pub mod depthwise;
pub mod elementwise;
pub mod layer_norm;
pub mod linear;
pub mod math;
pub mod matmul;
pub mod patches;
pub mod pool;
pub mod shape;
pub mod softmax;
pub mod tile;
