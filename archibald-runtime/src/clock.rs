use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use archibald_core::port::Clock;
use archibald_core::time::Timestamp;
use tokio::time::Instant;

/// The system's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The store's time as this process knows it: what the store last said, carried on by the monotonic clock.
///
/// Due times are the store's, so a machine whose wall clock is wrong must not judge them by its own.
pub(crate) struct StoreClock(Mutex<Said>);

struct Said {
    now: Timestamp,
    /// When the store was asked, or the machine.
    asked: Instant,
    by_store: bool,
}

impl Said {
    fn carried_on(&self) -> Timestamp {
        self.now + self.asked.elapsed()
    }
}

impl StoreClock {
    /// Until the store says better, what this machine believes.
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self(Mutex::new(Said { now: clock.now(), asked: Instant::now(), by_store: false }))
    }

    /// The store said so when it was asked at this moment. Answers may come out of order: the latest question
    /// counts.
    pub(crate) fn learn(&self, now: Timestamp, asked: Instant) {
        let mut said = self.said();
        if !said.by_store || asked >= said.asked {
            *said = Said { now, asked, by_store: true };
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.said().carried_on()
    }

    /// The same, once the store has said it.
    pub(crate) fn known(&self) -> Option<Timestamp> {
        let said = self.said();
        said.by_store.then(|| said.carried_on())
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
