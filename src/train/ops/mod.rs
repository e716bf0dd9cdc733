//! The operations of networks, each with its gradient: [`Operation`](super::tape::Operation)s.
//!
//! Values are channels-last, as in emitted code: maps `[h][w][c]`, tokens `[groups][tokens][dim]`.

mod attention;
mod conv;
mod dense;
mod depthwise;
mod elementwise;
mod loss;
mod norm;
mod pool;
mod product;
mod quantise;
mod rows;

pub(crate) use attention::Attend;
pub(crate) use conv::Conv;
pub(crate) use dense::Dense;
pub(crate) use depthwise::Depthwise;
pub(crate) use elementwise::{Activation, Broadcast, Dropout, Multiply};
pub(crate) use loss::CrossEntropy;
pub(crate) use norm::{BatchNorm, LayerNorm, Softmax};
pub(crate) use pool::{AvgPool, GlobalPool, MaxPool};
pub(crate) use product::MatMul;
pub(crate) use quantise::{Round, Rounded};
pub(crate) use rows::{Concat, Gather};

#[cfg(test)]
mod tests;
