use archibald_core::effect::Mark;
use archibald_core::port::Operations;
use archibald_core::record::OperationRecord;
use archibald_testing::fake_erp::{FakeErp, SaveFault, Write};
use serde_json::{Value, json};

use crate::support::{House, agent, order};
use crate::verb::{
    Verb, assert_ends, assert_ends_after, delete_all, open_order, order_20001, send_all, sent_order,
};

fn payload(named: Value) -> Value {
    let mut payload = json!({ "customer": "ALFKI", "date": "2026-11-22", "reference": "Fiera",
        "lines": [{ "product": "A0001", "quantity": 3, "discount": "5" }] });
    payload.as_object_mut().unwrap().extend(named.as_object().unwrap().clone());
    payload
}

fn edited() -> Write {
    Write::OrderEdited("20001".into())
}

fn verb() -> Verb {
    Verb {
        kind: "edit-order",
        payload: payload(json!({ "order": "20001" })),
        world: open_order,
        looks: 1,
        write: edited(),
        repair: Some(edited()),
        result: json!({ "order": "20001", "changed": ["reference", "lines"] }),
    }
}

#[tokio::test]
async fn an_edit_is_journaled_like_every_effect() {
    verb().stands_the_journal().await;
}

#[tokio::test]
async fn an_edit_is_applied_once_whatever_goes_wrong() {
    verb().stands_every_fault().await;
}

#[tokio::test]
async fn what_there_is_decides_about_an_edit() {
    let payload = payload(json!({ "order": "20001" }));
    let as_wanted = |erp: &FakeErp| erp.add_order(&agent("nancy"), order_20001("Fiera", 3, false));
    let all_changed = r#"completed {"changed":["reference","lines"],"order":"20001"}"#;
    let house = assert_ends("edit-order", &payload, open_order, all_changed, &[edited()]).await;
    assert_eq!(house.erp.orders()[0].1.reference, "Fiera", "no mark was there, none is put there");
    let nothing = r#"completed {"changed":[],"order":"20001"}"#;
    let house = assert_ends("edit-order", &payload, as_wanted, nothing, &[]).await;
    assert_eq!(house.erp.reads(), 1);
    let missing = "rejected: there is no order 20001";
    assert_ends("edit-order", &payload, |_| {}, missing, &[]).await;
    let sent = "rejected: order 20001 was sent to Verona already";
    assert_ends("edit-order", &payload, sent_order, sent, &[]).await;
}

#[tokio::test]
async fn what_happened_meanwhile_decides_about_an_edit() {
    let payload = payload(json!({ "order": "20001" }));
    let gone = "rejected: there is no order 20001 any more";
    assert_ends_after("edit-order", &payload, open_order, delete_all, gone, &[]).await;
    let by_hand = |erp: &FakeErp| {
        delete_all(erp);
        erp.add_order(&agent("nancy"), order_20001("Fiera", 3, true));
    };
    let found = r#"completed {"changed":["reference","lines"],"order":"20001"}"#;
    assert_ends_after("edit-order", &payload, open_order, by_hand, found, &[]).await;
    let house = House::open();
    open_order(&house.erp);
    house.erp.fail_next_save(SaveFault::Lost { applied: false });
    let id = house.enqueue("nancy", "edit-order", "k1", payload).await;
    house.saw("nancy", id, "operation.retrying").await;
    send_all(&house.erp);
    let state = house.finished("nancy", id).await.operation.state;
    assert_eq!(state.name(), "rejected");
    assert!(house.erp.writes().is_empty());
}

