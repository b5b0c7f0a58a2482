//! Stories about the pool without a browser, told against the simulated ERP: what comes back, and what the
//! ledger says.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod changes;
mod customers;
mod faults;
mod orders;
mod reading;
mod sessions;
mod stage;
mod steps;
mod writes;
