use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::slab::Key;
use crate::operation::Backoff;
use crate::time::Timestamp;

/// How long a ticket stays behind an operation that the store named, should nobody tell that it ended.
pub const BLOCKED_RETRY: Duration = Duration::from_secs(30);

/// After a refusal nothing is tried sooner than this, doubled for each refusal of the agent in a row: the
/// store's clock may lag behind ours, and a time that it named may be over already.
const AFTER_REFUSAL: Backoff = Backoff { base: Duration::from_millis(20), cap: Duration::from_secs(30) };

/// The earliest sensible time after the `count`-th refusal in a row, given the one that the store named.
pub(super) fn not_before(named: Timestamp, now: Timestamp, count: u32) -> Timestamp {
    named.max(now + AFTER_REFUSAL.delay(count, 1023))
}

/// Alarms, the earliest first. One that is taken back stays until it comes up, or until half of them are so.
#[derive(Debug, Default)]
pub(super) struct Timers {
    alarms: BinaryHeap<Reverse<Alarm>>,
    stamps: u32,
    /// Alarms that were taken back.
    stale: usize,
}

/// It stands as long as whatever it is of has its stamp. Stamps come again after four thousand million
/// alarms; one that then rings for something else only makes that be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alarm {
    pub(super) at: Timestamp,
    pub(super) of: Key,
    pub(super) stamp: u32,
}

const FEW: usize = 64;

impl Timers {
    /// Sets an alarm, and gives the stamp that it is known by; never 0.
    pub(super) fn set(&mut self, of: Key, at: Timestamp) -> u32 {
        self.stamps = self.stamps.checked_add(1).unwrap_or(1);
        self.alarms.push(Reverse(Alarm { at, of, stamp: self.stamps }));
        self.stamps
    }

    /// An alarm's stamp was just taken from what it was of.
    pub(super) fn was_taken_back(&mut self, stands: impl Fn(&Alarm) -> bool) {
        self.stale += 1;
        if self.stale > FEW && self.stale * 2 > self.alarms.len() {
            self.alarms.retain(|Reverse(alarm)| stands(alarm));
            self.stale = 0;
        }
    }

    /// Drops what was taken back and came up; [`next`](Self::next) is right afterwards.
    pub(super) fn tidy(&mut self, stands: impl Fn(&Alarm) -> bool) {
        while self.alarms.peek().is_some_and(|Reverse(alarm)| !stands(alarm)) {
            self.alarms.pop();
            self.stale = self.stale.saturating_sub(1);
        }
    }

    /// The earliest, if there is one.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.alarms.peek().map(|Reverse(alarm)| alarm.at)
    }

    /// Takes the earliest, which rings.
    pub(super) fn ring(&mut self) -> Option<Key> {
        self.alarms.pop().map(|Reverse(alarm)| alarm.of)
    }
}
