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
        if let Value::Object(more) = data {
            fields.extend(more);
        }
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

    /// An event that is about no operation.
    #[must_use]
    pub fn plain(kind: &str, data: Value) -> Self {
        let data = if let Value::Object(fields) = data { fields } else { Map::new() };
        Self { kind: kind.to_owned(), operation: None, origin: None, data }
    }
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
    /// How much is done.
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
