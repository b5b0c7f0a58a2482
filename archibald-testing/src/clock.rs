//! Clocks: the machine's, and one that moves only when it is told to.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archibald_core::port::Clock;
use archibald_core::time::Timestamp;

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp::EPOCH + since
    }
}

/// Stands still until it is moved, so that a test says when a lease ends.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Stands at this time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let mut now = lock(&self.0);
        *now = *now + by;
    }

    /// Jumps, also backwards.
    pub fn set(&self, now: Timestamp) {
        *lock(&self.0) = now;
    }
}

/// Stands at 2026-11-22T08:30:00Z.
impl Default for ManualClock {
    fn default() -> Self {
        Self::at(Timestamp::from_micros(1_795_336_200_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *lock(&self.0)
    }
}

fn lock(now: &Mutex<Timestamp>) -> std::sync::MutexGuard<'_, Timestamp> {
    now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
