use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::{Mark, Settle};
use archibald_core::error::EnqueueError;
use archibald_core::id::{OperationId, OperationKey};
use archibald_core::port::{EnqueueRequest, EventBus, OperationStore, Operations};
use archibald_core::record::Resolution;
use archibald_runtime::{Failpoints, NoFailpoints, RuntimeConfig};
use archibald_testing::fake_erp::{FakeErp, SaveFault, Write};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::support::{House, agent, order, quick};
use crate::verb::{Verb, assert_ends_after, told};

fn created() -> Write {
    Write::OrderCreated("O-1".into())
}

fn verb() -> Verb {
    Verb {
        kind: "submit-order",
        payload: order(),
        world: |_| {},
        looks: 0,
        write: created(),
        repair: Some(Write::OrderEdited("O-1".into())),
        result: json!({ "order": "O-1" }),
    }
}

fn draft(id: &str) -> Value {
    let mut draft = order();
    draft["pending_order"] = json!(id);
    draft
}

#[tokio::test]
async fn a_submission_is_journaled_like_every_effect() {
    verb().stands_the_journal().await;
}

#[tokio::test]
async fn a_submission_is_applied_once_whatever_goes_wrong() {
    verb().stands_every_fault().await;
}

#[tokio::test]
async fn a_repair_keeps_the_mark() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Half);
    let id = house.submit("nancy", "k1").await;
    house.completed("nancy", id).await;
    let orders = house.erp.orders();
    assert_eq!((orders.len(), orders[0].1.lines.len()), (1, 1));
    assert_eq!(Mark::read(&orders[0].1.reference), Some(Mark::of(id)));
}

/// What it took to find out does not count: the one repair has attempts of its own.
#[tokio::test]
async fn a_repair_is_sent_as_often_as_an_order_may_be_tried() {
    let house = House::open();
    let (_, state) = impatient_with_lost_repairs(&house, 1).await;
    assert_eq!(state, r#"completed {"order":"O-1"}"#);
    assert_eq!(house.erp.writes(), [created(), Write::OrderEdited("O-1".into())]);
}

/// Who may say that it be tried again, and then it is.
#[tokio::test]
async fn a_repair_that_is_lost_too_often_is_for_a_person_to_judge() {
    let house = House::open();
    let (id, state) = impatient_with_lost_repairs(&house, 2).await;
    assert!(state.starts_with("in doubt: found otherwise than wanted: lines"), "{state}");
    assert_eq!(house.erp.writes(), [created()]);
    house.archibald.resolve(&agent("nancy"), id, "operator", &Resolution::NotApplied).await.unwrap();
    house.completed("nancy", id).await;
    assert_eq!(house.erp.writes(), [created(), Write::OrderEdited("O-1".into())]);
}

/// An order that may be tried twice, saved by half, and so many of its repairs are lost.
async fn impatient_with_lost_repairs(house: &House, lost: usize) -> (OperationId, String) {
    house.erp.fail_next_save(SaveFault::Half);
    for _ in 0..lost {
        house.erp.fail_next_save(SaveFault::Lost { applied: false });
    }
    let id = house.enqueue("nancy", "impatient-order", "k1", order()).await;
    (id, told(&house.finished("nancy", id).await.operation.state))
}

/// What is at headquarters cannot be edited, and is not sent a second time either.
#[tokio::test]
async fn an_order_that_was_sent_otherwise_is_for_a_person_to_judge() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Half);
    let id = house.submit("nancy", "k1").await;
    house.saw("nancy", id, "operation.retrying").await;
    crate::verb::send_all(&house.erp);
    let state = told(&house.finished("nancy", id).await.operation.state);
    let expected =
        r#"in doubt: order O-1 was sent to Verona otherwise than wanted: lines: wanted "1", found "0""#;
    assert_eq!(state, expected);
    assert_eq!(house.erp.writes(), [created()]);
}

/// A person takes the mark away before anybody could look for it.
#[tokio::test]
async fn a_mark_that_was_edited_away_is_a_doubt_and_never_a_second_order() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: true });
    let id = house.submit("nancy", "k1").await;
    house.saw("nancy", id, "operation.retrying").await;
    house.erp.by_hand(|records| records.orders[0].1.reference = "Fiera".into());
    let state = told(&house.finished("nancy", id).await.operation.state);
    assert_eq!(state, "in doubt: order O-1 is equal and bears no mark");
    assert_eq!(house.erp.writes(), [created()]);
}

