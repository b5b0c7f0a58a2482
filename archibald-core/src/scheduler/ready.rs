use std::collections::BTreeMap;

use super::SchedulerConfig;
use crate::id::AgentId;
use crate::operation::Class;

/// A place among the agents that wait; lower goes first. Handed out once, in order.
pub(super) type Turn = u64;

/// What a lane that could start waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing: a commit needs no slot.
    Commit(Turn),
    /// A slot for interactive work.
    Interactive(Turn),
    /// A slot that background work may take.
    Background(Turn),
}

/// The lanes that could start if a slot were free, by turn.
///
/// Fair: a lane gets a turn when something of a class first could start, and loses it when it starts that;
/// so while a lane waits every other one starts at most once before it.
#[derive(Debug, Default)]
pub(super) struct Ready {
    commit: BTreeMap<Turn, AgentId>,
    interactive: BTreeMap<Turn, AgentId>,
    background: BTreeMap<Turn, AgentId>,
    last: Turn,
}

impl Ready {
    pub(super) fn next_turn(&mut self) -> Turn {
        self.last += 1;
        self.last
    }

    /// Moves a lane.
    pub(super) fn exchange(&mut self, agent: &AgentId, old: Option<Standing>, new: Option<Standing>) {
        if old == new {
            return;
        }
        if let Some((queue, turn)) = old.map(|standing| self.queue(standing)) {
            queue.remove(&turn);
        }
        if let Some((queue, turn)) = new.map(|standing| self.queue(standing)) {
            queue.insert(turn, agent.clone());
        }
    }

    /// The lane that starts next, if any may.
    pub(super) fn next(&self, slots: &Slots) -> Option<AgentId> {
        let first = |queue: &BTreeMap<Turn, AgentId>| queue.first_key_value().map(|(_, agent)| agent.clone());
        first(&self.commit)
            .or_else(|| first(&self.interactive).filter(|_| slots.has_room(Class::Interactive)))
            .or_else(|| first(&self.background).filter(|_| slots.has_room(Class::Background)))
    }

    fn queue(&mut self, standing: Standing) -> (&mut BTreeMap<Turn, AgentId>, Turn) {
        match standing {
            Standing::Commit(turn) => (&mut self.commit, turn),
            Standing::Interactive(turn) => (&mut self.interactive, turn),
            Standing::Background(turn) => (&mut self.background, turn),
        }
    }
}

/// The slots of the worker and who has them.
#[derive(Debug)]
pub(super) struct Slots {
    total: usize,
    reserved_interactive: usize,
    interactive: usize,
    background: usize,
    peak: usize,
}

impl Slots {
    pub(super) fn new(config: &SchedulerConfig) -> Self {
        Self {
            total: config.slots,
            reserved_interactive: config.reserved_interactive,
            interactive: 0,
            background: 0,
            peak: 0,
        }
    }

    /// A lane had `old` and has `new` now.
    pub(super) fn exchange(&mut self, old: Option<Class>, new: Option<Class>) {
        if let Some(class) = old {
            *self.of(class) -= 1;
        }
        if let Some(class) = new {
            *self.of(class) += 1;
        }
        self.peak = self.peak.max(self.in_use());
    }

    pub(super) fn has_room(&self, class: Class) -> bool {
        let room = self.in_use() < self.total;
        match class {
            Class::Interactive => room,
            Class::Background => room && self.background < self.total - self.reserved_interactive,
        }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn in_use(&self) -> usize {
        self.interactive + self.background
    }

    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    fn of(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Interactive => &mut self.interactive,
            Class::Background => &mut self.background,
        }
    }
}
