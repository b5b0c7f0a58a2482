//! Decides what runs next: pure, the same inputs give the same commands. It proposes, the store disposes.
//!
//! ```text
//!   inputs                        Scheduler                        commands
//!   Waiting, Leased, ... ──▶ a Lane for each agent ──▶ ready lanes ──▶ Lease, Preempt
//!   Tick                  ◀── poll_timeout ◀── timers
//! ```
//!
//! An operation starts when its agent is free, its target is free, it is due and a slot is free: one
//! decision, made after every input, so nothing that could start ever waits for a timer.
//!
//! # The machine on one page
//!
//! A lane is one agent. It is taken from the moment that its lease is asked for.
//!
//! | lane | means | left by |
//! | --- | --- | --- |
//! | free | the agent has nothing under way | a due ticket, not parked, and a slot: [`Command::Lease`] → starting |
//! | starting | the lease is asked for | `Leased` → running; `LeaseRefused`, `Settled` → free |
//! | running | an attempt goes on | `Settled` → free |
//!
//! | a free lane may be parked | until |
//! | --- | --- |
//! | held: another worker has the agent | its time; any `Waiting`, `Settled`, `TargetFreed`, `Resume` of the agent |
//! | unavailable: the store failed | its time alone |
//! | paused | its `Resume` alone |
//!
//! | a ticket that waits is | until |
//! | --- | --- |
//! | later: not due | its time |
//! | behind an earlier ticket of its target that is known here, due or not | that one is done |
//! | paused: its kind is | the `Resume` of that kind alone |
//! | blocked by an operation of its target that the store named | `Settled`, `Withdrawn`, `TargetFreed` of that one; [`BLOCKED_RETRY`] |
//! | due | its turn: interactive before background, then by position |
//!
//! What is heard of an agent while its lease is under way is believed over the refusal, once: the news may
//! have overtaken it, and a park that nobody ends is a lost operation.
//!
//! | between lanes | |
//! | --- | --- |
//! | turns | a lane that just had its turn in a class goes behind the others: while one waits, every other has at most one, in which it starts once, or as often as its weight says, or for its quantum |
//! | classes | interactive lanes first; background never has more than `slots - reserved_interactive` |
//! | commits | a lane whose next step is `Commit` needs no slot |
//!
//! A running attempt is asked to give way, once, when it is background, nothing of it is open at the ERP
//! (it began with `Act` and no `EffectOpen` came), and either an interactive ticket of its own agent could
//! start in its place and it is not protected, or the worker drains, or a pause that drains is about it. It is
//! protected when it gave way `protect_after_preemptions` times before, or was asked for `protect_after_age`
//! before it started.
//!
//! What is asked for once more while it waits is one operation for the store, which knows kinds and keys; here
//! both would only be tickets.
//!
//! What the runtime owes: every [`Command::Lease`] is answered once, every `Leased` is followed by a
//! `Settled`, and sweeps repeat what waits and what is paused, since wake-ups may be lost. Not all that waits
//! has to be known here, but of each agent what goes first, as far as something that could start.
//!
//! # What it costs
//! Every ticket, agent and line of a target has one place in memory, and all that leads there is a number: a
//! ticket is one cache line, queues are linked through the tickets, lanes that are ready stand in a ring, and
//! alarms and places that are given up are skipped when they come up. So an input costs a few looks into
//! memory, whatever the number of agents and operations, and O(log n) where tickets do not come in order; what
//! a `Tick`, a freed target or `Drain` sets in motion costs that for each ticket or attempt that it moves, and the
//! pause of a kind besides a look at every ticket that could start.
//! Once it has grown nothing is allocated, and nothing shrinks.

mod backlog;
mod command;
mod config;
mod explain;
mod halt;
mod index;
mod input;
mod kept;
mod lane;
mod line;
mod queue;
mod ready;
mod slab;
mod succession;
mod ticket;
mod timer;

use std::collections::VecDeque;

use prefetch_index::prefetch_index;