#[tokio::test]
async fn a_copied_mark_is_a_doubt() {
    let copy = |erp: &FakeErp| {
        erp.by_hand(|records| {
            let mut copy = records.orders[0].clone();
            copy.1.number = "20002".into();
            records.orders.push(copy);
        });
    };
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: true });
    let id = house.submit("nancy", "k1").await;
    house.saw("nancy", id, "operation.retrying").await;
    copy(&house.erp);
    let state = told(&house.finished("nancy", id).await.operation.state);
    assert!(state.starts_with("in doubt: several orders bear the mark"), "{state}");
    assert!(state.ends_with("O-1, 20002"), "{state}");
}

#[tokio::test]
async fn another_order_of_the_same_customer_is_no_look_alike() {
    let other = |erp: &FakeErp| {
        erp.add_order(&agent("nancy"), crate::verb::order_20001("", 7, false));
    };
    let done = r#"completed {"order":"O-1"}"#;
    assert_ends_after("submit-order", &order(), |_| {}, other, done, &[created()]).await;
}

#[tokio::test]
async fn two_identical_drafts_are_two_orders() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: true });
    let first = house.enqueue("nancy", "submit-order", "k1", draft("d1")).await;
    let second = house.enqueue("nancy", "submit-order", "k2", draft("d2")).await;
    let numbers = [house.completed("nancy", first).await, house.completed("nancy", second).await];
    assert_ne!(numbers[0], numbers[1]);
    assert_eq!(house.erp.orders().len(), 2);
}

#[tokio::test]
async fn a_draft_submitted_from_two_devices_is_one_order() {
    let house = House::open();
    let tablet = house.enqueue("nancy", "submit-order", "tablet", draft("d1")).await;
    let phone = house.enqueue("nancy", "submit-order", "phone", draft("d1")).await;
    assert_eq!(tablet, phone);
    house.completed("nancy", tablet).await;
    assert_eq!(house.enqueue("nancy", "submit-order", "desktop", draft("d1")).await, tablet);
    let mut other = draft("d1");
    other["note"] = json!("as it was a minute ago");
    let request = EnqueueRequest {
        agent: agent("nancy"),
        kind: "submit-order".into(),
        payload: other,
        key: OperationKey::new("handheld").unwrap(),
        run_at: None,
        origin: None,
        trace: false,
    };
    let refused = house.archibald.enqueue(request).await.unwrap_err();
    assert!(
        matches!(refused, EnqueueError::TargetTaken { operation, .. } if operation == tablet),
        "{refused}"
    );
    assert_eq!(house.erp.writes(), [created()]);
}

/// Holds an attempt at a failpoint until it is let go.
struct Halt {
    at: &'static str,
    reached: mpsc::UnboundedSender<OperationId>,
    go: Arc<Notify>,
}

#[async_trait]
impl Failpoints for Halt {
    async fn at(&self, name: &'static str, operation: OperationId) {
        if name == self.at {
            let _ = self.reached.send(operation);
            self.go.notified().await;
        }
    }
}

