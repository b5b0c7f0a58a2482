//! When a worker starts what: by the store's clock, and woken rather than by a timer.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::error::{FenceError, StoreError};
use archibald_core::id::{AgentId, FencingToken, OperationId, OperationKey, OperationKind, Target, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::{
    AgentLock, Clock, LeaseError, LeaseRequest, Leased, OperationStore, Operations, Reaped,
};
use archibald_core::record::Disposition;
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use archibald_runtime::{Archibald, Ports, RuntimeConfig};
use archibald_testing::clock::SystemClock;
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;
use serde_json::json;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);

/// A machine whose clock is an hour off.
enum Wrong {
    Behind,
    Ahead,
}

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        let hour = Duration::from_secs(3600);
        match self {
            Self::Behind => SystemClock.now() - hour,
            Self::Ahead => SystemClock.now() + hour,
        }
    }
}

/// Counts how often a lease is asked for, and panics once where it is told to.
struct Counted {
    lock: Arc<MemoryStore>,
    asked: AtomicUsize,
    panics: Mutex<Option<&'static str>>,
}

impl Counted {
    fn pass(&self, call: &str) {
        let mut panics = self.panics.lock().unwrap();
        if panics.take_if(|told| *told == call).is_some() {
            drop(panics);
            std::panic::resume_unwind(Box::new("told to"));
        }
    }
}

#[async_trait]
impl AgentLock for Counted {
    async fn lease(&self, request: &LeaseRequest) -> Result<Leased, LeaseError> {
        self.asked.fetch_add(1, Relaxed);
        self.pass("lease");
        self.lock.lease(request).await
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<(AgentId, FencingToken)>, StoreError> {
        self.pass("renew");
        self.lock.renew(leases).await
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), FenceError> {
        self.lock.hand_back(lease).await
    }

    async fn revoke(&self, agent: &AgentId) -> Result<Option<Ticket>, StoreError> {
        self.lock.revoke(agent).await
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        self.pass("reap");
        self.lock.reap().await
    }
}

struct House {
    store: Arc<MemoryStore>,
    lock: Arc<Counted>,
    erp: Arc<FakeErp>,
    archibald: Archibald,
}

fn house(clock: Arc<dyn Clock>) -> House {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let lock =
        Arc::new(Counted { lock: store.clone(), asked: AtomicUsize::new(0), panics: Mutex::default() });
    let credentials = FixedCredentials::new().with(nancy(), "nancy", "secret");
    let erp = FakeErp::new(8);
    let ports = Ports::new(store.clone(), erp.clone(), Arc::new(credentials));
    let ports = Ports { lock: lock.clone(), clock, ..ports };
    let config = RuntimeConfig {
        concurrency: 4,
        act_budget: Duration::from_millis(500),
        lease: Duration::from_secs(2),
        lease_margin: Duration::from_millis(100),
        ..RuntimeConfig::default()
    };
    let archibald = Archibald::builder(ports).config(config).build().unwrap();
    House { store, lock, erp, archibald }
}

fn nancy() -> AgentId {
    AgentId::new("nancy").unwrap()
}

fn submit(key: &str) -> NewOperation {
    NewOperation {
        id: OperationId(Uuid::now_v7()),
        agent: nancy(),
        kind: OperationKind::new("submit-order").unwrap(),
        class: Class::Interactive,
        key: OperationKey::new(key).unwrap(),
        target: None,
        once_per_target: false,
        payload: json!({ "customer": "ALFKI", "date": "2026-11-22",
            "lines": [{ "product": "A0001", "quantity": 1 }] }),
        run_at: None,
        origin: None,
        queue_limit: 100,
        trace: false,
    }
}

impl House {
    /// Of an agent that nobody else speaks of.
    async fn an_ended_lease(&self) {
        let agent = AgentId::new("andrew").unwrap();
        let new = NewOperation { agent: agent.clone(), ..submit("ended") };
        let operation = self.store.enqueue(new).await.unwrap().record.operation.id;
        let worker = WorkerId::new("elsewhere").unwrap();
        let request = LeaseRequest { agent, operation, worker, ttl: Duration::ZERO };
        self.store.lease(&request).await.unwrap();
    }

