use std::time::Duration;

use super::backlog::{Backlog, Pile};
use super::halt::Halt;
use super::kept::Kept;
use super::ready::{Ready, Standing, Turn};
use super::slab::{Key, NONE};
use super::timer::not_before;
use super::{Command, Refusal, Scheduler, Ticket};
use crate::id::{AgentId, OperationId};
use crate::operation::{Class, Step};
use crate::time::Timestamp;

/// One agent: what waits, what it is taken for, and what parks it. The table is in [`scheduler`](super).
///
/// Two cache lines that the processor fetches together.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Lane {
    /// `None` for a place that nobody has.
    pub(super) agent: Option<AgentId>,
    pub(super) pile: Pile,
    interactive_turn: Turns,
    background_turn: Turns,
    /// How often it may start in one turn.
    pub(super) weight: u32,
    /// What it is taken for, or [`NONE`].
    pub(super) run: Key,
    /// Where it stands among the lanes that could start.
    pub(super) standing: Option<Standing>,
    pub(super) parked: Option<Box<Parked>>,
}

const _: () = assert!(size_of::<Lane>() == 128);

/// The turn of a class.
#[derive(Debug, Clone, Copy)]
struct Turns {
    turn: Option<Turn>,
    /// How often it may still start. Spent, the turn may be had again before its quantum is over.
    left: u32,
    has_begun: bool,
    /// A store has handed the agent on within it: it is not over before that one, or another, has started.
    is_kept: bool,
    /// When the first of this turn started.
    began: Timestamp,
}

/// What few lanes have: a reason to start nothing, or one that was not long ago.
#[derive(Debug, Default)]
pub(super) struct Parked {
    pub(super) halt: Option<Halt>,
    pub(super) hold: Option<Hold>,
    /// Refusals in a row that parked the agent.
    refusals: u32,
    /// What the alarm at the end of the hold is known by.
    pub(super) alarm: u32,
}

/// The operation that the agent is taken for.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ticket: Key,
    pub(super) operation: OperationId,
    pub(super) class: Class,
    pub(super) step: Step,
    /// It is not asked to give way to anybody.
    protected: bool,
    /// Not while the lease is under way.
    pub(super) leased: bool,
    /// Something was heard while the lease was under way: a refusal may be out of date.
    heard: bool,
    /// From an intent on, and from the start where an earlier attempt left an effect.
    pub(super) effect_open: bool,
    pub(super) preempt_asked: bool,
    /// A ticket that came meanwhile.
    pub(super) again: Option<Box<Ticket>>,
    withdrawn: bool,
}

/// What is left of a run.
struct Freed {
    ticket: Key,
    heard: bool,
    withdrawn: bool,
    again: Option<Ticket>,
}

/// Where a lane stands, and with which turn.
type Stands = (Standing, Option<Turn>);

/// The agent is left alone for a while.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hold {
    /// Another worker has it.
    Held { until: Timestamp },
    /// The store failed.
    Unavailable { until: Timestamp },
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            agent: None,
            pile: Pile::default(),
            interactive_turn: Turns::NONE,
            background_turn: Turns::NONE,
            weight: 1,
            run: NONE,
            standing: None,
            parked: None,
        }
    }
}

impl Lane {
    pub(super) fn new(agent: AgentId, weight: u32) -> Self {
        Self { agent: Some(agent), weight, ..Self::default() }
    }

    pub(super) fn halt(&self) -> Option<&Halt> {
        self.parked.as_ref().and_then(|parked| parked.halt.as_ref())
    }

    pub(super) fn hold(&self) -> Option<Hold> {
        self.parked.as_ref().and_then(|parked| parked.hold)
    }

    pub(super) fn is_parked(&self) -> bool {
        self.halt().is_some() || self.hold().is_some()
    }

    /// Nothing would be forgotten with it.
    pub(super) fn is_idle(&self) -> bool {
        self.run == NONE && self.pile.is_empty() && self.halt().is_none()
    }

    pub(super) fn turn(&self, class: Class) -> Option<Turn> {
        self.turns(class).now()
    }

    /// The turn that a class has once what runs is done.
    pub(super) fn turn_then(&self, class: Class, now: Timestamp, quantum: Duration) -> Option<Turn> {
        let turns = self.turns(class);
        turns.now().or_else(|| turns.again(now, quantum))
    }

    /// A turn of a class that lasted then lasts for one start more.
    pub(super) fn keep_turn(&mut self, class: Class, then: Timestamp, quantum: Duration) {
        let turns = self.turns_mut(class);
        turns.is_kept |= turns.again(then, quantum).is_some();
    }

    fn turns(&self, class: Class) -> &Turns {
        match class {
            Class::Interactive => &self.interactive_turn,
            Class::Background => &self.background_turn,
        }
    }

