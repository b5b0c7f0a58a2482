//! What every verb that changes the ERP has to stand, whatever it changes.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::{EffectRecord, EffectState, Settle};
use archibald_core::erp::{Customer, Order};
use archibald_core::id::OperationId;
use archibald_core::operation::OperationState;
use archibald_core::port::{BrowserPool, Operations};
use archibald_core::record::OperationRecord;
use archibald_runtime::{NoFailpoints, RuntimeConfig};
use archibald_testing::fake_erp::{FakeErp, SaveFault, Write};
use serde_json::{Value, from_value, json};
use tokio::sync::mpsc;

use crate::support::{House, agent, quick};
use crate::{Hold, short_leases};

/// A verb with something to do.
pub(crate) struct Verb {
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
    /// What is at the ERP before.
    pub(crate) world: fn(&FakeErp),
    /// Pages that are read before the act.
    pub(crate) looks: u64,
    /// What is applied when all goes well.
    pub(crate) write: Write,
    /// What a repair applies; `None` where nothing can be half done.
    pub(crate) repair: Option<Write>,
    pub(crate) result: Value,
}

impl Verb {
    /// The stories of the journal: normal path, a recorded result is used, nothing is left open, it is kept
    /// when the commit fails.
    pub(crate) async fn stands_the_journal(&self) {
        tokio::join!(
            self.normal(),
            self.stops("effect.intended", false, 0),
            self.stops("effect.released", false, 1),
            self.stops("effect.answered", true, 1),
            self.kept_and_used(),
        );
    }

    async fn normal(&self) {
        let house = self.house(quick());
        let record = self.ends(&house).await;
        assert_eq!(record.operation.state, OperationState::Completed { result: self.result.clone() });
        assert_eq!(house.erp.writes(), self.once(), "{}", self.kind);
        assert_eq!(house.erp.reads(), self.looks, "{}: pages read before the act", self.kind);
        assert_eq!(house.probes().await, 0, "{}: nothing was in doubt", self.kind);
        assert_closed(&record.effects);
    }

    async fn stops(&self, at: &'static str, applied: bool, probes: u64) {
        let (mut house, id) = self.held(at).await;
        assert_eq!(house.erp.writes().len(), usize::from(applied), "{}: {at}", self.kind);
        house.worker.take().unwrap().kill();
        house.restart();
        let record = house.finished("nancy", id).await;
        assert_eq!(record.operation.state, OperationState::Completed { result: self.result.clone() });
        assert_eq!(house.erp.writes(), self.once(), "{}: {at}", self.kind);
        let probed = house.probes().await;
        assert_eq!(probed > 0, probes > 0, "{}: {at}: {probed} probes", self.kind);
        assert_closed(&record.effects);
    }

    /// The journal has the receipt, and the local transaction never came.
    async fn kept_and_used(&self) {
        let (mut house, id) = self.held("effect.recorded").await;
        let record = house.archibald.get(&agent("nancy"), id).await.unwrap().unwrap();
        assert_closed(&record.effects);
        assert_eq!(record.operation.state.name(), "running");
        let asked = |house: &House| (house.erp.writes(), house.erp.reads(), house.erp.occupancy().logins);
        let before = asked(&house);
        house.worker.take().unwrap().kill();
        house.restart();
        assert_eq!(house.completed("nancy", id).await, self.result);
        assert_eq!(asked(&house), before, "{}: the ERP is not touched again", self.kind);
    }

    /// Every fault of a save, applied or not, late or not.
    pub(crate) async fn stands_every_fault(&self) {
        let lost = |applied| SaveFault::Lost { applied };
        let error = |applied| SaveFault::ServerError { applied };
        let settle = Settle { request: Duration::from_secs(3), lists: Duration::from_millis(50) };
        let patient = RuntimeConfig { settle, ..quick() };
        tokio::join!(
            self.survives(quick(), lost(true), 1),
            self.survives(quick(), lost(false), 2),
            self.survives(quick(), error(true), 1),
            self.survives(quick(), error(false), 2),
            self.survives(quick(), SaveFault::Panic, 1),
            self.survives(patient, SaveFault::Late { reads: 2 }, 1),
            self.is_not_charged(),
            self.is_refused(),
            self.is_repaired(SaveFault::Altered),
            self.is_repaired(SaveFault::Half),
            self.is_repaired_once(),
            self.is_repaired_after_a_repair_that_did_nothing(SaveFault::Lost { applied: false }),
            self.is_repaired_after_a_repair_that_did_nothing(SaveFault::ServerError { applied: false }),
            self.is_repaired_after_a_repair_that_did_nothing(SaveFault::Refused("Riprova.".into())),
        );
    }

