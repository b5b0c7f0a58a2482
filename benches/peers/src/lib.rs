//! The workloads of `archibald-benches`, run by others, and the limit that the database itself sets.
//!
//! Clusters, clocks and percentiles are those of `archibald-benches`, so that both are measured alike.
//!
//! | where | what |
//! | --- | --- |
//! | [`database`] | an empty database, and what is done in it |
//! | [`ledger`] | the proof that each operation ran once, in order and alone |
//! | [`worker`] | `graphile_worker`, set up as it is fastest |
//! | [`pgbench`] | a program that does nothing but claim and complete |
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod database;
pub mod ledger;
pub mod pgbench;
pub mod worker;

pub use archibald_benches::Failure;
