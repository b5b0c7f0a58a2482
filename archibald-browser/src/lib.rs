//! Keyed browser pool and ERP client of Archibald over headless Chromium.
//!
//! From the bottom up: [`launch`] runs engines that never outlive us; [`driver`] is a thin seam over
//! chromiumoxide in which every call ends; [`gate`] lets a write through once and only with leave.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod driver;
pub mod erp;
pub mod gate;
pub mod launch;
pub mod page_map;
