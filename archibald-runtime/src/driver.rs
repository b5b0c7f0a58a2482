//! The driver loop: inputs to the pure scheduler, its commands to the world.

mod forgetting;
mod fresh;
mod reading;
mod run;
mod spread;
mod sweeping;
mod taking_up;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, OperationId, OperationKind};
use archibald_core::lease::Lease;
use archibald_core::operation::Class;
use archibald_core::pause::PauseScope;
use archibald_core::port::{
    AgentLock, BrowserPool, CredentialProvider, EventBus, LoginError, OperationStore, PendingOrderStore, Why,
    WorkerWake, WorkerWakeups,
};
use archibald_core::schedule::Schedule;
use archibald_core::scheduler::{Command, Input, Refusal, Scheduler, SchedulerCounts, Ticket};
use archibald_core::time::Timestamp;
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::forgetting::Old;
use self::fresh::Fresh;
use self::reading::{Front, Reading};
use self::run::{Ended, STORE_PAUSE};
use self::spread::Spread;
use self::sweeping::{Sweeping, Swept, say_goodbye};
use self::taking_up::Promises;
pub(crate) use self::taking_up::{Promise, take_up};
use crate::calm::caught;
use crate::clock::StoreClock;
use crate::config::RuntimeConfig;
use crate::failpoint::Failpoints;
use crate::registry::Registry;
use crate::renewal::{Holdings, renew};
use crate::schedules::Recurring;
use crate::stats::Stats;

/// How long is waited for a guess of the scheduler: of what an agent goes on with, or whether it would start something.
const GUESS: Duration = Duration::from_millis(20);

/// What every part of a worker works with.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn OperationStore>,
    pub(crate) pending_orders: Option<Arc<dyn PendingOrderStore>>,
    pub(crate) lock: Arc<dyn AgentLock>,
    pub(crate) bus: Arc<dyn EventBus>,
    pub(crate) pool: Arc<dyn BrowserPool>,
    pub(crate) credentials: Arc<dyn CredentialProvider>,
    pub(crate) clock: StoreClock,
    pub(crate) failpoints: Arc<dyn Failpoints>,
    pub(crate) registry: Registry,
    pub(crate) schedules: Vec<Arc<Schedule>>,
    pub(crate) config: RuntimeConfig,
    pub(crate) stats: Stats,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) draining: AtomicBool,
    /// Operations that are being accepted and leased.
    pub(crate) accepting: TaskTracker,
    pub(crate) inbox: mpsc::UnboundedSender<Message>,
}

impl Shared {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Pauses an agent in this worker's scheduler and in the store, again and again until that takes it: what only
    /// this worker knew would end with its next sweep. The attempt's lease bounds it.
    pub(crate) async fn pause(&self, agent: &AgentId, why: &str) {
        tracing::warn!(%agent, why, "the agent is paused");
        let scope = PauseScope::from(agent.clone());
        self.tell(Input::Pause { scope: scope.clone(), why: why.to_owned(), drains: false });
        while let Err(error) = self.store.pause(&scope, why, false).await {
            tracing::warn!(%agent, %error, "the pause could not be stored yet");
            tokio::time::sleep(STORE_PAUSE).await;
        }
        self.tell(Input::Pause { scope, why: why.to_owned(), drains: false });
    }