    fn turns_mut(&mut self, class: Class) -> &mut Turns {
        match class {
            Class::Interactive => &mut self.interactive_turn,
            Class::Background => &mut self.background_turn,
        }
    }

    /// A class gets a turn when it could start, unless the agent just has one of that class: the one that it
    /// had, where that is not over yet.
    fn take_turns(&mut self, runs: Option<Class>, ready: &mut Ready, now: Timestamp, quantum: Duration) {
        for class in [Class::Interactive, Class::Background] {
            let (waits, weight) = (self.pile.has_due(class), self.weight);
            let turns = self.turns_mut(class);
            if runs == Some(class) && turns.left == 0 {
                continue;
            }
            match (turns.now(), waits) {
                (None, true) => match turns.again(now, quantum) {
                    Some(_) => turns.left = 1,
                    None => *turns = Turns { turn: Some(ready.next_turn()), left: weight, ..Turns::NONE },
                },
                (_, false) => *turns = Turns::NONE,
                (Some(_), true) => {}
            }
        }
    }

    /// What it waits for, if it is free and could start.
    fn standing(&self, backlog: &Backlog) -> Option<Standing> {
        let class = match () {
            () if self.pile.has_due(Class::Interactive) => Class::Interactive,
            () if self.pile.has_due(Class::Background) => Class::Background,
            () => return None,
        };
        if self.is_parked() || self.turn(class).is_none() {
            return None;
        }
        let begins = || backlog.first(&self.pile).map(|key| backlog.get(key).step);
        Some(Standing { class, commit: self.pile.has_commits() && begins() == Some(Step::Commit) })
    }

    fn parked_mut(&mut self) -> &mut Parked {
        self.parked.get_or_insert_default()
    }
}

impl Turns {
    const NONE: Self =
        Self { turn: None, left: 0, has_begun: false, is_kept: false, began: Timestamp::EPOCH };

    fn now(&self) -> Option<Turn> {
        self.turn.filter(|_| self.left > 0)
    }

    /// The turn that is spent, unless it is over.
    fn again(&self, now: Timestamp, quantum: Duration) -> Option<Turn> {
        let lasts = self.has_begun && now >= self.began && now.since(self.began) < quantum;
        self.turn.filter(|_| lasts || self.is_kept)
    }

    /// One start of it is spent.
    fn spend(&mut self, now: Timestamp) {
        self.left = self.left.saturating_sub(1);
        if !self.has_begun {
            (self.has_begun, self.began) = (true, now);
        }
    }
}

impl Hold {
    pub(super) fn until(self) -> Timestamp {
        match self {
            Self::Held { until } | Self::Unavailable { until } => until,
        }
    }
}

/// What happens to a lane. Its turns, its standing and preemption agree with it only
/// [afterwards](Self::agree).
impl Scheduler {
    pub(super) fn waiting(&mut self, lane: Key, ticket: Ticket, now: Timestamp) {
        self.hear_of_a_free_agent(lane);
        match self.run_of(lane, ticket.operation) {
            // A store moves a ticket's time whenever it waits anew, so the same one is an echo.
            Some(run) if self.backlog.says(self.runs[run].ticket, &ticket) => {}
            Some(run) => {
                let run = &mut self.runs[run];
                run.withdrawn = false;
                run.again = Some(Box::new(ticket));
            }
            None => self.backlog.put(&mut self.lanes[lane].pile, lane, ticket, now),
        }
    }

    /// Takes the agent for the ticket that goes first.
    pub(super) fn start(&mut self, lane: Key, now: Timestamp) {
        let entry = &mut self.lanes[lane];
        let Some(key) = self.backlog.take(&mut entry.pile) else { return };
        let &Kept { operation, class, step, preemptions, .. } = self.backlog.get(key);
        entry.turns_mut(class).spend(now);
        (entry.interactive_turn.is_kept, entry.background_turn.is_kept) = (false, false);
        let is_old = || made(operation).is_some_and(|made| now.since(made) >= self.config.protect_after_age);
        let protected = u32::from(preemptions) >= self.config.protect_after_preemptions
            || (class == Class::Background && is_old());
        entry.run = self.runs.insert(Run {
            ticket: key,
            operation,
            class,
            step,
            protected,
            leased: false,
            heard: false,
            effect_open: step != Step::Act,
            preempt_asked: false,
            again: None,
            withdrawn: false,
        });
        if step != Step::Commit {
            self.slots.take(class);
        }
        if let Some(agent) = entry.agent.clone() {
            self.commands.push_back(Command::Lease { agent, operation, step });
        }
    }

    pub(super) fn leased(&mut self, lane: Key, operation: OperationId) {
        if let Some(run) = self.run_of(lane, operation) {
            self.runs[run].leased = true;
            if let Some(parked) = &mut self.lanes[lane].parked {
                parked.refusals = 0;
            }
        }
    }

