//! The kernels that generated inference code is made of.
//!
//! Nothing here allocates, has a dependency, needs an operating system or contains `unsafe`. The
//! compiler copies the files that a network needs into the crate it emits, so every file stands
//! alone but for the few named in [`sources::FLOAT`] and [`sources::INT8`].
//!
//! Layouts: a feature map is `[h][w][c]`, tokens are `[groups][tokens][dim]`, both flat in a slice.
//! A *row* is one run of the innermost dimension: the channels of a position, the features of a
//! token. Kernels never panic: with slices of other lengths than their documentation says they
//! compute less, not something else's memory.
//!
//! [`float`] holds the portable 32-bit kernels, [`int8`] those of quantised networks; both are the
//! reference. There is one function for each kernel and precision; an implementation for one target
//! takes the same arguments and replaces the portable one in the module's `mod.rs` by `cfg` at
//! compile time.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod float;
pub mod int8;
pub mod sources;
