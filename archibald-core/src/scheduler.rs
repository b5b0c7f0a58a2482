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
//! | paused | `Resume` alone |
//!
//! | a ticket that waits is | until |
//! | --- | --- |
//! | later: not due | its time |
//! | behind an earlier ticket of its target that is known here, due or not | that one is done |
//! | blocked by an operation of its target that the store named | `Settled`, `Withdrawn`, `TargetFreed` of that one; [`BLOCKED_RETRY`] |
//! | due | its turn: interactive before background, then by position |
//!
//! What is heard of an agent while its lease is under way is believed over the refusal, once: the news may
//! have overtaken it, and a park that nobody ends is a lost operation.
//!
//! | between lanes | |
//! | --- | --- |
//! | turns | a lane that just had its turn in a class goes behind the others: while one waits, every other starts at most once |
//! | classes | interactive lanes first; background never has more than `slots - reserved_interactive` |
//! | commits | a lane whose next step is `Commit` needs no slot |
//!
//! A running attempt is asked to give way, once, when it is background, nothing of it is open at the ERP
//! (it began with `Act` and no `EffectOpen` came), and either an interactive ticket of its own agent could
//! start in its place and it did not give way `protect_after_preemptions` times before, or the worker drains.
//!
//! What the runtime owes: every [`Command::Lease`] is answered once, every `Leased` is followed by a
//! `Settled`, and a sweep repeats what waits and who is paused, since wake-ups may be lost. Every input
//! costs O(log n); what a `Tick`, a freed target or `Drain` sets in motion costs that for each ticket or
//! attempt that it moves.

mod backlog;
mod command;
mod config;
mod explain;
mod input;
mod lane;
mod ready;
mod ticket;
mod timer;

use std::collections::{BTreeMap, VecDeque};

pub use self::command::{Command, SchedulerCounts};
pub use self::config::{ConfigError, SchedulerConfig};
pub use self::input::{Input, Refusal};
use self::lane::Lane;
use self::ready::{Ready, Slots, Standing};
pub use self::ticket::Ticket;
pub use self::timer::BLOCKED_RETRY;
use self::timer::Timers;
use crate::id::AgentId;
use crate::time::Timestamp;

/// What one worker runs and what waits for it.
#[derive(Debug)]
pub struct Scheduler {
    protect_after: u32,
    lanes: BTreeMap<AgentId, Entry>,
    ready: Ready,
    timers: Timers,
    slots: Slots,
    draining: bool,
    preemptions: u64,
    commands: VecDeque<Command>,
}

/// A lane and where it stands in the indexes over all lanes.
#[derive(Debug, Default)]
struct Entry {
    lane: Lane,
    standing: Option<Standing>,
    alarm: Option<Timestamp>,
}

impl Scheduler {
    /// A scheduler that knows of nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] names the field and what it may be.
    pub fn new(config: SchedulerConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            protect_after: config.protect_after_preemptions,
            lanes: BTreeMap::new(),
            ready: Ready::default(),
            timers: Timers::default(),
            slots: Slots::new(&config),
            draining: false,
            preemptions: 0,
            commands: VecDeque::new(),
        })
    }

    /// Takes in what happened, and decides. Drain [`poll_command`](Self::poll_command) afterwards.
    ///
    /// `now` is the store's time as the caller knows it; one that went back makes nothing due.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.take_in(now, input);
        while let Some(agent) = self.timers.due(now) {
            self.change(&agent, |lane| lane.tick(now));
        }
        if !self.draining {
            self.start_what_may();
        }
    }

    /// The next thing to be done.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When [`Input::Tick`] is due, unless another input comes first.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
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
        for (agent, Entry { lane, .. }) in &self.lanes {
            if !lane.backlog.is_empty() {
                counts.waiting.insert(agent.clone(), lane.backlog.len());
            }
            if let Some(run) = &lane.run {
                let taken = if run.leased { &mut counts.running } else { &mut counts.starting };
                taken.insert(agent.clone(), run.ticket.operation);
            }
            if let Some(why) = &lane.paused {
                counts.paused.insert(agent.clone(), why.clone());
            }
        }
        counts
    }

    fn take_in(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Waiting(ticket) => {
                let agent = ticket.agent.clone();
                self.change(&agent, |lane| lane.waiting(ticket, now));
            }
            Input::Leased { agent, operation } => self.change(&agent, |lane| lane.leased(operation)),
            Input::LeaseRefused { agent, operation, reason } => {
                self.change(&agent, |lane| lane.refused(operation, reason, now));
            }
            Input::EffectOpen { agent, operation } => {
                self.change(&agent, |lane| lane.effect_open(operation));
            }
            Input::Settled { agent, operation, next } => {
                let (ours, foreign) = match next {
                    Some(next) if next.agent != agent => (None, Some(next)),
                    next => (next, None),
                };
                self.change(&agent, |lane| lane.settled(operation, ours, now));
                if let Some(ticket) = foreign {
                    self.take_in(now, Input::Waiting(ticket));
                }
            }
            Input::Withdrawn { agent, operation } => {
                self.change(&agent, |lane| lane.withdrawn(operation, now));
            }
            Input::TargetFreed { agent, operation } => {
                self.change(&agent, |lane| lane.freed(operation, now));
            }
            Input::Pause { agent, why } => self.change(&agent, |lane| lane.pause(why)),
            Input::Resume { agent } => self.change(&agent, Lane::resume),
            Input::Drain => self.drain(),
            Input::Tick => {}
        }
    }

    fn start_what_may(&mut self) {
        while let Some(agent) = self.ready.next(&self.slots) {
            let mut started = None;
            self.change(&agent, |lane| {
                started = lane.start().map(|ticket| (ticket.operation, ticket.step));
            });
            if let Some((operation, step)) = started {
                self.commands.push_back(Command::Lease { agent, operation, step });
            }
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        let taken = self.lanes.iter().filter(|(_, entry)| entry.lane.run.is_some());
        let taken: Vec<_> = taken.map(|(agent, _)| agent.clone()).collect();
        for agent in taken {
            self.change(&agent, |_| ());
        }
    }

    /// The one way to a lane: afterwards slots, turns, timers and preemption agree with it again.
    fn change(&mut self, agent: &AgentId, act: impl FnOnce(&mut Lane)) {
        let entry = self.lanes.entry(agent.clone()).or_default();
        let lane = &mut entry.lane;
        let slot = lane.slot();
        act(lane);
        self.slots.exchange(slot, lane.slot());
        lane.take_turns(&mut self.ready);
        if let Some(operation) = lane.preempt(self.draining, self.protect_after) {
            self.preemptions += 1;
            self.commands.push_back(Command::Preempt { agent: agent.clone(), operation });
        }
        let idle = lane.is_idle();
        let standing = lane.standing();
        let alarm = lane.alarm().filter(|_| !idle);
        self.ready.exchange(agent, entry.standing, standing);
        self.timers.exchange(agent, entry.alarm, alarm);
        (entry.standing, entry.alarm) = (standing, alarm);
        if idle {
            self.lanes.remove(agent);
        }
    }
}
