//! The stories of every store, told by the one in a file.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

archibald_testing::store_conformance!(common::fresh);
