//! Workloads and micro benches of Archibald.
//!
//! Each is a program of this crate that prints its result as one JSON line to standard output and its
//! progress to standard error; `cargo xtask bench --list` names them and `cargo xtask bench NAME` runs one,
//! built for release.
//!
//! | where | what |
//! | --- | --- |
//! | [`store`] | the store under test, by its URL, and what it costs: processor time, statements, log |
//! | [`machine`] | processor time of processes, and what others leave of the machine |
//! | [`work`] | the operations that are run, and the ledger that proves that each ran once, in order and alone |
//! | [`wait`] | times in order, for percentiles |
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod machine;
pub mod store;
pub mod wait;
pub mod work;

/// What a bench fails with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
