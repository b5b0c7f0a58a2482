//! The database fails, freezes, fills up and forgets connections while agents work: nothing that was
//! acknowledged is lost, nothing is done twice, nobody runs beside another, and the work goes on.
//!
//! A [`fleet`] works through the store as workers do, with a [`ledger`] in the ERP's place; a [`judge`] looks
//! at the store's own tables afterwards.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod fleet;
mod judge;
mod ledger;
mod private;
mod proxy;

mod conflicts;
mod connections;
mod freezes;
mod full;
mod left_open;
mod restarts;
mod silent;
