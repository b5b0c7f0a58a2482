use archibald_core::error::{FenceError, JournalError};
use archibald_core::event::Event;
use archibald_core::operation::{NewOperation, Step};
use archibald_core::port::LeaseError;
use archibald_core::record::{Evidence, LocalRow, Settlement};
use serde_json::{Value, json};

use super::StoreUnderTest;
use super::checks::{
    LONG, agent, all_customers, available, completed, gave_way, kinds, on_target, row, submit, sync,
};

fn screenshot(byte: u8) -> Evidence {
    Evidence { name: "screenshot".into(), media_type: "image/png".into(), bytes: vec![byte, 0, 255] }
}

fn ids(events: &[Event]) -> Vec<Option<&Value>> {
    events.iter().map(|event| event.event.data.get("id")).collect()
}

/// State, rows, evidence and events come together, the rows' events before the end's.
pub async fn settling_writes_everything(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, lease) = ports.running(submit(&nancy, "k"), LONG).await;
    let place = ports.head(&nancy).await;
    let silent = LocalRow { event: None, ..row("SILENT", Some(json!({ "name": "unheard" }))) };
    let settlement = Settlement {
        disposition: completed(),
        rows: vec![row("ALFKI", Some(json!({ "name": "Alfreds" }))), silent, row("ABSENT", None)],
        evidence: vec![screenshot(1), screenshot(2)],
    };
    let settled = ports.store.settle(&lease, settlement).await.unwrap();
    under.reopen().await;

    let ports = under.ports();
    assert_eq!(settled, ports.get(&record).await);
    assert_eq!(settled.operation.state.name(), "completed");
    assert!(settled.operation.finished_at.is_some());
    let rows = ports.store.rows(&nancy, &all_customers()).await.unwrap().rows;
    assert_eq!(rows.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(), ["ALFKI", "SILENT"]);
    let events = ports.events_after(&nancy, place, 10).await;
    assert_eq!(kinds(&events), ["customer.updated", "operation.completed"]);
    assert_eq!(ids(&events)[0], Some(&json!("ALFKI")));
    let listed: Vec<_> = settled.evidence.iter().map(|info| (info.n, info.size)).collect();
    assert_eq!(listed, [(0, 3), (1, 3)]);
    let second = ports.store.evidence(&nancy, record.operation.id, 1).await.unwrap();
    assert_eq!(second, Some(screenshot(2)));
    assert_eq!(ports.store.evidence(&nancy, record.operation.id, 2).await.unwrap(), None);
}

/// A settlement that the journal refuses leaves nothing behind and keeps the lease. Catches rows that are
/// written before the record is asked.
pub async fn a_refused_settlement_writes_nothing(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, lease) = ports.running(submit(&nancy, "k"), LONG).await;
    ports.released(&lease).await;
    let (before, place) = (ports.get(&record).await, ports.head(&nancy).await);
    let settlement = Settlement {
        disposition: completed(),
        rows: vec![row("ALFKI", Some(json!({ "name": "Alfreds" })))],
        evidence: vec![screenshot(1)],
    };
    let refused = ports.store.settle(&lease, settlement).await;
    assert!(matches!(refused, Err(FenceError::Journal(JournalError::Open(_)))), "{refused:?}");
    assert_eq!(ports.get(&record).await, before);
    assert_eq!(ports.head(&nancy).await, place);
    assert_eq!(ports.store.rows(&nancy, &all_customers()).await.unwrap().rows, []);
    assert_eq!(ports.store.evidence(&nancy, record.operation.id, 0).await.unwrap(), None);
    assert_eq!(ports.lock.renew(&[lease]).await.unwrap().len(), 1, "still held");
}

