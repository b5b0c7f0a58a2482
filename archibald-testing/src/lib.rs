//! Fakes, simulated ERP and conformance suites for those who build on Archibald
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

#[cfg(unix)]
pub mod postgres;
