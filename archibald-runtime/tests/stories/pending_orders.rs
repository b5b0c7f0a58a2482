use archibald_core::error::EnqueueError;
use archibald_core::event::Origin;
use archibald_core::id::{OperationKey, PendingOrderId};
use archibald_core::pending_order::{
    NewPendingOrder, OrderContent, PendingOrder, PendingOrderEdit, PendingOrderError, PendingOrderState,
};
use archibald_core::port::{EnqueueRequest, Enqueued, Operations, PendingOrders, SubmitRequest};
use archibald_testing::fake_erp::SaveFault;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{House, agent, order};

#[tokio::test]
async fn a_pending_order_becomes_an_order_once_whoever_taps() {
    let house = House::open();
    let draft = house.draft(order()).await;
    let taps = (0..10).map(|n| {
        let archibald = house.archibald.clone();
        let key = (n % 3 > 0).then(|| OperationKey::new(format!("tap {n}")).unwrap());
        let request = SubmitRequest { key, ..asked(&draft) };
        tokio::spawn(async move { archibald.submit(request).await.unwrap() })
    });
    let answers: Vec<Enqueued> = join_all(taps).await.into_iter().map(Result::unwrap).collect();
    let id = answers[0].record.operation.id;
    assert!(answers.iter().all(|answer| answer.record.operation.id == id));
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    house.completed("nancy", id).await;
    assert_eq!(house.erp.orders().len(), 1);
    let done = house.found(&draft).await;
    assert_eq!(done.state, PendingOrderState::Submitted { operation: id, order: Some("O-1".to_owned()) });
    let late = house.archibald.submit(asked(&draft)).await.unwrap();
    assert_eq!((late.record.operation.id, late.replayed), (id, true), "a tap that comes late");
    let kinds: Vec<_> = house.events("nancy").await.into_iter().map(|event| event.event.kind).collect();
    assert_eq!(
        kinds,
        [
            "pending_order.created",
            "operation.queued",
            "pending_order.updated",
            "operation.started",
            "order.updated",
            "operation.completed",
            "pending_order.updated"
        ]
    );
}

