//! From the acceptance of an operation to its start.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::OperationKey;
use archibald_core::port::{EnqueueRequest, OperationStore, Operations};
use archibald_runtime::{NoFailpoints, RuntimeConfig};
use archibald_testing::failpoint::Failpoint;
use futures::future::join_all;

use crate::support::{House, agent, order, quick};

fn submission() -> EnqueueRequest {
    EnqueueRequest {
        agent: agent("nancy"),
        kind: "submit-order".to_owned(),
        payload: order(),
        key: OperationKey::new("k1").unwrap(),
        run_at: None,
        origin: None,
        trace: false,
    }
}

#[tokio::test]
async fn what_comes_alone_starts_in_the_moment_in_which_it_is_accepted() {
    let house = House::open();
    let mut at_once = 0;
    for n in 0.. {
        assert!(n < 100, "in one transaction");
        let id = house.submit("nancy", &format!("k{n}")).await;
        let record = house.finished("nancy", id).await;
        assert_eq!(record.operation.state.name(), "completed");
        assert_eq!(record.attempts.len(), 1);
        // Where the machine is slow to say that there is room it is accepted alone.
        at_once += u32::from(record.attempts[0].started_at == record.operation.created_at);
        if at_once == 2 {
            return;
        }
    }
}

/// No lease is taken for what would have to wait for a slot, though all of them are told so at once.
#[tokio::test]
async fn no_more_start_as_they_are_accepted_than_there_are_slots() {
    let house = House::with(RuntimeConfig { concurrency: 2, ..quick() }, Arc::new(NoFailpoints));
    let agents = ["nancy", "andrew", "janet"];
    let ids = join_all(agents.iter().map(|agent| house.submit(agent, "k"))).await;
    let mut at_once = 0;
    for (name, id) in agents.into_iter().zip(ids) {
        let record = house.finished(name, id).await;
        assert_eq!(record.operation.state.name(), "completed");
        at_once += usize::from(record.attempts[0].started_at == record.operation.created_at);
        let yielded = house.events(name).await.into_iter().filter(|e| e.event.kind == "operation.yielded");
        assert_eq!((record.attempts.len(), yielded.count()), (1, 0), "{name}: what is leased is run");
    }
    assert!(at_once <= 2);
}

/// Nobody heard that it is leased: that lease is given back, long before its end, and no try is counted.
#[tokio::test]
async fn an_acceptance_whose_answer_is_lost_leaves_nothing_behind() {
    for point in ["store.enqueue.before:cut", "store.enqueue.after:cut"] {
        let file = std::env::temp_dir().join(format!("archibald-{}", uuid::Uuid::now_v7()));
        let house = House::with_point(&Failpoint::armed(point.parse().unwrap(), file.clone()));
        let request = submission();
        house.archibald.enqueue(request.clone()).await.expect_err(point);
        let accepted = house.archibald.enqueue(request).await.unwrap();
        let id = accepted.record.operation.id;
        let operation = house.finished("nancy", id).await.operation;
        assert_eq!((operation.state.name(), operation.attempts), ("completed", 1), "{point}");
        assert_eq!(house.erp.orders().len(), 1, "{point}");
        std::fs::remove_file(&file).unwrap();
    }
}

#[tokio::test]
async fn what_is_taken_up_while_the_worker_ends_is_given_back_before_it_is_gone() {
    let file = std::env::temp_dir().join(format!("archibald-{}", uuid::Uuid::now_v7()));
    let mut house =
        House::with_point(&Failpoint::armed("store.enqueue.after:hold".parse().unwrap(), file.clone()));
    let worker = house.worker.take().unwrap();
    let archibald = house.archibald.clone();
    let asked = tokio::spawn(async move { archibald.enqueue(submission()).await });
    while !file.exists() {
        tokio::task::yield_now().await;
    }
    let drained = tokio::spawn(worker.drain(Duration::from_secs(10)));
    while !house.archibald.overview().await.unwrap().draining {
        tokio::task::yield_now().await;
    }
    std::fs::remove_file(&file).unwrap();
    assert!(drained.await.unwrap());
    let id = asked.await.unwrap().unwrap().record.operation.id;
    let record = house.store.get(&agent("nancy"), id).await.unwrap().unwrap();
    assert_eq!(record.operation.state.name(), "available");
    house.restart();
    assert_eq!(house.finished("nancy", id).await.operation.attempts, 1);
}
