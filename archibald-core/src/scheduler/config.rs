use serde::{Deserialize, Serialize};

/// How much runs together in one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerConfig {
    /// Attempts that may run together, at least 1. At the bound the rest waits.
    pub slots: usize,
    /// Slots that background work may not take; less than `slots`. With 0 a few long syncs may take all.
    pub reserved_interactive: usize,
    /// Once an operation gave way this often it is not asked to again. With 0 nothing ever gives way.
    pub protect_after_preemptions: u32,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self { slots: 10, reserved_interactive: 2, protect_after_preemptions: 3 }
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
        assert_eq!(SchedulerConfig::default().check(), Ok(()));
    }
}