/// Only a row that did change is told of, however often it is written; that it was written is kept.
pub async fn a_row_that_did_not_change_tells_nobody(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (_, lease) = ports.running(sync(&nancy, "sync-customers", "k"), LONG).await;
    let doc = || Some(json!({ "name": "Alfreds", "city": "Berlin", "discount": 2.5 }));
    let rows = vec![row("ALFKI", doc()), row("ANATR", Some(json!({ "name": "Ana" })))];
    ports.store.checkpoint(&lease, "page 1", None, rows).await.unwrap();
    let first = ports.store.rows(&nancy, &all_customers()).await.unwrap().rows;
    under.advance(std::time::Duration::from_millis(5)).await;
    let place = ports.head(&nancy).await;
    let rows = vec![row("ALFKI", doc()), row("ANATR", None), row("ANATR", None), row("ABSENT", None)];
    ports.store.checkpoint(&lease, "page 1", None, rows).await.unwrap();
    let events = ports.events_after(&nancy, place, 10).await;
    assert_eq!(ids(&events), [Some(&json!("ANATR"))], "removed once");
    assert_eq!(events[0].event.data.get("doc"), Some(&Value::Null));
    let second = ports.store.rows(&nancy, &all_customers()).await.unwrap().rows;
    assert_eq!((second.len(), &second[0].1), (1, &first[0].1));
    assert!(second[0].2 > first[0].2, "written again, so seen again");
}

/// A sync that gives way goes on from its checkpoint, with the rows read so far, in its old place.
pub async fn a_checkpoint_keeps_place_and_rows(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, lease) = ports.running(sync(&nancy, "sync-customers", "k"), LONG).await;
    let place = ports.head(&nancy).await;
    let page = |id| vec![row(id, Some(json!({ "name": id })))];
    ports.store.checkpoint(&lease, "reading", Some(json!({ "page": 1 })), page("A")).await.unwrap();
    ports.store.checkpoint(&lease, "reading", Some(json!({ "page": 2 })), page("B")).await.unwrap();
    ports.store.checkpoint(&lease, "removing", None, vec![]).await.unwrap();
    let events = ports.events_after(&nancy, place, 10).await;
    let told = kinds(&events);
    assert_eq!(told.iter().filter(|kind| **kind == "operation.step").count(), 2, "a step is told once");
    assert_eq!(told.iter().filter(|kind| **kind == "customer.updated").count(), 2);
    assert_eq!(ports.get(&record).await.operation.progress.as_deref(), Some("removing"));
    ports.settle(&lease, gave_way()).await;
    under.reopen().await;

    let ports = under.ports();
    let waits = ports.get(&record).await;
    assert_eq!(available(&waits), Some(Step::Act));
    assert_eq!(waits.operation.checkpoint, Some(json!({ "page": 2 })));
    assert_eq!(waits.operation.position, record.operation.position);
    assert_eq!((waits.operation.attempts, waits.operation.preemptions), (0, 1));
    assert_eq!(ports.store.rows(&nancy, &all_customers()).await.unwrap().rows.len(), 2);
}

/// Later attempts add to the evidence of earlier ones.
pub async fn evidence_is_numbered_through(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, first) = ports.running(submit(&nancy, "k"), LONG).await;
    let with = |disposition, byte| Settlement { disposition, rows: vec![], evidence: vec![screenshot(byte)] };
    ports.store.settle(&first, with(gave_way(), 1)).await.unwrap();
    let second = ports.lease(&record, LONG).await;
    let done = ports.store.settle(&second, with(completed(), 2)).await.unwrap();
    assert_eq!(done.evidence.iter().map(|info| info.n).collect::<Vec<_>>(), [0, 1]);
    for (n, byte) in [(0, 1), (1, 2)] {
        let kept = ports.store.evidence(&nancy, record.operation.id, n).await.unwrap();
        assert_eq!(kept, Some(screenshot(byte)));
    }
}

