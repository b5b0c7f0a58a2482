//! What devices are told, and their place in it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::id::{AgentId, OperationId};
use crate::operation::Operation;
use crate::time::Timestamp;

/// A device's place in an agent's stream: `epoch.seq`, opaque to devices.
///
/// The epoch changes when history may have been lost (a restored backup), so a cursor of a lost history
/// is never served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// Which history.
    pub epoch: Uuid,
    /// The last event seen; 0 before the first.
    pub seq: u64,
}

/// A text that is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cursor must be as the stream gave it, EPOCH.SEQ, got {0:?}")]
pub struct InvalidCursor(String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.simple(), self.seq)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let refuse = || InvalidCursor(text.chars().take(80).collect());
        let (epoch, seq) = text.split_once('.').ok_or_else(refuse)?;
        Ok(Self {
            epoch: Uuid::try_parse(epoch).map_err(|_| refuse())?,
            seq: seq.parse().map_err(|_| refuse())?,
        })
    }
}

impl TryFrom<String> for Cursor {
    type Error = InvalidCursor;
    fn try_from(text: String) -> Result<Self, InvalidCursor> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> String {
        cursor.to_string()
    }
}

/// The device and mutation that caused a change; echoed so that a device recognises its own write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The `X-Device-Id` of the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<String>,
    /// The `X-Mutation-Id` of the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mutation: Option<String>,
}

/// An event that is about to be written, in the transaction that changes what it tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    /// Its type on the wire, such as `operation.started`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which operation it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub operation: Option<OperationId>,
    /// Who caused it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
    /// What else it tells; flattened on the wire.
    #[serde(flatten)]
    pub data: Map<String, Value>,
}

impl NewEvent {
    /// An event about an operation: it carries kind, class and state, and what `data` adds.
    #[must_use]
    pub fn about(operation: &Operation, kind: &str, data: Value) -> Self {
        let mut fields = Map::new();
        fields.insert("kind".into(), operation.kind.as_str().into());
        fields.insert("class".into(), serde_json::to_value(operation.class).unwrap_or_default());
        fields.insert("state".into(), operation.state.name().into());
        fields.extend(without_reserved(data));
        Self {
            kind: kind.to_owned(),
            operation: Some(operation.id),
            origin: operation.origin.clone(),
            data: fields,
        }
    }

    /// Tells that the agent was paused.
    #[must_use]
    pub fn paused(why: &str) -> Self {
        Self::plain("warning", json!({ "why": why, "paused": true }))
    }

    /// An event that is about no operation. Fields of `data` by the names that an event has by itself
    /// (`seq`, `at`, `type`, `operation`, `origin`) are left out.
    #[must_use]
    pub fn plain(kind: &str, data: Value) -> Self {
        Self { kind: kind.to_owned(), operation: None, origin: None, data: without_reserved(data) }
    }
}

/// The names that an event has by itself: a second one of the same name would make its JSON unreadable.
const RESERVED: [&str; 5] = ["seq", "at", "type", "operation", "origin"];

fn without_reserved(data: Value) -> Map<String, Value> {
    let Value::Object(mut fields) = data else { return Map::new() };
    fields.retain(|name, _| !RESERVED.contains(&name.as_str()));
    fields
}

/// An event of an agent's stream. `seq` is dense per agent and assigned in commit order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place.
    pub seq: u64,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: NewEvent,
}

/// Fine progress of a running operation: latest wins, not stored, has no place in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whose.
    pub agent: AgentId,
    /// Which operation.
    pub operation: OperationId,
    /// The step, as in `operation.step` events.
    pub step: String,
    /// How much is done; of lines that are filled in, those before the one in work.
    pub done: u64,
    /// Of how much.
    pub total: u64,
    /// For a person.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_whatever_its_data_is_called() {
        let data = json!({ "seq": 9, "at": "then", "type": "x", "operation": 1, "origin": 2, "id": "C1" });
        let event = Event { seq: 1, at: Timestamp::EPOCH, event: NewEvent::plain("customer.updated", data) };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
        assert_eq!(event.event.data.keys().collect::<Vec<_>>(), ["id"]);
    }

    #[test]
    fn a_cursor_survives_the_wire() {
        let cursor = Cursor { epoch: Uuid::from_u128(7), seq: 42 };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for bad in
            ["", "42", "x.42", "00000000000000000000000000000007.-1", "00000000000000000000000000000007."]
        {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
