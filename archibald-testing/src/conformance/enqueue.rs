use std::collections::HashSet;
use std::time::Duration;

use archibald_core::error::EnqueueError;
use archibald_core::id::{OperationId, OperationKind};
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::AdminError;
use archibald_core::record::Disposition;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::StoreUnderTest;
use super::checks::{LONG, agent, completed, kinds, on_target, submit, sync};

/// The same key 50 times at once is one operation with one event. Catches look-then-insert.
pub async fn one_key_is_one_operation(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let calls = (0..50).map(|_| {
        let new = NewOperation { trace: true, ..submit(&nancy, "k") };
        let store = ports.store.clone();
        tokio::spawn(async move { store.enqueue(new).await.expect("accepted") })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let ids: HashSet<_> = answers.iter().map(|answer| answer.record.operation.id).collect();
    assert_eq!(ids.len(), 1);
    assert!(answers.iter().all(|answer| answer.record.operation.trace), "what was wished for is kept");
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1, "one of them made it");
    assert_eq!(ports.store.waiting(&nancy, None, 100).await.unwrap().len(), 1);
    assert_eq!(kinds(&ports.log(&nancy).await), ["operation.queued"]);
}

/// Another payload or kind under a key is refused and names the holder; another agent's key is its own.
pub async fn a_key_is_not_used_for_something_else(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let first = ports.enqueue(submit(&nancy, "k")).await;
    let other_payload = NewOperation { payload: json!({ "customer": "ANATR" }), ..submit(&nancy, "k") };
    let other_kind = NewOperation { kind: OperationKind::new("edit-order").unwrap(), ..submit(&nancy, "k") };
    for other in [other_payload, other_kind] {
        let refused = ports.store.enqueue(other).await;
        let Err(EnqueueError::KeyReused { key, operation }) = refused else { panic!("{refused:?}") };
        assert_eq!((key.as_str(), operation), ("k", first.operation.id));
    }
    assert_eq!(kinds(&ports.log(&nancy).await), ["operation.queued"], "a refusal tells nobody");
    ports.enqueue(submit(&agent("andrew"), "k")).await;
}

/// A key holds its operation after the end too. Catches keys that are unique among what waits only.
pub async fn a_key_answers_after_the_end_too(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (_, lease) = ports.running(submit(&nancy, "k"), LONG).await;
    let running = ports.store.enqueue(submit(&nancy, "k")).await.unwrap();
    assert!(running.replayed);
    let done = ports.settle(&lease, completed()).await;
    let again = ports.store.enqueue(submit(&nancy, "k")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.record, done);
}

/// Of many at once no more than the limit get in; the end of one makes room; a repeat is no new one.
pub async fn the_queue_has_a_limit(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let limited = |key: &str| NewOperation { queue_limit: 3, ..submit(&nancy, key) };
    let calls = (0..10).map(|n| {
        let (store, new) = (ports.store.clone(), limited(&format!("k{n}")));
        tokio::spawn(async move { store.enqueue(new).await })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let accepted: Vec<_> = answers.iter().flatten().collect();
    assert_eq!(accepted.len(), 3);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(matches!(refused, EnqueueError::QueueFull { limit: 3, .. }), "{refused}");
    }
    let first = &accepted[0].record;
    let repeat = ports.store.enqueue(limited(first.operation.key.as_str())).await.unwrap();
    assert!(repeat.replayed, "a full queue still knows what is in it");
    let lease = ports.lease(first, LONG).await;
    let running = ports.store.enqueue(limited("more")).await;
    assert!(matches!(running, Err(EnqueueError::QueueFull { .. })), "what runs is unfinished");
    ports.settle(&lease, completed()).await;
    ports.enqueue(limited("more")).await;
    ports.enqueue(NewOperation { queue_limit: 1, ..submit(&agent("andrew"), "k") }).await;
}

/// A sync that waits is the one that is asked for, whatever the key; one that runs is not.
pub async fn a_waiting_sync_answers_the_next_request_for_one(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let calls = (0..20).map(|n| {
        let (store, new) = (ports.store.clone(), sync(&nancy, "sync-orders", &format!("k{n}")));
        tokio::spawn(async move { store.enqueue(new).await.expect("accepted") })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let ids: HashSet<_> = answers.iter().map(|answer| answer.record.operation.id).collect();
    assert_eq!(ids.len(), 1, "twenty requests, one sync");
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    ports.enqueue(sync(&nancy, "sync-customers", "c")).await;
    ports.enqueue(sync(&agent("andrew"), "sync-orders", "k0")).await;
    let janet = agent("janet");
    ports.enqueue(sync(&janet, "sync-orders", "k")).await;
    let interactive = Class::Interactive;
    ports.enqueue(NewOperation { class: interactive, ..sync(&janet, "sync-orders", "by hand") }).await;

    let lease = ports.lease(&answers[0].record, LONG).await;
    let next = ports.enqueue(sync(&nancy, "sync-orders", "while it runs")).await;
    assert_ne!(next.operation.id, lease.operation);
}

/// Calls that are dropped at any point leave whole operations or none, and no hole in the log.
pub async fn a_caller_that_leaves_changes_nothing(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    for n in 0..100u64 {
        let (store, new) = (ports.store.clone(), submit(&nancy, &format!("k{n}")));
        let call = tokio::spawn(async move { store.enqueue(new).await });
        tokio::time::sleep(Duration::from_micros(n * 20)).await;
        call.abort();
    }
    for n in 0..100 {
        let id = OperationId(Uuid::now_v7());
        let again = NewOperation { id, ..submit(&nancy, &format!("k{n}")) };
        let answer = ports.store.enqueue(again).await.expect("the same key again tells");
        assert_eq!(answer.replayed, answer.record.operation.id != id);
    }
    assert_eq!(ports.store.waiting(&nancy, None, 500).await.unwrap().len(), 100);
    assert_eq!(ports.log(&nancy).await.len(), 100, "one event each");
}

/// A target that may have one such operation only has one, whoever asks at once and by which keys: the same
/// content is the same operation, another is refused; only an end without the effect frees it, and a redrive
/// finds out when it was taken meanwhile.
pub async fn a_target_is_taken_once(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let draft =
        |key: &str| NewOperation { once_per_target: true, ..on_target(submit(&nancy, key), "draft:7") };
    let calls = (0..20).map(|n| {
        let (store, new) = (ports.store.clone(), draft(&format!("device {n}")));
        tokio::spawn(async move { store.enqueue(new).await.expect("accepted") })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1, "twenty taps, one operation");
    let first = answers[0].record.clone();
    let changed = |key| NewOperation { payload: json!({ "customer": "ANATR" }), ..draft(key) };
    let refused = ports.store.enqueue(changed("changed")).await;
    let Err(EnqueueError::TargetTaken { operation, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(operation, first.operation.id);
    let edit = OperationKind::new("edit-order").unwrap();
    ports.enqueue(NewOperation { kind: edit, once_per_target: false, ..draft("edit") }).await;
    ports.enqueue(on_target(draft("another draft"), "draft:8")).await;

    let lease = ports.lease(&first, LONG).await;
    let no = Disposition::Reject { why: "credit limit".into(), refused: None };
    ports.settle(&lease, no).await;
    let corrected = ports.store.enqueue(changed("corrected")).await.expect("a rejection frees the target");
    let redriven = ports.store.redrive(&nancy, first.operation.id, "nancy").await;
    let Err(AdminError::TargetTaken { by, .. }) = redriven else { panic!("{redriven:?}") };
    assert_eq!(by, corrected.record.operation.id);
    ports.store.cancel(&nancy, by, "nancy").await.unwrap();
    ports.store.redrive(&nancy, first.operation.id, "nancy").await.expect("the target is free again");
}
