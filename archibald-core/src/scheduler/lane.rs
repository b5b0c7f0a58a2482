use super::backlog::Backlog;
use super::ready::{Ready, Standing, Turn};
use super::timer::not_before;
use super::{Refusal, Ticket};
use crate::id::OperationId;
use crate::operation::{Class, Step};
use crate::time::Timestamp;

/// One agent: what waits, what it is taken for, and what parks it. The table is in [`scheduler`](super).
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) backlog: Backlog,
    pub(super) run: Option<Run>,
    pub(super) paused: Option<String>,
    pub(super) hold: Option<Hold>,
    /// Refusals in a row that parked the agent.
    refusals: u32,
    interactive_turn: Option<Turn>,
    background_turn: Option<Turn>,
}

/// The operation that the agent is taken for.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ticket: Ticket,
    /// Not while the lease is under way.
    pub(super) leased: bool,
    /// Something was heard while the lease was under way: a refusal may be out of date.
    heard: bool,
    /// From an intent on, and from the start where an earlier attempt left an effect.
    effect_open: bool,
    preempt_asked: bool,
    /// A ticket that came meanwhile.
    again: Option<Ticket>,
    withdrawn: bool,
}

/// The agent is left alone for a while.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hold {
    /// Another worker has it.
    Held { until: Timestamp },
    /// The store failed.
    Unavailable { until: Timestamp },
}

impl Hold {
    pub(super) fn until(self) -> Timestamp {
        match self {
            Self::Held { until } | Self::Unavailable { until } => until,
        }
    }
}

impl Lane {
    pub(super) fn waiting(&mut self, ticket: Ticket, now: Timestamp) {
        self.hear_of_a_free_agent();
        match &mut self.run {
            // A store moves a ticket's time whenever it waits anew, so the same one is an echo.
            Some(run) if run.ticket == ticket => {}
            Some(run) if run.ticket.operation == ticket.operation => {
                run.withdrawn = false;
                run.again = Some(ticket);
            }
            Some(_) | None => self.backlog.put(ticket, now),
        }
    }

    /// Takes the agent for the ticket that goes first.
    pub(super) fn start(&mut self) -> Option<&Ticket> {
        if self.run.is_some() {
            return None;
        }
        let ticket = self.backlog.take()?;
        *self.turn_mut(ticket.class) = None;
        let run = self.run.insert(Run {
            effect_open: ticket.step != Step::Act,
            ticket,
            leased: false,
            heard: false,
            preempt_asked: false,
            again: None,
            withdrawn: false,
        });
        Some(&run.ticket)
    }

    pub(super) fn leased(&mut self, operation: OperationId) {
        if let Some(run) = self.run_of(operation) {
            run.leased = true;
            self.refusals = 0;
        }
    }

    /// What was heard while the lease was under way is believed over the refusal, once.
    pub(super) fn refused(&mut self, operation: OperationId, reason: Refusal, now: Timestamp) {
        let ours = |run: &mut Run| run.ticket.operation == operation && !run.leased;
        let Some(Run { ticket, heard, again, withdrawn, .. }) = self.run.take_if(ours) else { return };
        if withdrawn {
            return self.backlog.done(&ticket, now);
        }
        let next = match reason {
            Refusal::Gone => again,
            Refusal::NotDue { at } => {
                again.or_else(|| Some(Ticket { at: not_before(at, now, 1), ..ticket.clone() }))
            }
            Refusal::TargetBusy { by } if !heard => return self.backlog.put_blocked(ticket, by, now),
            Refusal::TargetBusy { .. }
            | Refusal::AgentHeld { .. }
            | Refusal::Paused { .. }
            | Refusal::Unavailable { .. } => {
                self.park(reason, heard, now);
                again.or_else(|| Some(ticket.clone()))
            }
        };
        self.put_back(&ticket, next, now);
    }

    pub(super) fn effect_open(&mut self, operation: OperationId) {
        if let Some(run) = self.run_of(operation) {
            run.effect_open = true;
        }
    }

    pub(super) fn settled(&mut self, operation: OperationId, next: Option<Ticket>, now: Timestamp) {
        self.hear_of_a_free_agent();
        match self.run.take_if(|run| run.ticket.operation == operation) {
            Some(run) => self.put_back(&run.ticket, next.or(run.again), now),
            None => next.into_iter().for_each(|next| self.waiting(next, now)),
        }
        self.backlog.unblock(operation, now);
    }

    pub(super) fn withdrawn(&mut self, operation: OperationId, now: Timestamp) {
        self.hear();
        match self.run_of(operation) {
            Some(run) => {
                run.withdrawn = true;
                run.again = None;
            }
            None => self.backlog.remove(operation, now),
        }
        self.backlog.unblock(operation, now);
    }

