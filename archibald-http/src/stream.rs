//! What a device follows: a cursor in, frames out.
//!
//! [`Subscription`] is the whole of it and knows no transport: it subscribes, reads the log, then waits.
//! Nothing is queued for a device. A frame is made when the transport asks for one, so a slow device falls
//! behind in the log, at no cost to anybody, and below the floor it gets a snapshot. SSE, WebSocket and
//! long poll are thin adapters on top of the same frames.

mod activity;
mod frame;
mod long_poll;
mod overview;
mod registry;
mod sse;
mod subscription;
mod thinning;
mod ws;

pub(crate) use self::activity::{AGENTS as AGENTS_FOLLOWED, follow_activity};
pub use self::frame::{Bye, Frame, Heartbeat, Hello};
pub(crate) use self::long_poll::{long_poll, polling};
pub(crate) use self::overview::follow_overview;
pub(crate) use self::registry::{Holder, StreamRegistry, Whose};
pub(crate) use self::sse::{event, event_stream, sse};
pub use self::subscription::{StreamConfig, Subscription};
pub(crate) use self::ws::{upgrade, ws};