    /// Pauses an agent whose login was refused, unless that was with other credentials than those that hold now.
    /// Whether it is paused.
    ///
    /// A change of the credentials ends the pause that it finds. One that comes in between finds none yet, so they
    /// are looked at again after the pause is stored: whichever is later sees the other.
    pub(crate) async fn lock_out(&self, agent: &AgentId, refused: &LoginError) -> bool {
        if self.is_replaced(agent, refused).await.unwrap_or(false) {
            return false;
        }
        self.pause(agent, &refused.to_string()).await;
        loop {
            match self.is_replaced(agent, refused).await {
                Ok(false) => return true,
                Ok(true) => break,
                Err(error) => {
                    tracing::warn!(%agent, %error, "it cannot be read yet whether its password was changed")
                }
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
        tracing::info!(%agent, "its credentials were changed meanwhile");
        while let Err(error) = self.unlock(agent).await {
            tracing::warn!(%agent, %error, "the lock-out could not be ended yet");
            tokio::time::sleep(STORE_PAUSE).await;
        }
        false
    }

    /// Whether other credentials hold than those that were refused.
    async fn is_replaced(&self, agent: &AgentId, refused: &LoginError) -> Result<bool, StoreError> {
        let tried = match refused {
            LoginError::Refused { tried: Some(tried), .. } => Some(tried),
            LoginError::NoCredentials(_) => None,
            _ => return Ok(false),
        };
        Ok(self.credentials.current(agent).await?.as_ref() != tried)
    }

    /// Ends what a refused login adds to the agent's pause.
    pub(crate) async fn unlock(&self, agent: &AgentId) -> Result<(), StoreError> {
        if self.store.unlock(agent).await? {
            self.tell(Input::Resume { scope: agent.clone().into() });
        }
        Ok(())
    }

    /// What the agent may be handed on to at the end of this lease. Nothing waits long for it: without it the
    /// agent is freed, and leased again.
    pub(crate) async fn goes_on_with(&self, lease: &Lease) -> Option<OperationId> {
        let (agent, operation) = (lease.agent.clone(), lease.operation);
        self.guess(|answer| Message::GoesOnWith { agent, operation, answer }).await
    }

    /// A guess of the scheduler; none where it does not come at once.
    async fn guess<T>(&self, question: impl FnOnce(oneshot::Sender<Option<T>>) -> Message) -> Option<T> {
        let (answer, guess) = oneshot::channel();
        self.inbox.send(question(answer)).ok()?;
        tokio::time::timeout(GUESS, guess).await.ok()?.ok()?
    }

    /// Tells the scheduler; without effect when no worker runs in this process.
    pub(crate) fn tell(&self, input: Input) {
        let _ = self.inbox.send(Message::Input(input));
    }
}

/// What the driver loop is told. The channel is bounded by what sends into it: attempts (slots), one
/// reader, one sweep, and whoever asks from outside, who waits for the answer.
pub(crate) enum Message {
    Input(Input),
    EffectOpen(Lease),
    /// An attempt is over.
    Ended {
        agent: AgentId,
        operation: OperationId,
        ended: Box<Ended>,
    },
    /// What an agent goes on with at the end of its attempt.
    GoesOnWith {
        agent: AgentId,
        operation: OperationId,
        answer: oneshot::Sender<Option<OperationId>>,
    },
    /// Whether a new operation of an agent of whom nothing else waits would start at once.
    WouldStart {
        agent: AgentId,
        kind: OperationKind,
        class: Class,
        answer: oneshot::Sender<Option<Promise>>,
    },
    /// It was accepted, and leased with that.
    TakenUp {
        ticket: Ticket,
        fresh: Box<Fresh>,
        promise: Promise,
    },
    /// What was read of agents of whom something was heard.
    Read(Vec<Front>),
    /// A page of a sweep; none where it could not be read.
    Swept(Option<Box<Swept>>),
    /// What is old was let go, as far as some batches go; the next ones are due after this.
    LetGo {
        old: Old,
        again: Duration,
    },
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
    recurring: Recurring,
}

impl Worker {
    pub(crate) fn start(
        shared: Arc<Shared>,
        scheduler: Scheduler,
        inbox: mpsc::UnboundedReceiver<Message>,
        recurring: Recurring,
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
            promises: Promises::default(),
            paused: BTreeMap::new(),
            forgets_at: Some(Instant::now() + shared.config.sweep),
            prunes_at: Some(Instant::now() + shared.config.sweep),
            reading: Reading::default(),
            sweeping: Sweeping::default(),
            spread: Spread::default(),
            stop: stop.clone(),
        };
        let driver = tokio::spawn(driver.run(inbox));
        Self { shared, stop, attempts, driver, renewal, recurring }
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
        self.shared.accepting.close();
        self.recurring.end().await;
        let until = Instant::now() + limit;
        let under_way = async {
            self.shared.accepting.wait().await;
            self.attempts.wait().await;
        };
        let whole = timeout_at(until, under_way).await.is_ok();
        self.stop.cancel();
        let _ = self.renewal.await;
        // What the last attempts were handed on to is given back.
        let _ = timeout_at(until, self.driver).await;
        let given_back = async {
            self.attempts.wait().await;
            self.shared.accepting.wait().await;
        };
        whole && timeout_at(until, given_back).await.is_ok()
    }

    /// Stops at once, as a crash would: nothing is settled, no lease is renewed or given back. For tests.
    pub fn kill(self) {
        self.driver.abort();
        self.renewal.abort();
        self.recurring.kill();
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
    promises: Promises,
    /// What is paused, why, and whether that drains, as far as the scheduler was told.
    paused: BTreeMap<PauseScope, (String, bool)>,
    /// When it is looked for old operations again; `None` while it is.
    forgets_at: Option<Instant>,
    /// The same of events.
    prunes_at: Option<Instant>,
    reading: Reading,
    sweeping: Sweeping,
    spread: Spread,
    stop: CancellationToken,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let mut wakeups = self.shared.bus.subscribe_worker();
        self.sweep_all();
        let period = self.shared.config.sweep;
        let mut sweep = tokio::time::interval_at(Instant::now() + period, period);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.obey();
            tokio::select! {
                () = self.stop.cancelled() => return self.leave(inbox).await,
                Some(message) = inbox.recv() => self.handle(message),
                _ = sweep.tick() => self.read_page(),
                wake = caught("waiting for a wake-up", wakeups.next()) => match wake {
                    Some(Ok(WorkerWake::Agent(agent))) if self.leaves(&agent) => {}
                    Some(Ok(WorkerWake::Agent(agent))) => self.heard_of(agent),
                    Some(Ok(WorkerWake::Survey)) => self.survey(),
                    Some(Ok(WorkerWake::Lost)) => self.sweep_all(),
                    Some(Err(_)) | None => {
                        wakeups = self.subscribe_again().await;
                        self.sweep_all();
                    }
                },
                () = self.alarm() => self.input(Input::Tick),
                () = until(self.forgets_at) => self.let_go(Old::Operations),
                () = until(self.prunes_at) => self.let_go(Old::Events),
                () = until(self.spread.next()) => self.look_at_others(),
            }
        }
    }

