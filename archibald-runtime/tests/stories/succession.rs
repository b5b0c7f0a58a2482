//! From one operation of an agent to its next.

use std::path::PathBuf;
use std::time::Duration;

use archibald_core::id::OperationId;
use archibald_core::port::Operations;
use archibald_testing::failpoint::Failpoint;
use serde_json::json;

use crate::support::{House, agent};

/// So that all that is asked for meanwhile waits when it is resumed.
async fn paused(house: &House) {
    house.archibald.pause(&agent("nancy").into(), "until all of it is there", false).await.unwrap();
}

/// Once its worker knows of all that waits, which is so much.
async fn resumed(house: &House, waiting: u64) {
    while house.archibald.overview().await.unwrap().waiting.values().sum::<u64>() < waiting {
        tokio::task::yield_now().await;
    }
    house.archibald.resume(&agent("nancy").into()).await.unwrap();
}

#[tokio::test]
async fn the_end_of_one_and_the_start_of_the_next_are_one_moment() {
    let house = House::open();
    paused(&house).await;
    let orders = [house.submit("nancy", "k1").await, house.submit("nancy", "k2").await];
    let sync = house.enqueue("nancy", "sync-customers", "k3", json!({})).await;
    resumed(&house, 3).await;
    let mut last: Option<archibald_core::time::Timestamp> = None;
    for id in orders.into_iter().chain([sync]) {
        let record = house.finished("nancy", id).await;
        assert_eq!(record.operation.state.name(), "completed");
        assert_eq!(record.attempts.len(), 1);
        assert!(last.is_none_or(|end| end == record.attempts[0].started_at), "in one transaction");
        last = record.attempts[0].ended_at;
    }
    assert_eq!(house.erp.orders().len(), 2);
}

/// Before its commit or after it: the end is settled once, and the next one is charged no try for it.
#[tokio::test]
async fn a_hand_on_whose_answer_is_lost_costs_nobody_anything() {
    for point in ["store.settle.before:cut", "store.settle.after:cut"] {
        let file = std::env::temp_dir().join(format!("archibald-{}", uuid::Uuid::now_v7()));
        let house = House::with_point(&Failpoint::armed(point.parse().unwrap(), file.clone()));
        paused(&house).await;
        let orders = [house.submit("nancy", "k1").await, house.submit("nancy", "k2").await];
        resumed(&house, 2).await;
        for id in orders {
            let operation = house.finished("nancy", id).await.operation;
            assert_eq!((operation.state.name(), operation.attempts), ("completed", 1), "{point}");
        }
        assert_eq!(house.erp.orders().len(), 2, "{point}");
        std::fs::remove_file(&file).unwrap();
    }
}

/// A settlement that is held after its commit; what waits then is not started by a guess.
struct Held {
    house: House,
    file: PathBuf,
    sync: OperationId,
    order: OperationId,
}

impl Held {
    /// An order of nancy is done, and she was handed on to a sync.
    async fn settled() -> Self {
        let file = std::env::temp_dir().join(format!("archibald-{}", uuid::Uuid::now_v7()));
        let house =
            House::with_point(&Failpoint::armed("store.settle.after:hold".parse().unwrap(), file.clone()));
        paused(&house).await;
        let order = house.submit("nancy", "k1").await;
        let sync = house.enqueue("nancy", "sync-customers", "k2", json!({})).await;
        resumed(&house, 2).await;
        house.saw("nancy", sync, "operation.started").await;
        while !file.exists() {
            tokio::task::yield_now().await;
        }
        Self { house, file, sync, order }
    }

    fn let_go(&self) {
        std::fs::remove_file(&self.file).unwrap();
    }

    /// What became of the agent's operations, in order.
    async fn told(&self) -> Vec<String> {
        let events = self.house.events("nancy").await.into_iter();
        let told = events.filter(|event| {
            let kind = event.event.kind.as_str();
            ["operation.started", "operation.yielded", "operation.completed"].contains(&kind)
        });
        let names = [(self.order, "order"), (self.sync, "sync")];
        let name = |id: Option<OperationId>| {
            names.iter().find(|(known, _)| Some(*known) == id).map_or("other", |(_, name)| *name)
        };
        told.map(|event| {
            format!("{} {}", name(event.event.operation), &event.event.kind["operation.".len()..])
        })
        .collect()
    }
}

#[tokio::test]
async fn an_order_that_comes_while_the_agent_is_handed_on_wins() {
    let held = Held::settled().await;
    let other = held.house.submit("nancy", "k3").await;
    while held.house.archibald.explain(&agent("nancy"), other).await.is_empty() {
        tokio::task::yield_now().await;
    }
    held.let_go();
    held.house.completed("nancy", other).await;
    held.house.completed("nancy", held.sync).await;
    let expected = [
        "order started",
        "order completed",
        "sync started",
        "sync yielded",
        "other started",
        "other completed",
        "sync started",
        "sync completed",
    ];
    assert_eq!(held.told().await, expected);
}

#[tokio::test]
async fn a_worker_that_drains_gives_back_what_it_was_handed_on_to() {
    let mut held = Held::settled().await;
    let worker = held.house.worker.take().unwrap();
    let drained = tokio::spawn(worker.drain(Duration::from_secs(20)));
    while !held.house.archibald.overview().await.unwrap().draining {
        tokio::task::yield_now().await;
    }
    held.let_go();
    assert!(drained.await.unwrap());
    let expected = ["order started", "order completed", "sync started", "sync yielded"];
    assert_eq!(held.told().await, expected);
    held.house.restart();
    held.house.completed("nancy", held.sync).await;
}