/// The end of one operation and the start of the next are one commit, told in that order; the new lease is like
/// any other, and the old one is over.
pub async fn an_agent_is_handed_on(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (first, lease) = ports.running(on_target(submit(&nancy, "1"), "order:7"), LONG).await;
    let second = ports.enqueue(on_target(submit(&nancy, "2"), "order:7")).await;
    let place = ports.head(&nancy).await;
    let settlement = Settlement {
        disposition: completed(),
        rows: vec![row("ALFKI", Some(json!({ "name": "Alfreds" })))],
        evidence: vec![screenshot(1)],
    };
    let handed = ports.store.hand_on(&lease, settlement, second.operation.id).await.unwrap();
    let next = handed.next.expect("nothing stands in its way: the one before it on its target is done");
    assert_eq!(handed.record, ports.get(&first).await);
    assert_eq!(next.record, ports.get(&second).await);
    assert_eq!((handed.record.operation.state.name(), handed.record.evidence.len()), ("completed", 1));
    assert!(next.lease.token > lease.token, "a new token for every start");
    assert_eq!((&next.lease.worker, next.lease.ttl), (&lease.worker, lease.ttl));
    assert_eq!(next.lease.expires_at, next.now + LONG);
    let events = ports.events_after(&nancy, place, 10).await;
    assert_eq!(kinds(&events), ["customer.updated", "operation.completed", "operation.started"]);
    let late = ports.store.settle(&lease, completed().into()).await;
    assert!(matches!(late, Err(FenceError::Superseded)), "{late:?}");
    let third = ports.enqueue(submit(&nancy, "3")).await;
    let refused = ports.try_lease(&third, "w2", LONG).await;
    assert!(matches!(refused, Err(LeaseError::Held { .. })), "{refused:?}");
    assert_eq!(ports.lock.renew(&[lease, next.lease.clone()]).await.unwrap().len(), 1, "the new one");
    ports.settle(&next.lease, completed()).await;
    ports.lease(&third, LONG).await;
}

/// The settlement does not depend on it.
pub async fn an_agent_is_freed_where_it_cannot_be_handed_on(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, mut lease) = ports.running(on_target(submit(&nancy, "1"), "order:7"), LONG).await;
    let behind = ports.enqueue(on_target(submit(&nancy, "2"), "order:7")).await;
    let run_at = Some(record.operation.created_at + LONG);
    let later = ports.enqueue(NewOperation { run_at, ..submit(&nancy, "3") }).await;
    let cancelled = ports.enqueue(submit(&nancy, "4")).await;
    ports.store.cancel(&nancy, cancelled.operation.id, "nancy").await.unwrap();
    let foreign = ports.enqueue(submit(&agent("andrew"), "5")).await;
    for next in [&behind, &later, &cancelled, &foreign] {
        let before = ports.get(next).await;
        let handed = ports.store.hand_on(&lease, gave_way().into(), next.operation.id).await.unwrap();
        assert_eq!(handed.next, None);
        assert_eq!(ports.get(next).await, before);
        assert_eq!(available(&handed.record), Some(Step::Act));
        lease = ports.lease(&record, LONG).await;
    }
    ports.store.pause(&nancy.clone().into(), "to look at it", false).await.unwrap();
    let handed = ports.store.hand_on(&lease, completed().into(), behind.operation.id).await.unwrap();
    assert_eq!((handed.record.operation.state.name(), handed.next), ("completed", None));
    ports.store.resume(&nancy.clone().into()).await.unwrap();
    ports.lease(&behind, LONG).await;
}

/// Neither half without the other, and the lease is kept.
pub async fn a_refused_settlement_hands_nothing_on(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, lease) = ports.running(submit(&nancy, "1"), LONG).await;
    let next = ports.enqueue(submit(&nancy, "2")).await;
    ports.released(&lease).await;
    let (before, place) = (ports.get(&record).await, ports.head(&nancy).await);
    let refused = ports.store.hand_on(&lease, completed().into(), next.operation.id).await;
    assert!(matches!(refused, Err(FenceError::Journal(JournalError::Open(_)))), "{refused:?}");
    assert_eq!((ports.get(&record).await, ports.head(&nancy).await), (before, place));
    assert_eq!(available(&ports.get(&next).await), Some(Step::Act));
    assert_eq!(ports.lock.renew(&[lease]).await.unwrap().len(), 1, "still held");
}
