//! Keyed browser pool and ERP client of Archibald over headless Chromium.
//!
//! From the bottom up: [`launch`] runs engines that never outlive us; [`driver`] is a thin seam over
//! chromiumoxide in which every call ends; [`gate`] is the only road to the ERP and lets a write
//! through once and only with leave; [`page_map`] is what is known of the pages, as data, and [`erp`] walks
//! them; [`ChromiumPool`] keeps the agents' sessions warm; [`KeptCredentials`] knows how agents log in that were added
//! while the service ran.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod driver;
pub mod erp;
pub mod gate;
mod glance;
mod kept;
pub mod launch;
pub mod page_map;
mod pool;
mod ring;
mod session;
mod text;
mod vault;

pub use kept::KeptCredentials;
pub use pool::{ChromiumPool, PoolError, PoolOptions};
pub use vault::{SessionVault, VaultKey, VaultKeyError};