    /// It asks before it acts again, and is applied once.
    async fn survives(&self, config: RuntimeConfig, fault: SaveFault, acts: u32) {
        let house = self.house(config);
        house.erp.fail_next_save(fault.clone());
        let record = self.ends(&house).await;
        let completed = OperationState::Completed { result: self.result.clone() };
        assert_eq!(record.operation.state, completed, "{}: {fault:?}", self.kind);
        assert_eq!(house.erp.writes(), self.once(), "{}: {fault:?}", self.kind);
        assert_eq!(record.effects[0].acts, acts, "{}: {fault:?}", self.kind);
        assert!(house.probes().await > 0, "{}: {fault:?}", self.kind);
        assert_closed(&record.effects);
    }

    /// The journal proves that nothing was sent.
    async fn is_not_charged(&self) {
        let house = self.house(quick());
        house.erp.fail_next_save(SaveFault::Expired);
        let record = self.ends(&house).await;
        assert_eq!(record.operation.state.name(), "completed", "{}", self.kind);
        assert_eq!((record.operation.attempts, house.probes().await), (1, 0), "{}", self.kind);
        assert_eq!(house.erp.writes(), self.once());
    }

    async fn is_refused(&self) {
        let house = self.house(quick());
        house.erp.fail_next_save(SaveFault::Refused("Operazione non consentita.".into()));
        let state = self.ends(&house).await.operation.state;
        assert_eq!(state, OperationState::Rejected { why: "Operazione non consentita.".into() });
        assert_eq!((house.erp.writes(), house.probes().await), (vec![], 0), "{}", self.kind);
    }

    /// The house where it was; none where nothing can be half done.
    pub(crate) async fn is_repaired(&self, fault: SaveFault) -> Option<House> {
        let repair = self.repair.as_ref()?;
        let house = self.house(quick());
        house.erp.fail_next_save(fault.clone());
        let record = self.ends(&house).await;
        let completed = OperationState::Completed { result: self.result.clone() };
        assert_eq!(record.operation.state, completed, "{}: {fault:?}", self.kind);
        assert_eq!(house.erp.writes(), [self.write.clone(), repair.clone()], "{}: {fault:?}", self.kind);
        assert_eq!(record.effects.len(), 2, "{}: the effect and its repair", self.kind);
        assert_closed(&record.effects);
        Some(house)
    }

    async fn is_repaired_once(&self) {
        let Some(repair) = &self.repair else { return };
        let house = self.house(quick());
        house.erp.fail_next_save(SaveFault::Half);
        house.erp.fail_next_save(SaveFault::Altered);
        let record = self.ends(&house).await;
        assert_eq!(record.operation.state.name(), "in_doubt", "{}: a person decides", self.kind);
        assert_eq!(house.erp.writes(), [self.write.clone(), repair.clone()], "{}", self.kind);
    }

    /// What a settled probe finds unchanged was not repaired.
    async fn is_repaired_after_a_repair_that_did_nothing(&self, fault: SaveFault) {
        let Some(repair) = &self.repair else { return };
        let house = self.house(quick());
        house.erp.fail_next_save(SaveFault::Half);
        house.erp.fail_next_save(fault.clone());
        let record = self.ends(&house).await;
        assert_eq!(record.operation.state.name(), "completed", "{}: {fault:?}", self.kind);
        assert_eq!(house.erp.writes(), [self.write.clone(), repair.clone()], "{}: {fault:?}", self.kind);
        assert_closed(&record.effects);
    }

    /// What is applied when all goes well, and nothing else.
    fn once(&self) -> Vec<Write> {
        vec![self.write.clone()]
    }

