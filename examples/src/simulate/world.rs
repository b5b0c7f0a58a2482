//! One worker in virtual time: the real scheduler, told of what is asked for and what ends, and obeyed.
//!
//! What takes milliseconds takes no time here: the store's answers, the start of a browser, typing. An attempt is
//! its session (there, looked at, or logged in) and then its requests; a sync gives way between two requests, or
//! while its session is opened, and walks its list from the start again to where it was.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use archibald_core::id::OperationId;
use archibald_core::operation::{Class, Step};
use archibald_core::scheduler::{Command, ConfigError, Input, Scheduler, Ticket};
use archibald_core::time::Timestamp;
use uuid::Builder;

use super::busy::Busy;
use super::dice::Dice;
use super::outcome::{Asked, Attempt, Outcome, Told};
use super::policy::Policy;
use super::pool::{Acquired, Cold, Pool};
use super::workload::{Job, Workload};

/// Midnight before a Monday; which day it is changes nothing.
const BEGIN_MS: u64 = 1_767_571_200_000;

struct Run {
    job: usize,
    phase: Phase,
    give_way: bool,
    leased_ms: u64,
    /// Its session is opened because it had been given away.
    evicted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No context is to be had.
    Full,
    Opening,
    Checking {
        expired: bool,
    },
    Working,
}

#[derive(Default)]
struct AgentState {
    run: Option<Run>,
    free_since_ms: u64,
    releases_before: u64,
    interactive_waiting: u64,
    logins: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    /// A request of the agent's attempt is answered.
    Answered(u32),
    /// The agent's login is done.
    Opened(u32),
}

struct World<'a> {
    policy: &'a Policy,
    workload: &'a Workload,
    scheduler: Scheduler,
    pool: Pool,
    agents: Vec<AgentState>,
    told: Vec<Told>,
    attempts: Vec<Attempt>,
    /// Time, a number that keeps those of one moment in order, and what.
    ahead: BinaryHeap<Reverse<(u64, u64, Happens)>>,
    /// Agents whose attempts wait for a context.
    for_context: VecDeque<u32>,
    busy: Busy,
    /// Slots in use by class.
    in_use: [usize; 2],
    releases: u64,
    count: u64,
    now_ms: u64,
    violations: Vec<String>,
}

/// Runs the workload to its end.
///
/// # Errors
/// [`ConfigError`] for a policy that the scheduler refuses.
pub fn simulate(workload: &Workload, policy: &Policy) -> Result<Outcome, ConfigError> {
    let agents = workload.agents.len();
    let mut world = World {
        policy,
        workload,
        scheduler: Scheduler::new(policy.config.clone())?,
        pool: Pool::new(policy.contexts, agents, policy.trust_ms, policy.idle_ms),
        agents: (0..agents).map(|_| AgentState::default()).collect(),
        told: vec![Told::default(); workload.jobs.len()],
        attempts: Vec::new(),
        ahead: BinaryHeap::new(),
        for_context: VecDeque::new(),
        busy: Busy::new(workload.days()),
        in_use: [0, 0],
        releases: 0,
        count: 0,
        now_ms: 0,
        violations: Vec::new(),
    };
    world.run();
    Ok(world.outcome())
}

