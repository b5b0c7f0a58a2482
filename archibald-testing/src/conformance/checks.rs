//! Words that the stories are written in.

use std::time::Duration;

use archibald_core::effect::{Intent, IntentBasis, IntentRequest, Mark, Receipt};
use archibald_core::event::{Cursor, Event};
use archibald_core::id::{
    AgentId, Collection, EffectName, OperationId, OperationKey, OperationKind, Target, WorkerId,
};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, NewOperation, OperationState, Step};
use archibald_core::port::{EventRead, LeaseError, LeaseRequest, Leased, RowQuery};
use archibald_core::record::{Disposition, LocalRow, OperationRecord, YieldReason};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Ports;

/// A lease that no story outlives.
pub(super) const LONG: Duration = Duration::from_secs(3600);
/// A lease that ends when the story says so; long enough for a slow machine to do a few steps under it.
pub(super) const SHORT: Duration = Duration::from_secs(3);
/// Longer than [`SHORT`], so that it is over for sure.
pub(super) const AFTER_SHORT: Duration = Duration::from_millis(3200);

pub(super) fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

pub(super) fn effect() -> EffectName {
    EffectName::new("save-order").unwrap()
}

pub(super) fn receipt(order: &str) -> Receipt {
    Receipt(json!({ "order": order }))
}

pub(super) fn submit(agent: &AgentId, key: &str) -> NewOperation {
    NewOperation {
        id: OperationId(Uuid::now_v7()),
        agent: agent.clone(),
        kind: OperationKind::new("submit-order").unwrap(),
        class: Class::Interactive,
        key: OperationKey::new(key).unwrap(),
        target: None,
        once_per_target: false,
        payload: json!({ "customer": "ALFKI", "lines": [{ "product": "A0001", "quantity": "2" }] }),
        run_at: None,
        origin: None,
        queue_limit: 10_000,
        trace: false,
    }
}

pub(super) fn sync(agent: &AgentId, kind: &str, key: &str) -> NewOperation {
    let kind = OperationKind::new(kind).unwrap();
    NewOperation { kind, class: Class::Background, payload: json!({}), ..submit(agent, key) }
}

pub(super) fn on_target(new: NewOperation, target: &str) -> NewOperation {
    NewOperation { target: Some(Target::new(target).unwrap()), ..new }
}

pub(super) fn intent_request(basis: IntentBasis) -> IntentRequest {
    IntentRequest {
        effect: effect(),
        basis,
        mark: None,
        baseline: json!({ "seen": ["O-1", "O-2"] }),
        budget: Duration::from_millis(200),
        margin: Duration::from_millis(100),
    }
}

pub(super) fn row(id: &str, doc: Option<Value>) -> LocalRow {
    LocalRow { collection: customers(), id: id.to_owned(), doc, event: Some("customer.updated".to_owned()) }
}

pub(super) fn customers() -> Collection {
    Collection::new("customers").unwrap()
}

pub(super) fn all_customers() -> RowQuery {
    RowQuery { collection: customers(), search: None, after: None, limit: 500 }
}

pub(super) fn completed() -> Disposition {
    Disposition::Complete { result: json!({ "order": "O-1" }) }
}

pub(super) fn gave_way() -> Disposition {
    Disposition::Yield { after: Duration::ZERO, why: YieldReason::Preempted }
}

pub(super) fn available(record: &OperationRecord) -> Option<Step> {
    match record.operation.state {
        OperationState::Available { step, .. } => Some(step),
        _ => None,
    }
}

pub(super) fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.event.kind.as_str()).collect()
}

impl Ports {
    pub(super) async fn enqueue(&self, new: NewOperation) -> OperationRecord {
        let enqueued = self.store.enqueue(new).await.expect("accepted");
        assert!(!enqueued.replayed, "a new operation");
        enqueued.record
    }

    pub(super) async fn try_lease(
        &self,
        record: &OperationRecord,
        by: &str,
        ttl: Duration,
    ) -> Result<Leased, LeaseError> {
        let operation = &record.operation;
        let request =
            LeaseRequest { agent: operation.agent.clone(), operation: operation.id, worker: worker(by), ttl };
        self.lock.lease(&request).await
    }

    pub(super) async fn lease(&self, record: &OperationRecord, ttl: Duration) -> Lease {
        self.try_lease(record, "w1", ttl).await.expect("nothing stands in its way").lease
    }

    /// Enqueues and leases.
    pub(super) async fn running(&self, new: NewOperation, ttl: Duration) -> (OperationRecord, Lease) {
        let record = self.enqueue(new).await;
        let lease = self.lease(&record, ttl).await;
        (record, lease)
    }

    pub(super) async fn settle(&self, lease: &Lease, disposition: Disposition) -> OperationRecord {
        self.store.settle(lease, disposition.into()).await.expect("settled")
    }

    pub(super) async fn intend(&self, lease: &Lease) -> Intent {
        let mark = Some(Mark::of(lease.operation));
        let request = IntentRequest { mark, ..intent_request(IntentBasis::NothingReleased) };
        self.store.intend(lease, &request).await.expect("intended")
    }

    /// Intends and opens the gate.
    pub(super) async fn released(&self, lease: &Lease) {
        let intent = self.intend(lease).await;
        self.store.release(&intent).await.expect("released");
    }

    pub(super) async fn get(&self, record: &OperationRecord) -> OperationRecord {
        let operation = &record.operation;
        self.store.get(&operation.agent, operation.id).await.unwrap().expect("it is there")
    }

    pub(super) async fn head(&self, agent: &AgentId) -> Cursor {
        let head = self.bus.head(agent).await.unwrap();
        Cursor { epoch: head.epoch, seq: head.head }
    }

    /// Everything after a place, in batches of `limit`, each without a hole.
    pub(super) async fn events_after(&self, agent: &AgentId, mut place: Cursor, limit: u32) -> Vec<Event> {
        let mut all = vec![];
        loop {
            let EventRead::Batch { from, to, events } = self.bus.read(agent, place, limit).await.unwrap()
            else {
                panic!("place {place} is served");
            };
            assert_eq!(from, place);
            assert_eq!(to.seq, place.seq + events.len() as u64, "a batch covers what it says");
            for (seq, event) in (place.seq + 1..).zip(&events) {
                assert_eq!(event.seq, seq, "no hole");
            }
            if events.is_empty() {
                return all;
            }
            all.extend(events);
            place = to;
        }
    }

    /// The whole log of an agent of which nothing was pruned.
    pub(super) async fn log(&self, agent: &AgentId) -> Vec<Event> {
        let start = Cursor { seq: 0, ..self.head(agent).await };
        self.events_after(agent, start, 100).await
    }
}
