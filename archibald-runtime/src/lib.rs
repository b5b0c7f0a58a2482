//! The tokio shell of Archibald: it carries out what the pure scheduler decides.
//!
//! [`Archibald`] is the door for those who ask (it implements
//! [`Operations`](archibald_core::port::Operations) and [`PendingOrders`](archibald_core::port::PendingOrders)); [`Worker`] runs operations: the driver loop feeds the
//! scheduler and obeys its commands, one task per attempt walks an operation from lease to settlement, and
//! one renewal task keeps the leases of all attempts alive. Verbs of the business live in [`actions`], one
//! file each; a user adds kinds of their own by implementing [`EffectAction`] or [`ReadAction`].
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod action;
pub mod actions;
mod agents;
mod attempt;
mod behind;
mod calm;
mod clock;
mod config;
mod driver;
mod failpoint;
mod gate;
mod guard;
#[cfg(test)]
mod guard_tests;
mod handle;
mod history;
mod pending_orders;
mod registry;
mod renewal;
mod schedules;
mod stats;
mod sync;

pub use self::action::{ActionContext, Completion, EffectAction, Interrupted, Prepared, ReadAction};
pub use self::clock::SystemClock;
pub use self::config::{ConfigError, RuntimeConfig};
pub use self::driver::Worker;
pub use self::failpoint::{Failpoints, NoFailpoints};
pub use self::handle::{Archibald, BuildError, Builder, Ports};
pub use self::registry::Action;
pub use self::schedules::ScheduleError;
