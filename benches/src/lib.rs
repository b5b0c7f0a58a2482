//! Workloads and micro benches of Archibald.
//!
//! Each is a program of this crate that prints its result as one JSON line to standard output and its
//! progress to standard error; `cargo xtask bench --list` names them and `cargo xtask bench NAME` runs one,
//! built for release.
