//! What becomes of an operation, told as stories over a whole house in memory.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod agents;
mod create_customer;
mod delete_order;
mod edit_order;
mod pausing;
mod pending_orders;
mod retention;
mod send_to_verona;
mod spread;
mod submit_order;
mod succession;
mod support;
mod syncs;
mod taking_up;
mod update_customer;
mod verb;
mod window;

use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::{Mark, Receipt, Settle};
use archibald_core::erp::Customer;
use archibald_core::error::EnqueueError;
use archibald_core::id::{OperationId, OperationKey};
use archibald_core::operation::OperationState;
use archibald_core::port::{EnqueueRequest, Minute, Operations, Tally, Why};
use archibald_core::record::Resolution;
use archibald_core::time::Timestamp;
use archibald_runtime::{Failpoints, NoFailpoints, RuntimeConfig};
use archibald_testing::fake_erp::SaveFault;
use async_trait::async_trait;
use serde_json::json;
use support::{House, agent, order, quick};
use tokio::sync::mpsc;

#[tokio::test]
async fn an_order_is_saved_once_and_costs_no_probe() {
    let house = House::open();
    let id = house.submit("nancy", "k1").await;
    assert_eq!(house.completed("nancy", id).await, json!({ "order": "O-1" }));
    let orders = house.erp.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!(Mark::read(&orders[0].1.reference), Some(Mark::of(id)));
    assert_eq!(house.erp.reads(), 0, "nothing was asked, since nothing was in doubt");
    let kinds: Vec<_> = house.events("nancy").await.into_iter().map(|e| e.event.kind).collect();
    assert_eq!(kinds, ["operation.queued", "operation.started", "order.updated", "operation.completed"]);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_and_never_sent_again() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: true });
    let id = house.submit("nancy", "k1").await;
    assert_eq!(house.completed("nancy", id).await, json!({ "order": "O-1" }));
    assert_eq!(house.erp.orders().len(), 1);
}

#[tokio::test]
async fn what_never_arrived_is_sent_again_after_it_settled() {
    for fault in [SaveFault::Lost { applied: false }, SaveFault::ServerError { applied: false }] {
        let house = House::open();
        house.erp.fail_next_save(fault);
        let id = house.submit("nancy", "k1").await;
        house.completed("nancy", id).await;
        assert_eq!(house.erp.orders().len(), 1);
        let record = house.finished("nancy", id).await;
        assert_eq!(record.effects[0].acts, 2);
    }
}

#[tokio::test]
async fn an_effect_that_comes_late_is_waited_for() {
    // Long enough that the first probe begins before it is over, also on a machine that is busy.
    let settle = Settle { request: Duration::from_secs(3), lists: Duration::from_millis(50) };
    let house = House::with(RuntimeConfig { settle, ..quick() }, Arc::new(NoFailpoints));
    house.erp.fail_next_save(SaveFault::Late { reads: 3 });
    let id = house.submit("nancy", "k1").await;
    house.completed("nancy", id).await;
    assert_eq!(house.erp.orders().len(), 1, "absent before the settle time is no verdict");
}

#[tokio::test]
async fn a_refusal_is_final_and_in_the_erps_own_words() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Refused("Cliente sconosciuto.".into()));
    let id = house.submit("nancy", "k1").await;
    let state = house.finished("nancy", id).await.operation.state;
    assert_eq!(state, OperationState::Rejected { why: "Cliente sconosciuto.".into() });
    assert!(house.erp.orders().is_empty());
}

#[tokio::test]
async fn a_refused_order_that_is_sent_again_is_asked_for_first() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Refused("Operazione non consentita.".into()));
    let id = house.submit("nancy", "k1").await;
    assert_eq!(house.finished("nancy", id).await.operation.state.name(), "rejected");
    house.archibald.retry(&agent("nancy"), id, "nancy").await.unwrap();
    house.completed("nancy", id).await;
    assert_eq!(house.erp.orders().len(), 1);
    assert!(house.erp.reads() > 0);
}

#[tokio::test]
async fn an_erp_that_never_saves_is_given_up_with_nothing_there() {
    let house = House::open();
    for _ in 0..20 {
        house.erp.fail_next_save(SaveFault::ServerError { applied: false });
    }
    let id = house.enqueue("nancy", "impatient-order", "k1", order()).await;
    let record = house.finished("nancy", id).await;
    assert_eq!(record.operation.state.name(), "failed");
    assert_eq!(record.effects[0].acts, 2);
    assert!(house.erp.orders().is_empty());
}

