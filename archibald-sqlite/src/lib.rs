//! The embedded store of Archibald: operations, locks and events in one SQLite file.
//!
//! It is for one process. Whatever is acknowledged is on disk, through a crash of the process and through
//! a power cut: the write-ahead log is synced before an answer is given. One thread owns the only connection
//! that writes and commits what came meanwhile together, so that many callers share one sync; readers have
//! threads and connections of their own and wait for no writer.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::sync::Arc;
//! use archibald_core::port::{AgentLock, EventBus, OperationStore};
//! use archibald_sqlite::{SqliteOptions, SqliteStore};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let opened = SqliteStore::open(folder.path().join("archibald.db"), SqliteOptions::default()).await;
//! let sqlite = Arc::new(opened.unwrap());
//! let store: Arc<dyn OperationStore> = sqlite.clone();
//! let lock: Arc<dyn AgentLock> = sqlite.clone();
//! let bus: Arc<dyn EventBus> = sqlite.clone();
//! sqlite.close().await;
//! # });
//! ```
//!
//! Beside the database live SQLite's own `-wal` and `-shm`, `….lock`, which says whose it is, and `….head`,
//! which tells a restored backup from the database that was there. [`SqliteStore::backup`] makes one; to
//! restore it, stop the process, remove `-wal` and `-shm`, and put the file in place; `….head` stays.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod agents;
mod backup;
mod bus;
mod code;
mod effects;
mod hub;
#[cfg(test)]
mod hub_tests;
mod lock;
mod open;
mod operations;
mod pending_orders;
mod place;
mod queue;
#[cfg(test)]
mod queue_tests;
mod read;
mod readers;
mod sql;
mod store;
mod sync;
mod tx;
mod writer;

pub use self::backup::BackupError;
pub use self::open::OpenError;
pub use self::store::{Durability, SqliteOptions, SqliteStore};
