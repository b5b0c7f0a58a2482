use super::Ticket;
use super::slab::{Key, NONE};
use crate::id::OperationId;
use crate::operation::{Class, Step};
use crate::time::Timestamp;

/// A ticket as it is kept: one cache line, its links included. Its agent is its lane's, its target its line's.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Kept {
    pub(super) operation: OperationId,
    pub(super) position: u64,
    pub(super) at: Timestamp,
    pub(super) lane: Key,
    /// The line of its target, or [`NONE`].
    pub(super) line: Key,
    /// The next one in the list, or its next sibling in the heap.
    pub(super) next: Key,
    /// The one before it, or its parent where it is the first child.
    pub(super) prev: Key,
    /// Its first child in the heap.
    pub(super) child: Key,
    /// What its alarm is known by; 0 without one.
    pub(super) alarm: u32,
    /// What its kind is known by.
    pub(super) kind: u16,
    /// As many as there is room for.
    pub(super) preemptions: u16,
    pub(super) class: Class,
    pub(super) step: Step,
    pub(super) place: Place,
    /// In the heap, not in the list.
    pub(super) heaped: bool,
}

const _: () = assert!(size_of::<Kept>() == 64);

/// Where a ticket is; always exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Could start if the agent were free.
    Due,
    /// Its time has not come.
    Later,
    /// An earlier ticket here has the same target, due or not.
    Behind,
    /// The store named an operation of the same target.
    Blocked,
    /// Its kind is paused.
    Paused,
    /// The agent is taken for it.
    Taken,
}

impl Kept {
    pub(super) fn new(lane: Key, kind: u16, ticket: &Ticket) -> Self {
        Self {
            operation: ticket.operation,
            position: ticket.position,
            at: ticket.at,
            lane,
            line: NONE,
            next: NONE,
            prev: NONE,
            child: NONE,
            alarm: 0,
            kind,
            preemptions: few(ticket.preemptions),
            class: ticket.class,
            step: ticket.step,
            place: Place::Behind,
            heaped: false,
        }
    }

    /// Whether it says the same, agent, kind and target aside.
    pub(super) fn is(&self, ticket: &Ticket) -> bool {
        self.operation == ticket.operation
            && self.position == ticket.position
            && self.at == ticket.at
            && self.preemptions == few(ticket.preemptions)
            && self.class == ticket.class
            && self.step == ticket.step
    }
}

fn few(preemptions: u32) -> u16 {
    u16::try_from(preemptions).unwrap_or(u16::MAX)
}
