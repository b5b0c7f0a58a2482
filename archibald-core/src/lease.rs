//! The right to run one operation of an agent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, FencingToken, OperationId, WorkerId};
use crate::time::Timestamp;

/// One operation of one agent, held by one worker until it expires or is settled.
///
/// Every write made under it carries agent, operation and token; where they are no longer what the store
/// has, nothing is written and the caller is told that the lease is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Whose operation.
    pub agent: AgentId,
    /// Which one.
    pub operation: OperationId,
    /// New at every start, also when an agent is handed on from one operation to its next.
    pub token: FencingToken,
    /// Who holds it.
    pub worker: WorkerId,
    /// When it ends by the store's clock unless it is renewed.
    pub expires_at: Timestamp,
    /// For how long it was granted. The holder counts this from *before* it asked, by its own monotonic
    /// clock, and so never believes in the lease for longer than the store does.
    #[serde(with = "millis")]
    pub ttl: Duration,
}

/// Durations as whole milliseconds.
pub mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes whole milliseconds.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    /// Reads whole milliseconds.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
