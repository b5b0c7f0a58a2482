//! The small seam over chromiumoxide: contexts, pages, and the few commands and events that we use.
//!
//! Of chromiumoxide we use the connection and the typed protocol, and not its `Handler` and `Page`: those
//! lose time-outs when the socket is silent, cap every command at 30 s, keep a page unusable after a
//! navigation that was given up, and enable half of the protocol on each page. Here
//! - one task owns the connection (`link`) and routes answers and events; it never waits for a page;
//! - every call has its own deadline (a [`Limit`]) and ends at once when its page or browser is gone;
//! - events change a small state per page that callers watch: nothing to subscribe too late to, no queue;
//! - a new page is held before its first script until it is set up; a window that the site opens by itself
//!   is closed, and a file that it hands out by itself is refused;
//! - a navigation that is given up destroys its page: it could still land on the next user's.
//!
//! # Example
//! ```no_run
//! use std::time::Duration;
//! use archibald_browser::driver::{Browser, Limit};
//! use archibald_browser::launch::LaunchOptions;
//!
//! async fn export() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let browser = Browser::launch(&LaunchOptions::default()).await?;
//!     // Without a gate nothing keeps Chromium from sending a write twice: see `gate::Gate::build`.
//!     let context = browser.new_context(None).await?;
//!     let page = context.new_page().await?;
//!     let limit = Limit::budget(Duration::from_secs(60));
//!     page.open(&limit, "http://127.0.0.1:8090/Orders.aspx").await?;
//!     let file = page.download(&limit, "#export", 10_000_000).await?;
//!     drop((page, context));
//!     browser.close(Duration::from_secs(5)).await;
//!     Ok(file.bytes)
//! }
//! ```
//!
//! # Logs
//! chromiumoxide and tungstenite write whole messages, session cookies and typed passwords included, to
//! their log targets at debug and trace level. Filter them: [`LOG_FILTER`]. Nothing of ours logs bodies,
//! headers or what was typed.

mod browser;
mod dialog;
mod download;
mod error;
mod event;
#[doc(hidden)]
pub mod fuzzed;
mod inbox;
mod limit;
mod link;
mod page;
mod page_core;
mod peephole;
mod script;
mod steps;
mod targets;
mod view;

use link::Link;
use page_core::PageCore;

pub use browser::{Browser, BrowserError, Context, Cookie};
pub use dialog::{Dialog, DialogKind};
pub use download::Download;
pub use error::{DownloadProblem, DriverError, ElementProblem, Gone};
pub use limit::Limit;
pub use page::{ExpectedQuestion, Field, Page, PageState};
pub(crate) use peephole::{Looked, Peephole};
pub(crate) use steps::{On, Recorded, Step};

/// The directives that a subscriber needs so that no session cookie gets into a log.
pub const LOG_FILTER: &str =
    "chromiumoxide=warn,chromiumoxide::conn=off,tungstenite=warn,async_tungstenite=warn";
