use super::kept::Kept;
use super::lane::{Lane, Run};
use super::slab::{Key, NONE};
use super::{Scheduler, Slots, stands};
use crate::id::{AgentId, OperationId, OperationKind};
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
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        operation: OperationId,
    ) -> Option<OperationId> {
        let key = self.lane_with(agent, operation)?;
        let lane = &self.lanes[key];
        if lane.run == NONE || self.draining || self.halted.is_some() || lane.is_parked() {
            return None;
        }
        let run = &self.runs[lane.run];
        let next = self.next_of(lane, now)?;
        let (next, class) = (next.operation, next.class);
        let may = run.operation == operation
            && run.again.is_none()
            && self.would_have_a_slot(run, class)
            && self.would_be_first(key, class, now);
        may.then_some(next)
    }

    /// The store has handed the agent on to `next`, for which it was asked at this time: a turn that lasted then is not
    /// over before that one has started, however long the store took. To be said just before `Settled`.
    pub fn handed_on(&mut self, asked: Timestamp, agent: &AgentId, next: OperationId) {
        let Some(lane) = self.lane_of(agent) else { return };
        let Some(key) = self.backlog.find(lane, next) else { return };
        let class = self.backlog.get(key).class;
        self.lanes[lane].keep_turn(class, asked, self.config.quantum);
    }

    /// Whether an operation that is due and the only one of its agent would start if it came now and so many others,
    /// of which the same was said, have yet to come: then a store can lease it in the transaction that accepts it.
    ///
    /// A guess that changes nothing.
    #[must_use]
    pub fn would_start(&self, agent: &AgentId, kind: &OperationKind, class: Class, others: usize) -> bool {
        let is_free = |lane: Key| self.lanes[lane].is_idle() && !self.lanes[lane].is_parked();
        !self.draining
            && self.halted.is_none()
            && !self.backlog.is_halted(kind)
            && self.lane_of(agent).is_none_or(is_free)
            && self.slots.would_have_room(None, others, class)
    }

    /// Class and position of what of the agent goes next, once what it runs is done: of what is known here, the
    /// first that is due and whose target is free then.
    #[must_use]
    pub fn goes_next(&self, now: Timestamp, agent: &AgentId) -> Option<(Class, u64)> {
        let next = self.next_of(&self.lanes[self.lane_of(agent)?], now)?;
        Some((next.class, next.position))
    }

    /// Class and position of an operation that is known here.
    #[must_use]
    pub fn place(&self, agent: &AgentId, operation: OperationId) -> Option<(Class, u64)> {
        let ticket = self.backlog.get(self.backlog.find(self.lane_of(agent)?, operation)?);
        Some((ticket.class, ticket.position))
    }

    fn next_of(&self, lane: &Lane, now: Timestamp) -> Option<&Kept> {
        let taken = (lane.run != NONE).then(|| self.runs[lane.run].ticket);
        let follower = taken.and_then(|taken| self.backlog.follower_of(taken));
        let follower = follower.map(|key| self.backlog.get(key)).filter(|ticket| ticket.at <= now);
        let first = self.backlog.first(&lane.pile).map(|key| self.backlog.get(key));
        let both = first.into_iter().chain(follower);
        both.min_by_key(|ticket| (ticket.class, ticket.position, ticket.operation))
    }

    /// Whether there is room once the run has given its slot back.
    fn would_have_a_slot(&self, run: &Run, next: Class) -> bool {
        let freed = (run.step != Step::Commit).then_some(run.class);
        self.slots.would_have_room(freed, 0, next)
    }

    /// Whether nobody stands before the lane, with the turn that it would have.
    fn would_be_first(&mut self, lane: Key, class: Class, now: Timestamp) -> bool {
        let turn = self.lanes[lane].turn_then(class, now, self.config.quantum);
        let first = self.ready.first(class, stands(&self.lanes));
        first.is_none_or(|(of, first)| {
            of == class
                && self.lanes[first].turn(of).is_none_or(|first| turn.is_some_and(|turn| turn < first))
        })
    }
}

impl Slots {
    /// Whether a class had room if a slot of another were free, and so many more of it were taken.
    fn would_have_room(&self, freed: Option<Class>, others: usize, class: Class) -> bool {
        let mut then = self.clone();
        if let Some(freed) = freed {
            then.give_back(freed);
        }
        (0..others.min(self.total())).for_each(|_| then.take(class));
        then.has_room(class)
    }
}
