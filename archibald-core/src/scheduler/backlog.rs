use std::collections::{BTreeMap, BTreeSet};

use super::Ticket;
use super::halt::{Halt, Kinds};
use super::index::{self, Index};
use super::kept::{Kept, Place};
use super::line::{Line, Lines};
use super::queue::{Queue, goes_first};
use super::slab::{Key, NONE, Slab};
use super::timer::{Alarm, BLOCKED_RETRY, Timers};
use crate::id::{AgentId, OperationId, OperationKind, Target};
use crate::operation::{Class, Step};
use crate::time::Timestamp;

/// Every ticket of every agent that waits or was taken to run, each in exactly one [`Place`].
#[derive(Debug, Default)]
pub(super) struct Backlog {
    tickets: Slab<Kept>,
    by_operation: Index,
    lines: Lines,
    kinds: Kinds,
    timers: Timers,
    /// Few: what the store said blocks a ticket, and until when it is believed.
    blocks: BTreeMap<Key, Block>,
    /// Lane, what blocks, and what is blocked.
    blockers: BTreeSet<(Key, OperationId, Key)>,
}

/// One agent's part of it.
#[derive(Debug, Default)]
pub(super) struct Pile {
    interactive: Queue,
    background: Queue,
    /// Tickets that wait, due or not.
    waiting: u32,
    /// Tickets that are due and begin with `Commit`; nearly always none.
    commits: u32,
}

/// What the store said stands in the way, and until when it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) by: OperationId,
    until: Timestamp,
}

impl Backlog {
    /// Takes a ticket in, or replaces the older one of its operation, which must not run; a block is kept.
    pub(super) fn put(&mut self, pile: &mut Pile, lane: Key, ticket: Ticket, now: Timestamp) {
        let hash = index::of_operation(ticket.operation);
        let kind = self.kinds.enter(&ticket.kind);
        let known = self.by_operation.find(hash, |key| self.is(key, lane, ticket.operation));
        let (key, block) = match known {
            Some(key) if self.says(key, &ticket) => return,
            Some(key) => {
                let same_target = self.target(key) == ticket.target.as_ref();
                let block = self.blocks.get(&key).copied().filter(|_| same_target);
                self.unplace(pile, key);
                self.leave_line(pile, key, now);
                self.tickets[key] = Kept::new(lane, kind, &ticket);
                (key, block)
            }
            None => {
                let key = self.tickets.insert(Kept::new(lane, kind, &ticket));
                self.by_operation.insert(hash, key);
                pile.waiting += 1;
                (key, None)
            }
        };
        match ticket.target {
            Some(target) => self.join_line(pile, key, target, block, now),
            None => self.place(pile, key, block, now),
        }
    }

    /// The ticket that goes first, taken out to run. It keeps its place in its target's line until it is
    /// [put back](Self::put_blocked) or [forgotten](Self::forget).
    pub(super) fn take(&mut self, pile: &mut Pile) -> Option<Key> {
        let key = self.first(pile)?;
        self.unplace(pile, key);
        pile.waiting -= 1;
        let ticket = &mut self.tickets[key];
        ticket.place = Place::Taken;
        if ticket.line != NONE {
            let line = self.lines.get_mut(ticket.line);
            (line.lead, line.taken) = (NONE, key);
        }
        Some(key)
    }

    /// Forgets a ticket, whether it waits or was taken.
    pub(super) fn forget(&mut self, pile: &mut Pile, key: Key, now: Timestamp) {
        if self.tickets[key].place != Place::Taken {
            self.unplace(pile, key);
            pile.waiting -= 1;
        }
        self.leave_line(pile, key, now);
        let ticket = &self.tickets[key];
        self.by_operation.remove(index::of_operation(ticket.operation), key);
        self.tickets.release(key);
    }

    /// Puts a taken ticket back, behind what the store says blocks it.
    pub(super) fn put_blocked(&mut self, pile: &mut Pile, key: Key, by: OperationId, now: Timestamp) {
        let block = Some(Block { by, until: now + BLOCKED_RETRY });
        pile.waiting += 1;
        match self.tickets[key].line {
            NONE => self.place(pile, key, block, now),
            line => {
                self.lines.get_mut(line).taken = NONE;
                self.stand_behind(line, key);
                self.choose_lead(pile, line, key, block, now);
            }
        }
    }

