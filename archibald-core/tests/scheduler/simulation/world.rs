//! Time, the workers, and everything that is under way between them, the store and the ERP.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use archibald_core::effect::Settle;
use archibald_core::id::{AgentId, FencingToken, OperationId, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::pause::PauseScope;
use archibald_core::scheduler::{Command, Input, SchedulerConfig, Ticket};
use archibald_core::time::Timestamp;

use super::attempt::Attempt;
use super::chance::{Chance, Rates};
use super::erp::Erp;
use super::handing_on::Fresh;
use super::messages::{Address, Call, Happening, Note};
use super::store::Store;
use super::{Counters, Mutant, Plan};
use crate::checked::Checked;

pub(crate) const TTL: Duration = Duration::from_secs(8);
pub(crate) const BUDGET: Duration = Duration::from_secs(2);
pub(crate) const MARGIN: Duration = Duration::from_millis(500);
/// Longer than the longest way of a request (3.5 s) and the longest lag of a list together.
pub(crate) const SETTLE: Settle =
    Settle { request: Duration::from_millis(4_500), lists: Duration::from_secs(1) };
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(2);
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(15);

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) chance: Chance,
    pub(crate) rates: Rates,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) plan: Plan,
    pub(crate) store: Store,
    pub(crate) erp: Erp,
    pub(crate) workers: Vec<Worker>,
    pub(crate) counters: Counters,
    pub(crate) config: SchedulerConfig,
    pub(crate) calm: bool,
    coming: BTreeMap<(Timestamp, u64), Happening>,
    sequence: u64,
}

pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) incarnation: u64,
    pub(crate) alive: bool,
    pub(crate) draining: bool,
    pub(crate) scheduler: Checked,
    pub(crate) attempts: BTreeMap<AgentId, Attempt>,
    /// Leases that nothing was attempted with yet.
    pub(crate) fresh: BTreeMap<(AgentId, FencingToken), Fresh>,
    /// Those of them that the scheduler just decides about.
    pub(crate) at_hand: BTreeMap<AgentId, FencingToken>,
    /// Operations that are being accepted, each with room that counts.
    pub(crate) promises: usize,
    /// When its scheduler asked for what an agent runs, by the worker's clock.
    pub(crate) asked_for: BTreeMap<AgentId, Timestamp>,
    /// What it was told to have give way, but for a drain.
    pub(crate) drained: BTreeSet<PauseScope>,
    /// How much its scheduler has heard.
    pub(crate) inputs: u64,
    pub(crate) frozen_until: Timestamp,
    /// How far its idea of the store's time is off, in ms, plus 200.
    skew: u64,
    tick_at: Option<Timestamp>,
}

impl Worker {
    fn hears(&mut self, input: &Input) {
        self.inputs += 1;
        match input {
            Input::Pause { scope, drains: true, .. } => drop(self.drained.insert(scope.clone())),
            Input::Pause { scope, drains: false, .. } | Input::Resume { scope } => {
                self.drained.remove(scope);
            }
            _ => {}
        }
    }
}

