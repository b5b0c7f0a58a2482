use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::id::OperationKind;
use crate::operation::{Class, EffectAtEnd, Step};
use crate::record::OperationRecord;

fn at(secs: u64) -> Timestamp {
    Timestamp::EPOCH + Duration::from_secs(secs)
}

fn by(mutation: &str) -> Option<Origin> {
    Some(Origin { device: Some("tablet".to_owned()), mutation: Some(mutation.to_owned()) })
}

fn content(customer: &str) -> OrderContent {
    OrderContent { customer: Some(customer.to_owned()), ..OrderContent::default() }
}

fn new(customer: &str) -> NewPendingOrder {
    NewPendingOrder {
        id: PendingOrderId(Uuid::from_u128(1)),
        agent: AgentId::new("nancy").unwrap(),
        key: OperationKey::new("k").unwrap(),
        content: content(customer),
        origin: by("m1"),
    }
}

fn draft() -> PendingOrder {
    PendingOrder::accept(new("ALFKI"), at(1)).0
}

fn edit(expected: u64, customer: &str, mutation: &str) -> PendingOrderEdit {
    PendingOrderEdit { expected, content: content(customer), origin: by(mutation) }
}

fn submission(n: u128, draft: &PendingOrder) -> NewOperation {
    NewOperation {
        id: OperationId(Uuid::from_u128(n)),
        agent: draft.agent.clone(),
        kind: OperationKind::new("submit-order").unwrap(),
        class: Class::Interactive,
        key: OperationKey::new(format!("k{n}")).unwrap(),
        target: Some(draft.id.target()),
        once_per_target: true,
        payload: draft.payload(),
        run_at: None,
        origin: by("m2"),
        queue_limit: 100,
        trace: false,
    }
}

/// The draft while operation `n` submits it, and that operation.
fn submitting(n: u128) -> (PendingOrder, Operation) {
    let draft = draft();
    let new = submission(n, &draft);
    let (taken, _) = draft.taken_by(&new, at(2)).unwrap();
    (taken, OperationRecord::accept(new, 1, at(2)).0.operation)
}

fn ended(operation: &Operation, state: OperationState) -> Operation {
    Operation { state, ..operation.clone() }
}

fn rejected(operation: &Operation) -> Operation {
    ended(operation, OperationState::Rejected { why: "no such customer".to_owned() })
}

#[test]
fn an_event_has_all_that_a_device_shows() {
    let (draft, event) = PendingOrder::accept(new("ALFKI"), at(1));
    assert_eq!(
        serde_json::to_value(event).unwrap(),
        json!({ "type": "pending_order.created", "origin": { "device": "tablet", "mutation": "m1" },
            "pending_order": draft.id, "version": 1, "state": "editing", "content": { "customer": "ALFKI" } })
    );
    let (_, event) = draft.clone().edit(&edit(1, "ANATR", "m2"), at(2)).unwrap();
    let event = event.unwrap();
    assert_eq!((event.kind.as_str(), &event.data["version"]), ("pending_order.updated", &json!(2)));
    let event = draft.discard(1, by("m3")).unwrap();
    assert_eq!(
        (event.kind.as_str(), event.origin, &event.data["version"]),
        ("pending_order.deleted", by("m3"), &json!(1))
    );
    let kept = serde_json::to_string(&draft).unwrap();
    assert_eq!(serde_json::from_str::<PendingOrder>(&kept).unwrap(), draft, "{kept}");
}

#[test]
fn who_edits_an_old_version_gets_the_new_one() {
    let (second, _) = draft().edit(&edit(1, "ANATR", "m2"), at(2)).unwrap();
    assert_eq!((second.version, second.updated_at, second.created_at), (2, at(2), at(1)));
    let refused = second.clone().edit(&edit(1, "AROUT", "m3"), at(3)).unwrap_err();
    let PendingOrderError::Conflict { expected: 1, current } = refused else { panic!("{refused}") };
    assert_eq!(*current, second);
    assert!(matches!(second.discard(1, None), Err(PendingOrderError::Conflict { .. })));
}

#[test]
fn the_same_mutation_again_changes_nothing() {
    let (second, _) = draft().edit(&edit(1, "ANATR", "m2"), at(2)).unwrap();
    let (again, event) = second.clone().edit(&edit(1, "ANATR", "m2"), at(3)).unwrap();
    assert_eq!((again, event), (second.clone(), None));
    let (same, event) = second.clone().edit(&edit(2, "ANATR", "m4"), at(3)).unwrap();
    assert_eq!((same, event), (second.clone(), None), "nothing new");
    let other = second.clone().edit(&edit(1, "AROUT", "m2"), at(3));
    assert!(matches!(other, Err(PendingOrderError::Conflict { .. })), "other content is another change");
    let by_nobody = PendingOrderEdit { origin: None, ..edit(1, "ANATR", "") };
    assert!(matches!(second.edit(&by_nobody, at(3)), Err(PendingOrderError::Conflict { .. })));
}

#[test]
fn a_repeated_creation_is_known_by_what_it_was_created_with() {
    let (edited, _) = draft().edit(&edit(1, "ANATR", "m2"), at(2)).unwrap();
    assert_eq!(edited.clone().created_again(&new("ALFKI")).unwrap(), edited);
    let other = edited.created_again(&new("ANATR"));
    assert!(matches!(other, Err(PendingOrderError::KeyReused { .. })), "{other:?}");
}

