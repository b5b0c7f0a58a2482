//! The flows against the simulated ERP, in a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use archibald_browser::driver::Context;
use archibald_browser::erp::{ErpClient, Site as ErpSite};
use archibald_browser::gate::Gate;
use archibald_browser::page_map::PageMap;
use archibald_core::effect::{ActOutcome, Intent, IntentBasis, IntentRequest, Mark, NotSent, Permit};
use archibald_core::erp::{Order, OrderQuery, WantedLine, WantedOrder};
use archibald_core::error::FenceError;
use archibald_core::id::{AgentId, EffectName, FencingToken, OperationId, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::{
    AgentLock, ArchibaldClient, ClientError, CommitGate, Credentials, GateRefused, Guard, LeaseLost,
    LeaseRequest, LoginError, OperationStore,
};
use archibald_testing::clock::SystemClock;
use archibald_testing::data::{DataSet, password_of};
use archibald_testing::erp::{Behaviour, ErpOptions, ErpSimulator, Fault, FaultRule, RunningErp};
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;
use common::{Bench, seconds};
use serde_json::json;

struct Forever;

impl Guard for Forever {
    fn check(&self) -> Result<Duration, LeaseLost> {
        Ok(Duration::from_secs(600))
    }
}

struct Office {
    erp: RunningErp,
    bench: Bench,
    site: Arc<ErpSite>,
    data: DataSet,
    user: String,
}

struct Desk {
    client: ErpClient,
    store: Arc<MemoryStore>,
}

impl Office {
    async fn open() -> Self {
        Self::open_with(PageMap::simulator().unwrap()).await
    }

    async fn open_with(map: PageMap) -> Self {
        let data = DataSet::generate(7, 3, 60);
        let behaviour = Behaviour { latency: Duration::from_millis(1), ..Behaviour::default() };
        let options = ErpOptions { data: data.clone(), behaviour, ..ErpOptions::default() };
        let erp = ErpSimulator::start(options).await.unwrap();
        let base = format!("{}/", erp.url()).parse().unwrap();
        let site = Arc::new(ErpSite::new(map, base, Duration::from_secs(20)));
        let user = data.agents[0].user.clone();
        Self { erp, bench: Bench::launch().await, site, data, user }
    }

    async fn context(&self) -> Arc<Context> {
        let rules = self.site.map().gate_rules(self.site.base()).unwrap();
        let gate = Gate::build(Arc::new(rules)).await.unwrap();
        Arc::new(self.bench.browser.new_context(Some(gate)).await.unwrap())
    }

    async fn desk(&self) -> Desk {
        let context = self.context().await;
        let page = context.new_page().await.unwrap();
        let who = Credentials { user: self.user.clone(), password: password_of(&self.user) };
        self.site.login(&page, &seconds(20), &who).await.unwrap();
        let client = ErpClient::new(self.site.clone(), context, page, Arc::new(Forever), self.user.clone());
        Desk { client, store: Arc::new(MemoryStore::new(Arc::new(SystemClock))) }
    }

    fn wanted(&self, lines: usize) -> WantedOrder {
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

    async fn close(self) {
        self.bench.close().await;
        self.erp.stop().await;
    }
}

struct StoreGate(Arc<MemoryStore>);

#[async_trait]
impl CommitGate for StoreGate {
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused> {
        Ok(self.0.release(&intent).await?)
    }
}

struct Shut;

#[async_trait]
impl CommitGate for Shut {
    async fn open(&self, _intent: Intent) -> Result<Permit, GateRefused> {
        Err(FenceError::Superseded.into())
    }
}

impl Desk {
    async fn intent(&self, n: u128) -> Intent {
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

    async fn create(&self, n: u128, wanted: &WantedOrder) -> (ActOutcome<Order>, String) {
        let reference = mark(n).stamp(&wanted.reference).unwrap();
        let gate = Arc::new(StoreGate(self.store.clone()));
        (self.client.create_order(wanted, &reference, self.intent(n).await, gate).await, reference)
    }

    async fn numbers_with(&self, n: u128) -> Vec<String> {
        let query = OrderQuery { reference: Some(mark(n).search_text()), ..OrderQuery::default() };
        self.client.find_orders(&query).await.unwrap().into_iter().map(|row| row.number).collect()
    }
}

fn mark(n: u128) -> Mark {
    Mark::of(OperationId(uuid::Uuid::from_u128(n)))
}

#[tokio::test]
async fn an_order_of_many_lines_is_saved_and_read_back_and_found() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let wanted = office.wanted(23);
    let (outcome, reference) = desk.create(1, &wanted).await;
    let ActOutcome::Done(order) = outcome else { panic!("{outcome:?}") };
    assert_eq!(archibald_core::erp::differences(&wanted, &reference, &order), Vec::<String>::new());
    assert_eq!(order.lines[0].quantity, 1200);
    assert_eq!(desk.numbers_with(1).await, std::slice::from_ref(&order.number));
    assert_eq!(desk.numbers_with(2).await, Vec::<String>::new());
    assert_eq!(desk.client.read_order(&order.number).await.unwrap(), Some(order));
    assert_eq!(desk.client.read_order("999999").await.unwrap(), None);
    assert_eq!(office.erp.ledger().len(), 1);
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn every_fault_of_a_save_is_told_apart_and_no_click_is_two_orders() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let wanted = office.wanted(2);
    let told = |outcome: &ActOutcome<Order>| match outcome {
        ActOutcome::Done(_) => "done",
        ActOutcome::Differs { .. } => "differs",
        ActOutcome::Refused(_) => "refused",
        ActOutcome::NotSent(_) => "not sent",
        ActOutcome::Ambiguous { answered: true, .. } => "answered",
        ActOutcome::Ambiguous { answered: false, .. } => "lost",
    };
    let cases = [
        (Fault::Slow, "done", 1),
        (Fault::FailBefore, "answered", 0),
        (Fault::FailAfter, "answered", 1),
        (Fault::DropAfter, "lost", 1),
        (Fault::Reject, "refused", 0),
    ];
    for (n, (fault, expected, effects)) in (1u128..).zip(cases) {
        office.erp.script([FaultRule::next("Order.aspx", "ctl00$Main$Save", fault)]);
        let (outcome, _) = desk.create(n, &wanted).await;
        assert_eq!(told(&outcome), expected, "{fault:?}: {outcome:?}");
        assert_eq!(desk.numbers_with(n).await.len(), effects, "{fault:?}");
    }
    office.erp.script([FaultRule::next("Order.aspx", "ctl00$Main$Save", Fault::Expire)]);
    let (outcome, _) = desk.create(9, &wanted).await;
    assert_eq!(told(&outcome), "answered", "{outcome:?}");
    assert!(matches!(desk.client.check_health().await, Err(ClientError::SessionExpired)));
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn what_the_site_does_not_accept_is_refused_in_its_own_words() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let mut wanted = office.wanted(1);
    wanted.lines[0].product = "A9999".into();
    let (outcome, _) = desk.create(1, &wanted).await;
    assert!(matches!(&outcome, ActOutcome::Refused(text) if text.contains("Articolo")), "{outcome:?}");
    let mut wanted = office.wanted(1);
    wanted.customer = "NOBODY".into();
    let (outcome, _) = desk.create(2, &wanted).await;
    assert!(matches!(&outcome, ActOutcome::Refused(text) if text.contains("liente")), "{outcome:?}");
    let gate = Arc::new(Shut);
    let outcome = desk.client.create_order(&office.wanted(1), "x", desk.intent(3).await, gate).await;
    assert_eq!(outcome, ActOutcome::NotSent(NotSent::LeaseLost));
    office.erp.expire(None);
    let (outcome, _) = desk.create(4, &office.wanted(1)).await;
    assert_eq!(outcome, ActOutcome::NotSent(NotSent::SessionExpired));
    assert!(office.erp.ledger().is_empty());
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn a_login_is_refused_in_the_sites_own_words_and_customers_are_read_page_by_page() {
    let office = Office::open().await;
    let context = office.context().await;
    let page = context.new_page().await.unwrap();
    let who = Credentials { user: office.user.clone(), password: "wrong".into() };
    let refused = office.site.login(&page, &seconds(20), &who).await.unwrap_err();
    assert!(
        matches!(&refused, LoginError::Refused { text, .. } if text.contains("non corretti")),
        "{refused}"
    );
    drop((page, context));

    let desk = office.desk().await;
    let mut codes = Vec::new();
    for n in 1.. {
        let shown = desk.client.read_customers(n).await.unwrap();
        codes.extend(shown.customers.into_iter().map(|customer| customer.code));
        if n >= shown.pages {
            break;
        }
    }
    let mut expected: Vec<_> = office.data.assignments()[&office.user].iter().cloned().collect();
    codes.sort();
    expected.sort();
    assert_eq!(codes, expected);
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn a_control_that_the_map_does_not_know_is_refused_and_named_with_evidence() {
    let mut map = PageMap::simulator().unwrap();
    map.orders.harmless.remove("ctl00$Main$Search");
    let office = Office::open_with(map).await;
    let desk = office.desk().await;
    let error = desk.client.find_orders(&OrderQuery::default()).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("page orders") && said.contains("ctl00$Main$Search"), "{said}");
    let names: Vec<_> = desk.client.capture().await.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["screenshot", "page"]);
    drop(desk);
    office.close().await;
}

/// The question is dismissed unread and kept as evidence; whether the order is there is for the probe.
#[tokio::test]
async fn a_question_after_the_save_is_dismissed_and_kept() {
    let office = Office::open().await;
    let desk = office.desk().await;
    office.erp.script([FaultRule::next("Order.aspx", "ctl00$Main$Save", Fault::Similar)]);
    let (outcome, _) = desk.create(1, &office.wanted(1)).await;
    assert!(matches!(outcome, ActOutcome::Ambiguous { answered: true, .. }), "{outcome:?}");
    let evidence = desk.client.capture().await;
    let dialogs = evidence.iter().find(|it| it.name == "dialogs").unwrap();
    let said = String::from_utf8_lossy(&dialogs.bytes);
    assert!(said.contains("simile") && said.contains("accepted: false"), "{said}");
    assert!(office.erp.ledger().is_empty());
    drop(desk);
    office.close().await;
}
