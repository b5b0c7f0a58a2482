use archibald_core::event::{Cursor, Event, Progress};
use archibald_core::id::{AgentId, OperationId};
use archibald_core::time::Timestamp;
use serde::Serialize;

use crate::wire::{OperationView, PendingOrderView, ProgressView};

/// The version of the frames, sent in `hello`.
pub(crate) const PROTOCOL: u32 = 1;

/// One message to a device. As JSON it is the frame's fields; its name goes where the transport has a
/// place for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Frame {
    /// The first one.
    Hello(Hello),
    /// Replaces everything that the device shows.
    Snapshot {
        /// The device's place from now on.
        cursor: Cursor,
        /// Unfinished operations and the last finished ones, newest first.
        operations: Vec<OperationView>,
        /// Pending orders that are not submitted and the last submitted ones, newest first.
        pending_orders: Vec<PendingOrderView>,
    },
    /// Events without a hole.
    Batch {
        /// Equals the device's place.
        from: Cursor,
        /// The device's place from now on.
        to: Cursor,
        /// In order.
        events: Vec<Event>,
    },
    /// The log was read just now and had nothing new.
    Heartbeat(Heartbeat),
    /// Fine progress of a running operation; without a place, the latest counts.
    Progress {
        /// Which operation.
        operation: OperationId,
        /// How far it is.
        #[serde(flatten)]
        progress: ProgressView,
    },
    /// The last one.
    Bye(Bye),
}

/// What a stream begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hello {
    /// The version of the frames.
    pub proto: u32,
    /// Whose stream it is.
    pub agent: AgentId,
    /// Which history the log is now.
    pub epoch: String,
    /// The last event there is.
    pub head: u64,
    /// The highest event that is pruned.
    pub floor: u64,
    /// A stream that says nothing for much longer than this is dead.
    pub heartbeat_ms: u64,
}

/// A sign of life of whoever reads the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heartbeat {
    /// The last event there is: the device has it.
    pub head: u64,
    /// When the log was read.
    pub at: Timestamp,
}

/// Why a stream ends, and when to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bye {
    /// `shutdown`, `unavailable` (the log cannot be read), `replaced` (the agent has too many streams),
    /// `expired` (the token or the session ended), `signed_out` or `revoked`.
    pub reason: &'static str,
    /// Come back after this; scattered, so that devices do not all come at once.
    pub retry_ms: u64,
}

impl Frame {
    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Snapshot { .. } => "snapshot",
            Self::Batch { .. } => "batch",
            Self::Heartbeat(_) => "heartbeat",
            Self::Progress { .. } => "progress",
            Self::Bye(_) => "bye",
        }
    }

    /// As JSON with its name in `frame`, for transports that have no other place for the name.
    pub(super) fn named(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            frame: &'static str,
            #[serde(flatten)]
            fields: &'a Frame,
        }
        serde_json::to_string(&Named { frame: self.name(), fields: self })
    }

    /// The device's place after it, where it moves that.
    #[must_use]
    pub fn place(&self) -> Option<Cursor> {
        match self {
            Self::Snapshot { cursor, .. } => Some(*cursor),
            Self::Batch { to, .. } => Some(*to),
            Self::Hello(_) | Self::Heartbeat(_) | Self::Progress { .. } | Self::Bye(_) => None,
        }
    }

    pub(super) fn progress(progress: &Progress) -> Self {
        Self::Progress { operation: progress.operation, progress: progress.into() }
    }
}
