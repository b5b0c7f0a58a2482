//! Saving an order: through the gate, once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::effect::{ActOutcome, Intent, NotSent, Permit};
use archibald_core::erp::OrderQuery;
use archibald_core::error::FenceError;
use archibald_core::port::{AgentLock, BrowserPool, CommitGate, GateRefused};
use archibald_testing::direct::DirectOptions;
use archibald_testing::erp::{Behaviour, Fault, FaultRule, RunningErp};
use async_trait::async_trait;
use tokio::sync::Notify;

use crate::stage::{LONG, Lease, SHORT, Stage, StoreGate, content, fast, saved, wanted};

#[tokio::test]
async fn an_order_of_many_lines_is_saved_once_and_reads_back_equal() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let mut wanted = wanted(25);
    let (intent, reference) = stage.intent(LONG).await;
    let outcome = session.client().create_order(&wanted, &reference, intent, stage.gate()).await;
    let ActOutcome::Done(order) = outcome else { panic!("{outcome:?}") };
    wanted.reference = reference.clone();
    assert_eq!(content(&order), wanted);
    assert_eq!(saved(&stage.erp), [(order.number.clone(), wanted)]);
    assert_eq!(stage.saves_posted(), 1);
    assert_eq!(session.client().read_order(&order.number).await.unwrap(), Some(order.clone()));
    let query = OrderQuery { reference: Some(reference), ..OrderQuery::default() };
    assert_eq!(session.client().find_orders(&query).await.unwrap()[0].number, order.number);
}

#[tokio::test]
async fn a_line_that_the_form_does_not_take_is_refused_before_the_gate() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let mut wanted = wanted(2);
    wanted.lines[1].product = "A0008".to_owned();
    let (intent, reference) = stage.intent(LONG).await;
    let gate = Arc::new(ClosedGate::default());
    let outcome = session.client().create_order(&wanted, &reference, intent, gate.clone()).await;
    assert_eq!(outcome, ActOutcome::Refused("Articolo fuori produzione.".to_owned()));
    assert!(!gate.was_asked());
    assert_eq!(stage.saves_posted(), 0);
}

#[tokio::test]
async fn a_header_that_the_form_does_not_take_is_refused_in_all_its_words() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let mut wanted = wanted(0);
    wanted.customer = "NOBODY".to_owned();
    let (intent, reference) = stage.intent(LONG).await;
    let outcome = session.client().create_order(&wanted, &reference, intent, stage.gate()).await;
    assert_eq!(outcome, ActOutcome::Refused("Cliente sconosciuto. Inserire almeno una riga.".to_owned()));
    assert_eq!(saved(&stage.erp), []);
}

/// Never opens; says why as it is told to.
#[derive(Default)]
struct ClosedGate {
    asked: Mutex<bool>,
    too_short: bool,
}

impl ClosedGate {
    fn was_asked(&self) -> bool {
        *self.asked.lock().unwrap()
    }
}

#[async_trait]
impl CommitGate for ClosedGate {
    async fn open(&self, _intent: Intent) -> Result<Permit, GateRefused> {
        *self.asked.lock().unwrap() = true;
        Err(if self.too_short { FenceError::TooShort } else { FenceError::Superseded }.into())
    }
}