#[tokio::test]
async fn a_doubt_is_decided_by_a_person_and_stays_decided() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: false });
    let id = house.submit("nancy", "k1").await;
    house.saw("nancy", id, "operation.retrying").await;
    let theirs = json!({ "number": "X-1", "customer": "ALFKI", "date": "2026-11-22", "reference": "",
        "note": "", "sent": false,
        "lines": [{ "product": "A0001", "quantity": 3, "unit_price": "1", "discount": "5" }] });
    house.erp.add_order(&agent("nancy"), serde_json::from_value(theirs).unwrap());
    assert_eq!(house.finished("nancy", id).await.operation.state.name(), "in_doubt");
    let unnamed = Resolution::Applied { receipt: Receipt(json!({})) };
    let refused = house.archibald.resolve(&agent("nancy"), id, "operator", &unnamed).await.unwrap_err();
    assert_eq!(refused.to_string(), "/receipt/order must be the order's number, as a text");
    house.archibald.resolve(&agent("nancy"), id, "operator", &Resolution::NotApplied).await.unwrap();
    house.completed("nancy", id).await;
    assert_eq!(house.erp.orders().len(), 2, "theirs, and now ours");
}

#[tokio::test]
async fn a_panic_after_the_save_is_a_lost_answer() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Panic);
    let id = house.submit("nancy", "k1").await;
    house.completed("nancy", id).await;
    assert_eq!(house.erp.orders().len(), 1);
}

#[tokio::test]
async fn an_expired_session_is_not_charged() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Expired);
    let id = house.submit("nancy", "k1").await;
    house.completed("nancy", id).await;
    let record = house.finished("nancy", id).await;
    assert_eq!(record.operation.attempts, 1);
    assert_eq!(house.erp.orders().len(), 1);
    assert_eq!(house.erp.reads(), 0, "the journal proves that nothing was sent");
}

#[tokio::test]
async fn two_identical_orders_are_two_orders() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: true });
    let first = house.submit("nancy", "k1").await;
    let second = house.submit("nancy", "k2").await;
    let numbers = [house.completed("nancy", first).await, house.completed("nancy", second).await];
    assert_ne!(numbers[0], numbers[1]);
    assert_eq!(house.erp.orders().len(), 2);
}

#[tokio::test]
async fn an_equal_order_without_a_mark_leaves_a_doubt_and_no_second_order() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: false });
    let id = house.submit("nancy", "k1").await;
    house.saw("nancy", id, "operation.retrying").await;
    let unmarked = json!({ "number": "X-1", "customer": "ALFKI", "date": "2026-11-22", "reference": "",
        "note": "", "sent": false,
        "lines": [{ "product": "A0001", "quantity": 3, "unit_price": "1", "discount": "5" }] });
    house.erp.add_order(&agent("nancy"), serde_json::from_value(unmarked).unwrap());
    let state = house.finished("nancy", id).await.operation.state;
    assert_eq!(state, OperationState::InDoubt { evidence: "order X-1 is equal and bears no mark".into() });
    assert_eq!(house.erp.orders().len(), 1);
}

#[tokio::test]
async fn agents_run_side_by_side_and_each_one_at_a_time() {
    let house = House::open();
    let mut all = Vec::new();
    for n in 0..5 {
        for who in ["nancy", "andrew", "janet"] {
            all.push((who, house.submit(who, &format!("k{n}")).await));
        }
    }
    for (who, id) in all {
        house.completed(who, id).await;
    }
    for who in ["nancy", "andrew", "janet"] {
        let mut running = None;
        for event in house.events(who).await {
            match event.event.kind.as_str() {
                "operation.started" => assert_eq!(running.replace(event.event.operation), None),
                "operation.completed" => assert_eq!(running.take(), Some(event.event.operation)),
                _ => {}
            }
        }
    }
}

/// Waiting for one's turn is no attempt, and there is no number of turns after which one is given up.
#[tokio::test]
async fn more_than_a_hundred_behind_a_slow_one_are_all_done_in_order() {
    let house = House::open();
    house.erp.hold_details(true);
    house.enqueue("nancy", "delete-order", "slow", json!({ "order": "none" })).await;
    house.holds_a_page().await;
    let mut waiting = vec![];
    for n in 0..120 {
        waiting.push(house.submit("nancy", &format!("k{n}")).await);
    }
    house.erp.hold_details(false);
    for (n, id) in waiting.into_iter().enumerate() {
        assert_eq!(house.completed("nancy", id).await["order"], json!(format!("O-{}", n + 1)));
        let operation = house.finished("nancy", id).await.operation;
        assert_eq!((operation.attempts, operation.yields), (1, 0));
    }
    assert_eq!(house.erp.orders().len(), 120);
}

