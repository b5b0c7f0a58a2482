use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::id::{AgentId, OperationId, OperationKind, ScheduleName};
use archibald_core::operation::NewOperation;
use archibald_core::pause::PauseScope;
use archibald_core::port::{
    AdminError, AgentAdmin, AgentLock, BrowserPool, Clock, CredentialProvider, CredentialStore,
    EnqueueRequest, Enqueued, EventBus, Minute, OperationFilter, OperationPage, OperationStore, Operations,
    Overview, PendingOrderStore, PendingOrders, RowPage, RowQuery, Survey, SurveyRequest, Why,
};
use archibald_core::record::{Evidence, OperationRecord, Resolution};
use archibald_core::schedule::Schedule;
use archibald_core::scheduler::{Input, Scheduler};
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::agents::Administered;
use crate::behind;
use crate::clock::{StoreClock, SystemClock};
use crate::config::{ConfigError, RuntimeConfig};
use crate::driver::{Message, Shared, Worker, take_up};
use crate::failpoint::{Failpoints, NoFailpoints};
use crate::registry::{Action, Registry};
use crate::renewal::Holdings;
use crate::schedules::{self, Recurring, ScheduleError};
use crate::stats::Stats;

/// The outside world of a process.
#[derive(Clone)]
pub struct Ports {
    /// Operations, journals, local rows.
    pub store: Arc<dyn OperationStore>,
    /// Leases.
    pub lock: Arc<dyn AgentLock>,
    /// Events.
    pub bus: Arc<dyn EventBus>,
    /// Sessions.
    pub pool: Arc<dyn BrowserPool>,
    /// Who the agents are.
    pub credentials: Arc<dyn CredentialProvider>,
    /// The time of day, for what is due later.
    pub clock: Arc<dyn Clock>,
}

impl Ports {
    /// With one type that is store, lock and bus, as all adapters of ours are, and the system's clock.
    pub fn new<S>(store: Arc<S>, pool: Arc<dyn BrowserPool>, credentials: Arc<dyn CredentialProvider>) -> Self
    where
        S: OperationStore + AgentLock + EventBus + 'static,
    {
        let clock = Arc::new(SystemClock);
        Self { store: store.clone(), lock: store.clone(), bus: store, pool, credentials, clock }
    }
}

/// The door of the product in this process. Cheap to clone.
#[derive(Clone)]
pub struct Archibald {
    shared: Arc<Shared>,
    kept_agents: Option<Arc<dyn CredentialStore>>,
    inbox: Arc<Mutex<Option<mpsc::UnboundedReceiver<Message>>>>,
    /// Where the worker runs, once it does.
    works: Arc<OnceLock<Handle>>,
}

/// Puts an [`Archibald`] together.
pub struct Builder {
    ports: Ports,
    pending_orders: Option<Arc<dyn PendingOrderStore>>,
    kept_agents: Option<Arc<dyn CredentialStore>>,
    config: RuntimeConfig,
    failpoints: Arc<dyn Failpoints>,
    actions: Vec<Action>,
    schedules: Vec<Schedule>,
}

/// A set-up that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two actions of one kind.
    #[error("kind {0} is registered twice")]
    Duplicate(OperationKind),
    /// Numbers that do not go together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A schedule that cannot work.
    #[error("schedule {name}: {error}")]
    Schedule {
        /// Which one.
        name: ScheduleName,
        /// Why.
        error: ScheduleError,
    },
}

impl Builder {
    /// Registers a kind of operation.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Where pending orders live: the same store that operations are in. Without it there are none.
    #[must_use]
    pub fn pending_orders(mut self, store: Arc<dyn PendingOrderStore>) -> Self {
        self.pending_orders = Some(store);
        self
    }

    /// Where agents are kept that are added while the service runs: the same that [`Ports::credentials`] knows.
    /// Without it nobody can be added, changed or removed.
    #[must_use]
    pub fn kept_agents(mut self, store: Arc<dyn CredentialStore>) -> Self {
        self.kept_agents = Some(store);
        self
    }

    /// Replaces the default configuration.
    #[must_use]
    pub fn config(mut self, config: RuntimeConfig) -> Self {
        self.config = config;
        self
    }

