//! The operator's board and the demo's page, in a real Chromium: what a person sees and what the keys do. And a server
//! that is started again.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod accessible;
mod board;
mod browser;
mod demo;
mod kept;
mod load;
mod office;
mod pictures;
mod screenshots;

#[path = "../support/screenshot.rs"]
mod screenshot;
