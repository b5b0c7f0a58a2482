//! The scheduler seen from outside: stories for promptness, properties for odd inputs, and a seeded
//! simulation of many workers for safety.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod checked;
mod machine;
mod model;
mod properties;
mod seeds;
mod simulation;
mod stories;
mod story;
