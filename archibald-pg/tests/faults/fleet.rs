use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::effect::{IntentBasis, IntentRequest, Receipt, Settle};
use archibald_core::error::{EnqueueError, FenceError};
use archibald_core::id::{AgentId, EffectName, FencingToken, OperationId};
use archibald_core::lease::Lease;
use archibald_core::operation::{OperationState, Step};
use archibald_core::port::{AgentLock, EventBus, Leased, OperationStore, WorkerWake};
use archibald_core::record::{Disposition, YieldReason};
use archibald_pg::{PgOptions, PgStore};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::ledger::Ledger;
use crate::private::{PATIENCE, Private};
use crate::support::{agent, options, request, submit};

/// What the holder's own deadline is earlier than the lease's end.
const MARGIN: Duration = Duration::from_millis(100);
const BUDGET: Duration = Duration::from_millis(200);
/// What a request that was released and not heard of may still do.
const SETTLE: Settle = Settle { request: Duration::from_millis(300), lists: Duration::from_millis(10) };
/// How long somebody waits to be woken before he looks by himself.
const UNWOKEN: Duration = Duration::from_millis(300);

pub struct Plan {
    /// Stores over the same tables, as processes have them.
    pub processes: usize,
    pub agents: usize,
    pub ttl: Duration,
    pub options: PgOptions,
}

impl Default for Plan {
    fn default() -> Self {
        // Nothing but notifications tells one process of the other.
        let options = PgOptions { poll_every: Duration::from_secs(3600), ..options() };
        Self { processes: 2, agents: 6, ttl: Duration::from_secs(2), options }
    }
}

/// Devices that ask and workers that carry out, until they are told to end.
pub struct Fleet {
    pub stores: Vec<PgStore>,
    shared: Arc<Shared>,
    devices: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
}

/// What the fleet was told by the store.
pub struct Told {
    pub acknowledged: Vec<OperationId>,
    pub ledger: Arc<Ledger>,
    pub settled: usize,
    /// Calls that the store could not answer.
    pub unanswered: usize,
    /// Leases of which the store said that they are lost.
    pub lost: usize,
}

struct Shared {
    ttl: Duration,
    ledger: Arc<Ledger>,
    acknowledged: Mutex<Vec<OperationId>>,
    settled: watch::Sender<usize>,
    unanswered: AtomicUsize,
    lost: AtomicUsize,
    calls: Mutex<Vec<Duration>>,
    asks: AtomicBool,
    works: AtomicBool,
}

/// What one process works with.
#[derive(Clone)]
struct Process {
    name: String,
    store: PgStore,
    shared: Arc<Shared>,
    held: Arc<Mutex<HashMap<(AgentId, FencingToken), Lease>>>,
}

impl Fleet {
    pub async fn start(private: &Private, plan: Plan) -> Self {
        let shared = Arc::new(Shared {
            ttl: plan.ttl,
            ledger: Arc::default(),
            acknowledged: Mutex::default(),
            settled: watch::channel(0).0,
            unanswered: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            calls: Mutex::default(),
            asks: AtomicBool::new(true),
            works: AtomicBool::new(true),
        });
        let mut fleet = Self { stores: vec![], shared, devices: vec![], workers: vec![] };
        for number in 0..plan.processes {
            let store = PgStore::connect(&private.url(), plan.options.clone()).await.unwrap();
            fleet.stores.push(store.clone());
            let (shared, held) = (fleet.shared.clone(), Arc::default());
            fleet.employ(Process { name: format!("w{number}"), store, shared, held }, plan.agents);
        }
        for number in 0..plan.agents {
            let store = fleet.stores[number % plan.processes].clone();
            fleet.devices.push(tokio::spawn(ask(store, agent(&format!("a{number}")), fleet.shared.clone())));
        }
        fleet
    }

    fn employ(&mut self, process: Process, agents: usize) {
        self.workers.push(tokio::spawn(process.clone().renews()));
        self.workers.push(tokio::spawn(process.clone().reaps()));
        for number in 0..agents {
            self.workers.push(tokio::spawn(process.clone().works(agent(&format!("a{number}")))));
        }
    }