    pub(super) fn freed(&mut self, operation: OperationId, now: Timestamp) {
        self.hear_of_a_free_agent();
        self.backlog.unblock(operation, now);
    }

    pub(super) fn pause(&mut self, why: String) {
        self.paused = Some(why);
    }

    pub(super) fn resume(&mut self) {
        self.hear_of_a_free_agent();
        self.paused = None;
    }

    /// What has become due is placed, what is over is no longer waited for.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.backlog.tick(now);
        self.hold = self.hold.filter(|hold| hold.until() > now);
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn alarm(&self) -> Option<Timestamp> {
        let hold = self.hold.map(Hold::until);
        [self.backlog.alarm(), hold].into_iter().flatten().min()
    }

    /// What it waits for, if it could start.
    pub(super) fn standing(&self) -> Option<Standing> {
        if self.run.is_some() || self.is_parked() {
            return None;
        }
        let first = self.backlog.first()?;
        let turn = self.turn(first.class)?;
        Some(match (first.step, first.class) {
            (Step::Commit, _) => Standing::Commit(turn),
            (Step::Act | Step::Probe, Class::Interactive) => Standing::Interactive(turn),
            (Step::Act | Step::Probe, Class::Background) => Standing::Background(turn),
        })
    }

    /// The slot that it has, from the lease's request on.
    pub(super) fn slot(&self) -> Option<Class> {
        let run = self.run.as_ref()?;
        (run.ticket.step != Step::Commit).then_some(run.ticket.class)
    }

    /// The operation that is to give way now; notes that it was asked.
    pub(super) fn preempt(&mut self, draining: bool, protect_after: u32) -> Option<OperationId> {
        let first = self.backlog.first();
        let waits = !self.is_parked() && first.is_some_and(|first| first.class == Class::Interactive);
        let run = self.run.as_mut()?;
        let may = run.leased
            && run.ticket.class == Class::Background
            && !run.effect_open
            && !run.preempt_asked
            && (draining || (waits && run.ticket.preemptions < protect_after));
        run.preempt_asked |= may;
        may.then_some(run.ticket.operation)
    }

    /// A class gets a turn when it could start, unless the agent just has one of that class.
    pub(super) fn take_turns(&mut self, ready: &mut Ready) {
        for class in [Class::Interactive, Class::Background] {
            let waits = self.backlog.has_due(class);
            let has_one = self.run.as_ref().is_some_and(|run| run.ticket.class == class);
            let turn = self.turn_mut(class);
            *turn = match *turn {
                None if waits && !has_one => Some(ready.next_turn()),
                turn => turn.filter(|_| waits),
            };
        }
    }

    /// Nothing would be forgotten with it.
    pub(super) fn is_idle(&self) -> bool {
        self.run.is_none() && self.backlog.is_empty() && self.paused.is_none()
    }

    fn is_parked(&self) -> bool {
        self.paused.is_some() || self.hold.is_some()
    }

    fn put_back(&mut self, taken: &Ticket, next: Option<Ticket>, now: Timestamp) {
        self.backlog.done(taken, now);
        if let Some(next) = next {
            self.backlog.put(next, now);
        }
    }

    fn park(&mut self, reason: Refusal, heard: bool, now: Timestamp) {
        let mut not_before = |named| {
            self.refusals = self.refusals.saturating_add(1);
            not_before(named, now, self.refusals)
        };
        match reason {
            Refusal::Unavailable { until } => {
                self.hold = Some(Hold::Unavailable { until: not_before(until) });
            }
            Refusal::AgentHeld { until } if !heard => {
                self.hold = Some(Hold::Held { until: not_before(until) });
            }
            Refusal::Paused { why } if !heard => self.paused = Some(why),
            Refusal::AgentHeld { .. }
            | Refusal::Paused { .. }
            | Refusal::TargetBusy { .. }
            | Refusal::Gone
            | Refusal::NotDue { .. } => {}
        }
    }

    fn hear(&mut self) {
        if let Some(run) = &mut self.run {
            run.heard = true;
        }
    }

    fn hear_of_a_free_agent(&mut self) {
        self.hear();
        if let Some(Hold::Held { .. }) = self.hold {
            self.hold = None;
            self.refusals = 0;
        }
    }

    fn run_of(&mut self, operation: OperationId) -> Option<&mut Run> {
        self.run.as_mut().filter(|run| run.ticket.operation == operation)
    }

    fn turn(&self, class: Class) -> Option<Turn> {
        match class {
            Class::Interactive => self.interactive_turn,
            Class::Background => self.background_turn,
        }
    }

    fn turn_mut(&mut self, class: Class) -> &mut Option<Turn> {
        match class {
            Class::Interactive => &mut self.interactive_turn,
            Class::Background => &mut self.background_turn,
        }
    }
}
