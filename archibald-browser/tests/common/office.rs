//! The flows of one agent against the simulated ERP, in a real Chromium.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use archibald_browser::driver::Context;
use archibald_browser::erp::{ErpClient, Site as ErpSite};
use archibald_browser::gate::{Gate, Tls};
use archibald_browser::page_map::PageMap;
use archibald_core::effect::{ActOutcome, Intent, IntentBasis, IntentRequest, Mark, Permit};
use archibald_core::erp::{Customer, Order, OrderQuery, WantedCustomer, WantedLine, WantedOrder};
use archibald_core::error::FenceError;
use archibald_core::id::{AgentId, EffectName, OperationId, WorkerId};
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::{
    AgentLock, ArchibaldClient, ClientError, CommitGate, Credentials, GateRefused, Guard, LeaseLost,
    LeaseRequest, OperationStore,
};
use archibald_testing::clock::SystemClock;
use archibald_testing::data::{DataSet, password_of};
use archibald_testing::erp::{
    Behaviour, ErpControl, ErpOptions, ErpSimulator, Fault, FaultRule, HandOrder, LedgerEntry, OrderContent,
    OrderState, RunningErp, Site as Look,
};
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;
use serde_json::json;
use url::Url;

use super::tls::{Authority, Front};
use super::{Bench, seconds};

/// The page map of the simulator's other site.
pub fn other_site() -> PageMap {
    PageMap::parse("other_site.toml", include_str!("other_site.toml")).unwrap()
}

pub struct Forever;

impl Guard for Forever {
    fn check(&self) -> Result<Duration, LeaseLost> {
        Ok(Duration::from_secs(600))
    }
}

pub struct Office {
    pub erp: RunningErp,
    tls: Option<(Front, Arc<Tls>)>,
    pub bench: Bench,
    pub site: Arc<ErpSite>,
    pub data: DataSet,
    pub user: String,
}

pub struct Desk {
    pub client: ErpClient,
    pub context: Arc<Context>,
    store: Arc<MemoryStore>,
    operations: AtomicU64,
}

impl Office {
    pub async fn open() -> Self {
        Self::open_with(PageMap::simulator().unwrap()).await
    }

    pub async fn open_with(map: PageMap) -> Self {
        Self::open_over(map, DataSet::generate(7, 3, 60), false).await
    }

    /// With this data, and its orders saved long ago if `preload`.
    pub async fn open_over(map: PageMap, data: DataSet, preload: bool) -> Self {
        let erp = simulator(&data, preload).await;
        let base = format!("{}/", erp.url()).parse().unwrap();
        let site = Arc::new(ErpSite::new(map, base, Duration::from_secs(20)));
        let user = data.agents[0].user.clone();
        Self { erp, tls: None, bench: Bench::launch().await, site, data, user }
    }

    /// Behind the other site's pages, with the page map that was written for them.
    pub async fn open_at_the_other_site() -> Self {
        let data = DataSet::generate(7, 3, 60);
        let erp = simulator_as(Look::Gestionale, &data, false).await;
        let base = format!("{}/", erp.url()).parse().unwrap();
        let site = Arc::new(ErpSite::new(other_site(), base, Duration::from_secs(20)));
        let user = data.agents[0].user.clone();
        Self { erp, tls: None, bench: Bench::launch().await, site, data, user }
    }

    /// At an https address.
    pub async fn open_over_tls() -> Self {
        let data = DataSet::generate(7, 3, 60);
        let erp = simulator(&data, false).await;
        let authority = Authority::new();
        let front = Front::before(&erp.url(), authority.vouches_for("127.0.0.1")).await;
        let base: Url = front.url("/").parse().unwrap();
        let tls = Arc::new(Tls::new(&base, Some(authority.file())).unwrap());
        let site = Arc::new(ErpSite::new(PageMap::simulator().unwrap(), base, Duration::from_secs(20)));
        let user = data.agents[0].user.clone();
        let bench = Bench::with_keys(vec![tls.key().into()]).await;
        Self { erp, tls: Some((front, tls)), bench, site, data, user }
    }

    pub async fn context(&self) -> Arc<Context> {
        let mut rules = self.site.map().gate_rules(self.site.base()).unwrap();
        if let Some((_, tls)) = &self.tls {
            rules = rules.over_tls(Arc::clone(tls));
        }
        let gate = Gate::build(Arc::new(rules)).await.unwrap();
        Arc::new(self.bench.browser.new_context(Some(gate)).await.unwrap())
    }

    pub async fn desk(&self) -> Desk {
        self.desk_over(self.site.clone(), Arc::new(Forever)).await
    }

    pub async fn desk_under(&self, guard: Arc<dyn Guard>) -> Desk {
        self.desk_over(self.site.clone(), guard).await
    }

    /// A desk whose client goes by another page map.
    pub async fn desk_with(&self, change: impl FnOnce(&mut PageMap)) -> Desk {
        let mut map = self.site.map().clone();
        change(&mut map);
        let site = ErpSite::new(map, self.site.base().clone(), self.site.step());
        self.desk_over(Arc::new(site), Arc::new(Forever)).await
    }