    /// Returns once so many more operations were settled.
    pub async fn settles(&self, count: usize) {
        let mut settled = self.shared.settled.subscribe();
        let wanted = *settled.borrow() + count;
        let done = timeout(PATIENCE, settled.wait_for(|settled| *settled >= wanted)).await;
        assert!(done.is_ok(), "the work does not go on: {}", *self.shared.settled.borrow());
    }

    /// Returns once each process hears what another commits, and has nothing but notifications for it.
    pub async fn hears(&self) {
        for (n, listening) in self.stores.iter().enumerate() {
            until_heard(listening, &self.stores[(n + 1) % self.stores.len()]).await;
        }
    }

    /// How long the calls took that ended since this was last asked.
    pub fn calls(&self) -> Vec<Duration> {
        std::mem::take(&mut self.shared.calls.lock().unwrap())
    }

    /// Lets what was asked for come to its end.
    pub async fn ends(self, private: &Private) -> Told {
        self.shared.asks.store(false, Relaxed);
        for device in self.devices {
            timeout(PATIENCE, device).await.expect("a device ends").unwrap();
        }
        let open = "select count(*) from archibald.operations where finished_at is null";
        let deadline = Instant::now() + PATIENCE;
        while private.sql(open) != "0" {
            assert!(Instant::now() < deadline, "{} operations do not end", private.sql(open));
            sleep(Duration::from_millis(50)).await;
        }
        self.shared.works.store(false, Relaxed);
        for worker in self.workers {
            timeout(PATIENCE, worker).await.expect("a worker ends").unwrap();
        }
        Told {
            acknowledged: self.shared.acknowledged.lock().unwrap().clone(),
            ledger: self.shared.ledger.clone(),
            settled: *self.shared.settled.borrow(),
            unanswered: self.shared.unanswered.load(Relaxed),
            lost: self.shared.lost.load(Relaxed),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, settled, unanswered, lost, .. } = self;
        let count = acknowledged.len();
        write!(
            f,
            "{count} acknowledged, {settled} settled, {unanswered} calls unanswered, {lost} leases lost"
        )
    }
}

/// Notifications alone: whoever listens was not told by his own commit.
pub async fn until_heard(listening: &PgStore, telling: &PgStore) {
    let mut wakes = listening.subscribe_worker();
    let deadline = Instant::now() + PATIENCE;
    loop {
        telling.pause(&agent("probe").into(), "to be heard", false).await.ok();
        telling.resume(&agent("probe").into()).await.ok();
        let heard = async { while wakes.next().await.unwrap() != WorkerWake::Agent(agent("probe")) {} };
        if timeout(UNWOKEN, heard).await.is_ok() {
            return;
        }
        assert!(Instant::now() < deadline, "it hears nothing");
    }
}