    /// What was blocked by this operation is placed anew.
    pub(super) fn unblock(&mut self, pile: &mut Pile, lane: Key, by: OperationId, now: Timestamp) {
        while let Some(&(_, _, key)) = self.blockers.range((lane, by, 0)..=(lane, by, NONE)).next() {
            self.place_anew(pile, key, now);
        }
    }

    /// A ticket whose alarm rings now, and its lane; it is to be [placed anew](Self::place_anew).
    pub(super) fn ring(&mut self, now: Timestamp) -> Option<(Key, Key)> {
        self.next_alarm().filter(|at| *at <= now)?;
        let key = self.timers.ring()?;
        self.tickets[key].alarm = 0;
        Some((key, self.tickets[key].lane))
    }

    /// Looks again where a ticket belongs; what blocked it is forgotten.
    pub(super) fn place_anew(&mut self, pile: &mut Pile, key: Key, now: Timestamp) {
        self.unplace(pile, key);
        self.place(pile, key, None, now);
    }

    /// Pauses a kind, or ends that. What could start of it, or was kept back, is to be
    /// [placed anew](Self::place_anew).
    pub(super) fn set_halt(&mut self, kind: &OperationKind, halt: Option<Halt>) -> u16 {
        let number = self.kinds.enter(kind);
        self.kinds.get_mut(number).halt = halt;
        number
    }

    /// The first of those that the pause of a kind keeps back, and its lane.
    pub(super) fn kept_back(&self, number: u16) -> Option<(Key, Key)> {
        let first = self.kinds.get(number).kept_back.first(&self.tickets);
        (first != NONE).then(|| (first, self.tickets[first].lane))
    }

    /// Those of a kind that could start. Linear in what could.
    pub(super) fn due_of_kind(&self, pile: &Pile, number: u16) -> Vec<Key> {
        let mut keys = vec![];
        for queue in [&pile.interactive, &pile.background] {
            queue.each(&self.tickets, |key| keys.extend((self.tickets[key].kind == number).then_some(key)));
        }
        keys
    }

    /// The pause of a ticket's kind.
    pub(super) fn halt_of(&self, key: Key) -> Option<(&OperationKind, &Halt)> {
        let kind = self.kinds.get(self.tickets[key].kind);
        kind.halt.as_ref().map(|halt| (&kind.name, halt))
    }

    /// Every kind that is paused.
    pub(super) fn halts(&self) -> impl Iterator<Item = (&OperationKind, &Halt)> {
        self.kinds.iter().filter_map(|kind| Some((&kind.name, kind.halt.as_ref()?)))
    }

    pub(super) fn is_halted(&self, kind: &OperationKind) -> bool {
        self.halts().any(|(paused, _)| paused == kind)
    }