    /// What was heard while the lease was under way is believed over the refusal, once.
    pub(super) fn refused(&mut self, lane: Key, operation: OperationId, reason: Refusal, now: Timestamp) {
        let Some(run) = self.run_of(lane, operation).filter(|run| !self.runs[*run].leased) else { return };
        let Freed { ticket: key, heard, again, withdrawn } = self.free(lane, run);
        let is_news = !heard && !withdrawn;
        let pile = &mut self.lanes[lane].pile;
        if withdrawn {
            return self.backlog.forget(pile, key, now);
        }
        let next = match reason {
            Refusal::Gone => again,
            Refusal::NotDue { at } => {
                let later = |ticket| Ticket { at: not_before(at, now, 1), ..ticket };
                again.or_else(|| self.ticket(lane, key).map(later))
            }
            Refusal::TargetBusy { by } if !heard => return self.backlog.put_blocked(pile, key, by, now),
            Refusal::TargetBusy { .. } | Refusal::AgentHeld { .. } | Refusal::Unavailable { .. } => {
                self.park(lane, reason, heard, now);
                again.or_else(|| self.ticket(lane, key))
            }
            Refusal::Paused { scope, why } => {
                let next = again.or_else(|| self.ticket(lane, key));
                self.put_back(lane, key, next, now);
                // Of what is known already it knows less: not whether it drains.
                if is_news && !self.is_paused(&scope) {
                    self.pause(scope, Halt { why, drains: false }, now);
                }
                return;
            }
        };
        self.put_back(lane, key, next, now);
    }

    pub(super) fn effect_open(&mut self, lane: Key, operation: OperationId) {
        if let Some(run) = self.run_of(lane, operation) {
            self.runs[run].effect_open = true;
        }
    }

    pub(super) fn settled(
        &mut self,
        lane: Key,
        operation: OperationId,
        next: Option<Ticket>,
        now: Timestamp,
    ) {
        self.hear_of_a_free_agent(lane);
        match self.run_of(lane, operation) {
            Some(run) => {
                let Freed { ticket, again, .. } = self.free(lane, run);
                self.put_back(lane, ticket, next.or(again), now);
            }
            None => next.into_iter().for_each(|next| self.waiting(lane, next, now)),
        }
        self.backlog.unblock(&mut self.lanes[lane].pile, lane, operation, now);
    }

    pub(super) fn withdrawn(&mut self, lane: Key, operation: OperationId, now: Timestamp) {
        self.hear(lane);
        let pile = &mut self.lanes[lane].pile;
        match self.backlog.find(lane, operation) {
            Some(key) if self.backlog.is_taken(key) => {
                let run = &mut self.runs[self.lanes[lane].run];
                run.withdrawn = true;
                run.again = None;
            }
            Some(key) => self.backlog.forget(pile, key, now),
            None => {}
        }
        self.backlog.unblock(&mut self.lanes[lane].pile, lane, operation, now);
    }

    pub(super) fn freed(&mut self, lane: Key, operation: OperationId, now: Timestamp) {
        self.hear_of_a_free_agent(lane);
        self.backlog.unblock(&mut self.lanes[lane].pile, lane, operation, now);
    }

    pub(super) fn pause_lane(&mut self, lane: Key, halt: Halt) {
        self.lanes[lane].parked_mut().halt = Some(halt);
    }

    pub(super) fn resume_lane(&mut self, lane: Key) {
        self.hear_of_a_free_agent(lane);
        if let Some(parked) = &mut self.lanes[lane].parked {
            parked.halt = None;
        }
    }

    /// To be called whenever something happened to a lane: afterwards turns, standing and preemption agree
    /// with it again.
    pub(super) fn agree(&mut self, key: Key) {
        let lane = &mut self.lanes[key];
        let before = lane.standing.map(|standing| (standing, lane.turn(standing.class)));
        let runs = match lane.run {
            NONE => None,
            run => Some(self.runs[run].class),
        };
        lane.take_turns(runs, &mut self.ready, self.now, self.config.quantum);
        let standing = if runs.is_none() { lane.standing(&self.backlog) } else { None };
        let after = standing.map(|standing| (standing, lane.turn(standing.class)));
        if before != after {
            self.stand(key, before, after);
        }
        match runs {
            None if self.lanes[key].is_idle() => self.forget(key),
            Some(Class::Background) => self.preempt(key),
            None | Some(Class::Interactive) => {}
        }
    }