/// A device: what was not acknowledged is asked for again, under the same key.
async fn ask(store: PgStore, agent: AgentId, shared: Arc<Shared>) {
    let mut wakes = store.subscribe(&agent);
    for n in 0.. {
        if !shared.asks.load(Relaxed) {
            return;
        }
        let new = submit(&agent, &format!("k{n}"));
        let id = loop {
            let asked = Instant::now();
            match store.enqueue(new.clone()).await {
                Ok(enqueued) => {
                    shared.calls.lock().unwrap().push(asked.elapsed());
                    break enqueued.record.operation.id;
                }
                Err(EnqueueError::Store(_)) => drop(shared.unanswered.fetch_add(1, Relaxed)),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(id, new.id, "one key is one operation");
        shared.acknowledged.lock().unwrap().push(id);
        // Some wait at any time, and not ever more.
        while n % 3 == 2 && !is_final(&store, &agent, id).await {
            timeout(UNWOKEN, wakes.changed()).await.ok();
        }
    }
}

async fn is_final(store: &PgStore, agent: &AgentId, id: OperationId) -> bool {
    let record = store.get(agent, id).await;
    record.is_ok_and(|record| record.expect("acknowledged").operation.is_final())
}

impl Process {
    async fn renews(self) {
        while self.shared.works.load(Relaxed) {
            sleep(self.shared.ttl / 3).await;
            let leases: Vec<_> = self.held.lock().unwrap().values().cloned().collect();
            let asked = Instant::now();
            let Ok(kept) = self.store.renew(&leases).await else { continue };
            for lease in leases {
                if kept.contains(&(lease.agent.clone(), lease.token)) {
                    self.shared.ledger.extend(&lease, asked + self.shared.ttl - MARGIN);
                } else {
                    self.shared.ledger.end(&lease);
                }
            }
        }
    }

    async fn reaps(self) {
        while self.shared.works.load(Relaxed) {
            self.store.reap().await.ok();
            sleep(self.shared.ttl / 2).await;
        }
    }

    async fn works(self, agent: AgentId) {
        let mut wakes = self.store.subscribe(&agent);
        while self.shared.works.load(Relaxed) {
            if !self.finds(&agent).await {
                timeout(UNWOKEN, wakes.changed()).await.ok();
            }
        }
    }

    /// Carries out what waits, if it gets it.
    async fn finds(&self, agent: &AgentId) -> bool {
        let waiting = self.store.waiting(agent, None, 1).await;
        let Some(ticket) = waiting.ok().and_then(|waiting| waiting.into_iter().next()) else { return false };
        let Ok(Some(record)) = self.store.get(agent, ticket.operation).await else { return false };
        let asked = Instant::now();
        let leased = self.store.lease(&request(&record, &self.name, self.shared.ttl)).await;
        let Ok(leased) = leased else { return false };
        let (lease, ledger) = (&leased.lease, &self.shared.ledger);
        let key = (lease.agent.clone(), lease.token);
        self.held.lock().unwrap().insert(key.clone(), lease.clone());
        ledger.begin(lease, asked + self.shared.ttl - MARGIN);
        let carried_out = self.carries_out(&leased).await;
        ledger.end(lease);
        self.held.lock().unwrap().remove(&key);
        match carried_out {
            Ok(()) => self.shared.settled.send_modify(|settled| *settled += 1),
            Err(FenceError::Superseded) => drop(self.shared.lost.fetch_add(1, Relaxed)),
            Err(FenceError::Store(_)) => drop(self.shared.unanswered.fetch_add(1, Relaxed)),
            // What is left of the lease does not suffice: it ends by itself.
            Err(FenceError::TooShort) => {}
            Err(error) => panic!("{error}: {:?}", leased.record),
        }
        self.shared.calls.lock().unwrap().push(asked.elapsed());
        true
    }

    async fn carries_out(&self, leased: &Leased) -> Result<(), FenceError> {
        let (lease, record) = (&leased.lease, &leased.record);
        let OperationState::Running { step, .. } = record.operation.state else { panic!("{record:?}") };
        let over = record.effects.first().and_then(|effect| SETTLE.over_at(effect));
        match step {
            Step::Commit => {}
            Step::Act => self.acts(lease, IntentBasis::NothingReleased).await?,
            Step::Probe if self.shared.ledger.has(lease.operation) => self.notes(lease).await?,
            Step::Probe if over.is_some_and(|over| over > leased.now) => {
                let why = YieldReason::Settling;
                let later = Disposition::Yield { after: SETTLE.request, why };
                self.shared.ledger.end(lease);
                return self.store.settle(lease, later.into()).await.map(drop);
            }
            Step::Probe => self.acts(lease, IntentBasis::ProbedAbsent).await?,
        }
        self.shared.ledger.end(lease);
        let done = Disposition::Complete { result: json!({}) };
        self.store.settle(lease, done.into()).await.map(drop)
    }

    async fn acts(&self, lease: &Lease, basis: IntentBasis) -> Result<(), FenceError> {
        let baseline = json!(null);
        let (effect, mark) = (effect(), None);
        let wanted = IntentRequest { effect, basis, mark, baseline, budget: BUDGET, margin: MARGIN };
        let intent = self.store.intend(lease, &wanted).await?;
        let asked = Instant::now();
        let permit = self.store.release(&intent).await?.permit((asked + BUDGET).into_std());
        if !self.shared.ledger.is_held(lease) || std::time::Instant::now() >= permit.until() {
            return Err(FenceError::TooShort);
        }
        self.shared.ledger.act(lease);
        self.notes(lease).await
    }

    async fn notes(&self, lease: &Lease) -> Result<(), FenceError> {
        self.store.record(lease, &effect(), &Receipt(json!({ "order": "O-1" }))).await
    }
}

fn effect() -> EffectName {
    EffectName::new("save-order").unwrap()
}