    /// Nobody goes on with what the last attempts were handed on to, and nothing is left to this worker.
    async fn leave(self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        inbox.close();
        let mut left = vec![];
        while let Some(message) = inbox.recv().await {
            match message {
                Message::Ended { ended, .. } => left.extend(ended.next),
                Message::TakenUp { fresh, .. } => left.push(*fresh),
                _ => {}
            }
        }
        let given_back = join_all(left.into_iter().map(|fresh| fresh.give_back(&self.shared)));
        tokio::join!(given_back, say_goodbye(&self.shared));
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Input(Input::Drain) => {
                self.input(Input::Drain);
                self.survey();
            }
            Message::Input(input) => self.input(input),
            Message::EffectOpen(lease) => {
                self.input(Input::EffectOpen { agent: lease.agent, operation: lease.operation });
            }
            Message::Ended { agent, operation, ended } => self.ended(agent, operation, *ended),
            Message::GoesOnWith { answer, .. } if answer.is_closed() => {}
            Message::GoesOnWith { agent, operation, answer } => {
                let next = self.scheduler.goes_on_with(self.now(), &agent, operation);
                let _ = answer.send(next.filter(|next| !self.is_beyond_what_is_known(&agent, *next)));
            }
            Message::WouldStart { answer, .. } if answer.is_closed() => {}
            Message::WouldStart { agent, kind, class, answer } => {
                let _ = answer.send(self.would_start(&agent, &kind, class));
            }
            Message::TakenUp { ticket, fresh, promise } => self.taken_up(ticket, *fresh, promise),
            Message::Read(fronts) => self.read(fronts),
            Message::Swept(swept) => self.swept(swept.map(|swept| *swept)),
            Message::LetGo { old, again } => self.lets_go_after(old, again),
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
        let noted = self.noted(&input);
        let blocked = match &input {
            Input::LeaseRefused { agent, reason: Refusal::TargetBusy { by }, .. } => {
                Some((agent.clone(), *by))
            }
            _ => None,
        };
        self.scheduler.handle(now, input);
        if let Some(noted) = noted {
            self.note_pause(noted);
        }
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
            self.read_again(agent);
        }
    }

    /// How many targets of an agent are known to be blocked.
    fn blocked(&self, agent: &AgentId) -> usize {
        self.blockers.get(agent).map_or(0, BTreeSet::len)
    }

    /// A wake-up names the agent alone: whoever waits for a target of his asks again. For how many targets
    /// anybody does.
    fn free_targets(&mut self, agent: &AgentId) -> usize {
        let blockers = self.blockers.remove(agent).unwrap_or_default();
        let count = blockers.len();
        for operation in blockers {
            self.input(Input::TargetFreed { agent: agent.clone(), operation });
        }
        count
    }

    fn obey(&mut self) {
        while let Some(command) = self.scheduler.poll_command() {
            match command {
                Command::Lease { agent, operation, .. }
                    if self.is_beyond_what_is_known(&agent, operation) =>
                {
                    self.read_first(agent, operation);
                }
                Command::Lease { agent, operation, step } => self.start(agent, operation, step),
                Command::Preempt { operation, .. } => self.preempt(operation),
            }
        }
    }

    /// The read tells of the operation again, at once if nothing goes before it.
    fn read_first(&mut self, agent: AgentId, operation: OperationId) {
        let reason = Refusal::NotDue { at: self.now() + STORE_PAUSE };
        self.input(Input::LeaseRefused { agent: agent.clone(), operation, reason });
        self.read_again(agent);
    }

    fn preempt(&self, operation: OperationId) {
        if let Some(give_way) = self.running.get(&operation) {
            give_way.cancel();
        }
    }

    async fn subscribe_again(&self) -> Box<dyn WorkerWakeups> {
        tracing::warn!("the worker's wake-ups ended; subscribing again");
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.shared.bus.subscribe_worker()
    }

    async fn alarm(&self) {
        let left = |at: Timestamp| at.since(self.now()).max(Duration::from_millis(1));
        until(self.scheduler.poll_timeout().map(|at| Instant::now() + left(at))).await;
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