/// However many wait for a person's decision, what has nothing to do with it is done at once, without a sweep.
#[tokio::test]
async fn what_waits_behind_a_doubt_hides_nothing_that_could_start() {
    let sweep = Duration::from_secs(3600);
    let house = House::with(RuntimeConfig { sweep, ..quick() }, Arc::new(NoFailpoints));
    verb::open_order(&house.erp);
    house.erp.fail_next_save(SaveFault::Half);
    house.erp.fail_next_save(SaveFault::Altered);
    let mut edit = order();
    edit["order"] = json!("20001");
    let doubt = house.enqueue("nancy", "edit-order", "doubt", edit.clone()).await;
    assert_eq!(house.finished("nancy", doubt).await.operation.state.name(), "in_doubt");
    for n in 0..30 {
        house.enqueue("nancy", "edit-order", &format!("k{n}"), edit.clone()).await;
    }
    let other = house.submit("nancy", "other").await;
    house.completed("nancy", other).await;
}

#[tokio::test]
async fn a_sync_gives_way_and_goes_on_from_its_checkpoint() {
    let house = House::open();
    house.erp.add_customers((0..45).map(customer));
    house.erp.hold_lists(true);
    let sync = house.enqueue("nancy", "sync-customers", "s1", json!({})).await;
    house.holds_a_page().await;
    let write = house.submit("nancy", "k1").await;
    house.asks_to_give_way().await;
    let behind = house.archibald.explain(&agent("nancy"), write).await;
    assert!(behind.contains(&Why::AgentBusy { operation: sync }), "{behind:?}");
    house.erp.hold_lists(false);
    house.completed("nancy", write).await;
    let result = house.completed("nancy", sync).await;
    assert_eq!(result, json!({ "read": 45, "created": 45, "updated": 0, "removed": 0 }));
    let record = house.finished("nancy", sync).await;
    assert_eq!((record.operation.attempts, record.operation.preemptions), (1, 1));
    let order: Vec<_> = house
        .events("nancy")
        .await
        .into_iter()
        .filter(|e| e.event.kind == "operation.completed")
        .filter_map(|e| e.event.operation)
        .collect();
    assert_eq!(order, [write, sync]);
}

#[tokio::test]
async fn what_became_of_operations_is_kept_in_sums_of_minutes() {
    let house = House::open();
    let done = house.submit("nancy", "k1").await;
    house.completed("nancy", done).await;
    let sync = house.enqueue("nancy", "sync-customers", "s1", json!({})).await;
    house.completed("nancy", sync).await;
    house.archibald.pause(&agent("andrew").into(), "stock-taking", false).await.unwrap();
    let waits = house.submit("andrew", "k1").await;
    house.archibald.cancel(&agent("andrew"), waits, "andrew").await.unwrap();
    // What is settled is counted a moment later.
    let counted = async {
        while ends(&house) != [(1, 1, 1), (1, 0, 1)] {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), counted).await;
    assert!(in_time.is_ok(), "{:?}", house.archibald.history(Timestamp::EPOCH));
    assert_eq!(house.archibald.history(Timestamp::MAX), []);
}

/// How many were completed and withdrawn, and how many began: of either class.
fn ends(house: &House) -> [(u32, u32, u32); 2] {
    let minutes = house.archibald.history(Timestamp::EPOCH);
    [|minute: &Minute| minute.interactive.clone(), |minute: &Minute| minute.background.clone()].map(|of| {
        minutes.iter().map(of).fold((0, 0, 0), |(completed, cancelled, began), tally: Tally| {
            let waits = tally.waits.iter().map(|(_, count)| count).sum::<u32>();
            (completed + tally.completed, cancelled + tally.cancelled, began + waits)
        })
    })
}

fn customer(n: u32) -> Customer {
    verb::customer(&format!("C{n:04}"), &format!("Customer {n}"), "", "")
}

