//! Workloads and micro benches of Archibald.
//!
//! Each is a program of this crate that prints its result as one JSON line to standard output and its
//! progress to standard error; `cargo xtask bench --list` names them and `cargo xtask bench NAME` runs one,
//! built for release.
//!
//! | where | what |
//! | --- | --- |
//! | [`store`] | the store under test, by its URL |
//! | [`meter`] | what it costs: processor time, statements, rows, pages, log |
//! | [`statements`] | statements by the names of their files |
//! | [`plan`] | what statements look at, as the database explains it |
//! | [`machine`] | processor time of processes, and what others leave of the machine |
//! | [`work`] | the operations that are run, and the ledger that proves that each ran once, in order and alone |
//! | [`fill`] | very many operations that wait, written past the store |
//! | [`run`] | a worker that runs them, and what it needed |
//! | [`child`] | a process that is told what to do line by line |
//! | [`fanout`] | devices that follow agents, each side a process |
//! | [`call`] | calls of the store one by one, timed and checked |
//! | [`sweep`] | how long a worker's sweeps take |
//! | `browser` | agents at the ERP's pages in a real Chromium, by the pool and by others |
//! | [`chaos`] | the event stream with everything going wrong, and a judge of what devices are told |
//! | [`wait`] | times in order, for percentiles |
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

#[cfg(feature = "browser")]
pub mod browser;
pub mod call;
pub mod chaos;
pub mod child;
pub mod fanout;
pub mod fill;
pub mod machine;
pub mod meter;
mod noted;
pub mod plan;
pub mod run;
pub mod statements;
pub mod store;
pub mod sweep;
pub mod wait;
pub mod work;

/// What a bench fails with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
