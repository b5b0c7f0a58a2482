//! What stands behind the router in these tests: the in-memory store, and the least that makes an
//! `Operations` of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::error::{EnqueueError, FieldError, StoreError};
use archibald_core::event::{Cursor, Progress};
use archibald_core::id::{AgentId, OperationId, OperationKind, WorkerId};
use archibald_core::operation::{Class, NewOperation, OperationState};
use archibald_core::pause::PauseScope;
use archibald_core::port::{
    AdminError, AgentAdmin, AgentLock, CredentialProvider, EnqueueRequest, Enqueued, EventBus, EventRead,
    Head, LeaseRequest, Leased, Minute, OperationFilter, OperationPage, OperationStore, Operations, Overview,
    PendingOrders, RowPage, RowQuery, Snapshot, Wakeups, Why, WorkerWakeups,
};
use archibald_core::record::{Disposition, Evidence, OperationRecord, Resolution, Settlement};
use archibald_core::time::Timestamp;
use archibald_core::worker::{Heartbeat, LiveWorker};
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;
use serde_json::json;
use uuid::Uuid;

use crate::agents::{Added, Admin};

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

/// Knows nancy and janet, `submit-order` (needs a customer; `PANIC` panics) and `sync-customers`.
#[derive(Clone)]
pub struct Door {
    pub store: MemoryStore,
    pub draining: Arc<AtomicBool>,
    pub queue_limit: Option<u64>,
    /// What became of operations.
    pub minutes: Arc<Mutex<Vec<Minute>>>,
    /// Agents that were added.
    pub added: Arc<Added>,
    /// Whether agents can be added.
    pub keeps_agents: Arc<AtomicBool>,
    /// Has no pictures of sessions.
    pub is_blind: Arc<AtomicBool>,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            store: MemoryStore::default(),
            draining: Arc::default(),
            queue_limit: None,
            minutes: Arc::default(),
            added: Arc::default(),
            keeps_agents: Arc::new(AtomicBool::new(true)),
            is_blind: Arc::default(),
        }
    }
}

impl Door {
    /// Leases the operation, as a worker would.
    pub async fn start(&self, agent: &AgentId, operation: OperationId) -> Leased {
        let request = LeaseRequest {
            agent: agent.clone(),
            operation,
            worker: WorkerId::new("w1").unwrap(),
            ttl: Duration::from_secs(3600),
        };
        self.store.lease(&request).await.unwrap()
    }

    /// Starts it and settles it so.
    pub async fn end(&self, agent: &AgentId, operation: OperationId, how: impl Into<Settlement>) {
        let leased = self.start(agent, operation).await;
        self.store.settle(&leased.lease, how.into()).await.unwrap();
    }

    pub async fn complete(&self, agent: &AgentId, operation: OperationId) {
        self.end(agent, operation, Disposition::Complete { result: json!({ "order": "1042" }) }).await;
    }

    /// Accepts an order; returns its id.
    pub async fn submit(&self, agent: &AgentId, key: &str) -> OperationId {
        let request = EnqueueRequest {
            agent: agent.clone(),
            kind: "submit-order".into(),
            payload: json!({ "customer": "ALFKI" }),
            key: key.parse().unwrap(),
            run_at: None,
            origin: None,
            trace: false,
        };
        self.enqueue(request).await.unwrap().record.operation.id
    }
}

#[async_trait]
impl Operations for Door {
    async fn enqueue(&self, request: EnqueueRequest) -> Result<Enqueued, EnqueueError> {
        let class = match request.kind.as_str() {
            "submit-order" => Class::Interactive,
            "sync-customers" => Class::Background,
            other => {
                let known = vec!["submit-order".into(), "sync-customers".into()];
                return Err(EnqueueError::UnknownKind { kind: other.into(), known });
            }
        };
        if class == Class::Interactive {
            let Some(customer) = request.payload.get("customer") else {
                return Err(EnqueueError::Invalid(vec![FieldError::new("/customer", "is missing")]));
            };
            assert_ne!(customer, "PANIC", "asked to panic");
        }
        let new = NewOperation {
            id: OperationId(Uuid::now_v7()),
            agent: request.agent,
            kind: OperationKind::new(&request.kind).unwrap(),
            class,
            key: request.key,
            target: None,
            once_per_target: false,
            payload: request.payload,
            run_at: request.run_at,
            origin: request.origin,
            queue_limit: self.queue_limit.unwrap_or(1_000_000),
            trace: request.trace,
        };
        OperationStore::enqueue(&self.store, new).await
    }

    async fn get(&self, agent: &AgentId, id: OperationId) -> Result<Option<OperationRecord>, StoreError> {
        OperationStore::get(&self.store, agent, id).await
    }