    /// When something [rings](Self::ring).
    pub(super) fn next_alarm(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// To be done before [`next_alarm`](Self::next_alarm) is believed.
    pub(super) fn tidy(&mut self) {
        self.timers.tidy(stands(&self.tickets));
    }

    /// The ticket of an operation, whether it waits or was taken.
    pub(super) fn find(&self, lane: Key, operation: OperationId) -> Option<Key> {
        let hash = index::of_operation(operation);
        self.by_operation.find(hash, |key| self.is(key, lane, operation))
    }

    /// The lane that knows of an operation, where it is the right one: found with less than its agent's name.
    pub(super) fn lane_of(&self, operation: OperationId, is: impl Fn(Key) -> bool) -> Option<Key> {
        let known = |key: Key| self.tickets[key].operation == operation && is(self.tickets[key].lane);
        let key = self.by_operation.find(index::of_operation(operation), known)?;
        Some(self.tickets[key].lane)
    }

    /// Has the processor fetch the ticket that an agent starts with.
    pub(super) fn prefetch_first(&self, pile: &Pile) {
        for queue in [&pile.interactive, &pile.background] {
            queue.prefetch(&self.tickets);
        }
    }

    /// Has it fetch the ticket that the next one of a class is put behind.
    pub(super) fn prefetch_last(&self, pile: &Pile, class: Class) {
        match class {
            Class::Interactive => pile.interactive.prefetch_last(&self.tickets),
            Class::Background => pile.background.prefetch_last(&self.tickets),
        }
    }

    /// Has it fetch where that one is found, once the ticket is near.
    pub(super) fn prefetch_place_of_first(&self, pile: &Pile) {
        if let Some(key) = self.first(pile) {
            self.prefetch(self.tickets[key].operation);
        }
    }

    /// Has it fetch where an operation is found.
    pub(super) fn prefetch(&self, operation: OperationId) {
        self.by_operation.prefetch(index::of_operation(operation));
    }

    /// Whether the agent is taken for it.
    pub(super) fn is_taken(&self, key: Key) -> bool {
        self.tickets[key].place == Place::Taken
    }

    /// Whether it could start if the agent were free.
    pub(super) fn could_start(&self, key: Key) -> bool {
        self.tickets[key].place == Place::Due
    }

    pub(super) fn get(&self, key: Key) -> &Kept {
        &self.tickets[key]
    }

    /// Whether what is kept is this ticket, of the same agent, to the letter.
    pub(super) fn says(&self, key: Key, ticket: &Ticket) -> bool {
        let kept = &self.tickets[key];
        kept.is(ticket)
            && self.kinds.get(kept.kind).name == ticket.kind
            && self.target(key) == ticket.target.as_ref()
    }

    /// The ticket as it came.
    pub(super) fn ticket(&self, key: Key, agent: &AgentId) -> Ticket {
        let kept = &self.tickets[key];
        Ticket {
            operation: kept.operation,
            agent: agent.clone(),
            kind: self.kinds.get(kept.kind).name.clone(),
            class: kept.class,
            position: kept.position,
            at: kept.at,
            step: kept.step,
            target: self.target(key).cloned(),
            preemptions: kept.preemptions.into(),
        }
    }

    pub(super) fn target(&self, key: Key) -> Option<&Target> {
        self.lines.target(self.tickets[key].line)
    }

    /// What goes first of an agent.
    pub(super) fn first(&self, pile: &Pile) -> Option<Key> {
        let first = match pile.interactive.first(&self.tickets) {
            NONE => pile.background.first(&self.tickets),
            first => first,
        };
        (first != NONE).then_some(first)
    }

    /// What the store said blocks a ticket.
    pub(super) fn block_of(&self, key: Key) -> Option<Block> {
        self.blocks.get(&key).copied()
    }

    /// The earliest unfinished ticket of the same target, if it is another one.
    pub(super) fn leader_of(&self, key: Key) -> Option<OperationId> {
        let line = self.line_of(key)?;
        // Whoever was taken is passed only by what came later and goes first.
        let first = if line.lead == NONE { line.taken } else { line.lead };
        (first != key && first != NONE).then(|| self.tickets[first].operation)
    }

    /// What is next of the same target once a taken ticket is done.
    pub(super) fn follower_of(&self, taken: Key) -> Option<Key> {
        let line = self.line_of(taken)?;
        let first = line.behind.first(&self.tickets);
        (first != NONE && line.lead == NONE && self.halt_of(first).is_none()).then_some(first)
    }

    /// How many of the agent that could start go before this ticket. Linear in them.
    pub(super) fn ahead_of(&self, pile: &Pile, key: Key) -> u64 {
        match self.tickets[key].class {
            Class::Interactive => pile.interactive.ahead_of(&self.tickets, key),
            Class::Background => {
                pile.interactive.len(&self.tickets) + pile.background.ahead_of(&self.tickets, key)
            }
        }
    }

    fn line_of(&self, key: Key) -> Option<&Line> {
        match self.tickets[key].line {
            NONE => None,
            line => Some(self.lines.get(line)),
        }
    }

    fn is(&self, key: Key, lane: Key, operation: OperationId) -> bool {
        self.tickets[key].operation == operation && self.tickets[key].lane == lane
    }

    fn place(&mut self, pile: &mut Pile, key: Key, block: Option<Block>, now: Timestamp) {
        let Kept { class, at, lane, step, kind, .. } = self.tickets[key];
        match block.filter(|block| block.until > now) {
            Some(block) => {
                self.tickets[key].place = Place::Blocked;
                self.tickets[key].alarm = self.timers.set(key, block.until);
                self.blocks.insert(key, block);
                self.blockers.insert((lane, block.by, key));
            }
            None if at > now => {
                self.tickets[key].place = Place::Later;
                self.tickets[key].alarm = self.timers.set(key, at);
            }
            None if self.kinds.get(kind).halt.is_some() => {
                self.tickets[key].place = Place::Paused;
                self.kinds.get_mut(kind).kept_back.push(&mut self.tickets, key);
            }
            None => {
                self.tickets[key].place = Place::Due;
                pile.of(class).push(&mut self.tickets, key);
                pile.commits += u32::from(step == Step::Commit);
            }
        }
    }

    fn unplace(&mut self, pile: &mut Pile, key: Key) {
        let Kept { class, step, line, lane, place, kind, .. } = self.tickets[key];
        match place {
            Place::Due => {
                pile.of(class).remove(&mut self.tickets, key);
                pile.commits -= u32::from(step == Step::Commit);
            }
            Place::Later => self.silence(key),
            Place::Paused => self.kinds.get_mut(kind).kept_back.remove(&mut self.tickets, key),
            Place::Behind => self.lines.get_mut(line).behind.remove(&mut self.tickets, key),
            Place::Blocked => {
                self.silence(key);
                if let Some(block) = self.blocks.remove(&key) {
                    self.blockers.remove(&(lane, block.by, key));
                }
            }
            Place::Taken => {}
        }
    }

    fn silence(&mut self, key: Key) {
        if std::mem::take(&mut self.tickets[key].alarm) != 0 {
            self.timers.was_taken_back(stands(&self.tickets));
        }
    }

    fn join_line(&mut self, pile: &mut Pile, key: Key, target: Target, block: Option<Block>, now: Timestamp) {
        let line = self.lines.enter(self.tickets[key].lane, target);
        self.tickets[key].line = line;
        self.stand_behind(line, key);
        self.choose_lead(pile, line, key, block, now);
    }

    /// Whoever leads now gets its own place.
    fn leave_line(&mut self, pile: &mut Pile, key: Key, now: Timestamp) {
        let line = std::mem::replace(&mut self.tickets[key].line, NONE);
        if line == NONE {
            return;
        }
        let standing = self.lines.get_mut(line);
        for place in [&mut standing.lead, &mut standing.taken] {
            *place = if *place == key { NONE } else { *place };
        }
        self.choose_lead(pile, line, NONE, None, now);
        self.lines.forget_if_empty(line);
    }

    fn stand_behind(&mut self, line: Key, key: Key) {
        self.tickets[key].place = Place::Behind;
        self.lines.get_mut(line).behind.push(&mut self.tickets, key);
    }

    /// The earliest of those that wait leads, unless the one that runs is earlier: it alone has a place of
    /// its own. `newcomer` comes with what blocks it.
    fn choose_lead(
        &mut self,
        pile: &mut Pile,
        line: Key,
        newcomer: Key,
        block: Option<Block>,
        now: Timestamp,
    ) {
        let standing = self.lines.get_mut(line);
        let (lead, taken, first) = (standing.lead, standing.taken, standing.behind.first(&self.tickets));
        let passes = |other: Key| other == NONE || goes_first(&self.tickets, first, other);
        if first == NONE || !passes(lead) || !passes(taken) {
            return;
        }
        standing.behind.remove(&mut self.tickets, first);
        standing.lead = first;
        if lead != NONE {
            self.unplace(pile, lead);
            self.stand_behind(line, lead);
        }
        self.place(pile, first, block.filter(|_| first == newcomer), now);
    }
}

impl Pile {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(super) fn len(&self) -> u64 {
        self.waiting.into()
    }

    /// Whether anything of this class could start.
    pub(super) fn has_due(&self, class: Class) -> bool {
        match class {
            Class::Interactive => !self.interactive.is_empty(),
            Class::Background => !self.background.is_empty(),
        }
    }

    /// Whether anything that could start begins with `Commit`.
    pub(super) fn has_commits(&self) -> bool {
        self.commits > 0
    }

    fn of(&mut self, class: Class) -> &mut Queue {
        match class {
            Class::Interactive => &mut self.interactive,
            Class::Background => &mut self.background,
        }
    }
}

/// An alarm stands while its ticket has its stamp.
fn stands(tickets: &Slab<Kept>) -> impl Fn(&Alarm) -> bool {
    |alarm| tickets[alarm.of].alarm == alarm.stamp
}