    /// Asks the attempt of the lane to give way, if it is to, once.
    pub(super) fn preempt(&mut self, key: Key) {
        let lane = &self.lanes[key];
        if lane.run == NONE {
            return;
        }
        let free = self.halted.is_none() && !lane.is_parked();
        let waits = free && lane.pile.has_due(Class::Interactive);
        let drains = self.draining || self.drains(lane);
        let run = &mut self.runs[lane.run];
        let may = run.leased
            && run.class == Class::Background
            && !run.effect_open
            && !run.preempt_asked
            && (drains || (waits && !run.protected));
        run.preempt_asked |= may;
        if let Some(agent) = lane.agent.as_ref().filter(|_| may) {
            self.preemptions += 1;
            let (agent, operation) = (agent.clone(), run.operation);
            self.commands.push_back(Command::Preempt { agent, operation });
        }
    }

    /// Whether a pause that drains is about what the lane runs.
    fn drains(&self, lane: &Lane) -> bool {
        let kind = self.backlog.halt_of(self.runs[lane.run].ticket).map(|(_, halt)| halt);
        [self.halted.as_ref(), lane.halt(), kind].into_iter().flatten().any(|halt| halt.drains)
    }

    fn stand(&mut self, key: Key, before: Option<Stands>, after: Option<Stands>) {
        self.lanes[key].standing = after.map(|(standing, _)| standing);
        if let Some((standing, _)) = before {
            self.ready.leave(standing);
        }
        if let Some((standing, Some(turn))) = after {
            self.ready.stand(key, standing, turn, super::stands(&self.lanes));
        }
    }

    /// The hold's alarm rings.
    pub(super) fn end_hold(&mut self, lane: Key) {
        if let Some(parked) = &mut self.lanes[lane].parked {
            (parked.hold, parked.alarm) = (None, 0);
        }
    }

    /// The run of this operation, if the agent is taken for it.
    fn run_of(&self, lane: Key, operation: OperationId) -> Option<Key> {
        let run = self.lanes[lane].run;
        (run != NONE && self.runs[run].operation == operation).then_some(run)
    }

    /// Agent and slot are free.
    fn free(&mut self, lane: Key, run: Key) -> Freed {
        self.lanes[lane].run = NONE;
        self.runs.release(run);
        let run = &mut self.runs[run];
        if run.step != Step::Commit {
            self.slots.give_back(run.class);
        }
        let again = run.again.take().map(|again| *again);
        Freed { ticket: run.ticket, heard: run.heard, withdrawn: run.withdrawn, again }
    }

    fn put_back(&mut self, lane: Key, taken: Key, next: Option<Ticket>, now: Timestamp) {
        let pile = &mut self.lanes[lane].pile;
        self.backlog.forget(pile, taken, now);
        if let Some(next) = next {
            self.backlog.put(pile, lane, next, now);
        }
    }

    fn ticket(&self, lane: Key, key: Key) -> Option<Ticket> {
        self.lanes[lane].agent.as_ref().map(|agent| self.backlog.ticket(key, agent))
    }

    fn park(&mut self, lane: Key, reason: Refusal, heard: bool, now: Timestamp) {
        let parked = self.lanes[lane].parked_mut();
        let mut not_before = |named| {
            parked.refusals = parked.refusals.saturating_add(1);
            not_before(named, now, parked.refusals)
        };
        let hold = match reason {
            Refusal::Unavailable { until } => Hold::Unavailable { until: not_before(until) },
            Refusal::AgentHeld { until } if !heard => Hold::Held { until: not_before(until) },
            Refusal::AgentHeld { .. }
            | Refusal::Paused { .. }
            | Refusal::TargetBusy { .. }
            | Refusal::Gone
            | Refusal::NotDue { .. } => return,
        };
        parked.hold = Some(hold);
        self.silence_hold(lane);
        let alarm = self.holds.set(lane, hold.until());
        self.lanes[lane].parked_mut().alarm = alarm;
    }

    /// Something was heard that concerns everybody.
    pub(super) fn hear_everywhere(&mut self) {
        for run in self.runs.iter_mut() {
            run.heard = true;
        }
    }

    fn hear(&mut self, lane: Key) {
        let run = self.lanes[lane].run;
        if run != NONE {
            self.runs[run].heard = true;
        }
    }

    fn hear_of_a_free_agent(&mut self, lane: Key) {
        self.hear(lane);
        if let Some(parked) = &mut self.lanes[lane].parked
            && let Some(Hold::Held { .. }) = parked.hold
        {
            (parked.hold, parked.refusals) = (None, 0);
            self.silence_hold(lane);
        }
    }

    pub(super) fn silence_hold(&mut self, lane: Key) {
        let parked = self.lanes[lane].parked.as_mut();
        if parked.is_some_and(|parked| std::mem::take(&mut parked.alarm) != 0) {
            self.holds.was_taken_back(super::holds_stand(&self.lanes));
        }
    }
}

/// When an operation was asked for, if its id says so.
fn made(operation: OperationId) -> Option<Timestamp> {
    let id = operation.0;
    (id.get_version_num() == 7).then(|| {
        let millis = (id.as_u128() >> 80) as i64;
        Timestamp::from_micros(millis.saturating_mul(1000))
    })
}
