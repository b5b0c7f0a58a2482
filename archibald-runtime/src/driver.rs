//! The driver loop: inputs to the pure scheduler, its commands to the world.

mod fresh;
mod reading;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use archibald_core::id::{AgentId, OperationId};
use archibald_core::lease::Lease;
use archibald_core::port::{
    AgentLock, BrowserPool, EventBus, OperationStore, Why, WorkerWake, WorkerWakeups,
};
use archibald_core::scheduler::{Command, Input, Refusal, Scheduler, SchedulerCounts, Ticket};
use archibald_core::time::Timestamp;
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::fresh::Fresh;
use self::reading::{How, Reading};
use self::run::Ended;
use crate::calm::{calm, caught};
use crate::clock::StoreClock;
use crate::config::RuntimeConfig;
use crate::failpoint::Failpoints;
use crate::registry::Registry;
use crate::renewal::{Holdings, renew};
use crate::stats::Stats;

/// Tickets read from the store in one go.
const PAGE: u32 = 1000;
/// Old operations forgotten in one go: few, since others wait for the store meanwhile.
const FORGET: u32 = 100;
/// How long an attempt that ends waits for word of what its agent goes on with.
const SUCCESSION: Duration = Duration::from_millis(20);
/// How often it is looked for old operations.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// What every part of a worker works with.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn OperationStore>,
    pub(crate) lock: Arc<dyn AgentLock>,
    pub(crate) bus: Arc<dyn EventBus>,
    pub(crate) pool: Arc<dyn BrowserPool>,
    pub(crate) clock: StoreClock,
    pub(crate) failpoints: Arc<dyn Failpoints>,
    pub(crate) registry: Registry,
    pub(crate) config: RuntimeConfig,
    pub(crate) stats: Stats,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) draining: AtomicBool,
    pub(crate) inbox: mpsc::UnboundedSender<Message>,
}

impl Shared {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Pauses an agent in the store and in this worker's scheduler.
    pub(crate) async fn pause(&self, agent: &AgentId, why: &str) {
        tracing::warn!(%agent, why, "the agent is paused");
        if let Err(error) = self.store.pause(agent, why).await {
            tracing::warn!(%agent, %error, "the pause could not be stored");
        }
        self.tell(Input::Pause { agent: agent.clone(), why: why.to_owned() });
    }

    /// What the agent may be handed on to at the end of this lease. Nothing waits long for it: without it the
    /// agent is freed, and leased again.
    pub(crate) async fn goes_on_with(&self, lease: &Lease) -> Option<OperationId> {
        let (answer, next) = oneshot::channel();
        let (agent, operation) = (lease.agent.clone(), lease.operation);
        self.inbox.send(Message::GoesOnWith { agent, operation, answer }).ok()?;
        tokio::time::timeout(SUCCESSION, next).await.ok()?.ok()?
    }

    /// Tells the scheduler; without effect when no worker runs in this process.
    pub(crate) fn tell(&self, input: Input) {
        let _ = self.inbox.send(Message::Input(input));
    }
}

/// What the driver loop is told. The channel is bounded by what sends into it: attempts (slots), one
/// reader, and people.
pub(crate) enum Message {
    Input(Input),
    EffectOpen(Lease),
    /// An attempt is over.
    Ended {
        operation: OperationId,
        ended: Box<Ended>,
    },
    /// What an agent goes on with at the end of its attempt.
    GoesOnWith {
        agent: AgentId,
        operation: OperationId,
        answer: oneshot::Sender<Option<OperationId>>,
    },
    /// What was read of agents of whom something was heard.
    Read(Vec<Ticket>),
    Explain {
        agent: AgentId,
        operation: OperationId,
        answer: oneshot::Sender<Vec<Why>>,
    },
    Counts(oneshot::Sender<SchedulerCounts>),
}

