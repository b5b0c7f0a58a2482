use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::Ticket;
use super::timer::BLOCKED_RETRY;
use crate::id::{OperationId, Target};
use crate::operation::Class;
use crate::time::Timestamp;

/// What waits of one agent, each ticket in exactly one place.
///
/// | place | means | left when |
/// | --- | --- | --- |
/// | due | could start if the agent were free | it is its turn |
/// | later | its time has not come | it comes |
/// | behind | an earlier ticket here has the same target, due or not | that one is done |
/// | blocked | the store named an operation of the same target | that one is done, or the safety net |
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: BTreeMap<OperationId, Waiting>,
    due: BTreeSet<Rank>,
    alarms: BTreeSet<(Timestamp, OperationId)>,
    /// Every unfinished ticket of a target by position, also the one that was taken to run.
    lines: BTreeMap<Target, BTreeSet<(u64, OperationId)>>,
    /// (what blocks, what is blocked)
    blockers: BTreeSet<(OperationId, OperationId)>,
}

/// Who goes first: interactive before background, then by position.
type Rank = (Class, u64, OperationId);

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    place: Place,
}

/// Where a ticket waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Due,
    Later { at: Timestamp },
    Behind,
    Blocked(Block),
}

/// What the store said stands in the way, and until when it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) by: OperationId,
    until: Timestamp,
}

impl Backlog {
    /// Takes a ticket in, or replaces the older one of its operation; a block is kept.
    pub(super) fn put(&mut self, ticket: Ticket, now: Timestamp) {
        let id = ticket.operation;
        if self.waiting.get(&id).is_some_and(|known| known.ticket == ticket) {
            return;
        }
        let old = self.waiting.remove(&id);
        let mut block = None;
        if let Some(old) = old {
            self.unplace(&old);
            if let Place::Blocked(known) = old.place
                && old.ticket.target == ticket.target
            {
                block = Some(known);
            }
            if rank_in_line(&old.ticket) != rank_in_line(&ticket) {
                self.leave_line(&old.ticket, now);
            }
        }
        self.join_line(&ticket, now);
        self.insert(ticket, block, now);
    }

    /// The ticket that goes first, taken out to run. It keeps its place in its target's line until it is
    /// [put](Self::put) back or [done](Self::done).
    pub(super) fn take(&mut self) -> Option<Ticket> {
        let (_, _, id) = self.due.pop_first()?;
        self.waiting.remove(&id).map(|waiting| waiting.ticket)
    }

    /// A ticket that was taken will not come back.
    pub(super) fn done(&mut self, ticket: &Ticket, now: Timestamp) {
        self.leave_line(ticket, now);
    }

    /// Forgets an operation that waits.
    pub(super) fn remove(&mut self, id: OperationId, now: Timestamp) {
        if let Some(old) = self.waiting.remove(&id) {
            self.unplace(&old);
            self.leave_line(&old.ticket, now);
        }
    }

    /// Puts a taken ticket back, behind what the store says blocks it.
    pub(super) fn put_blocked(&mut self, ticket: Ticket, by: OperationId, now: Timestamp) {
        let block = Block { by, until: now + BLOCKED_RETRY };
        self.insert(ticket, Some(block), now);
    }

    /// What was blocked by this operation is placed anew.
    pub(super) fn unblock(&mut self, by: OperationId, now: Timestamp) {
        let none = OperationId(uuid::Uuid::nil());
        let all = OperationId(uuid::Uuid::max());
        let range = (Bound::Included((by, none)), Bound::Included((by, all)));
        let blocked: Vec<_> = self.blockers.range(range).map(|(_, id)| *id).collect();
        for id in blocked {
            self.place_anew(id, now);
        }
    }

