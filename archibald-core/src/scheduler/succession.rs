use super::lane::Run;
use super::slab::NONE;
use super::{Scheduler, Slots};
use crate::id::{AgentId, OperationId};
use crate::operation::{Class, Step};
use crate::time::Timestamp;

impl Scheduler {
    /// What the agent would go on with if `operation`, which it runs, were done now, so that a store can hand it
    /// on in the transaction of that end. `None` where nothing could start, others wait for the slot, or this
    /// operation itself is known to wait again.
    ///
    /// A guess that changes nothing: `Settled` decides, and what comes in before it may change that. A lease that
    /// was taken on the guess and is not asked for then has to be handed back.
    #[must_use]
    pub fn goes_on_with(
        &self,
        now: Timestamp,
        agent: &AgentId,
        operation: OperationId,
    ) -> Option<OperationId> {
        let lane = &self.lanes[self.lane_with(agent, operation)?];
        if lane.run == NONE || self.draining || self.halted.is_some() || lane.is_parked() {
            return None;
        }
        let run = &self.runs[lane.run];
        let follower = self.backlog.follower_of(run.ticket).map(|key| self.backlog.get(key));
        let follower = follower.filter(|ticket| ticket.at <= now);
        let first = self.backlog.first(&lane.pile).map(|key| self.backlog.get(key));
        let both = first.into_iter().chain(follower);
        let next = both.min_by_key(|ticket| (ticket.class, ticket.position, ticket.operation))?;
        let may =
            run.operation == operation && run.again.is_none() && self.would_have_a_slot(run, next.class);
        may.then_some(next.operation)
    }

    /// Whether there is room once the run has given its slot back, and nobody stands before the next.
    fn would_have_a_slot(&self, run: &Run, next: Class) -> bool {
        let freed = (run.step != Step::Commit).then_some(run.class);
        self.slots.would_have_room(freed, next) && !self.ready.is_awaited(next)
    }
}

impl Slots {
    /// Whether a class had room if a slot of another were free.
    fn would_have_room(&self, freed: Option<Class>, class: Class) -> bool {
        let mut then = self.clone();
        if let Some(freed) = freed {
            then.give_back(freed);
        }
        then.has_room(class)
    }
}
