use super::Scheduler;
use super::backlog::Place;
use super::lane::{Hold, Lane};
use crate::id::{AgentId, OperationId};
use crate::port::Why;
use crate::time::Timestamp;

impl Scheduler {
    /// Every reason why an operation is not running now, the one that lasts longest first. Empty when it
    /// runs, or is not known here. An agent that another worker holds, or that the store failed for, reads
    /// as not due until then.
    #[must_use]
    pub fn explain(&self, now: Timestamp, agent: &AgentId, operation: OperationId) -> Vec<Why> {
        let Some(lane) = self.lanes.get(agent).map(|entry| &entry.lane) else { return vec![] };
        if let Some(run) = &lane.run
            && run.ticket.operation == operation
        {
            return if run.leased { vec![] } else { vec![Why::Starting] };
        }
        let Some(mut why) = lane.why_not(now, operation) else { return vec![] };
        if self.draining {
            why.insert(0, Why::Draining);
        } else if why.is_empty() {
            why.push(Why::NoSlot);
        }
        why
    }
}

impl Lane {
    /// Why a ticket that waits does not start, slots aside; `None` when it does not wait.
    fn why_not(&self, now: Timestamp, operation: OperationId) -> Option<Vec<Why>> {
        let (ticket, place) = self.backlog.get(operation)?;
        let mut why = vec![];
        why.extend(self.paused.clone().map(|why| Why::Paused { why }));
        match place {
            Place::Blocked(block) => why.push(Why::TargetBlocked { by: block.by }),
            Place::Due | Place::Later { .. } | Place::Behind => {
                why.extend(self.backlog.leader_of(ticket).map(|by| Why::TargetBlocked { by }));
            }
        }
        why.extend(later(ticket.at, now));
        why.extend(self.hold.map(Hold::until).and_then(|until| later(until, now)));
        why.extend(self.run.as_ref().map(|run| Why::AgentBusy { operation: run.ticket.operation }));
        why.extend(match self.backlog.ahead_of(ticket) {
            0 => None,
            operations => Some(Why::Behind { operations }),
        });
        Some(why)
    }
}

fn later(at: Timestamp, now: Timestamp) -> Option<Why> {
    (at > now).then_some(Why::NotDue { at })
}
