//! What the example programs share.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod demo;
pub mod matrix;
pub mod server;
pub mod simulate;
