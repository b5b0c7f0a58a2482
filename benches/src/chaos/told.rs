//! What is told, as a device reads it off the wire and as the store has it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use archibald_core::event::{Cursor, Event};
use archibald_core::port::Snapshot;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::Failure;

/// As much of an event as a device needs to keep what it shows up to date.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Told {
    pub(crate) seq: u64,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) operation: Option<Uuid>,
    #[serde(default)]
    pub(crate) pending_order: Option<Uuid>,
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) version: Option<u64>,
}

impl Told {
    pub(crate) fn of(event: &Event) -> Self {
        let text = |name: &str| event.event.data.get(name).and_then(Value::as_str);
        Self {
            seq: event.seq,
            kind: event.event.kind.clone(),
            operation: event.event.operation.map(|id| id.0),
            pending_order: text("pending_order").and_then(|id| id.parse().ok()),
            state: text("state").map(str::to_owned),
            version: event.event.data.get("version").and_then(Value::as_u64),
        }
    }

    /// Equal for the same event, in every process of one build.
    pub(crate) fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// What it is about.
    pub(crate) fn about(&self) -> Option<Uuid> {
        self.pending_order.or(self.operation)
    }
}

/// What is open, as a device shows it: operations by their states, pending orders by their versions.
pub(crate) type Open = HashMap<Uuid, Shown>;

/// One thing that a device shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Waits,
    Runs,
    Draft(u64),
}

impl Shown {
    /// Of an operation; `None` where it is over.
    pub(crate) fn of_state(state: &str) -> Option<Self> {
        match state {
            "available" | "in_doubt" => Some(Self::Waits),
            "running" => Some(Self::Runs),
            _ => None,
        }
    }
}

/// What the store has open.
pub(crate) fn open(snapshot: &Snapshot) -> Open {
    let operations = snapshot.operations.iter().filter_map(|record| {
        let operation = &record.operation;
        Some((operation.id.0, Shown::of_state(operation.state.name())?))
    });
    let orders = snapshot.pending_orders.iter().map(|order| (order.id.0, Shown::Draft(order.version)));
    operations.chain(orders).collect()
}

/// One message to a device.
#[derive(Debug)]
pub(crate) enum Frame {
    Snapshot {
        cursor: Cursor,
        open: Open,
    },
    Batch {
        from: Cursor,
        to: Cursor,
        events: Vec<Told>,
    },
    Heartbeat {
        head: u64,
    },
    Bye,
    /// It neither moves the place nor ends the stream.
    Other,
}

#[derive(Deserialize)]
struct Name {
    frame: String,
}

#[derive(Deserialize)]
struct Whole {
    cursor: Cursor,
    operations: Vec<OperationShown>,
    pending_orders: Vec<OrderShown>,
}

#[derive(Deserialize)]
struct OperationShown {
    id: Uuid,
    state: String,
}

#[derive(Deserialize)]
struct OrderShown {
    id: Uuid,
    version: u64,
}

#[derive(Deserialize)]
struct Part {
    from: Cursor,
    to: Cursor,
    events: Vec<Told>,
}

#[derive(Deserialize)]
struct Beat {
    head: u64,
}

impl Frame {
    /// Of a transport that names frames within their JSON.
    pub(crate) fn named(json: &[u8]) -> Result<Self, Failure> {
        let Name { frame } = serde_json::from_slice(json)?;
        Self::read(&frame, json)
    }

    pub(crate) fn read(name: &str, json: &[u8]) -> Result<Self, Failure> {
        Ok(match name {
            "snapshot" => serde_json::from_slice::<Whole>(json)?.into(),
            "batch" => {
                let Part { from, to, events } = serde_json::from_slice(json)?;
                Self::Batch { from, to, events }
            }
            "heartbeat" => Self::Heartbeat { head: serde_json::from_slice::<Beat>(json)?.head },
            "bye" => Self::Bye,
            _ => Self::Other,
        })
    }
}

impl From<Whole> for Frame {
    fn from(whole: Whole) -> Self {
        let operations =
            whole.operations.iter().filter_map(|shown| Some((shown.id, Shown::of_state(&shown.state)?)));
        let orders = whole.pending_orders.iter().map(|shown| (shown.id, Shown::Draft(shown.version)));
        Self::Snapshot { cursor: whole.cursor, open: operations.chain(orders).collect() }
    }
}

#[cfg(test)]
mod tests {
    use archibald_core::event::NewEvent;
    use archibald_core::time::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_the_same_off_the_wire_and_out_of_the_store() {
        let order = Uuid::from_u128(7);
        let data = json!({ "pending_order": order, "version": 3, "content": {}, "state": "editing" });
        let event = NewEvent::plain("pending_order.updated", data);
        let event = Event { seq: 9, at: Timestamp::EPOCH, event };
        let read: Told = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
        assert_eq!((read.about(), read.version), (Some(order), Some(3)));
        assert_eq!(read.print(), Told::of(&event).print());
        assert_ne!(read.print(), Told { version: Some(4), ..read }.print());
    }
}