    /// What a worker asks for by itself, and when: none of it before [`Archibald::start`].
    #[must_use]
    pub fn schedules(mut self, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        self.schedules.extend(schedules);
        self
    }

    /// Lets a test hold, kill or fail the process at named places.
    #[must_use]
    pub fn failpoints(mut self, failpoints: Arc<dyn Failpoints>) -> Self {
        self.failpoints = failpoints;
        self
    }

    /// Checks everything and opens the door; nothing runs before [`Archibald::start`].
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(self) -> Result<Archibald, BuildError> {
        self.config.check(self.ports.pool.capacity())?;
        Scheduler::new(self.config.scheduler()).map_err(ConfigError::from)?;
        let mut registry = Registry::default();
        for action in self.actions {
            registry.add(action).map_err(BuildError::Duplicate)?;
        }
        schedules::check(&self.schedules, &registry, &self.config)
            .map_err(|(name, error)| BuildError::Schedule { name, error })?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let clock = StoreClock::new(&self.ports.clock);
        let shared = Shared {
            store: self.ports.store,
            pending_orders: self.pending_orders,
            lock: self.ports.lock,
            bus: self.ports.bus,
            pool: self.ports.pool,
            credentials: self.ports.credentials,
            failpoints: self.failpoints,
            registry,
            schedules: self.schedules.into_iter().map(Arc::new).collect(),
            config: self.config,
            stats: Stats::new(clock.now()),
            clock,
            holdings: Arc::new(Holdings::default()),
            draining: AtomicBool::new(false),
            accepting: TaskTracker::new(),
            inbox: sender,
        };
        Ok(Archibald {
            shared: Arc::new(shared),
            kept_agents: self.kept_agents,
            inbox: Arc::new(Mutex::new(Some(receiver))),
            works: Arc::default(),
        })
    }
}

impl Archibald {
    /// Begins to put one together.
    #[must_use]
    pub fn builder(ports: Ports) -> Builder {
        Builder {
            ports,
            pending_orders: None,
            kept_agents: None,
            config: RuntimeConfig::default(),
            failpoints: Arc::new(NoFailpoints),
            actions: crate::actions::all(),
            schedules: vec![],
        }
    }

    /// Starts this process's worker; `None` when it was started before. Must be called within a tokio
    /// runtime.
    #[must_use]
    pub fn start(&self) -> Option<Worker> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let scheduler = Scheduler::new(self.shared.config.scheduler()).ok()?;
        self.works.set(Handle::current()).ok();
        let recurring = Recurring::start(self.clone());
        Some(Worker::start(self.shared.clone(), scheduler, inbox, recurring))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Has an operation stored, and started where that can be at once.
    pub(crate) async fn take_in(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        if let Some(worker) = self.works.get()
            && let Some(promise) = self.shared.promise(&new).await
        {
            return take_up(self.shared.clone(), worker, new, promise).await;
        }
        self.shared.store.enqueue(new).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        self.works.get()?;
        let (answer, answered) = oneshot::channel();
        self.shared.inbox.send(question(answer)).ok()?;
        answered.await.ok()
    }

    fn tell(&self, input: Input) {
        if self.works.get().is_some() {
            self.shared.tell(input);
        }
    }
}

#[async_trait]
impl Operations for Archibald {
    async fn enqueue(&self, request: EnqueueRequest) -> Result<Enqueued, EnqueueError> {
        self.accept(request).await
    }

    async fn get(&self, agent: &AgentId, id: OperationId) -> Result<Option<OperationRecord>, StoreError> {
        self.shared.store.get(agent, id).await
    }

