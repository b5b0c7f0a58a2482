use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU64;

use super::SchedulerConfig;
use super::slab::Key;
use crate::operation::Class;

/// A place among the agents that wait; lower goes first. Handed out once, in order.
pub(super) type Turn = NonZeroU64;

/// What a lane that could start waits for: nothing but a turn where it is a commit, else a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) class: Class,
    pub(super) commit: bool,
}

/// The lanes that could start if a slot were free, by turn.
///
/// Fair: a lane gets a turn when something of a class first could start, and loses it when it starts that;
/// so while a lane waits every other one starts at most once before it.
#[derive(Debug, Default)]
pub(super) struct Ready {
    commit: Row,
    interactive: Row,
    background: Row,
    last: u64,
}

impl Ready {
    pub(super) fn next_turn(&mut self) -> Turn {
        self.last += 1;
        Turn::new(self.last).unwrap_or(Turn::MAX)
    }

    /// A lane stands here from now on.
    pub(super) fn stand(
        &mut self,
        lane: Key,
        standing: Standing,
        turn: Turn,
        stands: impl Fn(Key, Turn) -> Option<Standing>,
    ) {
        self.row(standing).join((turn, lane), |(turn, lane)| stands(lane, turn) == Some(standing));
    }

    /// A lane stands here no more. Its place stays until it comes up.
    pub(super) fn leave(&mut self, standing: Standing) {
        self.row(standing).standing -= 1;
    }

    /// The lane that starts next, if any may; `stands` says where a lane stands with this turn.
    pub(super) fn next(
        &mut self,
        slots: &Slots,
        stands: impl Fn(Key, Turn) -> Option<Standing>,
    ) -> Option<Key> {
        let commit = |(turn, lane): Place| stands(lane, turn).is_some_and(|standing| standing.commit);
        let slot = |(turn, lane): Place| stands(lane, turn).is_some_and(|standing| !standing.commit);
        let with_room = |row, class| if slots.has_room(class) { Some(row) } else { None };
        let first = self.commit.first(commit);
        first
            .or_else(|| with_room(&mut self.interactive, Class::Interactive)?.first(slot))
            .or_else(|| with_room(&mut self.background, Class::Background)?.first(slot))
    }

    /// Who waits first for a slot that one of this class could have, and with what.
    pub(super) fn first(
        &mut self,
        class: Class,
        stands: impl Fn(Key, Turn) -> Option<Standing>,
    ) -> Option<(Class, Key)> {
        let slot = |(turn, lane): Place| stands(lane, turn).is_some_and(|standing| !standing.commit);
        let interactive = self.interactive.first(slot).map(|lane| (Class::Interactive, lane));
        if interactive.is_some() || class == Class::Interactive {
            return interactive;
        }
        self.background.first(slot).map(|lane| (Class::Background, lane))
    }

    /// The lane that starts so many turns after the next of its class, as far as it is known.
    pub(super) fn ahead(&self, class: Class, turns: usize) -> Option<Key> {
        let row = match class {
            Class::Interactive => &self.interactive,
            Class::Background => &self.background,
        };
        row.ring.get(turns).map(|(_, lane)| *lane)
    }

    fn row(&mut self, standing: Standing) -> &mut Row {
        match (standing.commit, standing.class) {
            (true, _) => &mut self.commit,
            (false, Class::Interactive) => &mut self.interactive,
            (false, Class::Background) => &mut self.background,
        }
    }
}

type Place = (Turn, Key);

/// Places by turn. Nearly all are taken in order: those are a ring; a lane that comes back with the turn that
/// it had is in the heap. Places that were left are skipped when they come up.
#[derive(Debug, Default)]
struct Row {
    ring: VecDeque<Place>,
    heap: BinaryHeap<Reverse<Place>>,
    /// Lanes that stand here.
    standing: usize,
}

const FEW: usize = 64;

impl Row {
    fn join(&mut self, place: Place, stands: impl Fn(Place) -> bool) {
        self.standing += 1;
        match self.ring.back() {
            Some(last) if *last >= place => self.heap.push(Reverse(place)),
            _ => self.ring.push_back(place),
        }
        if self.ring.len() + self.heap.len() > 2 * self.standing + FEW {
            self.tidy(stands);
        }
    }

    /// The lane with the lowest turn; it keeps its place.
    fn first(&mut self, stands: impl Fn(Place) -> bool) -> Option<Key> {
        if self.standing == 0 {
            return None;
        }
        while self.ring.front().is_some_and(|place| !stands(*place)) {
            self.ring.pop_front();
        }
        while self.heap.peek().is_some_and(|Reverse(place)| !stands(*place)) {
            self.heap.pop();
        }
        match (self.ring.front(), self.heap.peek()) {
            (Some(front), Some(Reverse(back))) => Some(front.min(back).1),
            (Some((_, lane)), None) | (None, Some(Reverse((_, lane)))) => Some(*lane),
            (None, None) => None,
        }
    }

    /// Drops what was left, and what is there twice.
    fn tidy(&mut self, stands: impl Fn(Place) -> bool) {
        self.ring.extend(self.heap.drain().map(|Reverse(place)| place));
        self.ring.retain(|place| stands(*place));
        let places = self.ring.make_contiguous();
        places.sort_unstable();
        let mut last = None;
        self.ring.retain(|place| last.replace(*place) != Some(*place));
    }
}

/// The slots of the worker and who has them.
#[derive(Debug, Clone)]
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

    pub(super) fn take(&mut self, class: Class) {
        *self.of(class) += 1;
        self.peak = self.peak.max(self.in_use());
    }

    pub(super) fn give_back(&mut self, class: Class) {
        *self.of(class) -= 1;
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