#[test]
fn an_operation_takes_it_as_it_is() {
    let (edited, _) = draft().edit(&edit(1, "ANATR", "m2"), at(2)).unwrap();
    let old = submission(7, &draft());
    let refused = edited.clone().taken_by(&old, at(3));
    assert!(matches!(refused, Err(EnqueueError::PendingOrderChanged(_))), "{refused:?}");
    let (taken, event) = edited.clone().taken_by(&submission(7, &edited), at(3)).unwrap();
    assert_eq!((taken.version, &event.data["state"]), (3, &json!("submitting")));
    assert_eq!(event.operation, Some(OperationId(Uuid::from_u128(7))));
    let other = taken.clone().taken_by(&submission(8, &taken), at(4));
    assert!(matches!(other, Err(EnqueueError::TargetTaken { .. })), "{other:?}");
    for refused in [taken.clone().edit(&edit(3, "AROUT", "m3"), at(4)).err(), taken.discard(3, None).err()] {
        assert!(matches!(refused, Some(PendingOrderError::Submitting { .. })), "{refused:?}");
    }
}

#[test]
fn it_follows_its_operation_to_the_end() {
    let (taken, operation) = submitting(7);
    let doubt = OperationState::InDoubt { evidence: "two bearers".to_owned() };
    for still in [operation.clone(), ended(&operation, doubt)] {
        assert_eq!(taken.follow(&still, at(3)), Ok(None), "locked as long as it is not over");
    }
    let completed = OperationState::Completed { result: json!({ "order": "20001" }) };
    let (done, event) = taken.follow(&ended(&operation, completed), at(3)).unwrap().unwrap();
    assert_eq!(event.data["order"], "20001");
    assert_eq!((done.submitted_by(), done.version, event.origin), (Some(operation.id), 3, by("m2")));
    assert!(matches!(done.clone().edit(&edit(3, "X", "m"), at(4)), Err(PendingOrderError::Submitted { .. })));
    assert!(matches!(done.discard(3, None), Err(PendingOrderError::Submitted { .. })));

    let failed = OperationState::Failed { why: "given up".to_owned(), effect: EffectAtEnd::Unknown };
    let cancelled = OperationState::Cancelled { by: "nancy".to_owned() };
    let ends = [rejected(&operation), ended(&operation, failed), ended(&operation, cancelled)];
    let told =
        ends.map(|end| taken.follow(&end, at(3)).unwrap().unwrap().1.data["problem"]["detail"].clone());
    assert_eq!(told, ["no such customer", "given up", "cancelled by nancy"]);
    let (_, other) = submitting(8);
    assert_eq!(taken.follow(&rejected(&other), at(3)), Ok(None), "another operation has no say");
}

#[test]
fn an_operation_that_starts_again_takes_it_back_unless_it_was_changed() {
    let (taken, operation) = submitting(7);
    let (given_back, _) = taken.follow(&rejected(&operation), at(3)).unwrap().unwrap();
    let again = ended(&operation, OperationState::Available { at: at(4), step: Step::Act });
    let (taken_back, _) = given_back.follow(&again, at(4)).unwrap().unwrap();
    assert_eq!(taken_back.state, taken.state);
    let corrected = given_back.edit(&edit(3, "ANATR", "m3"), at(4)).unwrap().0;
    assert_eq!(corrected.follow(&again, at(5)), Err(ChangedSince(corrected.id)));
    let (taken_anew, _) = corrected.clone().taken_by(&submission(8, &corrected), at(5)).unwrap();
    assert_eq!(taken_anew.follow(&again, at(6)), Ok(None), "the target rule refuses it");
}

#[test]
fn what_is_too_much_is_named() {
    let line = OrderContentLine { product: Some("A\n".to_owned()), ..OrderContentLine::default() };
    let mut content =
        OrderContent { note: Some("x".repeat(201)), lines: vec![line], ..OrderContent::default() };
    let complaints = |content: &OrderContent| {
        let errors = content.check().unwrap_err();
        errors.into_iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect::<Vec<_>>()
    };
    assert_eq!(
        complaints(&content),
        [
            "/note must have at most 200 characters, got 201",
            "/lines/0/product must not contain control characters"
        ]
    );
    content = OrderContent { lines: vec![OrderContentLine::default(); 501], ..OrderContent::default() };
    assert_eq!(complaints(&content), ["/lines must have at most 500 lines, got 501"]);
    assert_eq!(OrderContent::default().check(), Ok(()), "nothing at all is a beginning");
}

#[test]
fn all_that_is_missing_is_named_at_once() {
    let missing = |content: Value| {
        let content: OrderContent = serde_json::from_value(content).unwrap();
        let errors = content.check_complete().err().unwrap_or_default();
        errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
    };
    assert_eq!(missing(json!({})), ["/customer", "/date", "/lines"]);
    let half = json!({ "customer": "ALFKI", "lines": [{ "product": "A0001" }, { "quantity": 1 }] });
    assert_eq!(missing(half), ["/date", "/lines/0/quantity", "/lines/1/product"]);
    let line = json!({ "product": "A0001", "quantity": 1 });
    assert!(missing(json!({ "customer": "ALFKI", "date": "2026-11-22", "lines": [line] })).is_empty());
}