    async fn list(&self, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError> {
        self.shared.store.list(agent, filter).await
    }

    async fn wait(
        &self,
        agent: &AgentId,
        id: OperationId,
        limit: Duration,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let until = Instant::now() + limit;
        let mut wakeups = self.shared.bus.subscribe(agent);
        loop {
            let record = self.shared.store.get(agent, id).await?;
            match &record {
                Some(known) if !known.operation.is_final() && known.operation.state.name() != "in_doubt" => {}
                _ => return Ok(record),
            }
            match tokio::time::timeout_at(until, wakeups.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(record),
            }
        }
    }

    async fn cancel(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        let record = self.shared.store.cancel(agent, id, by).await?;
        self.shared.stats.ended(&record);
        self.tell(Input::Withdrawn { agent: agent.clone(), operation: id });
        Ok(record)
    }

    async fn retry(&self, agent: &AgentId, id: OperationId, by: &str) -> Result<OperationRecord, AdminError> {
        self.shared.store.redrive(agent, id, by).await
    }

    async fn resolve(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
        how: &Resolution,
    ) -> Result<OperationRecord, AdminError> {
        if let Resolution::Applied { receipt } = how {
            let known = self.shared.store.get(agent, id).await?.ok_or(AdminError::NotFound(id))?;
            if let Some(Action::Effect(action)) = self.shared.registry.get(&known.operation.kind) {
                action.check_receipt(receipt).map_err(AdminError::Invalid)?;
            }
        }
        let record = self.shared.store.resolve(agent, id, by, how).await?;
        self.shared.stats.ended(&record);
        if record.operation.is_final() {
            self.tell(Input::TargetFreed { agent: agent.clone(), operation: id });
        }
        Ok(record)
    }

    async fn explain(&self, agent: &AgentId, id: OperationId) -> Vec<Why> {
        let asked = |answer| Message::Explain { agent: agent.clone(), operation: id, answer };
        let known = self.ask(asked).await.unwrap_or_default();
        if !known.is_empty() {
            return known;
        }
        let behind = behind::explain(self.shared.store.as_ref(), self.shared.clock.now(), agent, id);
        behind.await.unwrap_or_else(|error| {
            tracing::warn!(%agent, operation = %id, %error, "it could not be read why it waits");
            vec![]
        })
    }

    async fn evidence(
        &self,
        agent: &AgentId,
        id: OperationId,
        n: u32,
    ) -> Result<Option<Evidence>, StoreError> {
        self.shared.store.evidence(agent, id, n).await
    }

    async fn rows(&self, agent: &AgentId, query: &RowQuery) -> Result<RowPage, StoreError> {
        self.shared.store.rows(agent, query).await
    }

    fn pending_orders(&self) -> Option<Arc<dyn PendingOrders>> {
        let kept = self.shared.pending_orders.is_some();
        kept.then(|| Arc::new(self.clone()) as Arc<dyn PendingOrders>)
    }

    fn agent_admin(&self) -> Option<Arc<dyn AgentAdmin>> {
        let store = self.kept_agents.clone()?;
        Some(Arc::new(Administered { archibald: self.clone(), store }))
    }

    fn knows(&self, agent: &AgentId) -> bool {
        self.shared.credentials.knows(agent)
    }

    fn agents(&self) -> Vec<AgentId> {
        self.shared.credentials.agents()
    }

    fn kinds(&self) -> Vec<OperationKind> {
        self.shared.registry.kinds()
    }

    async fn overview(&self) -> Result<Overview, StoreError> {
        let request = SurveyRequest { after: None, agents: 1, each: 1, beat: None };
        let Survey { paused, workers, .. } = self.shared.store.survey(&request).await?;
        let counts = self.ask(Message::Counts).await.unwrap_or_default();
        Ok(Overview {
            waiting: counts.waiting,
            running: counts.running,
            paused,
            workers,
            slots: self.shared.config.concurrency,
            peak_running: counts.peak_in_use,
            probes: self.shared.stats.probes.load(Relaxed),
            preemptions: counts.preemptions,
            draining: self.shared.is_draining(),
            pool: self.shared.pool.occupancy(),
        })
    }

    fn history(&self, since: Timestamp) -> Vec<Minute> {
        self.shared.stats.history.told(since, self.shared.clock.now())
    }

    async fn picture(&self, agent: &AgentId) -> Option<Arc<[u8]>> {
        self.shared.pool.picture(agent).await
    }

    fn has_pictures(&self) -> bool {
        self.shared.pool.has_pictures()
    }

    async fn pause(&self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError> {
        self.shared.store.pause(scope, why, drains).await?;
        self.tell(Input::Pause { scope: scope.clone(), why: why.to_owned(), drains });
        Ok(())
    }

    async fn resume(&self, scope: &PauseScope) -> Result<(), StoreError> {
        self.shared.store.resume(scope).await?;
        self.tell(Input::Resume { scope: scope.clone() });
        Ok(())
    }
}