    async fn list(&self, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError> {
        OperationStore::list(&self.store, agent, filter).await
    }

    async fn wait(
        &self,
        agent: &AgentId,
        id: OperationId,
        limit: Duration,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let mut wakeups = self.store.subscribe(agent);
        let ended = async {
            loop {
                let record = Operations::get(self, agent, id).await?;
                let state = record.as_ref().map(|record| &record.operation.state);
                if state.is_none_or(|s| s.is_final() || matches!(s, OperationState::InDoubt { .. })) {
                    return Ok(record);
                }
                wakeups.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(limit, ended).await {
            Ok(record) => record,
            Err(_) => Operations::get(self, agent, id).await,
        }
    }

    async fn cancel(&self, a: &AgentId, id: OperationId, by: &str) -> Result<OperationRecord, AdminError> {
        OperationStore::cancel(&self.store, a, id, by).await
    }

    async fn retry(&self, a: &AgentId, id: OperationId, by: &str) -> Result<OperationRecord, AdminError> {
        self.store.redrive(a, id, by).await
    }

    async fn resolve(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
        how: &Resolution,
    ) -> Result<OperationRecord, AdminError> {
        OperationStore::resolve(&self.store, agent, id, by, how).await
    }

    async fn explain(&self, _: &AgentId, _: OperationId) -> Vec<Why> {
        vec![Why::NoSlot]
    }

    async fn evidence(&self, a: &AgentId, id: OperationId, n: u32) -> Result<Option<Evidence>, StoreError> {
        OperationStore::evidence(&self.store, a, id, n).await
    }

    async fn rows(&self, agent: &AgentId, query: &RowQuery) -> Result<RowPage, StoreError> {
        OperationStore::rows(&self.store, agent, query).await
    }

    fn pending_orders(&self) -> Option<Arc<dyn PendingOrders>> {
        Some(Arc::new(self.clone()))
    }

    fn agent_admin(&self) -> Option<Arc<dyn AgentAdmin>> {
        let keeps = self.keeps_agents.load(Ordering::Relaxed);
        keeps
            .then(|| Arc::new(Admin { added: self.added.clone(), door: self.clone() }) as Arc<dyn AgentAdmin>)
    }

    fn knows(&self, agent: &AgentId) -> bool {
        self.agents().contains(agent)
    }

    fn agents(&self) -> Vec<AgentId> {
        [vec![agent("janet"), agent("nancy")], self.added.credentials.agents()].concat()
    }

    fn kinds(&self) -> Vec<OperationKind> {
        ["submit-order", "sync-customers"].map(|name| OperationKind::new(name).unwrap()).into()
    }

    async fn overview(&self) -> Result<Overview, StoreError> {
        let paused = self.store.paused().await?;
        let draining = self.draining.load(Ordering::Relaxed);
        let beat = |name: &str| Heartbeat {
            worker: WorkerId::new(name).unwrap(),
            slots: 10,
            drains: false,
            lasts: Duration::from_secs(90),
        };
        let workers = ["w1", "w2"].map(|name| LiveWorker::heard(&beat(name), None, Timestamp::EPOCH)).into();
        Ok(Overview { paused, workers, draining, slots: 10, ..Overview::default() })
    }

    fn history(&self, since: Timestamp) -> Vec<Minute> {
        let minutes = self.minutes.lock().unwrap();
        minutes.iter().filter(|minute| minute.at >= since).cloned().collect()
    }

    /// Only nancy's session is in use.
    async fn picture(&self, whose: &AgentId) -> Option<Arc<[u8]>> {
        (*whose == agent("nancy")).then(|| Arc::from(*b"\xff\xd8 nancy's"))
    }

    fn has_pictures(&self) -> bool {
        !self.is_blind.load(Ordering::Relaxed)
    }

    async fn pause(&self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError> {
        OperationStore::pause(&self.store, scope, why, drains).await
    }

    async fn resume(&self, scope: &PauseScope) -> Result<(), StoreError> {
        OperationStore::resume(&self.store, scope).await
    }
}

/// A bus that can fail or hang, and counts its reads.
#[derive(Clone, Default)]
pub struct Bus {
    pub store: MemoryStore,
    pub broken: Arc<AtomicBool>,
    pub hangs: Arc<AtomicBool>,
    /// So many calls fail.
    pub failing: Arc<AtomicU64>,
    pub reads: Arc<AtomicU64>,
}

impl Bus {
    pub fn of(store: &MemoryStore) -> Self {
        Self { store: store.clone(), ..Self::default() }
    }

    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    async fn ask(&self) -> Result<(), StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let fails = self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if fails.is_ok() || self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("the log", "the disk is gone"));
        }
        Ok(())
    }
}

#[async_trait]
impl EventBus for Bus {
    async fn head(&self, agent: &AgentId) -> Result<Head, StoreError> {
        self.ask().await?;
        self.store.head(agent).await
    }

    async fn read(&self, agent: &AgentId, after: Cursor, limit: u32) -> Result<EventRead, StoreError> {
        self.ask().await?;
        self.store.read(agent, after, limit).await
    }

    async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        self.ask().await?;
        self.store.snapshot(agent, finished).await
    }

    async fn prune(&self, agent: &AgentId, up_to: u64) -> Result<Head, StoreError> {
        self.store.prune(agent, up_to).await
    }

    async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError> {
        self.store.prunable(before, most, agents).await
    }

    async fn new_epoch(&self) -> Result<(), StoreError> {
        self.store.new_epoch().await
    }

    fn subscribe(&self, agent: &AgentId) -> Box<dyn Wakeups> {
        self.store.subscribe(agent)
    }

    fn subscribe_worker(&self) -> Box<dyn WorkerWakeups> {
        self.store.subscribe_worker()
    }

    fn publish_progress(&self, progress: Progress) {
        self.store.publish_progress(progress);
    }

    fn progress(&self, agent: &AgentId) -> Vec<Progress> {
        self.store.progress(agent)
    }
}