use self::backlog::Backlog;
pub use self::command::{Command, SchedulerCounts};
pub use self::config::{ConfigError, SchedulerConfig};
use self::halt::Halt;
use self::index::Index;
pub use self::input::{Input, Refusal};
use self::lane::{Lane, Run};
use self::ready::{Ready, Slots, Standing, Turn};
use self::slab::{Key, NONE, Slab};
pub use self::ticket::Ticket;
pub use self::timer::BLOCKED_RETRY;
use self::timer::{Alarm, Timers};
use crate::id::{AgentId, OperationId};
use crate::operation::Class;
use crate::pause::PauseScope;
use crate::time::Timestamp;

/// What one worker runs and what waits for it.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    lanes: Slab<Lane>,
    by_agent: Index,
    backlog: Backlog,
    runs: Slab<Run>,
    ready: Ready,
    /// When the holds of lanes end.
    holds: Timers,
    slots: Slots,
    /// The time of the input.
    now: Timestamp,
    /// Nothing starts until it is resumed.
    halted: Option<Halt>,
    draining: bool,
    preemptions: u64,
    commands: VecDeque<Command>,
}

impl Scheduler {
    /// A scheduler that knows of nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] names the field and what it may be.
    pub fn new(config: SchedulerConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            lanes: Slab::default(),
            by_agent: Index::default(),
            backlog: Backlog::default(),
            runs: Slab::default(),
            ready: Ready::default(),
            holds: Timers::default(),
            slots: Slots::new(&config),
            config,
            now: Timestamp::EPOCH,
            halted: None,
            draining: false,
            preemptions: 0,
            commands: VecDeque::new(),
        })
    }

    /// Takes in what happened, and decides. Drain [`poll_command`](Self::poll_command) afterwards.
    ///
    /// `now` is the store's time as the caller knows it; one that went back makes nothing due.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = now;
        self.take_in(now, input);
        self.ring_alarms(now);
        if !self.draining && self.halted.is_none() {
            self.start_what_may(now);
        }
    }

    /// Has the processor fetch what these tickets will need, all at once, while they are taken in one by one: with many
    /// agents each of them would else wait for its memory alone. Changes nothing; few at a time, or the first are gone
    /// again before they come.
    pub fn expect(&self, tickets: &[Ticket]) {
        for ticket in tickets {
            self.by_agent.prefetch(index::of_text(NONE, ticket.agent.as_str()));
            self.backlog.prefetch(ticket.operation);
        }
        let lane =
            |ticket: &Ticket| self.by_agent.find(index::of_text(NONE, ticket.agent.as_str()), |_| true);
        tickets.iter().filter_map(lane).for_each(|lane| self.lanes.prefetch(lane));
        for ticket in tickets {
            if let Some(lane) = lane(ticket) {
                self.backlog.prefetch_last(&self.lanes[lane].pile, ticket.class);
            }
        }
    }

    /// The next thing to be done.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When [`Input::Tick`] is due, unless another input comes first.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.backlog.next_alarm().into_iter().chain(self.holds.next()).min()
    }

    /// What it has in hand. Linear in the number of agents.
    #[must_use]
    pub fn counts(&self) -> SchedulerCounts {
        let mut counts = SchedulerCounts {
            slots: self.slots.total(),
            in_use: self.slots.in_use(),
            peak_in_use: self.slots.peak(),
            preemptions: self.preemptions,
            draining: self.draining,
            ..SchedulerCounts::default()
        };
        for (_, lane) in self.lanes.iter() {
            let Some(agent) = &lane.agent else { continue };
            if !lane.pile.is_empty() {
                counts.waiting.insert(agent.clone(), lane.pile.len());
            }
            if lane.run != NONE {
                let run = &self.runs[lane.run];
                let taken = if run.leased { &mut counts.running } else { &mut counts.starting };
                taken.insert(agent.clone(), run.operation);
            }
            if let Some(halt) = lane.halt() {
                counts.paused.insert(agent.clone().into(), halt.why.clone());
            }
        }
        let everything = self.halted.iter().map(|halt| (PauseScope::Everything, halt));
        let kinds = self.backlog.halts().map(|(kind, halt)| (kind.clone().into(), halt));
        counts.paused.extend(everything.chain(kinds).map(|(scope, halt)| (scope, halt.why.clone())));
        counts
    }

    /// Whether it is paused, as far as this scheduler was told.
    #[must_use]
    pub fn is_paused(&self, scope: &PauseScope) -> bool {
        match scope {
            PauseScope::Everything => self.halted.is_some(),
            PauseScope::Kind { kind } => self.backlog.is_halted(kind),
            PauseScope::Agent { agent } => {
                self.lane_of(agent).is_some_and(|lane| self.lanes[lane].halt().is_some())
            }
        }
    }

    /// Whether it starts or runs something of the agent.
    #[must_use]
    pub fn has_taken(&self, agent: &AgentId) -> bool {
        self.lane_of(agent).is_some_and(|lane| self.lanes[lane].run != NONE)
    }

    fn take_in(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Waiting(ticket) => {
                self.backlog.prefetch(ticket.operation);
                let lane = self.enter(&ticket.agent);
                self.waiting(lane, ticket, now);
                self.agree(lane);
            }
            Input::Leased { agent, operation } => {
                if let Some(lane) = self.lane_with(&agent, operation) {
                    self.leased(lane, operation);
                    self.preempt(lane);
                }
            }
            Input::LeaseRefused { agent, operation, reason } => {
                self.at(&agent, |s, lane| s.refused(lane, operation, reason, now));
            }
            Input::EffectOpen { agent, operation } => {
                if let Some(lane) = self.lane_with(&agent, operation) {
                    self.effect_open(lane, operation);
                }
            }
            Input::Settled { agent, operation, next } => {
                let lane = self.lane_with(&agent, operation).or_else(|| self.lane_of(&agent));
                let (ours, other) = match next {
                    Some(next) if next.agent != agent || lane.is_none() => (None, Some(next)),
                    next => (next, None),
                };
                if let Some(lane) = lane {
                    self.settled(lane, operation, ours, now);
                    self.agree(lane);
                }
                if let Some(ticket) = other {
                    self.take_in(now, Input::Waiting(ticket));
                }
            }
            Input::Withdrawn { agent, operation } => {
                self.at(&agent, |s, lane| s.withdrawn(lane, operation, now));
            }
            Input::TargetFreed { agent, operation } => {
                self.at(&agent, |s, lane| s.freed(lane, operation, now));
            }
            Input::Pause { scope, why, drains } => self.pause(scope, Halt { why, drains }, now),
            Input::Resume { scope } => self.resume(scope, now),
            Input::Drain => {
                self.draining = true;
                self.look_at_what_runs();
            }
            Input::Tick => {}
        }
    }

    /// What could start of a kind that is paused is moved, each for itself, and so it is when that ends.
    fn pause(&mut self, scope: PauseScope, halt: Halt, now: Timestamp) {
        match scope {
            PauseScope::Everything => self.halted = Some(halt),
            PauseScope::Kind { kind } => {
                let number = self.backlog.set_halt(&kind, Some(halt));
                let piles = self.lanes.iter().map(|(_, lane)| &lane.pile);
                let due: Vec<_> = piles.flat_map(|pile| self.backlog.due_of_kind(pile, number)).collect();
                for key in due {
                    self.place_anew(key, self.backlog.get(key).lane, now);
                }
            }
            PauseScope::Agent { agent } => {
                let lane = self.enter(&agent);
                self.pause_lane(lane, halt);
                return self.agree(lane);
            }
        }
        self.look_at_what_runs();
    }

    fn resume(&mut self, scope: PauseScope, now: Timestamp) {
        match scope {
            PauseScope::Everything => self.halted = None,
            PauseScope::Kind { kind } => {
                let number = self.backlog.set_halt(&kind, None);
                while let Some((key, lane)) = self.backlog.kept_back(number) {
                    self.place_anew(key, lane, now);
                }
            }
            PauseScope::Agent { agent } => return self.at(&agent, Self::resume_lane),
        }
        self.hear_everywhere();
        self.look_at_what_runs();
    }

    fn place_anew(&mut self, key: Key, lane: Key, now: Timestamp) {
        self.backlog.place_anew(&mut self.lanes[lane].pile, key, now);
        self.agree(lane);
    }

    fn ring_alarms(&mut self, now: Timestamp) {
        self.tidy_alarms();
        while let Some(at) = self.poll_timeout().filter(|at| *at <= now) {
            let lane = if self.holds.next() == Some(at) {
                let Some(lane) = self.holds.ring() else { return };
                self.end_hold(lane);
                lane
            } else {
                let Some((key, lane)) = self.backlog.ring(now) else { return };
                self.backlog.place_anew(&mut self.lanes[lane].pile, key, now);
                lane
            };
            self.agree(lane);
            self.tidy_alarms();
        }
    }

    fn tidy_alarms(&mut self) {
        self.backlog.tidy();
        self.holds.tidy(holds_stand(&self.lanes));
    }

    fn start_what_may(&mut self, now: Timestamp) {
        while let Some(lane) = self.ready.next(&self.slots, stands(&self.lanes)) {
            let class = self.lanes[lane].standing.map_or(Class::Interactive, |standing| standing.class);
            self.start(lane, now);
            self.agree(lane);
            self.look_ahead(class);
        }
    }

    /// What the next starts need is far off in memory: it is asked for some turns early, in the order in which one
    /// thing leads to the next.
    fn look_ahead(&self, class: Class) {
        let ahead = |turns| self.ready.ahead(class, turns);
        let pile = |turns| ahead(turns).map(|lane| &self.lanes[lane].pile);
        ahead(24).into_iter().for_each(|lane| self.lanes.prefetch(lane));
        pile(16).into_iter().for_each(|pile| self.backlog.prefetch_first(pile));
        pile(8).into_iter().for_each(|pile| self.backlog.prefetch_place_of_first(pile));
        if let Some(agent) = ahead(16).and_then(|lane| self.lanes[lane].agent.as_ref()) {
            prefetch_index(agent.as_str().as_bytes(), 0);
        }
    }

    /// Something may be asked to give way now that was not before.
    fn look_at_what_runs(&mut self) {
        let taken = self.lanes.iter().filter(|(_, lane)| lane.run != NONE);
        let mut taken: Vec<_> = taken.map(|(key, lane)| (lane.agent.clone(), key)).collect();
        taken.sort_unstable();
        for (_, lane) in taken {
            self.preempt(lane);
        }
    }

    /// Does something to the lane of an agent, if there is one: there is nothing to be done to any other.
    fn at(&mut self, agent: &AgentId, act: impl FnOnce(&mut Self, Key)) {
        if let Some(lane) = self.lane_of(agent) {
            act(self, lane);
            self.agree(lane);
        }
    }

    fn lane_of(&self, agent: &AgentId) -> Option<Key> {
        let is = |lane: Key| self.lanes[lane].agent.as_ref() == Some(agent);
        self.by_agent.find(index::of_text(NONE, agent.as_str()), is)
    }

    /// The agent's lane, if it knows of the operation.
    fn lane_with(&self, agent: &AgentId, operation: OperationId) -> Option<Key> {
        self.backlog.lane_of(operation, |lane| self.lanes[lane].agent.as_ref() == Some(agent))
    }

    fn enter(&mut self, agent: &AgentId) -> Key {
        if let Some(lane) = self.lane_of(agent) {
            return lane;
        }
        let weight = self.config.weights.get(agent).copied().unwrap_or(1).max(1);
        let lane = self.lanes.insert(Lane::new(agent.clone(), weight));
        self.by_agent.insert(index::of_text(NONE, agent.as_str()), lane);
        lane
    }

    fn forget(&mut self, lane: Key) {
        self.silence_hold(lane);
        if let Some(agent) = self.lanes.remove(lane).agent {
            self.by_agent.remove(index::of_text(NONE, agent.as_str()), lane);
        }
    }
}

/// Where a lane stands with this turn.
fn stands(lanes: &Slab<Lane>) -> impl Fn(Key, Turn) -> Option<Standing> {
    |lane, turn| {
        let lane = &lanes[lane];
        lane.standing.filter(|standing| lane.turn(standing.class) == Some(turn))
    }
}

/// An alarm stands while its lane's hold has its stamp.
fn holds_stand(lanes: &Slab<Lane>) -> impl Fn(&Alarm) -> bool {
    |alarm| lanes[alarm.of].parked.as_ref().is_some_and(|parked| parked.alarm == alarm.stamp)
}
