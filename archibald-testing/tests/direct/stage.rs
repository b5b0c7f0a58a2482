//! An ERP, a pool for it, a store behind the gate, and ways to let them fail.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::effect::{Intent, IntentBasis, IntentRequest, Mark, Permit};
use archibald_core::erp::{Order, WantedLine, WantedOrder};
use archibald_core::id::{
    AgentId, EffectName, FencingToken, OperationId, OperationKey, OperationKind, WorkerId,
};
use archibald_core::lease::Lease as AgentLease;
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::{
    AcquireError, AcquireRequest, AgentLock, BrowserPool, CommitGate, GateRefused, Guard, LeaseLost,
    LeaseRequest, OperationStore, SessionLease,
};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::data::{DataSet, Generator, Line, password_of};
use archibald_testing::direct::{DirectOptions, DirectPool};
use archibald_testing::erp::{
    Behaviour, ErpControl, ErpOptions, ErpSimulator, HandOrder, LedgerEntry, OrderContent, OrderState,
    RunningErp,
};
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const SHORT: Duration = Duration::from_millis(50);

pub(crate) struct Stage {
    pub(crate) erp: RunningErp,
    pub(crate) credentials: Arc<FixedCredentials>,
    pub(crate) pool: DirectPool,
    pub(crate) store: Arc<MemoryStore>,
    lease: Mutex<Option<AgentLease>>,
}

impl Stage {
    /// Without latency, and a pool of two.
    pub(crate) async fn new() -> Self {
        Self::with(fast(), DirectOptions { capacity: 2, request_limit: LONG }).await
    }

    pub(crate) async fn with(behaviour: Behaviour, options: DirectOptions) -> Self {
        let erp = ErpOptions { behaviour, data: data(), ..ErpOptions::default() };
        let erp = ErpSimulator::start(erp).await.unwrap();
        let credentials = Arc::new(FixedCredentials::new());
        for agent in data().agents {
            credentials.set(id(&agent.user), &agent.user, password_of(&agent.user));
        }
        let pool = DirectPool::new(&erp.url(), credentials.clone(), options).unwrap();
        Self { erp, credentials, pool, store: Arc::default(), lease: Mutex::default() }
    }

    /// Nancy's session under a lease that holds.
    pub(crate) async fn session(&self) -> Box<dyn SessionLease> {
        self.acquire("nancy", LONG).await.unwrap()
    }

    pub(crate) async fn acquire(
        &self,
        agent: &str,
        wait: Duration,
    ) -> Result<Box<dyn SessionLease>, AcquireError> {
        self.pool.acquire(request(agent, Arc::new(Lease::holds()), wait)).await
    }

    pub(crate) async fn session_under(&self, guard: Arc<Lease>) -> Box<dyn SessionLease> {
        self.pool.acquire(request("nancy", guard, LONG)).await.unwrap()
    }

    /// The right to one write, and the reference that an order carries. Whoever had the one before is done.
    pub(crate) async fn intent(&self, budget: Duration) -> (Intent, String) {
        let before = self.lease.lock().unwrap().take();
        if let Some(lease) = before {
            let _ = self.store.hand_back(&lease).await;
        }
        let new = NewOperation {
            id: OperationId(Uuid::now_v7()),
            agent: id("nancy"),
            kind: OperationKind::new("submit-order").unwrap(),
            class: Class::Interactive,
            key: OperationKey::new(Uuid::now_v7().to_string()).unwrap(),
            target: None,
            once_per_target: false,
            payload: json!({}),
            run_at: None,
            origin: None,
            queue_limit: 100,
            trace: false,
        };
        let operation = self.store.enqueue(new).await.unwrap().record.operation;
        let worker = WorkerId::new("w1").unwrap();
        let ttl = Duration::from_secs(600);
        let request = LeaseRequest { agent: operation.agent, operation: operation.id, worker, ttl };
        let lease = self.store.lease(&request).await.unwrap().lease;
        *self.lease.lock().unwrap() = Some(lease.clone());
        let mark = Mark::of(operation.id);
        let reference = mark.stamp("Fiera è").unwrap();
        let request = IntentRequest {
            effect: EffectName::new("save-order").unwrap(),
            basis: IntentBasis::NothingReleased,
            mark: Some(mark),
            baseline: Value::Null,
            budget,
            margin: Duration::from_secs(1),
        };
        (self.store.intend(&lease, &request).await.unwrap(), reference)
    }

    /// The gate as it is in earnest: it commits `released`.
    pub(crate) fn gate(&self) -> Arc<dyn CommitGate> {
        Arc::new(StoreGate(self.store.clone()))
    }

    pub(crate) fn control(&self) -> ErpControl {
        ErpControl::new(&self.erp.control_url()).unwrap()
    }

    /// Puts an order of 22 lines there by hand and answers its number.
    pub(crate) async fn put(&self, agent: &str, reference: &str, state: OrderState) -> String {
        self.put_as(agent, &WantedOrder { reference: reference.to_owned(), ..wanted(22) }, state).await
    }

    /// Puts an order there by hand and answers its number.
    pub(crate) async fn put_as(&self, agent: &str, order: &WantedOrder, state: OrderState) -> String {
        let line = |line: &WantedLine| Line {
            product: line.product.clone(),
            quantity: line.quantity,
            discount: line.discount.to_string().parse().unwrap(),
        };
        let content = OrderContent {
            customer: order.customer.clone(),
            date: order.date.to_string().parse().unwrap(),
            reference: order.reference.clone(),
            note: order.note.clone(),
            lines: order.lines.iter().map(line).collect(),
        };
        let order = HandOrder { number: None, agent: agent.to_owned(), state, content };
        self.control().put_order(&order).await.unwrap().to_string()
    }