#[tokio::test]
async fn an_edit_waits_behind_an_ambiguous_submit_of_its_draft_and_keeps_the_mark() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: true });
    let mut draft = order();
    draft["pending_order"] = json!("d1");
    let submit = house.enqueue("nancy", "submit-order", "k1", draft).await;
    let edit = house.enqueue("nancy", "edit-order", "k2", payload(json!({ "pending_order": "d1" }))).await;
    let result = house.completed("nancy", edit).await;
    assert_eq!(result, json!({ "order": "O-1", "changed": ["reference"] }));
    assert_eq!(house.completed("nancy", submit).await, json!({ "order": "O-1" }));
    let writes = [Write::OrderCreated("O-1".into()), Write::OrderEdited("O-1".into())];
    assert_eq!(house.erp.writes(), writes);
    let orders = house.erp.orders();
    assert_eq!(orders[0].1.reference, Mark::of(submit).stamp("Fiera").unwrap());
    let told: Vec<_> = house
        .events("nancy")
        .await
        .into_iter()
        .filter(|told| ["operation.completed", "operation.started"].contains(&told.event.kind.as_str()))
        .filter_map(|told| Some((told.event.operation?, told.event.kind)))
        .collect();
    let done = told.iter().position(|told| *told == (submit, "operation.completed".to_owned()));
    let begun = told.iter().position(|told| *told == (edit, "operation.started".to_owned()));
    assert!(done.unwrap() < begun.unwrap(), "{told:?}");
}

#[tokio::test]
async fn an_edit_of_a_draft_that_was_not_submitted_is_rejected_and_says_why() {
    let house = House::open();
    let alone = house.enqueue("nancy", "edit-order", "k0", payload(json!({ "pending_order": "d0" }))).await;
    assert_eq!(
        crate::verb::told(&house.finished("nancy", alone).await.operation.state),
        "rejected: pending order d0 was not submitted: there is no operation that submits it"
    );
    house.erp.fail_next_save(SaveFault::Refused("Cliente sconosciuto.".into()));
    let mut draft = order();
    draft["pending_order"] = json!("d1");
    let submit = house.enqueue("nancy", "submit-order", "k1", draft).await;
    let edit = house.enqueue("nancy", "edit-order", "k2", payload(json!({ "pending_order": "d1" }))).await;
    assert_eq!(
        crate::verb::told(&house.finished("nancy", edit).await.operation.state),
        format!(
            "rejected: pending order d1 was not submitted: operation {submit} was rejected: Cliente sconosciuto."
        )
    );
    assert!(house.erp.writes().is_empty());
}

#[tokio::test]
async fn an_edit_of_a_draft_whose_submit_was_cancelled_says_so() {
    let mut house = House::open();
    house.worker.take().unwrap().kill();
    let mut draft = order();
    draft["pending_order"] = json!("d1");
    let submit = house.enqueue("nancy", "submit-order", "k1", draft).await;
    let edit = house.enqueue("nancy", "edit-order", "k2", payload(json!({ "pending_order": "d1" }))).await;
    house.archibald.cancel(&agent("nancy"), submit, "nancy").await.unwrap();
    house.restart();
    assert_eq!(
        crate::verb::told(&house.finished("nancy", edit).await.operation.state),
        format!("rejected: pending order d1 was not submitted: operation {submit} was cancelled by nancy")
    );
}

/// One order, two names: whoever speaks of its number waits for whoever speaks of its draft.
#[tokio::test]
async fn an_order_that_was_a_draft_is_one_target_under_both_names() {
    let house = House::open();
    let mut draft = order();
    draft["pending_order"] = json!("d1");
    let submitted = house.enqueue("nancy", "submit-order", "k1", draft).await;
    let number = house.completed("nancy", submitted).await["order"].clone();
    let by_number = house.enqueue("nancy", "send-to-verona", "k2", json!({ "order": number })).await;
    let by_draft = house.enqueue("nancy", "send-to-verona", "k3", json!({ "pending_order": "d1" })).await;
    let target = |record: OperationRecord| record.operation.target.map(|target| target.to_string());
    for id in [submitted, by_number, by_draft] {
        assert_eq!(target(house.finished("nancy", id).await).as_deref(), Some("draft:d1"));
    }
    let other = house.enqueue("nancy", "delete-order", "k4", json!({ "order": "O-77" })).await;
    assert_eq!(target(house.finished("nancy", other).await).as_deref(), Some("order:O-77"));
}
