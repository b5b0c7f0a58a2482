//! The agent's app in a real Chromium, with a server and the simulated ERP behind it: what a person sees, types and
//! hears, on two devices, without a network, and with the keyboard alone.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod accessible;
mod accounts;
mod cable;
mod conflict;
mod device;
mod devices;
mod doubt;
mod keyboard;
mod network;
mod office;
mod plain;
mod progress;
mod screenshots;

#[path = "../support/screenshot.rs"]
mod screenshot;
