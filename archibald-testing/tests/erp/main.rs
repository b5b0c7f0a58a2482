//! Stories about the simulated ERP, told over raw HTTP: what a browser would see, and what the ledger says.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod browser;
mod login;
mod orders;
