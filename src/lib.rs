//! hytc: a compiler for tiny vision models.
//!
//! A `.hyt` file says what is wanted: a space of networks, data, devices, goals. The stages turn it
//! into a trained network and code; `docs/architecture.md` maps them. In a build script, see
//! [`build`].
#![warn(missing_docs)]

pub mod codes;
pub mod diag;
pub mod hash;
pub mod source;
pub mod weights;

pub mod check;
pub mod cost;
pub mod device;
pub mod emit;
pub mod graph;
pub mod lower;
pub mod quant;
pub mod space;
pub mod syntax;

pub mod build;
pub mod project;
pub mod target;

#[cfg(feature = "search")]
pub mod bench;
#[cfg(feature = "search")]
pub mod evaluate;
#[cfg(feature = "search")]
pub mod pipeline;
#[cfg(feature = "search")]
pub mod search;

#[cfg(feature = "data")]
pub mod data;
#[cfg(feature = "train")]
pub mod train;

#[cfg(feature = "verify")]
pub mod verify;

#[cfg(feature = "cli")]
pub mod cli;
