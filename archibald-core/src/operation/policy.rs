use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lease::millis;

/// How often and how soon an operation is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Attempts that count; after the last one the operation fails.
    pub max_attempts: u32,
    /// The pause between attempts.
    pub backoff: Backoff,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_attempts: 8, backoff: Backoff::default() }
    }
}

/// Exponential with jitter: after the n-th attempt `base * 2^(n-1)`, at most `cap`, of which the upper
/// half is scaled by the jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The pause after the first attempt.
    #[serde(with = "millis")]
    pub base: Duration,
    /// The longest pause.
    #[serde(with = "millis")]
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(120) }
    }
}

impl Backoff {
    /// The pause after the `attempt`-th attempt (from 1). `jitter` is anything: the same value gives the
    /// same pause, so the caller may pass bits of an id. Saturates: any attempt number is fine.
    #[must_use]
    pub fn delay(&self, attempt: u32, jitter: u64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(32);
        let full = self.base.saturating_mul(1 << doublings.min(30)).min(self.cap);
        let half = full / 2;
        let share = u32::try_from(jitter % 1024).unwrap_or(0);
        half + (half * share) / 1023
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_cap_and_never_overflows() {
        let backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(30) };
        assert_eq!(backoff.delay(1, 0), Duration::from_secs(1));
        assert_eq!(backoff.delay(1, 1023), Duration::from_secs(2));
        assert_eq!(backoff.delay(3, 1023), Duration::from_secs(8));
        for attempt in [5, 64, 100, u32::MAX] {
            assert_eq!(backoff.delay(attempt, 1023), Duration::from_secs(30), "attempt {attempt}");
        }
    }
}