    fn house(&self, config: RuntimeConfig) -> House {
        let house = House::with(config, Arc::new(NoFailpoints));
        (self.world)(&house.erp);
        house
    }

    async fn ends(&self, house: &House) -> OperationRecord {
        let id = house.enqueue("nancy", self.kind, "k1", self.payload.clone()).await;
        house.finished("nancy", id).await
    }

    /// One that stands at this place of the protocol for ever.
    async fn held(&self, at: &'static str) -> (House, OperationId) {
        let (reached, mut held) = mpsc::unbounded_channel();
        let house = House::with(short_leases(), Arc::new(Hold { at, reached }));
        (self.world)(&house.erp);
        let id = house.enqueue("nancy", self.kind, "k1", self.payload.clone()).await;
        assert_eq!(held.recv().await, Some(id));
        (house, id)
    }
}

fn assert_closed(effects: &[EffectRecord]) {
    assert!(!effects.is_empty());
    for effect in effects {
        assert_eq!(effect.state, EffectState::Recorded, "{effect:?}");
        assert!(effect.receipt.is_some(), "{effect:?}");
    }
}

/// One row of a table of decisions: a world, a payload, and how it ends with what was applied.
pub(crate) async fn assert_ends(
    kind: &str,
    payload: &Value,
    world: impl Fn(&FakeErp),
    expected: &str,
    writes: &[Write],
) -> House {
    let house = House::open();
    world(&house.erp);
    let id = house.enqueue("nancy", kind, "k1", payload.clone()).await;
    assert_eq!(told(&house.finished("nancy", id).await.operation.state), expected);
    assert_eq!(house.erp.writes(), writes, "{expected}");
    house
}

/// The save of the operation is lost, not applied, and before anybody looks a person changes this; then it
/// ends so, with this applied.
pub(crate) async fn assert_ends_after(
    kind: &str,
    payload: &Value,
    world: impl Fn(&FakeErp),
    meanwhile: impl FnOnce(&FakeErp),
    expected: &str,
    writes: &[Write],
) {
    let house = House::open();
    world(&house.erp);
    house.erp.fail_next_save(SaveFault::Lost { applied: false });
    let id = house.enqueue("nancy", kind, "k1", payload.clone()).await;
    house.saw("nancy", id, "operation.retrying").await;
    meanwhile(&house.erp);
    assert_eq!(told(&house.finished("nancy", id).await.operation.state), expected);
    assert_eq!(house.erp.writes(), writes, "{expected}");
}

/// A state in one line.
pub(crate) fn told(state: &OperationState) -> String {
    match state {
        OperationState::Completed { result } => format!("completed {result}"),
        OperationState::Rejected { why } => format!("rejected: {why}"),
        OperationState::InDoubt { evidence } => format!("in doubt: {evidence}"),
        other => format!("{other:?}"),
    }
}

/// Order 20001 of nancy with so many pieces of A0001.
pub(crate) fn order_20001(reference: &str, quantity: u32, sent: bool) -> Order {
    from_value(json!({ "number": "20001", "customer": "ALFKI", "date": "2026-11-22", "reference": reference,
        "note": "", "sent": sent,
        "lines": [{ "product": "A0001", "quantity": quantity, "unit_price": "1", "discount": "5" }] }))
    .unwrap()
}

pub(crate) fn open_order(erp: &FakeErp) {
    erp.add_order(&agent("nancy"), order_20001("old", 1, false));
}

pub(crate) fn sent_order(erp: &FakeErp) {
    erp.add_order(&agent("nancy"), order_20001("Fiera", 3, true));
}

/// A person at the ERP sends everything.
pub(crate) fn send_all(erp: &FakeErp) {
    erp.by_hand(|records| records.orders.iter_mut().for_each(|(_, order)| order.sent = true));
}

/// A person at the ERP deletes everything.
pub(crate) fn delete_all(erp: &FakeErp) {
    erp.by_hand(|records| records.orders.clear());
}

pub(crate) fn customer(code: &str, name: &str, vat: &str, city: &str) -> Customer {
    from_value(json!({ "code": code, "name": name, "vat": vat, "city": city })).unwrap()
}
