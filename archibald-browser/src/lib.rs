//! Keyed browser pool and ERP client of Archibald over headless Chromium.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod launch;
