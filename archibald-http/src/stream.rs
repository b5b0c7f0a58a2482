//! What a device follows: a cursor in, frames out.
//!
//! [`Subscription`] is the whole of it and knows no transport: it subscribes, reads the log, then waits.
//! Nothing is queued for a device. A frame is made when the transport asks for one, so a slow device falls
//! behind in the log, at no cost to anybody, and below the floor it gets a snapshot. SSE and long poll are
//! thin adapters on top; another transport takes the same frames.

mod frame;
mod long_poll;
mod registry;
mod sse;
mod subscription;
mod thinning;

pub use self::frame::{Bye, Frame, Heartbeat, Hello};
pub(crate) use self::long_poll::{long_poll, polling};
pub(crate) use self::registry::StreamRegistry;
pub(crate) use self::sse::sse;
pub use self::subscription::{StreamConfig, Subscription};
