//! Stories about the simulated ERP, told over raw HTTP: what a browser would see, and what the ledger says.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod browser;
mod catalogue;
mod control;
mod data;
mod faults;
mod gestionale;
mod login;
mod orders;
mod steps;
mod wire;
