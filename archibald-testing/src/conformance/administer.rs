use std::time::Duration;

use archibald_core::effect::EffectState;
use archibald_core::id::OperationId;
use archibald_core::operation::{EffectAtEnd, OperationState, Step};
use archibald_core::port::AdminError;
use archibald_core::record::{Disposition, Evidence, OperationRecord, Resolution, Settlement};
use uuid::Uuid;

use super::checks::{LONG, agent, available, completed, effect, gave_way, kinds, receipt, submit};
use super::{Ports, StoreUnderTest};

/// What waits and has no effect is withdrawn; all else stays as it is.
pub async fn cancelling_withdraws_what_has_no_effect(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let record = ports.enqueue(submit(&nancy, "k")).await;
    let id = record.operation.id;
    let cancelled = ports.store.cancel(&nancy, id, "tablet").await.unwrap();
    assert_eq!(cancelled.operation.state, OperationState::Cancelled { by: "tablet".into() });
    assert_eq!(ports.get(&record).await, cancelled);
    assert_eq!(ports.store.waiting(&nancy, None, 10).await.unwrap(), []);
    let again = ports.store.cancel(&nancy, id, "tablet").await;
    assert!(matches!(again, Err(AdminError::State(_))), "{again:?}");

    let (record, lease) = ports.running(submit(&nancy, "effect"), LONG).await;
    let running = ports.store.cancel(&nancy, record.operation.id, "tablet").await;
    assert!(matches!(running, Err(AdminError::State(_))), "{running:?}");
    ports.released(&lease).await;
    ports.settle(&lease, gave_way()).await;
    let place = ports.head(&nancy).await;
    let refused = ports.store.cancel(&nancy, record.operation.id, "tablet").await;
    assert!(matches!(refused, Err(AdminError::State(_))), "what may have happened stays");
    assert_eq!(ports.head(&nancy).await, place);

    let nobody = OperationId(Uuid::now_v7());
    let absent = ports.store.cancel(&nancy, nobody, "tablet").await;
    assert!(matches!(absent, Err(AdminError::NotFound(id)) if id == nobody), "{absent:?}");
    let foreign = ports.store.cancel(&agent("andrew"), record.operation.id, "tablet").await;
    assert!(matches!(foreign, Err(AdminError::NotFound(_))), "{foreign:?}");
}

/// A person starts again what was rejected; journal and counters follow, and the agent can lease it.
pub async fn redriving_keeps_the_journal(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, lease) = ports.running(submit(&nancy, "k"), LONG).await;
    ports.released(&lease).await;
    let refused = Disposition::Reject { why: "unknown customer".into(), refused: Some(effect()) };
    ports.settle(&lease, refused).await;
    let id = record.operation.id;
    let again = ports.store.redrive(&nancy, id, "operator").await.unwrap();
    assert_eq!(available(&again), Some(Step::Probe), "something was released once");
    assert_eq!(again.effects[0].state, EffectState::Released, "it is open again");
    assert_eq!((again.operation.attempts, again.operation.finished_at), (0, None));
    assert_eq!(ports.get(&record).await, again);
    assert_eq!(kinds(&ports.log(&nancy).await).last(), Some(&"operation.queued"));
    let twice = ports.store.redrive(&nancy, id, "operator").await;
    assert!(matches!(twice, Err(AdminError::State(_))), "{twice:?}");
    let foreign = ports.store.redrive(&agent("andrew"), id, "operator").await;
    assert!(matches!(foreign, Err(AdminError::NotFound(_))), "{foreign:?}");
    ports.lease(&record, LONG).await;
}

/// A doubt leaves by a person, in three ways, and its agent goes on meanwhile.
pub async fn a_doubt_is_resolved_by_a_person(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let doubted = in_doubt(&ports, "applied").await;
    let id = doubted.operation.id;
    let applied = Resolution::Applied { receipt: receipt("O-7") };
    let foreign = ports.store.resolve(&agent("andrew"), id, "operator", &applied).await;
    assert!(matches!(foreign, Err(AdminError::NotFound(_))), "{foreign:?}");
    let resolved = ports.store.resolve(&nancy, id, "operator", &applied).await.unwrap();
    assert_eq!(available(&resolved), Some(Step::Commit));
    assert_eq!(resolved.effects[0].receipt, Some(receipt("O-7")));
    assert_eq!(ports.get(&doubted).await, resolved);
    let twice = ports.store.resolve(&nancy, id, "operator", &Resolution::Abandon).await;
    assert!(matches!(twice, Err(AdminError::State(_))), "{twice:?}");

    let doubted = in_doubt(&ports, "not applied").await;
    let id = doubted.operation.id;
    let resolved = ports.store.resolve(&nancy, id, "operator", &Resolution::NotApplied).await.unwrap();
    assert_eq!(available(&resolved), Some(Step::Probe));

    let doubted = in_doubt(&ports, "abandoned").await;
    let id = doubted.operation.id;
    let resolved = ports.store.resolve(&nancy, id, "operator", &Resolution::Abandon).await.unwrap();
    let unknown = EffectAtEnd::Unknown;
    assert!(matches!(resolved.operation.state, OperationState::Failed { effect, .. } if effect == unknown));
    assert_eq!(kinds(&ports.log(&nancy).await).last(), Some(&"operation.failed"));
}

async fn in_doubt(ports: &Ports, key: &str) -> OperationRecord {
    let (_, lease) = ports.running(submit(&agent("nancy"), key), LONG).await;
    ports.released(&lease).await;
    ports.settle(&lease, Disposition::Doubt { evidence: "two bearers".into() }).await
}

/// What finished before a time is forgotten with its key, its journal and its evidence; what is not final
/// stays, however old it is.
pub async fn old_operations_are_forgotten_whole(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (_, lease) = ports.running(submit(&nancy, "done"), LONG).await;
    let mut settlement = Settlement::from(completed());
    settlement.evidence.push(Evidence {
        name: "page".into(),
        media_type: "text/html".into(),
        bytes: b"<p>".to_vec(),
    });
    let done = ports.store.settle(&lease, settlement).await.unwrap();
    let (_, lease) = ports.running(submit(&nancy, "unclear"), LONG).await;
    let doubt = ports.settle(&lease, Disposition::Doubt { evidence: "two bearers".into() }).await;
    let waiting = ports.enqueue(submit(&nancy, "waiting")).await;

    let finished = done.operation.finished_at.unwrap();
    assert_eq!(ports.store.forget(finished, 10).await.unwrap(), 0, "not before that moment");
    let later = finished + Duration::from_secs(3600);
    assert_eq!(ports.store.forget(later, 0).await.unwrap(), 0);
    assert_eq!(ports.store.forget(later, 10).await.unwrap(), 1);
    assert_eq!(ports.store.get(&nancy, done.operation.id).await.unwrap(), None);
    assert_eq!(ports.store.evidence(&nancy, done.operation.id, 0).await.unwrap(), None);
    for kept in [&doubt, &waiting] {
        assert_eq!(ports.get(kept).await, *kept);
    }
    let again = ports.store.enqueue(submit(&nancy, "done")).await.unwrap();
    assert!(!again.replayed, "the key went with its operation");
}