/// From the click on nothing makes it give way until its result is recorded.
#[tokio::test]
async fn a_save_that_is_asked_to_give_way_after_the_click_is_finished_first() {
    for at in ["effect.intended", "effect.released", "effect.answered"] {
        let (reached, mut halted) = mpsc::unbounded_channel();
        let go = Arc::new(Notify::new());
        let mut house = House::with(quick(), Arc::new(Halt { at, reached, go: go.clone() }));
        let id = house.submit("nancy", "k1").await;
        assert_eq!(halted.recv().await, Some(id));
        let worker = house.worker.take().unwrap();
        let drain = tokio::spawn(worker.drain(Duration::from_secs(10)));
        while !house.archibald.overview().await.unwrap().draining {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        assert!(drain.await.unwrap(), "{at}");
        let record = house.archibald.get(&agent("nancy"), id).await.unwrap().unwrap();
        assert_eq!(told(&record.operation.state), r#"completed {"order":"O-1"}"#, "{at}");
        assert_eq!((house.erp.writes(), house.probes().await), (vec![created()], 0), "{at}");
    }
}

/// The form tells of each line before it is typed; those who watch see the last one while it is saved.
#[tokio::test]
async fn devices_are_told_which_line_is_filled_in() {
    let (reached, mut halted) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let house = House::with(quick(), Arc::new(Halt { at: "effect.released", reached, go: go.clone() }));
    let mut payload = order();
    let line = payload["lines"][0].clone();
    payload["lines"] = json!([line, line, line]);
    let id = house.enqueue("nancy", "submit-order", "k1", payload).await;
    assert_eq!(halted.recv().await, Some(id));
    let told: Vec<_> = house.store.progress(&agent("nancy")).into_iter().map(|it| json!(it)).collect();
    let expected = json!({ "agent": "nancy", "operation": id, "step": "save", "done": 3, "total": 3,
        "text": "saving" });
    assert_eq!(told, [expected]);
    go.notify_one();
    house.completed("nancy", id).await;
    assert_eq!(house.store.progress(&agent("nancy")), []);
}

#[tokio::test]
async fn a_trace_is_kept_where_it_was_asked_for_and_where_something_went_wrong() {
    let house = House::open();
    let kept = async |id| {
        let mut kept = vec![];
        for info in house.finished("nancy", id).await.evidence {
            let evidence = house.archibald.evidence(&agent("nancy"), id, info.n).await.unwrap().unwrap();
            kept.push((evidence.name, String::from_utf8(evidence.bytes).unwrap()));
        }
        kept
    };
    let traced = EnqueueRequest {
        agent: agent("nancy"),
        kind: "submit-order".into(),
        payload: order(),
        key: OperationKey::new("traced").unwrap(),
        run_at: None,
        origin: None,
        trace: true,
    };
    let traced = house.archibald.enqueue(traced).await.unwrap().record.operation.id;
    assert_eq!(kept(traced).await, [("trace".to_owned(), "with pictures".to_owned())]);
    let plain = house.submit("nancy", "plain").await;
    assert_eq!(kept(plain).await, []);
    house.erp.fail_next_save(SaveFault::Refused("no credit".into()));
    let rejected = house.submit("nancy", "rejected").await;
    assert_eq!(kept(rejected).await, [("trace".to_owned(), "in words".to_owned())]);
    let house = House::with(RuntimeConfig { trace: true, ..quick() }, Arc::new(NoFailpoints));
    let all = house.submit("nancy", "all").await;
    let record = house.finished("nancy", all).await;
    assert_eq!(record.evidence.first().map(|kept| kept.name.as_str()), Some("trace"));
}

/// The key is free again once its operation is forgotten; the order that it once made is not this one.
#[tokio::test]
async fn a_key_used_again_after_its_operation_is_forgotten_is_another_order() {
    let house = House::open();
    let first = house.submit("nancy", "k1").await;
    let finished = house.finished("nancy", first).await.operation.finished_at.unwrap();
    assert_eq!(house.store.forget(finished + Duration::from_secs(60), 10).await.unwrap(), 1);
    house.erp.fail_next_save(SaveFault::Lost { applied: false });
    let second = house.submit("nancy", "k1").await;
    assert_eq!(house.completed("nancy", second).await, json!({ "order": "O-2" }));
    assert_eq!(house.erp.orders().len(), 2);
}

/// While the request may still be under way nothing but the order itself is believed: no look-alike either.
#[tokio::test]
async fn a_look_alike_is_no_doubt_before_the_request_has_settled() {
    let settle = Settle { request: Duration::from_secs(3), lists: Duration::from_millis(50) };
    let house = House::with(RuntimeConfig { settle, ..quick() }, Arc::new(NoFailpoints));
    let equal = json!({ "number": "X-1", "customer": "ALFKI", "date": "2026-11-22", "reference": "",
        "note": "", "sent": false,
        "lines": [{ "product": "A0001", "quantity": 3, "unit_price": "1", "discount": "5" }] });
    house.erp.add_order(&agent("nancy"), serde_json::from_value(equal).unwrap());
    house.erp.fail_next_save(SaveFault::Late { reads: 4 });
    let id = house.submit("nancy", "k1").await;
    let result = house.completed("nancy", id).await;
    assert_ne!(result, json!({ "order": "X-1" }));
    assert_eq!(house.erp.writes().len(), 1);
}
