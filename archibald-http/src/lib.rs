//! HTTP API and live event streams of Archibald as an axum router.
//!
//! [`router`] needs no more than [`Operations`](archibald_core::port::Operations), an
//! [`EventBus`](archibald_core::port::EventBus) and an [`Authenticator`]; [`serve`] runs it (or any
//! router) with the limits that a server in the open needs.
//!
//! ```no_run
//! use std::sync::Arc;
//! use archibald_core::port::{EventBus, Operations};
//! use archibald_http::{ApiConfig, ApiState, ServeLimits, TokenEntry, TokenSet};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example(operations: Arc<dyn Operations>, bus: Arc<dyn EventBus>)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let tokens = TokenSet::new([TokenEntry::operator("correct horse battery staple".replace(' ', "-"))])?;
//! let shutdown = CancellationToken::new();
//! let state = ApiState::new(operations, bus, Arc::new(tokens), ApiConfig::default(), shutdown.clone());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! archibald_http::serve(listener, archibald_http::router(state), shutdown, ServeLimits::default()).await;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what is there |
//! | --- | --- |
//! | `routes` | one file for each thing that has a URL |
//! | `stream` | a device's subscription: a cursor in, frames out; and SSE and long poll on top of it |
//! | `auth` | who asks, and what they reach |
//! | `problem` | every error, as RFC 9457 |
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod auth;
mod limit;
mod middleware;
mod openapi;
mod problem;
mod request;
mod routes;
mod serve;
mod state;
mod stream;
mod time;
mod web;
mod wire;

pub use self::auth::{
    AuthError, Authenticator, InvalidKey, InvalidToken, JwtKey, NotSigned, Principal, Scope, TokenEntry,
    TokenScope, TokenSet,
};
pub use self::limit::Rate;
pub use self::problem::Problem;
pub use self::routes::router;
pub use self::serve::{ServeLimits, serve};
pub use self::state::{ApiConfig, ApiState};
pub use self::stream::{Bye, Frame, Heartbeat, Hello, StreamConfig, Subscription};
pub use self::web::page_file;
pub use self::wire::{
    AttemptView, EffectView, EvidenceView, OperationView, PendingOrderView, ProblemView, ProgressView,
};