    async fn ends(&self, id: OperationId) -> &'static str {
        self.archibald.wait(&nancy(), id, PATIENCE).await.unwrap().unwrap().operation.state.name()
    }
}

#[tokio::test]
async fn a_machine_whose_clock_is_behind_starts_what_is_due() {
    let house = house(Arc::new(Wrong::Behind));
    let _worker = house.archibald.start();
    let id = house.store.enqueue(submit("k")).await.unwrap().record.operation.id;
    assert_eq!(house.ends(id).await, "completed");
}

#[tokio::test]
async fn a_machine_whose_clock_is_ahead_asks_for_nothing_before_its_time() {
    let house = house(Arc::new(Wrong::Ahead));
    let _worker = house.archibald.start();
    let run_at = Some(SystemClock.now() + Duration::from_secs(1));
    let id = house.store.enqueue(NewOperation { run_at, ..submit("k") }).await.unwrap().record.operation.id;
    assert_eq!(house.ends(id).await, "completed");
    let asked = house.lock.asked.load(Relaxed);
    assert!(asked <= 3, "asked for {asked} leases of one operation");
}

/// The doubt was resolved in another process: no word of it but the agent's wake-up.
#[tokio::test]
async fn what_waited_for_a_target_starts_when_its_agent_is_heard_of() {
    let house = house(Arc::new(SystemClock));
    let draft = Some(Target::new("draft:1").unwrap());
    let on_draft = |key: &str| NewOperation { target: draft.clone(), ..submit(key) };
    let first = house.store.enqueue(on_draft("first")).await.unwrap().record.operation.id;
    let elsewhere = LeaseRequest {
        agent: nancy(),
        operation: first,
        worker: WorkerId::new("elsewhere").unwrap(),
        ttl: Duration::from_secs(60),
    };
    let leased = house.store.lease(&elsewhere).await.unwrap();
    let doubt = Disposition::Doubt { evidence: "two bearers".into() };
    house.store.settle(&leased.lease, doubt.into()).await.unwrap();

    let _worker = house.archibald.start();
    let second = house.store.enqueue(on_draft("second")).await.unwrap().record.operation.id;
    // The worker was told that the target is busy as soon as it asked once.
    let asked = async {
        while house.lock.asked.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
    let abandon = archibald_core::record::Resolution::Abandon;
    house.store.resolve(&nancy(), first, "operator", &abandon).await.unwrap();
    assert_eq!(house.ends(second).await, "completed", "long before the next sweep");
}

/// The worker goes on, and so do the leases of everybody else.
#[tokio::test]
async fn a_store_that_panics_once_ends_nothing() {
    for call in ["reap", "lease", "renew"] {
        let house = house(Arc::new(SystemClock));
        *house.lock.panics.lock().unwrap() = Some(call);
        if call == "reap" {
            house.an_ended_lease().await;
        }
        house.erp.hold_lists(call == "renew");
        let _worker = house.archibald.start();
        let kind = OperationKind::new("sync-customers").unwrap();
        let sync = NewOperation { kind, payload: json!({}), ..submit("k") };
        let id = house.store.enqueue(sync).await.unwrap().record.operation.id;
        let panicked = async {
            while house.lock.panics.lock().unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, panicked).await.unwrap();
        house.erp.hold_lists(false);
        assert_eq!(house.ends(id).await, "completed", "after a panic in {call}");
    }
}

/// More than is read of an agent in one go: what is behind is read as the queue moves on, not by the sweep.
#[tokio::test]
async fn a_long_queue_runs_to_its_end_in_order() {
    let house = house(Arc::new(SystemClock));
    let _worker = house.archibald.start();
    let mut ids = vec![];
    for n in 0..350 {
        let new = NewOperation { queue_limit: 1000, ..submit(&format!("k{n}")) };
        ids.push(house.store.enqueue(new).await.unwrap().record.operation.id);
    }
    let mut last = Timestamp::EPOCH;
    for id in ids {
        assert_eq!(house.ends(id).await, "completed");
        let record = house.store.get(&nancy(), id).await.unwrap().unwrap();
        let started = record.attempts[0].started_at;
        assert!(started >= last, "in the order of the queue");
        last = started;
    }
}