impl World {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut chance = Chance::new(plan.seed);
        let mut rates = Rates::draw(&mut chance);
        plan.without.iter().for_each(|rate| rates.switch_off(rate));
        let mutant = plan.mutant;
        let slots = chance.within(1..5) as usize;
        let config = SchedulerConfig {
            slots,
            reserved_interactive: chance.below(slots as u64) as usize,
            protect_after_preemptions: chance.below(4) as u32,
            protect_after_age: chance.millis(500..30_000),
            ..SchedulerConfig::default()
        };
        let mut world = Self {
            now: Timestamp::EPOCH + Duration::from_secs(1_000_000),
            chance,
            rates,
            mutant,
            plan: plan.clone(),
            store: Store::new(mutant),
            erp: Erp::default(),
            workers: vec![],
            counters: Counters::default(),
            config,
            calm: false,
            coming: BTreeMap::new(),
            sequence: 0,
        };
        for n in 0..world.chance.within(1..5) as usize {
            let worker = world.new_worker(n);
            world.workers.push(worker);
            world.begin(n);
        }
        world.plan_work();
        world.after(Duration::from_secs(2), Happening::Person);
        world
    }

    fn new_worker(&mut self, n: usize) -> Worker {
        Worker {
            id: WorkerId::new(format!("w{n}")).unwrap(),
            incarnation: 0,
            alive: true,
            draining: false,
            scheduler: match self.plan.checked {
                true => Checked::new(self.config.clone()),
                false => Checked::alone(self.config.clone()),
            },
            attempts: BTreeMap::new(),
            fresh: BTreeMap::new(),
            at_hand: BTreeMap::new(),
            promises: 0,
            asked_for: BTreeMap::new(),
            drained: BTreeSet::new(),
            inputs: 0,
            frozen_until: Timestamp::EPOCH,
            skew: self.chance.below(400),
            tick_at: None,
        }
    }

    fn begin(&mut self, worker: usize) {
        let to = self.address(worker);
        self.after(Duration::from_millis(1), Happening::AtWorker(to, Note::SweepTime));
        self.after(RENEW_EVERY, Happening::AtWorker(to, Note::RenewTime));
    }

    pub(crate) fn seen(&mut self, what: &'static str) {
        *self.counters.0.entry(what).or_default() += 1;
    }

    pub(crate) fn address(&self, worker: usize) -> Address {
        Address { worker, incarnation: self.workers[worker].incarnation }
    }

    /// The store's time as a worker knows it.
    pub(crate) fn clock_of(&self, to: Address) -> Timestamp {
        self.now + Duration::from_millis(self.workers[to.worker].skew) - Duration::from_millis(200)
    }

    pub(crate) fn at(&mut self, time: Timestamp, happening: Happening) {
        self.sequence += 1;
        self.coming.insert((time.max(self.now), self.sequence), happening);
    }

    pub(crate) fn after(&mut self, delay: Duration, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    /// Sends a statement to the store; it takes a while, at times longer than a lease lasts.
    pub(crate) fn call(&mut self, from: Address, call: Call) {
        let slow = self.chance.happens(self.rates.slow_statement);
        if slow {
            self.seen("statement slower than a lease");
        }
        let delay = self.chance.millis(if slow { 8_000..14_000 } else { 2..40 });
        self.after(delay, Happening::AtStore(from, call));
    }

    pub(crate) fn tell(&mut self, to: Address, note: Note) {
        let delay = self.chance.millis(1..30);
        self.after(delay, Happening::AtWorker(to, note));
    }

    /// What comes next, for people.
    pub(crate) fn next(&self) -> Option<String> {
        let ((at, _), happening) = self.coming.first_key_value()?;
        Some(format!("{at} {happening:?}"))
    }

    /// Carries out what comes next. False when nothing does.
    pub(crate) fn step(&mut self) -> Result<bool, String> {
        let Some(((time, _), happening)) = self.coming.pop_first() else { return Ok(false) };
        self.now = time;
        match happening {
            Happening::Enqueue(new) => self.enqueue(*new),
            Happening::AtStore(from, call) => self.at_store(from, call)?,
            Happening::AtWorker(to, note) => self.at_worker(to, note)?,
            Happening::Applied { operation, list_lag } => self.apply(operation, list_lag)?,
            Happening::Read { to, agent, token, began } => self.read(to, agent, token, began),
            Happening::Restart(worker) => self.restart(worker),
            Happening::Person => self.person()?,
        }
        self.check()?;
        Ok(true)
    }

    /// A notice within a process that may be lost or repeated like any other.
    pub(crate) fn notice(&mut self, to: Address, input: Input) {
        for _ in 0..self.copies() {
            self.tell(to, Note::Input(input.clone()));
        }
    }

    /// Tells every worker that something of the agent may have become available.
    pub(crate) fn wake(&mut self, agent: &AgentId, ended: Option<OperationId>) {
        for worker in 0..self.workers.len() {
            let from = self.address(worker);
            for _ in 0..self.copies() {
                self.call(from, Call::Waiting { agent: agent.clone(), ended });
            }
        }
    }

    fn copies(&mut self) -> u32 {
        if self.chance.happens(self.rates.lost_wake) {
            self.seen("lost wake-up");
            0
        } else if self.chance.happens(self.rates.repeated_wake) {
            self.seen("repeated wake-up");
            2
        } else {
            1
        }
    }

    fn at_worker(&mut self, to: Address, note: Note) -> Result<(), String> {
        if to != self.address(to.worker) || !self.workers[to.worker].alive {
            if note.brings_a_lease() {
                self.seen("dead before it heard of what it was handed on to");
            }
            return Ok(());
        }
        let thaws = self.workers[to.worker].frozen_until;
        if thaws > self.now {
            self.at(thaws, Happening::AtWorker(to, note));
            return Ok(());
        }
        if self.chance.happens(self.rates.crash) {
            self.seen("crash");
            self.crash(to.worker);
            return Ok(());
        }
        if self.chance.happens(self.rates.freeze) {
            self.seen("freeze");
            let pause = self.chance.millis(500..12_000);
            self.workers[to.worker].frozen_until = self.now + pause;
        }
        self.take_note(to, note)
    }

    fn take_note(&mut self, to: Address, note: Note) -> Result<(), String> {
        match note {
            Note::Input(input) => self.input(to, input),
            Note::Lease { agent, operation, asked_at, answer } => {
                self.lease_answered(to, agent, operation, asked_at, *answer)
            }
            Note::Begin { agent, operation, token } => self.begin_at_hand(to, agent, operation, token),
            Note::Accepted { asked_at, leased } => self.accepted(to, asked_at, leased.map(|leased| *leased)),
            Note::NotAccepted(operation) => {
                self.not_accepted(to, operation);
                Ok(())
            }
            Note::HandedBack { back, done } => self.given_back(to, back, done),
            Note::HandBackAgain(back) => {
                self.call(to, Call::HandBack(Box::new(back)));
                Ok(())
            }
            Note::Followed { ended, found } => self.followed(to, ended, found),
            Note::Found { search, found } => {
                self.found(to, search, found);
                Ok(())
            }
            Note::FindAgain(search) => {
                self.call(to, Call::Find(search));
                Ok(())
            }
            Note::Written(agent, token, reply) => self.written(to, &agent, token, reply),
            Note::Seen(agent, token, seen) => self.looked(to, &agent, token, seen),
            Note::WriteAgain(agent, token, write) => self.write_again(to, &agent, token, write),
            Note::Renewed { leases, asked_at, survivors } => self.renewed(to, &leases, asked_at, survivors),
            Note::Heard { tickets, agent, ended } => {
                if let Some(operation) = ended {
                    self.input(to, Input::TargetFreed { agent, operation })?;
                }
                tickets.into_iter().try_for_each(|ticket| self.input(to, Input::Waiting(ticket)))
            }
            Note::Swept { tickets, paused } => self.swept(to, tickets, paused),
            Note::Tick => {
                self.workers[to.worker].tick_at = None;
                self.input(to, Input::Tick)
            }
            Note::RenewTime => self.renew_time(to),
            Note::SweepTime => self.sweep_time(to),
        }
    }

    /// Hands an input to the worker's scheduler and does what it says.
    pub(crate) fn input(&mut self, to: Address, input: Input) -> Result<(), String> {
        let now = self.clock_of(to);
        let worker = &mut self.workers[to.worker];
        worker.hears(&input);
        let commands = worker
            .scheduler
            .handle(now, &input)
            .map_err(|why| format!("{input:?} at {}: {why}", worker.id))?;
        commands.into_iter().try_for_each(|command| self.obey(to, command))?;
        self.set_alarm(to);
        Ok(())
    }

    fn obey(&mut self, to: Address, command: Command) -> Result<(), String> {
        match command {
            Command::Lease { .. } if self.mutant == Some(Mutant::LoseCommands) => {}
            Command::Lease { agent, operation, .. } => {
                let asked = self.clock_of(to);
                self.workers[to.worker].asked_for.insert(agent.clone(), asked);
                self.ask_for_lease(to, agent, operation);
            }
            Command::Preempt { agent, operation } => {
                self.seen("asked to give way");
                self.may_be_asked_to_give_way(to, &agent, operation)?;
                if let Some(attempt) = self.workers[to.worker].attempts.get_mut(&agent) {
                    attempt.give_way = true;
                }
            }
        }
        Ok(())
    }

    fn set_alarm(&mut self, to: Address) {
        let worker = &mut self.workers[to.worker];
        let Some(at) = worker.scheduler.poll_timeout() else { return };
        let at = at + Duration::from_millis(200) - Duration::from_millis(worker.skew);
        if worker.tick_at.is_none_or(|known| at < known) {
            worker.tick_at = Some(at);
            self.at(at, Happening::AtWorker(to, Note::Tick));
        }
    }

    fn renew_time(&mut self, to: Address) -> Result<(), String> {
        self.after(RENEW_EVERY, Happening::AtWorker(to, Note::RenewTime));
        let worker = &self.workers[to.worker];
        // Where an end is under way, its answer is waited for.
        let over = |attempt: &&Attempt| self.is_over(attempt) && !attempt.settling;
        let over: Vec<_> = worker.attempts.values().filter(over).collect();
        let over: Vec<_> = over.iter().map(|attempt| attempt.lease.clone()).collect();
        for lease in over {
            self.lose(to, &lease.agent, lease.token)?;
        }
        let worker = &self.workers[to.worker];
        let held = worker.attempts.values().map(|attempt| &attempt.lease);
        let leases: Vec<_> = held.chain(worker.fresh.values().map(|fresh| &fresh.lease)).cloned().collect();
        if !leases.is_empty() {
            let asked_at = self.now;
            self.call(to, Call::Renew { leases, asked_at });
        }
        Ok(())
    }

    fn renewed(
        &mut self,
        to: Address,
        leases: &[Lease],
        asked_at: Timestamp,
        survivors: Option<Vec<FencingToken>>,
    ) -> Result<(), String> {
        let Some(survivors) = survivors else { return Ok(()) };
        for lease in leases {
            match survivors.contains(&lease.token) {
                true => self.extend(to, lease, asked_at + TTL - MARGIN),
                false => self.found_lost(to, lease)?,
            }
        }
        Ok(())
    }

    fn extend(&mut self, to: Address, lease: &Lease, deadline: Timestamp) {
        let worker = &mut self.workers[to.worker];
        let attempt =
            worker.attempts.get_mut(&lease.agent).filter(|attempt| attempt.lease.token == lease.token);
        if let Some(attempt) = attempt {
            attempt.deadline = attempt.deadline.max(deadline);
        }
        if let Some(fresh) = worker.fresh.get_mut(&(lease.agent.clone(), lease.token)) {
            fresh.deadline = fresh.deadline.max(deadline);
        }
    }

    fn found_lost(&mut self, to: Address, lease: &Lease) -> Result<(), String> {
        let now = self.now;
        let worker = &mut self.workers[to.worker];
        worker.fresh.remove(&(lease.agent.clone(), lease.token));
        let attempt =
            worker.attempts.get_mut(&lease.agent).filter(|attempt| attempt.lease.token == lease.token);
        let Some(attempt) = attempt else { return Ok(()) };
        attempt.deadline = now;
        let settling = attempt.settling;
        self.seen("lease found lost at renewal");
        // Where an end is under way, its answer is waited for.
        if settling { Ok(()) } else { self.lose(to, &lease.agent, lease.token) }
    }

    fn sweep_time(&mut self, to: Address) -> Result<(), String> {
        self.after(SWEEP_EVERY, Happening::AtWorker(to, Note::SweepTime));
        if self.mutant != Some(Mutant::NeverSweep) {
            self.call(to, Call::Sweep);
        }
        let worker = &self.workers[to.worker];
        let drained = worker.draining && worker.attempts.is_empty() && worker.fresh.is_empty();
        if drained && self.workers[to.worker].scheduler.counts().in_use == 0 {
            self.seen("drained and restarted");
            self.crash(to.worker);
        } else if self.chance.happens(self.rates.drain) {
            self.workers[to.worker].draining = true;
            self.input(to, Input::Drain)?;
        }
        Ok(())
    }

    fn swept(&mut self, to: Address, tickets: Vec<Ticket>, paused: Vec<PauseScope>) -> Result<(), String> {
        let now: BTreeSet<_> = paused.iter().cloned().collect();
        let known = self.workers[to.worker].scheduler.counts().paused;
        for scope in paused.into_iter().filter(|scope| !known.contains_key(scope)) {
            let drains = self.chance.happens(300);
            self.input(to, Input::Pause { scope, why: "by hand".into(), drains })?;
        }
        for scope in known.into_keys().filter(|scope| !now.contains(scope)) {
            self.input(to, Input::Resume { scope })?;
        }
        tickets.into_iter().try_for_each(|ticket| self.input(to, Input::Waiting(ticket)))?;
        self.workers[to.worker].scheduler.check_explanations(self.now)
    }

    fn crash(&mut self, worker: usize) {
        self.workers[worker].alive = false;
        self.workers[worker].attempts.clear();
        if !std::mem::take(&mut self.workers[worker].fresh).is_empty() {
            self.seen("dead with a lease at hand");
        }
        let delay = self.chance.millis(200..15_000);
        self.after(delay, Happening::Restart(worker));
    }

    fn restart(&mut self, worker: usize) {
        let incarnation = self.workers[worker].incarnation + 1;
        self.workers[worker] = Worker { incarnation, ..self.new_worker(worker) };
        self.begin(worker);
    }

    pub(crate) fn everything_was_asked_for(&self) -> bool {
        let asks = |happening: &Happening| {
            matches!(happening, Happening::Enqueue(_) | Happening::AtStore(_, Call::Accept { .. }))
        };
        !self.coming.values().any(asks)
    }

    pub(crate) fn what_is_left(&self) -> String {
        let left = self.store.records.values().filter(|record| !record.operation.is_final());
        let left = left.map(|record| {
            let operation = &record.operation;
            let why: Vec<_> = self
                .workers
                .iter()
                .map(|worker| worker.scheduler.explain(self.now, &operation.agent, operation.id))
                .collect();
            format!("{} of {} is {:?}: {why:?}", operation.id, operation.agent, operation.state)
        });
        left.collect::<Vec<_>>().join("; ")
    }

    /// No faults from here on; what stands goes on.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.rates = Rates::default();
        for worker in &mut self.workers {
            worker.frozen_until = self.now;
        }
    }
}
