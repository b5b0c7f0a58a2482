use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use archibald_core::error::EnqueueError;
use archibald_core::event::{Cursor, Event};
use archibald_core::id::{AgentId, OperationId};
use archibald_core::operation::NewOperation;
use archibald_core::port::{EventRead, ResetReason};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::checks::{LONG, agent, completed, gave_way, kinds, submit};
use super::{Ports, StoreUnderTest};

/// Eight writers, some of whose writes fail, and a follower that reads as they write: the numbers are dense,
/// and the follower sees them all. Catches sequences (which leave holes when a transaction fails, and show
/// later numbers before earlier ones).
pub async fn events_are_numbered_without_a_hole(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let (nancy, andrew) = (agent("nancy"), agent("andrew"));
    let done = Arc::new(AtomicBool::new(false));
    let follower = tokio::spawn(follow(ports.clone(), nancy.clone(), done.clone()));
    let writers = (0..8).map(|writer| {
        let agent = if writer % 4 == 3 { andrew.clone() } else { nancy.clone() };
        tokio::spawn(write_and_fail(ports.clone(), agent, writer))
    });
    for written in join_all(writers).await {
        written.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let followed = follower.await.unwrap();
    let log = ports.log(&nancy).await;
    assert_eq!(followed, log, "the follower saw what is there, in order");
    assert_eq!(log.len(), 6 * 20, "a refused write tells nobody");
    assert_eq!(ports.log(&andrew).await.len(), 2 * 20);
}

async fn write_and_fail(ports: Ports, agent: AgentId, writer: u32) {
    for n in 0..20 {
        let new = submit(&agent, &format!("{writer}-{n}"));
        ports.enqueue(new.clone()).await;
        let other = NewOperation { payload: json!(null), ..new.clone() };
        assert!(matches!(ports.store.enqueue(other).await, Err(EnqueueError::KeyReused { .. })));
        let full = NewOperation { queue_limit: 0, ..submit(&agent, &format!("{writer}-{n}-full")) };
        assert!(matches!(ports.store.enqueue(full).await, Err(EnqueueError::QueueFull { .. })));
        let nobody = OperationId(Uuid::now_v7());
        assert!(ports.store.cancel(&agent, nobody, "nobody").await.is_err());
    }
}

async fn follow(ports: Ports, agent: AgentId, done: Arc<AtomicBool>) -> Vec<Event> {
    let mut place = Cursor { seq: 0, ..ports.head(&agent).await };
    let mut seen = vec![];
    loop {
        let last = done.load(Ordering::SeqCst);
        let events = ports.events_after(&agent, place, 3).await;
        place.seq += events.len() as u64;
        seen.extend(events);
        if last {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A read gives what follows the place, up to its limit, and an empty batch at the head.
pub async fn reading_goes_on_after_a_cursor(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let start = ports.head(&nancy).await;
    assert_eq!(start.seq, 0);
    let EventRead::Batch { from, to, events } = ports.bus.read(&nancy, start, 10).await.unwrap() else {
        panic!("the beginning of an empty log is served")
    };
    assert_eq!((from, to, events), (start, start, vec![]));
    let first = ports.enqueue(submit(&nancy, "1")).await;
    let second = ports.enqueue(submit(&nancy, "2")).await;
    ports.enqueue(submit(&nancy, "3")).await;
    let EventRead::Batch { to, events, .. } = ports.bus.read(&nancy, start, 2).await.unwrap() else {
        panic!("the beginning is served")
    };
    let about: Vec<_> = events.iter().map(|event| event.event.operation).collect();
    assert_eq!(about, [Some(first.operation.id), Some(second.operation.id)]);
    assert_eq!(events[0].event.data.get("key"), Some(&json!("1")));
    assert_eq!(events[0].at, first.operation.created_at);
    assert_eq!(kinds(&ports.events_after(&nancy, to, 10).await).len(), 1);
}

/// A foreign epoch, a pruned place and one ahead of the log are refused whole; the floor itself is served.
pub async fn a_place_that_cannot_be_served_is_reset(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    for n in 0..6 {
        ports.enqueue(submit(&nancy, &format!("k{n}"))).await;
    }
    let head = ports.head(&nancy).await;
    let at = |seq| Cursor { seq, ..head };
    let read = async |place| match ports.bus.read(&nancy, place, 10).await.unwrap() {
        EventRead::Batch { events, .. } => Ok(events.len()),
        EventRead::Reset(why) => Err(why),
    };
    assert_eq!(read(Cursor { epoch: Uuid::nil(), seq: 1 }).await, Err(ResetReason::Epoch));
    assert_eq!(read(at(7)).await, Err(ResetReason::Ahead));
    assert_eq!(read(at(u64::MAX)).await, Err(ResetReason::Ahead));
    assert_eq!(read(Cursor { epoch: Uuid::nil(), seq: 99 }).await, Err(ResetReason::Epoch));
    assert_eq!(ports.bus.prune(&nancy, 4).await.unwrap().floor, 4);
    assert_eq!(read(at(3)).await, Err(ResetReason::Pruned));
    assert_eq!(read(at(4)).await, Ok(2));
    assert_eq!(ports.bus.prune(&nancy, 2).await.unwrap().floor, 4, "a floor does not sink");
    let pruned = ports.bus.prune(&nancy, 99).await.unwrap();
    assert_eq!((pruned.head, pruned.floor), (6, 6), "not above the head");
    under.reopen().await;

    let ports = under.ports();
    ports.enqueue(submit(&nancy, "after")).await;
    let events = ports.events_after(&nancy, at(6), 10).await;
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [7], "numbers go on");
}

/// A log may be pruned up to its last event from before a time, and to as many as are to be kept at most.
pub async fn what_may_be_pruned_is_old_or_too_much(under: &mut dyn StoreUnderTest) {
    let (ports, nancy, andrew) = (under.ports(), agent("nancy"), agent("andrew"));
    for n in 0..6 {
        ports.enqueue(submit(&nancy, &format!("k{n}"))).await;
    }
    ports.enqueue(submit(&andrew, "k")).await;
    let events = ports.events_after(&nancy, Cursor { seq: 0, ..ports.head(&nancy).await }, 10).await;
    let third = events[2].at;
    let last = ports.events_after(&andrew, Cursor { seq: 0, ..ports.head(&andrew).await }, 10).await[0].at;
    let prunable = async |before, most, agents| {
        let mut found = ports.bus.prunable(before, most, agents).await.unwrap();
        found.sort_unstable();
        found
    };
    let older = events.iter().filter(|event| event.at < third).count() as u64;
    let of_time = prunable(third, 100, 10).await;
    assert_eq!(of_time, if older > 0 { vec![(nancy.clone(), older)] } else { vec![] });
    assert_eq!(prunable(third, 4, 10).await, [(nancy.clone(), older.max(2))]);
    let later = last + Duration::from_secs(1);
    assert_eq!(prunable(later, 100, 10).await, [(andrew.clone(), 1), (nancy.clone(), 6)]);
    assert_eq!(prunable(later, 100, 1).await.len(), 1);
    ports.bus.prune(&nancy, 5).await.unwrap();
    ports.bus.prune(&andrew, 1).await.unwrap();
    assert_eq!(prunable(later, 100, 10).await, [(nancy.clone(), 6)], "nothing twice");
    assert_eq!(prunable(third, 1, 10).await, [], "as much is kept as may be");
}

/// After a new epoch every cursor is reset, also of agents without events, and the log goes on.
pub async fn a_new_epoch_resets_everybody(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let (nancy, andrew) = (agent("nancy"), agent("andrew"));
    ports.enqueue(submit(&nancy, "1")).await;
    let (mine, theirs) = (ports.head(&nancy).await, ports.head(&andrew).await);
    let mut wakes = ports.bus.subscribe(&nancy);
    ports.bus.new_epoch().await.unwrap();
    wakes.changed().await.expect("devices have to learn of it");
    for (agent, old) in [(&nancy, mine), (&andrew, theirs)] {
        assert_ne!(ports.head(agent).await.epoch, old.epoch);
        let read = ports.bus.read(agent, old, 10).await.unwrap();
        assert_eq!(read, EventRead::Reset(ResetReason::Epoch), "{agent}");
    }
    let snapshot = ports.bus.snapshot(&nancy, 10).await.unwrap();
    assert_eq!(snapshot.operations.len(), 1, "only the log is new");
    ports.enqueue(submit(&nancy, "2")).await;
    let more = ports.events_after(&nancy, snapshot.cursor, 10).await;
    assert_eq!(kinds(&more), ["operation.queued"]);
    let epoch = ports.head(&nancy).await;
    under.reopen().await;
    assert_eq!(under.ports().head(&nancy).await, epoch, "a restart is no new epoch");
}

/// While others write: what a snapshot shows is what the log says up to its place. Catches a head that is
/// read apart from the state.
pub async fn a_snapshot_agrees_with_its_place(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let writer = tokio::spawn({
        let (ports, nancy) = (ports.clone(), nancy.clone());
        async move {
            for n in 0..60 {
                let (_, lease) = ports.running(submit(&nancy, &format!("k{n}")), LONG).await;
                ports.settle(&lease, if n % 2 == 0 { gave_way() } else { completed() }).await;
            }
        }
    });
    let mut snapshots = vec![];
    while !writer.is_finished() {
        snapshots.push(ports.bus.snapshot(&nancy, 1000).await.unwrap());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    writer.await.unwrap();
    let log = ports.log(&nancy).await;
    for snapshot in snapshots {
        let mut told = BTreeMap::new();
        for event in log.iter().filter(|event| event.seq <= snapshot.cursor.seq) {
            told.insert(event.event.operation, event.event.data["state"].clone());
        }
        let shown: BTreeMap<_, _> = snapshot
            .operations
            .iter()
            .map(|record| (Some(record.operation.id), json!(record.operation.state.name())))
            .collect();
        assert_eq!(shown, told, "at {}", snapshot.cursor);
    }
}

/// All that is unfinished, the last of what is finished, newest first.
pub async fn a_snapshot_shows_the_last_finished(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let mut records = vec![];
    for n in 0..5 {
        records.push(ports.enqueue(submit(&nancy, &format!("k{n}"))).await);
    }
    for n in [3, 0, 1] {
        let lease = ports.lease(&records[n], LONG).await;
        under.advance(Duration::from_millis(2)).await;
        ports.settle(&lease, completed()).await;
    }
    let shown = ports.bus.snapshot(&nancy, 2).await.unwrap();
    assert_eq!(shown.cursor, ports.head(&nancy).await);
    let keys: Vec<_> = shown.operations.iter().map(|record| record.operation.key.as_str()).collect();
    assert_eq!(keys, ["k4", "k2", "k1", "k0"], "k3 ended first");
    assert_eq!(shown.operations[0], ports.get(&records[4]).await);
    let unfinished = ports.bus.snapshot(&nancy, 0).await.unwrap();
    assert_eq!(unfinished.operations.len(), 2);
}
