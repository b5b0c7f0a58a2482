use std::collections::BTreeSet;
use std::time::Duration;

use crate::id::AgentId;
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

/// When which lane has something to do: one alarm a lane, its earliest.
#[derive(Debug, Default)]
pub(super) struct Timers {
    alarms: BTreeSet<(Timestamp, AgentId)>,
}

impl Timers {
    /// Moves a lane's alarm.
    pub(super) fn exchange(&mut self, agent: &AgentId, old: Option<Timestamp>, new: Option<Timestamp>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.alarms.remove(&(at, agent.clone()));
        }
        if let Some(at) = new {
            self.alarms.insert((at, agent.clone()));
        }
    }

    /// A lane whose alarm has come; its alarm stays until it is exchanged.
    pub(super) fn due(&self, now: Timestamp) -> Option<AgentId> {
        self.alarms.first().filter(|(at, _)| *at <= now).map(|(_, agent)| agent.clone())
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(at, _)| *at)
    }
}