    /// What the ERP's own pages did, without what was put there by hand.
    pub(crate) fn effects(&self) -> Vec<LedgerEntry> {
        self.erp.ledger().into_iter().filter(|entry| !entry.by_hand).collect()
    }

    /// How often that control was posted.
    pub(crate) fn posted(&self, page: &str, control: &str) -> u64 {
        let posts = self.erp.stats().posts;
        posts.get(page).and_then(|page| page.get(&format!("ctl00$Main${control}"))).copied().unwrap_or(0)
    }

    pub(crate) fn saves_posted(&self) -> u64 {
        self.posted("Order.aspx", "Save")
    }
}

pub(crate) struct StoreGate(pub(crate) Arc<MemoryStore>);

#[async_trait]
impl CommitGate for StoreGate {
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused> {
        let until = std::time::Instant::now() + intent.budget();
        Ok(self.0.release(&intent).await?.permit(until))
    }
}

/// Opens once somebody else has sent an order at the ERP.
pub(crate) struct MeanwhileGate {
    inner: StoreGate,
    control: ErpControl,
    order: HandOrder,
}

impl MeanwhileGate {
    pub(crate) fn sends(stage: &Stage, number: &str) -> Arc<Self> {
        let order = stage.erp.orders().into_iter().find(|order| order.number.to_string() == number).unwrap();
        let (number, agent) = (Some(order.number), order.agent);
        let order = HandOrder { number, agent, state: OrderState::Sent, content: order.content };
        Arc::new(Self { inner: StoreGate(stage.store.clone()), control: stage.control(), order })
    }
}

#[async_trait]
impl CommitGate for MeanwhileGate {
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused> {
        self.control.put_order(&self.order).await.unwrap();
        self.inner.open(intent).await
    }
}

/// A lease that can be looked at so many times, and is lost then.
pub(crate) struct Lease {
    looks: AtomicU32,
    left: Duration,
}

impl Lease {
    pub(crate) fn holds() -> Self {
        Self { looks: AtomicU32::new(u32::MAX), left: LONG }
    }

    pub(crate) fn ending_in(left: Duration) -> Self {
        Self { left, ..Self::holds() }
    }

    pub(crate) fn lose_after(&self, looks: u32) {
        self.looks.store(looks, Ordering::SeqCst);
    }
}

impl Guard for Lease {
    fn check(&self) -> Result<Duration, LeaseLost> {
        let one_less = |looks: u32| looks.checked_sub(1);
        let looked = self.looks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        looked.map(|_| self.left).map_err(|_| LeaseLost)
    }
}

pub(crate) fn request(agent: &str, guard: Arc<dyn Guard>, wait: Duration) -> AcquireRequest {
    AcquireRequest {
        agent: id(agent),
        token: FencingToken(1),
        class: Class::Interactive,
        guard,
        wait,
        trace: false,
    }
}

pub(crate) fn id(agent: &str) -> AgentId {
    AgentId::new(agent).unwrap()
}

pub(crate) fn fast() -> Behaviour {
    let millis = Duration::from_millis;
    Behaviour {
        latency: millis(0),
        slow: millis(80),
        request_limit: millis(300),
        late: millis(30),
        stale: millis(300),
        maintenance: millis(200),
        ..Behaviour::default()
    }
}

/// Two agents with some fifty customers each.
pub(crate) fn data() -> DataSet {
    Generator { seed: 1, agents: 2, customers: 100, products: 80, orders: 10 }.generate()
}

/// An order of Nancy's with so many lines, and everything in it that could be read wrongly.
pub(crate) fn wanted(lines: usize) -> WantedOrder {
    let data = data();
    let order = data.orders.iter().find(|order| order.agent == "nancy").unwrap();
    let products = data.products.iter().filter(|product| !product.discontinued).cycle();
    let discounts = ["0", "12.5", "100", "7.25"].iter().cycle();
    let line = |(place, (product, discount)): (u32, (&archibald_testing::data::Product, &&str))| WantedLine {
        product: product.code.clone(),
        quantity: 1 + 997 * place,
        discount: discount.parse().unwrap(),
    };
    WantedOrder {
        customer: order.customer.clone(),
        date: order.date.to_string().parse().unwrap(),
        reference: "Fiera è".to_owned(),
        note: "Consegna \"al <piano>\" & presto\nSuonare à destra".to_owned(),
        lines: (0..).zip(products.zip(discounts)).take(lines).map(line).collect(),
    }
}

/// The order as the ledger has it, in the product's words.
pub(crate) fn saved(erp: &RunningErp) -> Vec<(String, WantedOrder)> {
    let entry = |entry: archibald_testing::erp::LedgerEntry| {
        let order = entry.order.unwrap();
        let line = |line: &archibald_testing::data::Line| WantedLine {
            product: line.product.clone(),
            quantity: line.quantity,
            discount: line.discount.to_string().parse().unwrap(),
        };
        let content = WantedOrder {
            customer: order.customer,
            date: order.date.to_string().parse().unwrap(),
            reference: order.reference,
            note: order.note,
            lines: order.lines.iter().map(line).collect(),
        };
        (entry.number, content)
    };
    erp.ledger().into_iter().map(entry).collect()
}

/// What was read, as it was wanted.
pub(crate) fn content(order: &Order) -> WantedOrder {
    let lines = order.lines.iter().map(|line| WantedLine {
        product: line.product.clone(),
        quantity: line.quantity,
        discount: line.discount,
    });
    WantedOrder {
        customer: order.customer.clone(),
        date: order.date,
        reference: order.reference.clone(),
        note: order.note.clone(),
        lines: lines.collect(),
    }
}

/// Waits until it is so; fails after ten seconds.
pub(crate) async fn until(so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it came to be so in ten seconds");
}