/// The worker of this process. Dropping it stops nothing; [`drain`](Worker::drain) does.
pub struct Worker {
    shared: Arc<Shared>,
    stop: CancellationToken,
    attempts: TaskTracker,
    driver: JoinHandle<()>,
    renewal: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(
        shared: Arc<Shared>,
        scheduler: Scheduler,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Self {
        let stop = CancellationToken::new();
        let attempts = TaskTracker::new();
        let period = shared.config.lease / 3;
        let renewal = tokio::spawn(renew(shared.lock.clone(), shared.holdings.clone(), period, stop.clone()));
        let driver = Driver {
            shared: shared.clone(),
            scheduler,
            attempts: attempts.clone(),
            running: BTreeMap::new(),
            blockers: BTreeMap::new(),
            handed_on: BTreeMap::new(),
            forgotten: None,
            reading: Reading::default(),
            stop: stop.clone(),
        };
        let driver = tokio::spawn(driver.run(inbox));
        Self { shared, stop, attempts, driver, renewal }
    }

    /// Takes nothing more, lets what runs finish or give way, and ends. Returns whether everything ended
    /// within `limit`; what did not is left to its lease and its journal, which is safe.
    ///
    /// # Cancel safety
    /// Dropped, the worker drains on; nothing tells when it is done.
    pub async fn drain(self, limit: Duration) -> bool {
        self.shared.draining.store(true, Relaxed);
        self.shared.tell(Input::Drain);
        self.attempts.close();
        let until = Instant::now() + limit;
        let whole = timeout_at(until, self.attempts.wait()).await.is_ok();
        self.stop.cancel();
        let _ = self.renewal.await;
        // What the last attempts were handed on to is given back.
        let _ = timeout_at(until, self.driver).await;
        whole && timeout_at(until, self.attempts.wait()).await.is_ok()
    }

    /// Stops at once, as a crash would: nothing is settled, no lease is renewed or given back. For tests.
    pub fn kill(self) {
        self.driver.abort();
        self.renewal.abort();
    }
}

struct Driver {
    shared: Arc<Shared>,
    scheduler: Scheduler,
    attempts: TaskTracker,
    running: BTreeMap<OperationId, CancellationToken>,
    /// Operations that hold a target back for somebody here, by agent: whatever is heard of the agent may
    /// mean that they are done.
    blockers: BTreeMap<AgentId, BTreeSet<OperationId>>,
    /// Leases that agents were handed on with, until the scheduler has decided.
    handed_on: BTreeMap<AgentId, Fresh>,
    /// When nothing old was left to forget.
    forgotten: Option<Instant>,
    reading: Reading,
    stop: CancellationToken,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let mut wakeups = self.shared.bus.subscribe_worker();
        let mut sweep = tokio::time::interval(self.shared.config.sweep);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.obey();
            tokio::select! {
                () = self.stop.cancelled() => return self.leave(inbox).await,
                Some(message) = inbox.recv() => self.handle(message),
                _ = sweep.tick() => self.sweep().await,
                wake = caught("waiting for a wake-up", wakeups.next()) => match wake {
                    Some(Ok(WorkerWake::Agent(agent))) => {
                        let how = if self.free_targets(&agent) { How::Whole } else { How::Front };
                        self.heard_of(agent, how);
                    }
                    Some(Ok(WorkerWake::Lost)) => self.sweep().await,
                    Some(Err(_)) | None => {
                        wakeups = self.subscribe_again().await;
                        self.sweep().await;
                    }
                },
                () = self.alarm() => self.input(Input::Tick),
            }
        }
    }

    /// Nobody goes on with what the last attempts were handed on to.
    async fn leave(self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        inbox.close();
        let mut left = vec![];
        while let Some(message) = inbox.recv().await {
            if let Message::Ended { ended, .. } = message {
                left.extend(ended.next);
            }
        }
        join_all(left.into_iter().map(|fresh| fresh.give_back(&self.shared))).await;
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Input(input) => self.input(input),
            Message::EffectOpen(lease) => {
                self.input(Input::EffectOpen { agent: lease.agent, operation: lease.operation });
            }
            Message::Ended { operation, ended } => self.ended(operation, *ended),
            Message::GoesOnWith { agent, operation, answer } => {
                let _ = answer.send(self.scheduler.goes_on_with(self.now(), &agent, operation));
            }
            Message::Read(tickets) => self.read(tickets),
            Message::Explain { agent, operation, answer } => {
                let _ = answer.send(self.scheduler.explain(self.now(), &agent, operation));
            }
            Message::Counts(answer) => {
                let _ = answer.send(self.scheduler.counts());
            }
        }
    }

    fn input(&mut self, input: Input) {
        let now = self.now();
        let blocked = match &input {
            Input::LeaseRefused { agent, reason: Refusal::TargetBusy { by }, .. } => {
                Some((agent.clone(), *by))
            }
            _ => None,
        };
        self.scheduler.handle(now, input);
        if let Some((agent, by)) = blocked {
            self.is_blocked(agent, by);
        }
    }

    fn is_blocked(&mut self, agent: AgentId, by: OperationId) {
        if self.reading.take_news(&agent) {
            // The target may have been freed after the store said this: it is asked once more.
            return self.input(Input::TargetFreed { agent, operation: by });
        }
        if self.blockers.entry(agent.clone()).or_default().insert(by) {
            // Something behind those that wait for it may have nothing to do with it.
            self.read_again(agent, How::Whole);
        }
    }

    /// A wake-up names the agent alone: whoever waits for a target of his asks again. Whether anybody does.
    fn free_targets(&mut self, agent: &AgentId) -> bool {
        let blockers = self.blockers.remove(agent).unwrap_or_default();
        let any = !blockers.is_empty();
        for operation in blockers {
            self.input(Input::TargetFreed { agent: agent.clone(), operation });
        }
        any
    }

    fn obey(&mut self) {
        while let Some(command) = self.scheduler.poll_command() {
            match command {
                Command::Lease { agent, operation, step } => self.start(agent, operation, step),
                Command::Preempt { operation, .. } => self.preempt(operation),
            }
        }
    }

    fn preempt(&self, operation: OperationId) {
        if let Some(give_way) = self.running.get(&operation) {
            give_way.cancel();
        }
    }

    /// Ends leases whose holders are gone, and reads everything again: no lost wake-up outlives this.
    async fn sweep(&mut self) {
        let asked = Instant::now();
        match calm("a sweep", self.shared.lock.reap()).await {
            Ok(reaped) => {
                self.shared.clock.learn(reaped.now, asked);
                for ticket in reaped.tickets {
                    self.input(Input::Waiting(ticket));
                }
            }
            Err(error) => tracing::warn!(%error, "expired leases could not be ended"),
        }
        self.read_paused().await;
        self.read_waiting().await;
        self.forget().await;
    }

    /// What finished long ago goes, a batch a sweep until there is no more, and then not for a while.
    async fn forget(&mut self) {
        if self.forgotten.is_some_and(|at| at.elapsed() < FORGET_EVERY) {
            return;
        }
        let before = self.now() - self.shared.config.keep_finished;
        match calm("forgetting", self.shared.store.forget(before, FORGET)).await {
            Ok(gone) if gone < u64::from(FORGET) => self.forgotten = Some(Instant::now()),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old operations could not be forgotten"),
        }
    }

    async fn read_paused(&mut self) {
        let Ok(paused) = calm("reading who is paused", self.shared.store.paused()).await else { return };
        let resumed: Vec<_> = self
            .scheduler
            .counts()
            .paused
            .into_keys()
            .filter(|agent| !paused.iter().any(|known| known.agent == *agent))
            .collect();
        for agent in resumed {
            self.input(Input::Resume { agent });
        }
        for known in paused {
            self.input(Input::Pause { agent: known.agent, why: known.why });
        }
    }

    async fn read_waiting(&mut self) {
        let mut after = None;
        loop {
            let waiting = self.shared.store.waiting(None, after, PAGE);
            let page = match calm("reading what waits", waiting).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "what waits could not be read; the next sweep tries again");
                    return;
                }
            };
            after = page.last().map(|ticket| ticket.position);
            let more = page.len() == PAGE as usize;
            for ticket in page {
                self.input(Input::Waiting(ticket));
            }
            self.obey();
            if !more {
                return;
            }
        }
    }

    async fn subscribe_again(&self) -> Box<dyn WorkerWakeups> {
        tracing::warn!("the worker's wake-ups ended; subscribing again");
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.shared.bus.subscribe_worker()
    }

    async fn alarm(&self) {
        match self.scheduler.poll_timeout() {
            Some(at) => tokio::time::sleep(at.since(self.now()).max(Duration::from_millis(1))).await,
            None => std::future::pending().await,
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}
