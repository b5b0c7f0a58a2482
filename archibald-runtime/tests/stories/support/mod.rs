//! A whole house in memory: real scheduler, real rules, a store and an ERP that forget nothing.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::Settle;
use archibald_core::event::{Cursor, Event};
use archibald_core::id::{AgentId, OperationId, OperationKey};
use archibald_core::operation::OperationState;
use archibald_core::port::{EnqueueRequest, EventBus, EventRead, Operations};
use archibald_core::record::OperationRecord;
use archibald_runtime::{Action, Archibald, Failpoints, NoFailpoints, Ports, RuntimeConfig, Worker};
use archibald_testing::clock::SystemClock;
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::failpoint::Failpoint;
use archibald_testing::fake_erp::FakeErp;
use archibald_testing::memory::MemoryStore;
use serde_json::{Value, json};

/// The longest that any story waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

mod counting;
mod impatient;
mod muffled;

pub(crate) use self::counting::CountCustomers;
pub(crate) use self::impatient::ImpatientOrder;
pub(crate) use self::muffled::Muffled;

pub(crate) struct House {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) erp: Arc<FakeErp>,
    pub(crate) archibald: Archibald,
    pub(crate) worker: Option<Worker>,
    config: RuntimeConfig,
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(crate) fn quick() -> RuntimeConfig {
    RuntimeConfig {
        concurrency: 4,
        settle: Settle { request: Duration::from_millis(300), lists: Duration::from_millis(50) },
        act_budget: Duration::from_millis(500),
        lease: Duration::from_secs(2),
        lease_margin: Duration::from_millis(100),
        ..RuntimeConfig::default()
    }
}

impl House {
    pub(crate) fn open() -> Self {
        Self::with(quick(), Arc::new(NoFailpoints))
    }

    pub(crate) fn with(config: RuntimeConfig, failpoints: Arc<dyn Failpoints>) -> Self {
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        let erp = FakeErp::new(8);
        let archibald = door(&store, &erp, &config, failpoints);
        let worker = archibald.start();
        Self { store, erp, archibald, worker, config }
    }

    /// The calls of its store pass a point.
    pub(crate) fn with_point(point: &Arc<Failpoint>) -> Self {
        let (store, erp) = (Arc::new(MemoryStore::new(Arc::new(SystemClock))), FakeErp::new(8));
        let ports = Ports { store: point.store(store.clone()), ..ports(&store, &erp) };
        let archibald = house(ports, &store, &quick(), Arc::new(NoFailpoints));
        let worker = archibald.start();
        Self { store, erp, archibald, worker, config: quick() }
    }

    /// Its worker is woken by this bus.
    pub(crate) fn with_bus(
        config: RuntimeConfig,
        store: Arc<MemoryStore>,
        erp: Arc<FakeErp>,
        bus: Arc<dyn EventBus>,
    ) -> Self {
        let ports = Ports { bus, ..ports(&store, &erp) };
        let archibald = house(ports, &store, &config, Arc::new(NoFailpoints));
        let worker = archibald.start();
        Self { store, erp, archibald, worker, config }
    }

    pub(crate) fn restart_with(&mut self, config: RuntimeConfig) {
        self.config = config;
        self.restart();
    }

    /// The process is gone, and another one starts over the same store.
    pub(crate) fn restart(&mut self) {
        self.archibald = door(&self.store, &self.erp, &self.config, Arc::new(NoFailpoints));
        self.worker = self.archibald.start();
    }

    pub(crate) async fn submit(&self, who: &str, key: &str) -> OperationId {
        self.enqueue(who, "submit-order", key, order()).await
    }

    pub(crate) async fn enqueue(&self, who: &str, kind: &str, key: &str, payload: Value) -> OperationId {
        let request = EnqueueRequest {
            agent: agent(who),
            kind: kind.to_owned(),
            payload,
            key: OperationKey::new(key).unwrap(),
            run_at: None,
            origin: None,
            trace: false,
        };
        self.archibald.enqueue(request).await.unwrap().record.operation.id
    }

    pub(crate) async fn finished(&self, who: &str, id: OperationId) -> OperationRecord {
        self.archibald.wait(&agent(who), id, PATIENCE).await.unwrap().unwrap()
    }

    pub(crate) async fn completed(&self, who: &str, id: OperationId) -> Value {
        match self.finished(who, id).await.operation.state {
            OperationState::Completed { result } => result,
            other => panic!("not completed: {other:?}"),
        }
    }

    /// Waits until somebody was asked to give way.
    pub(crate) async fn asks_to_give_way(&self) {
        self.gave_way(1).await;
    }

    /// Waits until somebody was asked to give way for that many times.
    pub(crate) async fn gave_way(&self, times: u64) {
        let asked = async {
            while self.archibald.overview().await.unwrap().preemptions < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("nobody was asked to give way");
    }

    /// Waits until somebody waits for a page that the ERP holds back.
    pub(crate) async fn holds_a_page(&self) {
        let held = async {
            while self.erp.held() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, held).await.expect("nobody waits for a page");
    }

    /// How often the ERP was asked whether an effect exists, since the start.
    pub(crate) async fn probes(&self) -> u64 {
        self.archibald.overview().await.unwrap().probes
    }

    /// Waits until the agent's log has an event of this type about this operation.
    pub(crate) async fn saw(&self, who: &str, id: OperationId, kind: &str) -> Event {
        let mut wakeups = self.store.subscribe(&agent(who));
        let story = async {
            loop {
                let events = self.events(who).await;
                let found =
                    events.into_iter().find(|e| e.event.kind == kind && e.event.operation == Some(id));
                match found {
                    Some(event) => return event,
                    None => wakeups.changed().await.unwrap(),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, story).await {
            Ok(event) => event,
            Err(_) => panic!("no {kind} of {id} among {:#?}", self.events(who).await),
        }
    }

    pub(crate) async fn events(&self, who: &str) -> Vec<Event> {
        let head = self.store.head(&agent(who)).await.unwrap();
        let start = Cursor { epoch: head.epoch, seq: 0 };
        match self.store.read(&agent(who), start, 10_000).await.unwrap() {
            EventRead::Batch { events, .. } => events,
            EventRead::Reset(reason) => panic!("{reason:?}"),
        }
    }
}

fn door(
    store: &Arc<MemoryStore>,
    erp: &Arc<FakeErp>,
    config: &RuntimeConfig,
    failpoints: Arc<dyn Failpoints>,
) -> Archibald {
    house(ports(store, erp), store, config, failpoints)
}

fn ports(store: &Arc<MemoryStore>, erp: &Arc<FakeErp>) -> Ports {
    let agents = ["nancy", "andrew", "janet"];
    let credentials =
        agents.iter().fold(FixedCredentials::new(), |known, name| known.with(agent(name), *name, "secret"));
    Ports::new(store.clone(), erp.clone(), Arc::new(credentials))
}

fn house(
    ports: Ports,
    store: &Arc<MemoryStore>,
    config: &RuntimeConfig,
    failpoints: Arc<dyn Failpoints>,
) -> Archibald {
    Archibald::builder(ports)
        .pending_orders(store.clone())
        .action(Action::Effect(Arc::new(ImpatientOrder)))
        .action(Action::Read(Arc::new(CountCustomers)))
        .config(config.clone())
        .failpoints(failpoints)
        .build()
        .unwrap()
}

pub(crate) fn order() -> Value {
    json!({ "customer": "ALFKI", "date": "2026-11-22",
        "lines": [{ "product": "A0001", "quantity": 3, "discount": "5" }] })
}
