//! Store, lock and event bus of Archibald on PostgreSQL: [`PgStore`].
//!
//! For many processes on many machines. What is answered is committed and on disk; all times are the
//! database's; one agent's locks, kept by whomever, hold up that agent alone.
//!
//! | where | what |
//! | --- | --- |
//! | `migrations/`, `migrate.rs` | the tables, in a schema of their own, and how they get there |
//! | `sql/`, `sql.rs` | every statement, one a file, with the index that serves it |
//! | `call.rs`, `group.rs`, `gathering.rs` | a call of a port, and how those that come together share a transaction |
//! | `batch/looked.rs`, `own.rs` | what nobody else touches: look, ask the record, write if it is still so |
//! | `batch.rs`, `writes.rs`, `columns.rs` | the others' transaction: lock, load, ask the record, write back |
//! | `tx.rs` | how any other write runs: in a task of its own, one transaction, tried again where that is safe |
//! | `operations.rs`, `lock.rs`, `bus.rs` | the three ports |
//! | `within.rs` | the same in a transaction of the caller's own |
//! | `records.rs`, `read.rs`, `tickets.rs` | what they load and write |
//! | `hub.rs`, `wake.rs` | wake-ups within the process, and across processes |
//!
//! **Locks** are taken in this order: the agent's lease row, the operation's row, the agent's event counter.
//! What is to be enqueued takes the counter alone, first, and so never waits for a running operation.
//!
//! **Connections**: a pool of this store's own, because its promises rest on what the pool does with a
//! connection that comes back, two for the lanes that write, and one to listen.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod agents;
mod batch;
mod bus;
mod call;
mod codec;
mod columns;
mod decide;
mod gate;
#[cfg(test)]
mod gate_tests;
mod gathering;
mod group;
mod hub;
#[cfg(test)]
mod hub_tests;
mod lock;
mod migrate;
mod operations;
mod options;
mod own;
mod pending_orders;
mod read;
mod records;
mod sql;
mod store;
mod sync;
mod tickets;
mod tx;
mod wake;
mod within;
mod writes;

pub use self::options::{ConnectError, Listen, PgOptions};
pub use self::store::PgStore;
