use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What became of operations in one minute, as one process saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// When it begins, by the store's time.
    pub at: Timestamp,
    /// Of operations that somebody waited for.
    #[serde(default, skip_serializing_if = "Tally::is_empty")]
    pub interactive: Tally,
    /// Of syncs.
    #[serde(default, skip_serializing_if = "Tally::is_empty")]
    pub background: Tally,
}

/// Sums of one minute. What is nothing is left out in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Operations that were completed.
    #[serde(skip_serializing_if = "is_nothing")]
    pub completed: u32,
    /// That were rejected.
    #[serde(skip_serializing_if = "is_nothing")]
    pub rejected: u32,
    /// That failed.
    #[serde(skip_serializing_if = "is_nothing")]
    pub failed: u32,
    /// That came in doubt.
    #[serde(skip_serializing_if = "is_nothing")]
    pub in_doubt: u32,
    /// That were withdrawn.
    #[serde(skip_serializing_if = "is_nothing")]
    pub cancelled: u32,
    /// How long operations waited before their first start, the shortest first: so many milliseconds at the most, and
    /// how many did. What is told is at most a fifth and one more than what was waited, or 10.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<(u64, u32)>,
}

impl Tally {
    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_nothing(count: &u32) -> bool {
    *count == 0
}
