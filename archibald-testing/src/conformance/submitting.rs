use archibald_core::error::EnqueueError;
use archibald_core::id::{OperationId, OperationKey};
use archibald_core::operation::NewOperation;
use archibald_core::pending_order::{PendingOrder, PendingOrderError, PendingOrderState};
use archibald_core::port::AdminError;
use archibald_core::record::{Disposition, OperationRecord, Resolution};
use futures::future::join_all;
use uuid::Uuid;

use super::checks::{LONG, agent, completed, gave_way, kinds, receipt, submit};
use super::pending_orders::edit;
use super::{Ports, StoreUnderTest};

/// Two devices tap at once, each with a key of its own: one operation, which has the pending order as it was.
pub async fn two_devices_submit_one_pending_order_once(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let order = ports.created(&nancy, "k").await;
    let calls = (0..20).map(|n| {
        let (store, new) = (ports.pending_orders.clone(), submission(&order, &format!("device {}", n % 2)));
        tokio::spawn(async move { store.submit(new).await.expect("accepted") })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let made: Vec<_> = answers.iter().filter(|answer| !answer.replayed).collect();
    let [made] = made.as_slice() else { panic!("{} operations", made.len()) };
    let id = made.record.operation.id;
    assert!(answers.iter().all(|answer| answer.record.operation.id == id));
    let taken = ports.pending_order(&order).await.unwrap();
    assert_eq!((taken.version, &taken.state), (2, &PendingOrderState::Submitting { operation: id }));
    let events = ports.log(&nancy).await;
    assert_eq!(kinds(&events), ["pending_order.created", "operation.queued", "pending_order.updated"]);
    assert_eq!((events[2].event.operation, &events[2].event.data["state"]), (Some(id), &"submitting".into()));
}

/// While its operation waits or runs nobody edits or deletes it, and who tries learns why; in the end it has the
/// order's number, from the transaction that completes the operation.
pub async fn what_is_submitted_is_locked_until_it_is_an_order(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let order = ports.created(&nancy, "k").await;
    let record = ports.submitted(&order, "s").await;
    let id = record.operation.id;
    ports.is_locked(&order, id).await;
    let lease = ports.lease(&record, LONG).await;
    ports.is_locked(&order, id).await;
    ports.settle(&lease, gave_way()).await;
    ports.is_locked(&order, id).await;
    let lease = ports.lease(&record, LONG).await;
    let place = ports.head(&nancy).await;
    let next = ports.enqueue(submit(&nancy, "next")).await;
    let done = ports.store.hand_on(&lease, completed().into(), next.operation.id).await.unwrap();
    assert!(done.next.is_some(), "an agent is handed on all the same");
    let done = ports.pending_order(&order).await.unwrap();
    let expected = PendingOrderState::Submitted { operation: id, order: Some("O-1".to_owned()) };
    assert_eq!((&done.state, done.version), (&expected, 3));
    let events = ports.events_after(&nancy, place, 10).await;
    assert_eq!(
        kinds(&events),
        ["operation.queued", "operation.completed", "pending_order.updated", "operation.started"]
    );
    assert_eq!((events[2].event.operation, &events[2].event.data["order"]), (Some(id), &"O-1".into()));
    for refused in [
        ports.pending_orders.edit(&nancy, order.id, &edit(&done, "ANATR")).await.err(),
        ports.pending_orders.discard(&nancy, order.id, 3, None).await.err(),
    ] {
        let Some(PendingOrderError::Submitted { operation, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(operation, id);
    }
    let again = ports.pending_orders.submit(submission(&order, "later")).await.unwrap();
    assert!(again.replayed && again.record.operation.id == id, "also after the end");
}

/// Rejected, failed or cancelled: the devices have it back, with what was said, and a corrected one is another
/// operation; the old key is not used for it.
pub async fn what_was_rejected_is_corrected_and_submitted_anew(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let mut order = ports.created(&nancy, "k").await;
    let ends = [
        ("rejected", Disposition::Reject { why: "no such customer".into(), refused: None }),
        ("failed", Disposition::Fail { why: "given up".into(), absent: None }),
    ];
    for (n, (outcome, end)) in ends.into_iter().enumerate() {
        let record = ports.submitted(&order, outcome).await;
        let lease = ports.lease(&record, LONG).await;
        ports.settle(&lease, end).await;
        order = ports.given_back(&order, &record, outcome).await;
        let corrected = ports.edited(&order, &format!("C{n}")).await;
        let reused = ports.pending_orders.submit(submission(&corrected, outcome)).await;
        assert!(matches!(reused, Err(EnqueueError::KeyReused { .. })), "{reused:?}");
        order = corrected;
    }
    let record = ports.submitted(&order, "cancelled").await;
    ports.store.cancel(&nancy, record.operation.id, "nancy").await.unwrap();
    order = ports.given_back(&order, &record, "cancelled").await;
    let last = ports.log(&nancy).await.pop().unwrap();
    assert_eq!(last.event.data["problem"]["detail"], "cancelled by nancy");
    ports.pending_orders.discard(&nancy, order.id, order.version, None).await.unwrap();
}

/// Nobody but a person ends a doubt, and until then the pending order stays as it is.
pub async fn a_doubt_keeps_a_pending_order_locked(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let first = ports.in_doubt("applied").await;
    let applied = Resolution::Applied { receipt: receipt("O-1") };
    ports.store.resolve(&nancy, first.1.operation.id, "nancy", &applied).await.unwrap();
    ports.is_locked(&first.0, first.1.operation.id).await;
    let lease = ports.lease(&first.1, LONG).await;
    ports.settle(&lease, completed()).await;
    let done = ports.pending_order(&first.0).await.unwrap();
    assert_eq!(done.submitted_by(), Some(first.1.operation.id));

    let second = ports.in_doubt("abandoned").await;
    ports.store.resolve(&nancy, second.1.operation.id, "nancy", &Resolution::Abandon).await.unwrap();
    ports.given_back(&second.0, &second.1, "failed").await;
}

/// A person's redrive submits what was submitted: it takes the pending order back, unless devices changed it since.
pub async fn what_starts_again_takes_its_pending_order_back(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let order = ports.created(&nancy, "k").await;
    let record = ports.submitted(&order, "s").await;
    let id = record.operation.id;
    let rejected = || Disposition::Reject { why: "closed".into(), refused: None };
    ports.settle(&ports.lease(&record, LONG).await, rejected()).await;
    ports.store.redrive(&nancy, id, "nancy").await.unwrap();
    ports.is_locked(&order, id).await;
    ports.settle(&ports.lease(&record, LONG).await, rejected()).await;
    let given_back = ports.given_back(&order, &record, "rejected").await;
    let corrected = ports.edited(&given_back, "ANATR").await;
    let place = ports.head(&nancy).await;
    let refused = ports.store.redrive(&nancy, id, "nancy").await;
    assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
    assert_eq!(ports.get(&record).await.operation.state.name(), "rejected");
    assert_eq!(ports.head(&nancy).await, place, "a refusal tells nobody");
    ports.pending_orders.discard(&nancy, order.id, corrected.version, None).await.unwrap();
    ports.store.redrive(&nancy, id, "nancy").await.unwrap();
}

/// What was read before somebody edited or deleted it is not submitted, and nothing of it is left.
pub async fn a_stale_submission_is_refused_whole(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let order = ports.created(&nancy, "k").await;
    let read_before = submission(&order, "s");
    let edited = ports.edited(&order, "ANATR").await;
    let place = ports.head(&nancy).await;
    for refused in [
        ports.pending_orders.submit(read_before.clone()).await,
        ports.store.enqueue(read_before.clone()).await,
    ] {
        let Err(EnqueueError::PendingOrderChanged(id)) = refused else { panic!("{refused:?}") };
        assert_eq!(id, order.id);
    }
    assert_eq!(ports.head(&nancy).await, place);
    ports.pending_orders.discard(&nancy, order.id, edited.version, None).await.unwrap();
    let gone = ports.pending_orders.submit(read_before.clone()).await;
    assert!(matches!(gone, Err(EnqueueError::NoPendingOrder(_))), "{gone:?}");
    assert_eq!(ports.store.waiting(&nancy, None, 10).await.unwrap(), []);
    let by_hand = ports.enqueue(read_before).await;
    assert_eq!(
        by_hand.operation.state.name(),
        "available",
        "drafts that are kept elsewhere are not looked for"
    );
}

/// One horizon for both, and never while it is an order in the making.
pub async fn a_pending_order_goes_with_its_operation(under: &mut dyn StoreUnderTest) {
    let (mut ports, nancy) = (under.ports(), agent("nancy"));
    let done = ports.created(&nancy, "done").await;
    let record = ports.submitted(&done, "1").await;
    ports.settle(&ports.lease(&record, LONG).await, completed()).await;
    let back = ports.created(&nancy, "back").await;
    let record = ports.submitted(&back, "2").await;
    ports.store.cancel(&nancy, record.operation.id, "nancy").await.unwrap();
    let back = ports.pending_order(&back).await.unwrap();
    let locked = ports.created(&nancy, "locked").await;
    ports.submitted(&locked, "3").await;
    let shown = ports.bus.snapshot(&nancy, 0).await.unwrap().pending_orders;
    assert_eq!(shown.iter().map(|order| order.id).collect::<Vec<_>>(), [locked.id, back.id]);
    let shown = ports.bus.snapshot(&nancy, 1).await.unwrap().pending_orders;
    assert_eq!(shown.last().map(|order| order.id), Some(done.id), "with the last that were submitted");

    under.advance(std::time::Duration::from_millis(10)).await;
    ports = under.ports();
    let now = ports.created(&nancy, "now").await.created_at;
    assert_eq!(ports.store.forget(now, 100).await.unwrap(), 2);
    assert_eq!(ports.pending_order(&done).await, None);
    assert_eq!(ports.pending_order(&back).await, Some(back));
    assert!(ports.pending_order(&locked).await.is_some());
}

fn submission(order: &PendingOrder, key: &str) -> NewOperation {
    NewOperation {
        id: OperationId(Uuid::now_v7()),
        key: OperationKey::new(key).unwrap(),
        target: Some(order.id.target()),
        once_per_target: true,
        payload: order.payload(),
        ..submit(&order.agent, key)
    }
}

impl Ports {
    async fn submitted(&self, order: &PendingOrder, key: &str) -> OperationRecord {
        let enqueued = self.pending_orders.submit(submission(order, key)).await.expect("accepted");
        assert!(!enqueued.replayed, "a new operation");
        enqueued.record
    }

    /// One whose submission is in doubt.
    async fn in_doubt(&self, key: &str) -> (PendingOrder, OperationRecord) {
        let order = self.created(&agent("nancy"), key).await;
        let record = self.submitted(&order, &format!("submit {key}")).await;
        let lease = self.lease(&record, LONG).await;
        self.released(&lease).await;
        self.settle(&lease, Disposition::Doubt { evidence: "two bearers".into() }).await;
        self.is_locked(&order, record.operation.id).await;
        (order, record)
    }

    async fn is_locked(&self, order: &PendingOrder, by: OperationId) {
        let (agent, place) = (&order.agent, self.head(&order.agent).await);
        let now = self.pending_order(order).await.unwrap();
        for refused in [
            self.pending_orders.edit(agent, order.id, &edit(&now, "ANATR")).await.err(),
            self.pending_orders.discard(agent, order.id, now.version, None).await.err(),
        ] {
            let Some(PendingOrderError::Submitting { operation, .. }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(operation, by);
        }
        assert_eq!(self.pending_order(order).await, Some(now));
        assert_eq!(self.head(agent).await, place, "a refusal tells nobody");
    }

    /// As it is after the end of an operation that made no order of it.
    async fn given_back(
        &self,
        order: &PendingOrder,
        record: &OperationRecord,
        outcome: &str,
    ) -> PendingOrder {
        let back = self.pending_order(order).await.unwrap();
        let PendingOrderState::Editing { problem: Some(problem) } = &back.state else {
            panic!("{:?}", back.state)
        };
        assert_eq!((problem.operation, problem.outcome.as_str()), (record.operation.id, outcome));
        assert_eq!(back.content, order.content);
        let last = self.log(&order.agent).await.pop().unwrap();
        assert_eq!(
            (last.event.kind.as_str(), &last.event.data["state"]),
            ("pending_order.updated", &"editing".into())
        );
        back
    }
}
