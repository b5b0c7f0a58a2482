use super::Scheduler;
use super::lane::Hold;
use super::slab::{Key, NONE};
use crate::id::{AgentId, OperationId};
use crate::port::Why;
use crate::time::Timestamp;

impl Scheduler {
    /// Every reason why an operation is not running now, the one that lasts longest first. Empty when it
    /// runs, or is not known here. An agent that another worker holds, or that the store failed for, reads
    /// as not due until then.
    #[must_use]
    pub fn explain(&self, now: Timestamp, agent: &AgentId, operation: OperationId) -> Vec<Why> {
        let Some(lane) = self.lane_of(agent) else { return vec![] };
        let Some(key) = self.backlog.find(lane, operation) else { return vec![] };
        if self.backlog.is_taken(key) {
            let leased = self.runs[self.lanes[lane].run].leased;
            return if leased { vec![] } else { vec![Why::Starting] };
        }
        let mut why = self.why_not(now, lane, key);
        if self.draining {
            why.insert(0, Why::Draining);
        } else if why.is_empty() {
            why.push(Why::NoSlot);
        }
        why
    }

    /// Why a ticket that waits does not start, slots aside.
    fn why_not(&self, now: Timestamp, lane: Key, key: Key) -> Vec<Why> {
        let (entry, ticket) = (&self.lanes[lane], self.backlog.get(key));
        let mut why = vec![];
        why.extend(entry.paused().cloned().map(|why| Why::Paused { why }));
        let blocked = self.backlog.block_of(key).map(|block| block.by);
        why.extend(blocked.or_else(|| self.backlog.leader_of(key)).map(|by| Why::TargetBlocked { by }));
        why.extend(later(ticket.at, now));
        why.extend(entry.hold().map(Hold::until).and_then(|until| later(until, now)));
        if entry.run != NONE {
            why.push(Why::AgentBusy { operation: self.runs[entry.run].operation });
        }
        why.extend(match self.backlog.ahead_of(&entry.pile, key) {
            0 => None,
            operations => Some(Why::Behind { operations }),
        });
        why
    }
}

fn later(at: Timestamp, now: Timestamp) -> Option<Why> {
    (at > now).then_some(Why::NotDue { at })
}
