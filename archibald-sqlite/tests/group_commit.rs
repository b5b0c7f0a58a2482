//! Many callers share a commit, and one of them fails alone.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod child;
mod common;

use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::operation::NewOperation;
use archibald_core::port::{EventBus, OperationStore};
use futures::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use child::{enqueue, new_operation};
use common::fresh;

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_once_share_commits_and_a_lone_one_waits_for_nobody() {
    let disk = fresh().await;
    let before = disk.store.commits();
    let calls = (0..640).map(|n| {
        let store = disk.store.clone();
        tokio::spawn(async move { enqueue(&store, &format!("agent-{}", n % 64), &format!("k{n}")).await })
    });
    for call in join_all(calls).await {
        call.unwrap();
    }
    let commits = disk.store.commits() - before;
    assert!(commits <= 640 / 8, "{commits} commits for 640 calls");

    let before = disk.store.commits();
    for n in 0..5 {
        enqueue(&disk.store, "alone", &format!("k{n}")).await;
    }
    assert_eq!(disk.store.commits() - before, 5, "each call alone is a commit alone");
}

/// Of what is committed together, those that are refused leave nothing, and the others stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_is_refused_alone() {
    let disk = fresh().await;
    let taken = enqueue(&disk.store, "nancy", "first").await;
    let calls = (0..90).map(|n| {
        let store = disk.store.clone();
        let mut new = new_operation("nancy", &format!("k{n}"));
        match n % 3 {
            // The id is taken: the store finds out when it writes.
            0 => new.id = taken,
            // The key is taken: the record says so.
            1 => new = NewOperation { payload: json!(n), ..new_operation("nancy", "first") },
            _ => {}
        }
        tokio::spawn(async move { store.enqueue(new).await.is_ok() })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    for (n, accepted) in answers.iter().enumerate() {
        assert_eq!(*accepted, n % 3 == 2, "call {n}");
    }
    let nancy = AgentId::new("nancy").unwrap();
    assert_eq!(disk.store.waiting(&nancy, None, 500).await.unwrap().len(), 31);
    assert_eq!(disk.store.head(&nancy).await.unwrap().head, 31, "one event each, and no hole");
    assert_eq!(disk.store.failure(), None);
}

/// What was handed over is done, and those who wait are woken, though the caller left.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_left_changes_nothing_in_the_outcome() {
    let disk = fresh().await;
    let nancy = AgentId::new("nancy").unwrap();
    let mut wakes = disk.store.subscribe(&nancy);
    let mut call = disk.store.enqueue(new_operation("nancy", "k"));
    // One poll hands the request over.
    assert!(futures::poll!(&mut call).is_pending());
    drop(call);
    timeout(Duration::from_secs(10), wakes.changed()).await.expect("woken").unwrap();
    let again = disk.store.enqueue(new_operation("nancy", "k")).await.unwrap();
    assert!(again.replayed);
}

/// Readers that leave give their connections back, and hold up neither readers nor the writer.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_leave_hold_nothing() {
    let disk = fresh().await;
    let nancy = AgentId::new("nancy").unwrap();
    for n in 0..100 {
        enqueue(&disk.store, "nancy", &format!("k{n}")).await;
    }
    for n in 0..300u64 {
        let (store, nancy) = (disk.store.clone(), nancy.clone());
        let read = tokio::spawn(async move { store.snapshot(&nancy, 100).await.map(drop) });
        tokio::time::sleep(Duration::from_micros(n % 30 * 50)).await;
        read.abort();
    }
    let reads = (0..16).map(|_| disk.store.snapshot(&nancy, 100));
    for shown in timeout(Duration::from_secs(10), join_all(reads)).await.expect("readers are free") {
        assert_eq!(shown.unwrap().operations.len(), 100);
    }
    enqueue(&disk.store, "nancy", "after").await;
    assert_eq!(disk.store.head(&nancy).await.unwrap().head, 101, "readers see the present");
}