#[tokio::test]
async fn a_gate_that_does_not_open_lets_nothing_through() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    for too_short in [false, true] {
        let (intent, reference) = stage.intent(LONG).await;
        let lease = intent.lease().clone();
        let gate = Arc::new(ClosedGate { too_short, ..ClosedGate::default() });
        let outcome = session.client().create_order(&wanted(1), &reference, intent, gate.clone()).await;
        assert!(gate.was_asked());
        match outcome {
            ActOutcome::NotSent(NotSent::LeaseLost) if !too_short => {}
            ActOutcome::NotSent(NotSent::Other(why)) if too_short => {
                assert!(why.starts_with("the commit gate did not open: the lease ends too soon"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        stage.store.hand_back(&lease).await.unwrap();
    }
    assert_eq!((stage.saves_posted(), saved(&stage.erp)), (0, vec![]));
}

#[tokio::test]
async fn a_lost_lease_sends_nothing() {
    let stage = Stage::new().await;
    let lease = Arc::new(Lease::holds());
    let session = stage.session_under(lease.clone()).await;
    let requests = stage.erp.stats().requests;
    lease.lose_after(0);
    let (intent, reference) = stage.intent(LONG).await;
    let gate = Arc::new(ClosedGate::default());
    let outcome = session.client().create_order(&wanted(1), &reference, intent, gate.clone()).await;
    assert_eq!(outcome, ActOutcome::NotSent(NotSent::LeaseLost));
    assert!(!gate.was_asked());
    assert_eq!(stage.erp.stats().requests, requests);
}

/// Two lines are three requests, then the look before the gate: lost at any of them, the gate is not asked.
#[tokio::test]
async fn a_lease_that_is_lost_on_the_way_stops_before_the_gate() {
    for looks in 1..=3 {
        let stage = Stage::new().await;
        let lease = Arc::new(Lease::holds());
        let session = stage.session_under(lease.clone()).await;
        let before = stage.erp.stats().requests;
        lease.lose_after(looks);
        let (intent, reference) = stage.intent(LONG).await;
        let gate = Arc::new(ClosedGate::default());
        let outcome = session.client().create_order(&wanted(2), &reference, intent, gate.clone()).await;
        assert_eq!(outcome, ActOutcome::NotSent(NotSent::LeaseLost));
        assert!(!gate.was_asked());
        assert_eq!(stage.erp.stats().requests, before + u64::from(looks));
    }
}

#[tokio::test]
async fn a_session_that_ends_while_typing_sent_nothing() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.erp.script([FaultRule::next("Order.aspx", "AddLine", Fault::Expire)]);
    let (intent, reference) = stage.intent(LONG).await;
    let outcome = session.client().create_order(&wanted(2), &reference, intent, stage.gate()).await;
    assert_eq!(outcome, ActOutcome::NotSent(NotSent::SessionExpired));
    assert_eq!(stage.saves_posted(), 0);
}

#[tokio::test]
async fn typing_has_no_more_time_than_the_act() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.erp.set_behaviour(Behaviour { latency: LONG, ..fast() });
    let (intent, reference) = stage.intent(SHORT).await;
    let outcome = session.client().create_order(&wanted(1), &reference, intent, stage.gate()).await;
    let why = "typing took longer than 50ms".to_owned();
    assert_eq!(outcome, ActOutcome::NotSent(NotSent::Other(why)));
}

/// Opens when it is let, and tells when it was asked.
struct SlowGate {
    inner: StoreGate,
    asked: Notify,
    open: Notify,
}

#[async_trait]
impl CommitGate for SlowGate {
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused> {
        self.asked.notify_one();
        self.open.notified().await;
        self.inner.open(intent).await
    }
}

#[tokio::test]
async fn whoever_leaves_at_the_gate_leaves_one_save_behind() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let gate = SlowGate { inner: StoreGate(stage.store.clone()), asked: Notify::new(), open: Notify::new() };
    let gate = Arc::new(gate);
    let (intent, reference) = stage.intent(LONG).await;
    let order = wanted(3);
    tokio::select! {
        outcome = session.client().create_order(&order, &reference, intent, gate.clone()) => panic!("{outcome:?}"),
        () = gate.asked.notified() => {}
    }
    drop(session);
    assert_eq!(saved(&stage.erp), []);
    gate.open.notify_one();
    stage.pool.shutdown(LONG).await;
    assert_eq!(saved(&stage.erp).len(), 1, "a shutdown waits for what was released");
    assert_eq!(stage.saves_posted(), 1);
}

/// Takes the ERP away as soon as it is open.
struct LastGate {
    inner: StoreGate,
    erp: Mutex<Option<RunningErp>>,
}

#[async_trait]
impl CommitGate for LastGate {
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused> {
        let permit = self.inner.open(intent).await;
        let erp = self.erp.lock().unwrap().take();
        erp.expect("one save").stop().await;
        permit
    }
}

#[tokio::test]
async fn no_connection_behind_the_gate_is_ambiguous() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let (intent, reference) = stage.intent(LONG).await;
    let inner = StoreGate(stage.store.clone());
    let gate = Arc::new(LastGate { inner, erp: Mutex::new(Some(stage.erp)) });
    let outcome = session.client().create_order(&wanted(1), &reference, intent, gate).await;
    let ActOutcome::Ambiguous { evidence, answered: false } = outcome else { panic!("{outcome:?}") };
    assert!(evidence.starts_with("POST /Order.aspx: no connection to 127.0.0.1:"), "{evidence}");
}

#[tokio::test]
async fn a_saved_order_that_cannot_be_read_back_is_ambiguous() {
    let stage = Stage::with(fast(), DirectOptions::default()).await;
    let session = stage.session().await;
    stage.erp.script([FaultRule::next("Order.aspx", "Lines", Fault::FailBefore)]);
    let (intent, reference) = stage.intent(Duration::from_secs(20)).await;
    let outcome = session.client().create_order(&wanted(21), &reference, intent, stage.gate()).await;
    let ActOutcome::Ambiguous { evidence, answered: true } = outcome else { panic!("{outcome:?}") };
    assert!(evidence.starts_with("it was done and cannot be read back"), "{evidence}");
    assert_eq!(saved(&stage.erp).len(), 1);
}
