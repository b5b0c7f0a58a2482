//! The whole router over real TCP, with a store that holds.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod access;
mod admin;
mod admin_lists;
mod agents;
mod client;
mod device;
mod door;
mod enqueue;
mod events;
mod limits;
mod long_poll;
mod openapi;
mod operations;
mod page;
mod pending_orders;
mod problems;
mod resume;
mod rows;
mod server;
mod session;
mod subscription;
mod transports;
mod websocket;
