//! The words and the rules of Archibald: types, ports, the scheduler and the effect protocol.
//!
//! Everything here is pure: no async runtime, no SQL, no HTTP, no clock and no randomness. What decides
//! takes values and returns values; what waits, writes or clicks lives in the adapters behind [`port`].
//!
//! | word | meaning |
//! | --- | --- |
//! | agent | a sales agent: the unit of exclusion, one operation at a time |
//! | credentials, sealed | how an agent logs in at the ERP; the same, encrypted, as a store keeps them |
//! | lock-out | the ERP refused an agent's login: the agent is paused, and tries no password until somebody says so |
//! | operation | one thing to do at the ERP, acknowledged once it is stored |
//! | lease, fencing token | the right to run one operation of an agent; the token only grows |
//! | attempt, step | one run under one lease; it begins with `Act`, `Probe` or `Commit` |
//! | effect | a change of the ERP that must happen once; intended, released, recorded |
//! | intent | the durable note that allows the click; only a store makes one |
//! | mark | what an order carries at the ERP so that it is recognised as ours |
//! | receipt | what the ERP called the effect |
//! | disposition | what becomes of the operation after an attempt |
//! | pending order | an order in the making that several devices of an agent edit together |
//! | schedule, occurrence | when a background kind is asked for by itself, and one such time |
//! | event, cursor | what devices are told, and their place in it |
//! | history, tally | what became of operations in each minute of the last day, as one process counted it |
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod effect;
pub mod erp;
pub mod error;
pub mod event;
pub mod id;
pub mod lease;
pub mod operation;
pub mod pause;
pub mod pending_order;
pub mod port;
pub mod record;
pub mod schedule;
pub mod scheduler;
pub mod time;
pub mod worker;