#[tokio::test]
async fn what_an_order_cannot_have_is_named_and_nothing_is_locked() {
    let house = House::open();
    let draft = house.draft(json!({ "customer": "ALFKI", "lines": [{ "product": "A0001" }] })).await;
    let refused = house.archibald.submit(asked(&draft)).await;
    let Err(PendingOrderError::Enqueue(EnqueueError::Invalid(errors))) = refused else {
        panic!("{refused:?}")
    };
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/date", "/lines/0/quantity"]);
    let by_payload = house.ask("alone", json!({ "pending_order": draft.id })).await;
    assert!(matches!(by_payload, Err(EnqueueError::Invalid(same)) if same == errors));
    let mut wrong = order();
    wrong["customer"] = json!(" ALFKI");
    let whole = house.draft(wrong).await;
    let refused = house.archibald.submit(asked(&whole)).await;
    let Err(PendingOrderError::Enqueue(EnqueueError::Invalid(errors))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(errors[0].pointer, "/customer", "{errors:?}");
    assert_eq!(house.found(&draft).await, draft);
    let nobody = SubmitRequest { id: PendingOrderId(Uuid::now_v7()), ..asked(&draft) };
    let refused = house.archibald.submit(nobody).await;
    assert!(matches!(refused, Err(PendingOrderError::NotFound(_))), "{refused:?}");
    let edited = house.edited(&draft, order()).await;
    let stale = house.archibald.submit(asked(&draft)).await;
    let Err(PendingOrderError::Conflict { expected: 1, current }) = stale else { panic!("{stale:?}") };
    assert_eq!(*current, edited);
}

#[tokio::test]
async fn a_payload_that_names_it_alone_means_its_content() {
    let house = House::open();
    let draft = house.draft(order()).await;
    let alone = json!({ "pending_order": draft.id });
    let first = house.ask("k", alone.clone()).await.unwrap();
    assert_eq!(first.record.operation.payload, draft.payload());
    let again = house.ask("k", alone.clone()).await.unwrap();
    assert_eq!((again.replayed, again.record.operation.id), (true, first.record.operation.id));
    house.completed("nancy", first.record.operation.id).await;
    assert_eq!(house.erp.orders()[0].1.lines[0].quantity, 3);

    let other = house.draft(order()).await;
    let mut payload = order();
    payload["pending_order"] = json!(other.id);
    payload["lines"][0]["discount"] = json!("5.00");
    let mut differs = payload.clone();
    differs["customer"] = json!("ANATR");
    let refused = house.ask("differs", differs).await;
    assert!(matches!(refused, Err(EnqueueError::PendingOrderChanged(_))), "{refused:?}");
    house.ask("the same, written otherwise", payload).await.unwrap();

    let nobody = json!({ "pending_order": Uuid::now_v7() });
    let refused = house.ask("nobody", nobody).await;
    assert!(matches!(refused, Err(EnqueueError::NoPendingOrder(_))), "{refused:?}");
}

#[tokio::test]
async fn what_the_erp_refused_is_corrected_and_submitted_anew() {
    let house = House::open();
    let draft = house.draft(order()).await;
    house.erp.fail_next_save(SaveFault::Refused("Cliente sconosciuto.".into()));
    let first = house.archibald.submit(asked(&draft)).await.unwrap().record.operation.id;
    house.finished("nancy", first).await;
    let back = house.found(&draft).await;
    let PendingOrderState::Editing { problem: Some(problem) } = &back.state else {
        panic!("{:?}", back.state)
    };
    assert_eq!((problem.operation, problem.detail.as_str()), (first, "Cliente sconosciuto."));
    let mut other = order();
    other["customer"] = json!("ANATR");
    let corrected = house.edited(&back, other).await;
    let second = house.archibald.submit(asked(&corrected)).await.unwrap().record.operation.id;
    assert_ne!(first, second);
    house.completed("nancy", second).await;
    assert_eq!(house.erp.orders().len(), 1);
    assert_eq!(house.erp.orders()[0].1.customer, "ANATR");
}

/// Who asks again for what was rejected gets that, also when the pending order was corrected meanwhile.
#[tokio::test]
async fn an_old_key_answers_for_what_it_was_used_for() {
    let house = House::open();
    let draft = house.draft(order()).await;
    house.erp.fail_next_save(SaveFault::Refused("Cliente sconosciuto.".into()));
    let mut payload = order();
    payload["pending_order"] = json!(draft.id);
    let first = house.ask("k", payload.clone()).await.unwrap().record.operation.id;
    house.finished("nancy", first).await;
    let back = house.found(&draft).await;
    house.edited(&back, json!({ "customer": "ANATR" })).await;
    let again = house.ask("k", payload.clone()).await.unwrap();
    assert_eq!((again.record.operation.id, again.replayed), (first, true));
    let refused = house.ask("another key", payload).await;
    assert!(matches!(refused, Err(EnqueueError::PendingOrderChanged(_))), "{refused:?}");
}

/// The answer of the request was lost: sent once more it is answered, however the draft looks by now.
#[tokio::test]
async fn the_same_request_with_its_key_is_the_same_submission_after_the_draft_changed() {
    for is_alone in [false, true] {
        let house = House::open();
        let draft = house.draft(order()).await;
        house.erp.fail_next_save(SaveFault::Refused("Cliente sconosciuto.".into()));
        let ask = async || match is_alone {
            true => house.ask("k", json!({ "pending_order": draft.id })).await.unwrap(),
            false => {
                let key = Some(OperationKey::new("k").unwrap());
                house.archibald.submit(SubmitRequest { key, expected: None, ..asked(&draft) }).await.unwrap()
            }
        };
        let first = ask().await.record.operation.id;
        house.finished("nancy", first).await;
        let mut corrected = order();
        corrected["customer"] = json!("ANATR");
        house.edited(&house.found(&draft).await, corrected).await;
        let again = ask().await;
        assert_eq!((again.record.operation.id, again.replayed), (first, true));
        assert_eq!(house.erp.orders().len(), 0, "nothing was submitted anew");
    }
}

#[tokio::test]
async fn an_order_is_edited_by_the_pending_order_that_it_was() {
    let house = House::open();
    let draft = house.draft(order()).await;
    let submitted = house.archibald.submit(asked(&draft)).await.unwrap();
    let mut wanted = order();
    wanted["pending_order"] = json!(draft.id);
    wanted["note"] = json!("Consegna lunedì");
    let edit = house.enqueue("nancy", "edit-order", "edit", wanted).await;
    house.completed("nancy", submitted.record.operation.id).await;
    house.completed("nancy", edit).await;
    assert_eq!(house.erp.orders()[0].1.note, "Consegna lunedì");
}

/// The answer of the save is lost, the process ends, and the next one finds the order by its mark.
#[tokio::test]
async fn it_follows_its_operation_over_a_restart() {
    let mut house = House::open();
    let draft = house.draft(order()).await;
    house.erp.fail_next_save(SaveFault::Lost { applied: true });
    let id = house.archibald.submit(asked(&draft)).await.unwrap().record.operation.id;
    house.saw("nancy", id, "operation.retrying").await;
    let locked = house.archibald.discard(&draft.agent, draft.id, 2, None).await;
    assert!(matches!(locked, Err(PendingOrderError::Submitting { .. })), "{locked:?}");
    house.restart();
    house.completed("nancy", id).await;
    assert_eq!(house.erp.orders().len(), 1);
    assert_eq!(house.found(&draft).await.submitted_by(), Some(id));
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_field() {
    let house = House::open();
    let content = OrderContent { note: Some("x".repeat(201)), ..OrderContent::default() };
    let refused = house.archibald.create(NewPendingOrder { content, ..new(json!({})) }).await;
    let Err(PendingOrderError::Invalid(errors)) = refused else { panic!("{refused:?}") };
    assert_eq!(errors[0].pointer, "/note");
    let unknown = NewPendingOrder { agent: agent("nobody"), ..new(json!({})) };
    let refused = house.archibald.create(unknown).await;
    assert!(matches!(refused, Err(PendingOrderError::Enqueue(EnqueueError::UnknownAgent(_)))), "{refused:?}");
}

fn new(content: Value) -> NewPendingOrder {
    let id = PendingOrderId(Uuid::now_v7());
    NewPendingOrder {
        id,
        agent: agent("nancy"),
        key: OperationKey::new(id.to_string()).unwrap(),
        content: serde_json::from_value(content).unwrap(),
        origin: Some(Origin { device: Some("tablet".into()), mutation: Some(id.to_string()) }),
    }
}

fn asked(draft: &PendingOrder) -> SubmitRequest {
    let (agent, id) = (draft.agent.clone(), draft.id);
    SubmitRequest { agent, id, expected: Some(draft.version), key: None, origin: None }
}

impl House {
    async fn draft(&self, content: Value) -> PendingOrder {
        self.archibald.create(new(content)).await.unwrap().order
    }

    async fn edited(&self, draft: &PendingOrder, content: Value) -> PendingOrder {
        let content = serde_json::from_value(content).unwrap();
        let edit = PendingOrderEdit { expected: draft.version, content, origin: None };
        self.archibald.edit(&draft.agent, draft.id, &edit).await.unwrap()
    }

    async fn found(&self, draft: &PendingOrder) -> PendingOrder {
        self.archibald.find(&draft.agent, draft.id).await.unwrap().unwrap()
    }

    async fn ask(&self, key: &str, payload: Value) -> Result<Enqueued, EnqueueError> {
        let request = EnqueueRequest {
            agent: agent("nancy"),
            kind: "submit-order".to_owned(),
            payload,
            key: OperationKey::new(key).unwrap(),
            run_at: None,
            origin: None,
            trace: false,
        };
        self.archibald.enqueue(request).await
    }
}
