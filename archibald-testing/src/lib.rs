//! Fakes, simulated ERP and conformance suites for those who build on Archibald.
//!
//! [`memory`] has every store port in one value that forgets all when it is dropped; [`conformance`] has
//! the stories that every store must pass, ours and yours; [`erp`] is a site as slow and unpleasant as the
//! real one, fed from [`data`]; [`direct`] speaks to it without a browser.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

#[cfg(unix)]
pub mod certify;
pub mod clock;
pub mod conformance;
pub mod credentials;
pub mod data;
pub mod direct;
pub mod erp;
#[cfg(unix)]
pub mod failpoint;
pub mod fake_erp;
pub mod memory;
#[cfg(unix)]
pub mod postgres;