    /// Moves what has become due.
    pub(super) fn tick(&mut self, now: Timestamp) {
        while let Some((at, id)) = self.alarms.first().copied()
            && at <= now
        {
            self.place_anew(id, now);
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn alarm(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// The ticket that goes first.
    pub(super) fn first(&self) -> Option<&Ticket> {
        let (_, _, id) = self.due.first()?;
        self.waiting.get(id).map(|waiting| &waiting.ticket)
    }

    /// Whether anything of this class could start.
    pub(super) fn has_due(&self, class: Class) -> bool {
        match class {
            Class::Interactive => self.due.first().is_some_and(|(first, ..)| *first == class),
            Class::Background => self.due.last().is_some_and(|(last, ..)| *last == class),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// A ticket and where it waits.
    pub(super) fn get(&self, id: OperationId) -> Option<(&Ticket, Place)> {
        self.waiting.get(&id).map(|waiting| (&waiting.ticket, waiting.place))
    }

    /// How many that could start go before this ticket. Linear in the answer.
    pub(super) fn ahead_of(&self, ticket: &Ticket) -> u64 {
        self.due.range(..rank(ticket)).count() as u64
    }

    /// The earliest unfinished ticket of the same target, if it is another one.
    pub(super) fn leader_of(&self, ticket: &Ticket) -> Option<OperationId> {
        let line = self.lines.get(ticket.target.as_ref()?)?;
        line.first().map(|(_, id)| *id).filter(|id| *id != ticket.operation)
    }

    fn insert(&mut self, ticket: Ticket, block: Option<Block>, now: Timestamp) {
        let id = ticket.operation;
        let place = self.place_of(&ticket, block, now);
        match place {
            Place::Due => {
                self.due.insert(rank(&ticket));
            }
            Place::Later { at } => {
                self.alarms.insert((at, id));
            }
            Place::Behind => {}
            Place::Blocked(Block { by, until }) => {
                self.alarms.insert((until, id));
                self.blockers.insert((by, id));
            }
        }
        self.waiting.insert(id, Waiting { ticket, place });
    }

    fn place_of(&self, ticket: &Ticket, block: Option<Block>, now: Timestamp) -> Place {
        match block {
            _ if self.leader_of(ticket).is_some() => Place::Behind,
            Some(block) if block.until > now => Place::Blocked(block),
            _ if ticket.at > now => Place::Later { at: ticket.at },
            _ => Place::Due,
        }
    }

    fn place_anew(&mut self, id: OperationId, now: Timestamp) {
        if let Some(waiting) = self.waiting.remove(&id) {
            self.unplace(&waiting);
            self.insert(waiting.ticket, None, now);
        }
    }

    fn unplace(&mut self, waiting: &Waiting) {
        let id = waiting.ticket.operation;
        match waiting.place {
            Place::Due => {
                self.due.remove(&rank(&waiting.ticket));
            }
            Place::Later { at } => {
                self.alarms.remove(&(at, id));
            }
            Place::Behind => {}
            Place::Blocked(Block { by, until }) => {
                self.alarms.remove(&(until, id));
                self.blockers.remove(&(by, id));
            }
        }
    }

    /// Whoever led until now goes behind if this one is earlier.
    fn join_line(&mut self, ticket: &Ticket, now: Timestamp) {
        let Some(target) = &ticket.target else { return };
        let line = self.lines.entry(target.clone()).or_default();
        let before = line.first().map(|(_, id)| *id);
        line.insert((ticket.position, ticket.operation));
        let after = line.first().map(|(_, id)| *id);
        if let Some(leader) = before.filter(|_| before != after) {
            self.place_anew(leader, now);
        }
    }

    /// Whoever leads now gets its own place.
    fn leave_line(&mut self, ticket: &Ticket, now: Timestamp) {
        let Some(target) = &ticket.target else { return };
        let Some(line) = self.lines.get_mut(target) else { return };
        let led = line.first().is_some_and(|(_, id)| *id == ticket.operation);
        line.remove(&(ticket.position, ticket.operation));
        let leader = line.first().map(|(_, id)| *id);
        if line.is_empty() {
            self.lines.remove(target);
        }
        if let Some(leader) = leader.filter(|_| led) {
            self.place_anew(leader, now);
        }
    }
}

fn rank(ticket: &Ticket) -> Rank {
    (ticket.class, ticket.position, ticket.operation)
}

fn rank_in_line(ticket: &Ticket) -> (Option<&Target>, u64) {
    (ticket.target.as_ref(), ticket.position)
}