impl World<'_> {
    fn run(&mut self) {
        let mut next = 0;
        loop {
            let asked = self.workload.jobs.get(next).map(|job| job.at_ms);
            let happens = self.ahead.peek().map(|Reverse((at_ms, ..))| *at_ms);
            match (asked, happens) {
                (None, None) => return,
                (Some(asked), happens) if happens.is_none_or(|at_ms| asked < at_ms) => {
                    self.pass(asked);
                    self.ask(next);
                    next += 1;
                }
                _ => {
                    let Some(Reverse((at_ms, _, what))) = self.ahead.pop() else { return };
                    self.pass(at_ms);
                    match what {
                        Happens::Answered(agent) => self.answered(agent),
                        Happens::Opened(agent) => self.opened(agent),
                    }
                }
            }
        }
    }

    fn outcome(mut self) -> Outcome {
        let left = self.told.iter().filter(|told| told.ended_ms.is_none()).count();
        if left > 0 {
            self.violations.push(format!("{left} operations never ended"));
        }
        let ended_ms = self.told.iter().filter_map(|told| told.ended_ms).max().unwrap_or(0);
        Outcome {
            told: self.told,
            attempts: self.attempts,
            busy: self.busy,
            logins: self.pool.logins,
            preemptions: self.scheduler.counts().preemptions,
            violations: self.violations,
            ended_ms,
        }
    }

    /// Time goes on to `at_ms`, in which nothing changes.
    fn pass(&mut self, at_ms: u64) {
        let [interactive, background] = self.in_use;
        self.busy.add(self.now_ms, at_ms, [interactive, background, self.pool.in_use(), self.pool.live()]);
        self.now_ms = at_ms;
    }

    fn ask(&mut self, job: usize) {
        let Job { agent, class, .. } = self.workload.jobs[job];
        self.told[job].releases_before = self.releases;
        if class == Class::Interactive {
            let state = &mut self.agents[agent as usize];
            let other = state.interactive_waiting > 0;
            state.interactive_waiting += 1;
            self.told[job].asked = Some(match &state.run {
                _ if other => Asked::OwnWrites,
                Some(run) if self.workload.jobs[run.job].class == Class::Interactive => Asked::OwnWrites,
                Some(_) => Asked::SyncProtected,
                None if self.in_use.iter().sum::<usize>() < self.policy.config.slots => Asked::SlotFree,
                None => Asked::NoSlot,
            });
        }
        self.tell(Input::Waiting(self.ticket(job)));
        let gives_way = |run: &Run| run.give_way || run.job == job;
        let told = &mut self.told[job];
        if told.asked == Some(Asked::SyncProtected)
            && self.agents[agent as usize].run.as_ref().is_none_or(gives_way)
        {
            told.asked = Some(Asked::SyncGaveWay);
        }
    }

    fn tell(&mut self, input: Input) {
        self.scheduler.handle(at(self.now_ms), input);
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(command) = self.scheduler.poll_command() {
            match command {
                Command::Lease { agent, operation, .. } => {
                    self.lease(place(operation));
                    self.scheduler.handle(at(self.now_ms), Input::Leased { agent, operation });
                }
                Command::Preempt { operation, .. } => self.preempt(place(operation)),
            }
        }
    }

    fn lease(&mut self, job: usize) {
        let Job { at_ms, agent, class, .. } = self.workload.jobs[job];
        let state = &mut self.agents[agent as usize];
        if state.run.is_some() {
            self.violations
                .push(format!("two operations of {} at once", self.workload.agents[agent as usize]));
        }
        self.in_use[class as usize] += 1;
        if self.in_use.iter().sum::<usize>() > self.policy.config.slots {
            self.violations.push("more attempts than slots".to_owned());
        }
        state.interactive_waiting -= u64::from(class == Class::Interactive);
        let told = &mut self.told[job];
        if told.worked_ms.is_none() {
            told.slot_ms += self.now_ms - at_ms.max(state.free_since_ms);
            told.releases += self.releases - told.releases_before.max(state.releases_before);
        }
        let leased_ms = self.now_ms;
        state.run = Some(Run { job, phase: Phase::Full, give_way: false, leased_ms, evicted: false });
        self.acquire(agent);
    }

    fn acquire(&mut self, agent: u32) {
        let phase = match self.pool.acquire(agent, self.now_ms) {
            Acquired::Warm => return self.work(agent),
            Acquired::Check { expired } => {
                let took = self.login_request(agent);
                self.later(took, Happens::Answered(agent));
                Phase::Checking { expired }
            }
            Acquired::Open(why) => return self.open(agent, why),
            Acquired::Opening => Phase::Opening,
            Acquired::Full => {
                self.for_context.push_back(agent);
                Phase::Full
            }
        };
        self.set(agent, phase);
    }

    fn open(&mut self, agent: u32, why: Cold) {
        let took = (0..self.policy.login_requests).map(|_| self.login_request(agent)).sum();
        self.later(took, Happens::Opened(agent));
        if let Some(run) = &mut self.agents[agent as usize].run {
            (run.phase, run.evicted) = (Phase::Opening, why == Cold::Evicted);
        }
    }

    fn opened(&mut self, agent: u32) {
        let wanted = self.agents[agent as usize].run.as_ref().is_some_and(|run| run.phase == Phase::Opening);
        self.pool.opened(agent, wanted, self.now_ms);
        match wanted {
            true => self.work(agent),
            false => self.serve_who_waits_for_a_context(),
        }
    }

    /// The session is there: the next request is made.
    fn work(&mut self, agent: u32) {
        let Some(run) = &mut self.agents[agent as usize].run else { return };
        run.phase = Phase::Working;
        let (told, requests) = (&mut self.told[run.job], &self.workload.jobs[run.job].requests_ms);
        if told.worked_ms.is_none() {
            told.worked_ms = Some(self.now_ms);
            (told.session_ms, told.evicted) = (self.now_ms - run.leased_ms, run.evicted);
        }
        // A list is walked from its start to where the last attempt was.
        let walk: u64 = requests[..told.done].iter().sum();
        self.later_by(walk, agent);
    }

    fn later_by(&mut self, walk: u64, agent: u32) {
        let Some(run) = &self.agents[agent as usize].run else { return };
        let took = self.workload.jobs[run.job].requests_ms[self.told[run.job].done];
        self.later(walk + took, Happens::Answered(agent));
    }

    fn answered(&mut self, agent: u32) {
        let Some(run) = &mut self.agents[agent as usize].run else { return };
        match run.phase {
            Phase::Checking { expired: true } => {
                let why = self.pool.reopen(agent);
                self.open(agent, why);
            }
            Phase::Checking { expired: false } if run.give_way => self.settle(agent, true),
            Phase::Checking { expired: false } => self.work(agent),
            Phase::Working | Phase::Full | Phase::Opening => {
                let told = &mut self.told[run.job];
                told.done += 1;
                match told.done == self.workload.jobs[run.job].requests_ms.len() {
                    true => self.settle(agent, false),
                    false if run.give_way => self.settle(agent, true),
                    false => self.later_by(0, agent),
                }
            }
        }
    }

    fn preempt(&mut self, job: usize) {
        let agent = self.workload.jobs[job].agent;
        let Some(run) = &mut self.agents[agent as usize].run else { return };
        run.give_way = true;
        match run.phase {
            // The login goes on; whoever comes next finds it.
            Phase::Opening => self.end(agent, true),
            Phase::Full => {
                self.for_context.retain(|waiting| *waiting != agent);
                self.end(agent, true);
            }
            Phase::Checking { .. } | Phase::Working => {}
        }
    }

    fn settle(&mut self, agent: u32, again: bool) {
        self.pool.give_back(agent, self.now_ms);
        self.end(agent, again);
        self.obey();
        self.serve_who_waits_for_a_context();
    }

    /// Takes the attempt from its agent and tells the scheduler, whose commands are for the caller to obey.
    fn end(&mut self, agent: u32, again: bool) {
        let state = &mut self.agents[agent as usize];
        let Some(run) = state.run.take() else { return };
        let job = &self.workload.jobs[run.job];
        self.in_use[job.class as usize] -= 1;
        self.releases += 1;
        self.attempts.push(Attempt { job: run.job, from_ms: run.leased_ms, to_ms: self.now_ms });
        (state.free_since_ms, state.releases_before) = (self.now_ms, self.releases);
        let told = &mut self.told[run.job];
        if again {
            told.preemptions += 1;
        } else {
            told.ended_ms = Some(self.now_ms);
        }
        let next = again.then(|| self.ticket(run.job));
        let agent = self.workload.agents[agent as usize].clone();
        let operation = operation(run.job, job.at_ms);
        self.scheduler.handle(at(self.now_ms), Input::Settled { agent, operation, next });
    }

    fn serve_who_waits_for_a_context(&mut self) {
        let is_first = |agent: &u32| match &self.agents[*agent as usize].run {
            Some(run) => self.workload.jobs[run.job].class == Class::Interactive,
            None => false,
        };
        let place = self.for_context.iter().position(is_first).unwrap_or(0);
        if let Some(agent) = self.for_context.remove(place) {
            self.acquire(agent);
        }
    }

    fn set(&mut self, agent: u32, phase: Phase) {
        if let Some(run) = &mut self.agents[agent as usize].run {
            run.phase = phase;
        }
    }

    fn later(&mut self, took_ms: u64, what: Happens) {
        self.count += 1;
        self.ahead.push(Reverse((self.now_ms + took_ms, self.count, what)));
    }

    /// The same for an agent's nth request of a login whatever the policy, so that policies can be compared.
    fn login_request(&mut self, agent: u32) -> u64 {
        let state = &mut self.agents[agent as usize];
        state.logins += 1;
        let stream = 1 << 63 | u64::from(agent) << 31 | state.logins;
        match self.policy.login_requests {
            0 => 0,
            _ => Dice::new(self.policy.seed, stream).among(&self.policy.request_ms),
        }
    }

    fn ticket(&self, job: usize) -> Ticket {
        let Job { at_ms, agent, class, ref kind, .. } = self.workload.jobs[job];
        Ticket {
            operation: operation(job, at_ms),
            agent: self.workload.agents[agent as usize].clone(),
            kind: kind.clone(),
            class,
            position: job as u64,
            at: at(self.now_ms),
            step: Step::Act,
            target: None,
            preemptions: self.told[job].preemptions,
        }
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from((BEGIN_MS + ms) * 1_000).unwrap_or(i64::MAX))
}

/// Its time is what protects a sync that is old; its end is the job's place.
fn operation(job: usize, at_ms: u64) -> OperationId {
    let mut rest = [0; 10];
    rest[6..].copy_from_slice(&(job as u32).to_be_bytes());
    OperationId(Builder::from_unix_timestamp_millis(BEGIN_MS + at_ms, &rest).into_uuid())
}

fn place(operation: OperationId) -> usize {
    let [.., a, b, c, d] = *operation.0.as_bytes();
    u32::from_be_bytes([a, b, c, d]) as usize
}
