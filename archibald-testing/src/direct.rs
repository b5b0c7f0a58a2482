//! Sessions at the simulated ERP without a browser: the ports of the pool and the client over plain HTTP.
//!
//! For demos and for tests that run hundreds of times, where Chromium would take too long. It reads and fills
//! the same WebForms pages, field by field, and lets a save through the same gate; it runs no script, so what
//! a page does by script alone (overlays, look-ups, questions) is not there.
//!
//! ```no_run
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use archibald_core::id::AgentId;
//! use archibald_core::port::BrowserPool;
//! use archibald_testing::credentials::FixedCredentials;
//! use archibald_testing::data::password_of;
//! use archibald_testing::direct::{DirectOptions, DirectPool};
//! use archibald_testing::erp::{ErpOptions, ErpSimulator};
//!
//! let erp = ErpSimulator::start(ErpOptions::default()).await?;
//! let agents = FixedCredentials::new().with(AgentId::new("nancy")?, "nancy", password_of("nancy"));
//! let pool = DirectPool::new(&erp.url(), Arc::new(agents), DirectOptions::default())?;
//! assert_eq!(pool.occupancy().in_use, 0);
//! # Ok(())
//! # }
//! ```

mod customer;
mod form;
#[doc(hidden)]
pub mod fuzzed;
mod html;
mod italian;
mod lists;
mod login;
mod order;
mod order_write;
mod page;
mod pool;
mod session;
mod tab;
mod wire;
mod write;

pub use pool::{DirectError, DirectOptions, DirectPool};
