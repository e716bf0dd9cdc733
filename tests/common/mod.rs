//! What several integration tests share.
#![allow(dead_code, clippy::unwrap_used)]

pub mod compile;
pub mod int8;
pub mod net;
pub mod python;
pub mod random_net;
pub mod specs;