#[tokio::test]
async fn a_refused_login_is_tried_once_and_pauses_the_agent_alone() {
    let house = House::open();
    house.erp.refuse_login(&agent("nancy"), Some("Password errata."));
    let hers = house.submit("nancy", "k1").await;
    let his = house.submit("andrew", "k1").await;
    house.completed("andrew", his).await;
    house.saw("nancy", hers, "operation.yielded").await;
    let paused = loop {
        let paused = house.archibald.overview().await.unwrap().paused;
        if !paused.is_empty() {
            break paused;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(paused[0].scope, agent("nancy").into());
    assert!(paused[0].why.contains("Password errata."), "{}", paused[0].why);
    house.erp.refuse_login(&agent("nancy"), None);
    house.archibald.resume(&agent("nancy").into()).await.unwrap();
    house.completed("nancy", hers).await;
}

/// Holds an attempt at a failpoint for ever, as a process that is about to be killed.
struct Hold {
    at: &'static str,
    reached: mpsc::UnboundedSender<OperationId>,
}

#[async_trait]
impl Failpoints for Hold {
    async fn at(&self, name: &'static str, operation: OperationId) {
        if name == self.at {
            let _ = self.reached.send(operation);
            std::future::pending::<()>().await;
        }
    }
}

#[tokio::test]
async fn a_worker_that_stops_anywhere_in_an_effect_leaves_one_order() {
    for (at, orders_before, probes) in [
        ("effect.intended", 0, false),
        ("effect.released", 0, true),
        ("effect.answered", 1, true),
        ("effect.recorded", 1, false),
    ] {
        let (reached, mut held) = mpsc::unbounded_channel();
        let mut house = House::with(short_leases(), Arc::new(Hold { at, reached }));
        let id = house.submit("nancy", "k1").await;
        assert_eq!(held.recv().await, Some(id));
        assert_eq!(house.erp.orders().len(), orders_before, "{at}");
        house.worker.take().unwrap().kill();
        house.restart();
        house.completed("nancy", id).await;
        assert_eq!(house.erp.orders().len(), 1, "{at}");
        assert_eq!(house.erp.reads() > 0, probes, "{at}: a probe only where something was released");
    }
}

fn short_leases() -> RuntimeConfig {
    RuntimeConfig { sweep: Duration::from_millis(100), ..quick() }
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_name_of_what_is_wrong() {
    let house = House::open();
    let request = |who: &str, kind: &str, payload| EnqueueRequest {
        agent: agent(who),
        kind: kind.to_owned(),
        payload,
        key: OperationKey::new("k1").unwrap(),
        run_at: None,
        origin: None,
        trace: false,
    };
    let unknown = house.archibald.enqueue(request("nancy", "submit-ordr", order())).await.unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "unknown kind \"submit-ordr\"; known kinds are count-customers, create-customer, delete-order, \
         edit-order, impatient-order, send-to-verona, submit-order, sync-customers, sync-orders, sync-prices, \
         sync-products, update-customer"
    );
    let stranger = house.archibald.enqueue(request("nobody", "submit-order", order())).await.unwrap_err();
    assert_eq!(stranger.to_string(), "unknown agent \"nobody\"");
    let shape = house.archibald.enqueue(request("nancy", "submit-order", json!({}))).await.unwrap_err();
    assert!(matches!(shape, EnqueueError::Invalid(_)), "{shape}");
    house.archibald.enqueue(request("nancy", "submit-order", order())).await.unwrap();
    let other = json!({ "customer": "ANATR", "date": "2026-11-22",
        "lines": [{ "product": "A0001", "quantity": 1 }] });
    let reused = house.archibald.enqueue(request("nancy", "submit-order", other)).await.unwrap_err();
    assert!(matches!(reused, EnqueueError::KeyReused { .. }), "{reused}");
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_takes_nothing_more() {
    let mut house = House::open();
    house.erp.add_customers((0..45).map(customer));
    house.erp.hold_lists(true);
    let sync = house.enqueue("nancy", "sync-customers", "s1", json!({})).await;
    house.saw("nancy", sync, "operation.started").await;
    let drain = tokio::spawn(house.worker.take().unwrap().drain(Duration::from_secs(10)));
    house.erp.hold_lists(false);
    assert!(drain.await.unwrap());
    let after = house.submit("nancy", "k1").await;
    let record = house.archibald.get(&agent("nancy"), after).await.unwrap().unwrap();
    assert_eq!(record.operation.state.name(), "available");
    house.restart();
    house.completed("nancy", after).await;
    house.completed("nancy", sync).await;
}