    async fn desk_over(&self, site: Arc<ErpSite>, guard: Arc<dyn Guard>) -> Desk {
        let context = self.context().await;
        let page = context.new_page().await.unwrap();
        let who = Credentials { user: self.user.clone(), password: password_of(&self.user) };
        site.login(&page, &seconds(20), &who).await.unwrap();
        let client = ErpClient::new(site, context.clone(), page, guard, self.user.clone())
            .hiding(password_of(&self.user));
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        Desk { client, context, store, operations: AtomicU64::new(1000) }
    }

    pub fn wanted(&self, lines: usize) -> WantedOrder {
        let own = self.data.orders.iter().find(|order| order.agent == self.user).unwrap();
        let products: Vec<_> = self.data.products.iter().filter(|product| !product.discontinued).collect();
        WantedOrder {
            customer: own.customer.clone(),
            date: "2026-11-22".parse().unwrap(),
            reference: "Fiera è".into(),
            note: "perché € 😀".into(),
            lines: (0..lines)
                .map(|n| WantedLine {
                    product: products[n % products.len()].code.clone(),
                    quantity: 1200 + u32::try_from(n).unwrap(),
                    discount: "12.5".parse().unwrap(),
                })
                .collect(),
        }
    }

    /// An order that was saved long ago, as a person would have; answers its number.
    pub async fn put_order(&self, wanted: &WantedOrder, reference: &str, state: OrderState) -> String {
        let lines = serde_json::to_value(&wanted.lines).unwrap();
        let content: OrderContent = serde_json::from_value(json!({
            "customer": wanted.customer, "date": wanted.date, "reference": reference, "note": wanted.note,
            "lines": lines,
        }))
        .unwrap();
        let order = HandOrder { number: None, agent: self.user.clone(), state, content };
        let control = ErpControl::new(&self.erp.control_url()).unwrap();
        control.put_order(&order).await.unwrap().to_string()
    }

    /// What was done through the pages, and not by hand.
    pub fn effects(&self) -> Vec<LedgerEntry> {
        self.erp.ledger().into_iter().filter(|entry| !entry.by_hand).collect()
    }

    /// How often this control posted back.
    pub fn posts(&self, page: &str, control: &str) -> u64 {
        let posts = self.erp.stats().posts;
        posts.get(page).and_then(|page| page.get(&format!("ctl00$Main${control}"))).copied().unwrap_or(0)
    }

    /// How often anything posted back.
    pub fn all_posts(&self) -> u64 {
        self.erp.stats().posts.values().flat_map(|page| page.values()).sum()
    }

    /// What becomes of the next write by this control.
    pub fn next(&self, page: &str, control: &str, fault: Fault) {
        self.erp.script([FaultRule::next(page, &format!("ctl00$Main${control}"), fault)]);
    }

    /// Every fault of a new order's save: one request, told apart, and as many orders as effects.
    pub async fn strike_every_save(&self) {
        const PAGE: &str = "Order.aspx";
        let (mut desk, wanted) = (self.desk().await, self.wanted(2));
        let cases = [
            (Fault::Slow, "done", 1),
            (Fault::FailBefore, "answered", 0),
            (Fault::FailAfter, "answered", 1),
            (Fault::DropAfter, "lost", 1),
            (Fault::Reject, "refused", 0),
            (Fault::Altered, "differs", 1),
            (Fault::Half, "differs or answered", 1),
            (Fault::Truncate, "lost", 1),
            (Fault::Similar, "answered", 0),
            (Fault::Recycle, "answered", 0),
            (Fault::Expire, "answered", 0),
        ];
        for (n, (fault, expected, effects)) in (1_u128..).zip(cases) {
            let (posts, before) = (self.posts(PAGE, "Save"), self.effects().len());
            self.next(PAGE, "Save", fault);
            let (outcome, _) = desk.create(n, &wanted).await;
            assert!(expected.contains(told(&outcome)), "{fault:?}: {outcome:?}");
            assert_eq!(self.posts(PAGE, "Save") - posts, 1, "{fault:?}");
            assert_eq!(self.effects().len() - before, effects, "{fault:?}");
            if matches!(fault, Fault::Recycle | Fault::Expire) {
                assert!(
                    matches!(desk.client.check_health().await, Err(ClientError::SessionExpired)),
                    "{fault:?}"
                );
                desk = self.desk().await;
            }
            assert_eq!(desk.numbers_with(n).await.len(), effects, "{fault:?}");
        }
    }

    pub async fn close(self) {
        self.bench.close().await;
        self.erp.stop().await;
    }
}

/// A simulated ERP that is quick.
pub async fn simulator(data: &DataSet, preload: bool) -> RunningErp {
    simulator_as(Look::Archibald, data, preload).await
}

