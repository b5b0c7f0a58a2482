use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::AgentId;

/// How much runs together in one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerConfig {
    /// Attempts that may run together, at least 1. At the bound the rest waits.
    pub slots: usize,
    /// Slots that background work may not take; less than `slots`. With 0 a few long syncs may take all. By default
    /// 2, and where there are fewer than 3 slots one is left to background work.
    pub reserved_interactive: usize,
    /// Once an operation gave way this often it is not asked to again. With 0 nothing ever gives way.
    pub protect_after_preemptions: u32,
    /// A run of an operation that was asked for this long ago does not give way; its id, a UUIDv7, says when.
    #[serde(default = "age_by_default")]
    pub protect_after_age: Duration,
    /// How long a turn lasts at least: what could start within this time of its beginning still belongs to it,
    /// although others wait. So an agent with very short operations goes on with the next one in the transaction
    /// that ends the last, and what that was begun for within it belongs to it too; where they take longer than this
    /// it means nothing. With 0 every start is counted.
    #[serde(default = "quantum_by_default")]
    pub quantum: Duration,
    /// How many operations of an agent may start in one turn, where it is not 1; 0 counts as 1.
    #[serde(default)]
    pub weights: BTreeMap<AgentId, u32>,
}

fn age_by_default() -> Duration {
    Duration::from_secs(15 * 60)
}

fn quantum_by_default() -> Duration {
    Duration::from_millis(100)
}

impl SchedulerConfig {
    /// All but the slots by default.
    #[must_use]
    pub fn with_slots(slots: usize) -> Self {
        Self {
            slots,
            reserved_interactive: 2.min(slots.saturating_sub(1)),
            protect_after_preemptions: 3,
            protect_after_age: age_by_default(),
            quantum: quantum_by_default(),
            weights: BTreeMap::new(),
        }
    }
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self::with_slots(10)
    }
}

/// A setting that cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {expected}, got {got}")]
pub struct ConfigError {
    /// The field of [`SchedulerConfig`].
    pub field: &'static str,
    /// What it may be.
    pub expected: String,
    /// What it was.
    pub got: usize,
}

impl SchedulerConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.slots == 0 {
            return Err(ConfigError { field: "slots", expected: "at least 1".to_owned(), got: 0 });
        }
        if self.reserved_interactive >= self.slots {
            return Err(ConfigError {
                field: "reserved_interactive",
                expected: format!("less than slots ({})", self.slots),
                got: self.reserved_interactive,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_cannot_be_worked_with_is_named() {
        let refusal = |slots, reserved_interactive| {
            let config = SchedulerConfig { slots, reserved_interactive, ..SchedulerConfig::default() };
            config.check().unwrap_err().to_string()
        };
        assert_eq!(refusal(0, 0), "slots must be at least 1, got 0");
        assert_eq!(refusal(2, 2), "reserved_interactive must be less than slots (2), got 2");
    }

    #[test]
    fn whatever_the_slots_some_are_reserved_and_one_is_not() {
        let reserved = |slots| {
            let config = SchedulerConfig::with_slots(slots);
            config.check().map(|()| config.reserved_interactive).unwrap()
        };
        assert_eq!([1, 2, 3, 10].map(reserved), [0, 1, 2, 2]);
        assert_eq!(SchedulerConfig::default(), SchedulerConfig::with_slots(10));
    }
}