/// The same behind the pages of one of its sites.
pub async fn simulator_as(site: Look, data: &DataSet, preload: bool) -> RunningErp {
    let behaviour = Behaviour { latency: Duration::from_millis(1), ..Behaviour::default() };
    let options = ErpOptions { data: data.clone(), site, preload, behaviour, ..ErpOptions::default() };
    ErpSimulator::start(options).await.unwrap()
}

pub struct StoreGate(Arc<MemoryStore>);

#[async_trait]
impl CommitGate for StoreGate {
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused> {
        let until = std::time::Instant::now() + intent.budget();
        Ok(self.0.release(&intent).await?.permit(until))
    }
}

pub struct Shut;

#[async_trait]
impl CommitGate for Shut {
    async fn open(&self, _intent: Intent) -> Result<Permit, GateRefused> {
        Err(FenceError::Superseded.into())
    }
}

impl Desk {
    /// The same with another client.
    pub fn with(self, change: impl FnOnce(ErpClient) -> ErpClient) -> Self {
        Self { client: change(self.client), ..self }
    }

    pub async fn intent(&self, n: u128) -> Intent {
        let id = OperationId(uuid::Uuid::from_u128(n));
        let agent = AgentId::new(format!("agent-{n}")).unwrap();
        let new = NewOperation {
            id,
            agent: agent.clone(),
            kind: "submit-order".parse().unwrap(),
            class: Class::Interactive,
            key: format!("k{n}").parse().unwrap(),
            target: None,
            once_per_target: false,
            payload: json!({}),
            run_at: None,
            origin: None,
            queue_limit: 10,
            trace: false,
        };
        self.store.enqueue(new).await.unwrap();
        let ttl = Duration::from_secs(60);
        let request = LeaseRequest { agent, operation: id, worker: WorkerId::new("w1").unwrap(), ttl };
        let leased = self.store.lease(&request).await.unwrap();
        let request = IntentRequest {
            effect: EffectName::new("save-order").unwrap(),
            basis: IntentBasis::NothingReleased,
            mark: None,
            baseline: json!(null),
            budget: Duration::from_secs(10),
            margin: Duration::from_secs(1),
        };
        self.store.intend(&leased.lease, &request).await.unwrap()
    }

    pub async fn create(&self, n: u128, wanted: &WantedOrder) -> (ActOutcome<Order>, String) {
        let reference = mark(n).stamp(&wanted.reference).unwrap();
        let gate = Arc::new(StoreGate(self.store.clone()));
        (self.client.create_order(wanted, &reference, self.intent(n).await, gate).await, reference)
    }

    async fn next_intent(&self) -> (Intent, Arc<dyn CommitGate>) {
        let n = self.operations.fetch_add(1, Relaxed);
        (self.intent(n.into()).await, Arc::new(StoreGate(self.store.clone())))
    }

    pub async fn edit(&self, number: &str, wanted: &WantedOrder, reference: &str) -> ActOutcome<Order> {
        let (intent, gate) = self.next_intent().await;
        self.client.edit_order(number, wanted, reference, intent, gate).await
    }

    pub async fn delete(&self, number: &str) -> ActOutcome<()> {
        let (intent, gate) = self.next_intent().await;
        self.client.delete_order(number, intent, gate).await
    }

    pub async fn send(&self, number: &str) -> ActOutcome<Order> {
        let (intent, gate) = self.next_intent().await;
        self.client.send_order(number, intent, gate).await
    }

    pub async fn create_customer(&self, wanted: &WantedCustomer) -> ActOutcome<Customer> {
        let (intent, gate) = self.next_intent().await;
        self.client.create_customer(wanted, intent, gate).await
    }

    pub async fn update_customer(&self, code: &str, wanted: &WantedCustomer) -> ActOutcome<Customer> {
        let (intent, gate) = self.next_intent().await;
        self.client.update_customer(code, wanted, intent, gate).await
    }

    /// The dialogs since the last call, a line each.
    pub async fn dialogs(&self) -> String {
        let evidence = self.client.capture().await;
        let dialogs = evidence.iter().find(|it| it.name == "dialogs");
        dialogs.map(|it| String::from_utf8_lossy(&it.bytes).into_owned()).unwrap_or_default()
    }

    pub async fn numbers_with(&self, n: u128) -> Vec<String> {
        let query = OrderQuery { reference: Some(mark(n).search_text()), ..OrderQuery::default() };
        self.client.find_orders(&query).await.unwrap().into_iter().map(|row| row.number).collect()
    }
}

pub fn mark(n: u128) -> Mark {
    Mark::of(OperationId(uuid::Uuid::from_u128(n)))
}

/// An outcome in a word.
pub fn told<R: std::fmt::Debug>(outcome: &ActOutcome<R>) -> &'static str {
    match outcome {
        ActOutcome::Done(_) => "done",
        ActOutcome::Differs { .. } => "differs",
        ActOutcome::Refused(_) => "refused",
        ActOutcome::NotSent(_) => "not sent",
        ActOutcome::Ambiguous { answered: true, .. } => "answered",
        ActOutcome::Ambiguous { answered: false, .. } => "lost",
    }
}
