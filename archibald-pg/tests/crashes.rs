//! What was acknowledged is there after a kill: of the process that acknowledged it, and of the database.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::event::Cursor;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::operation::OperationState;
use archibald_core::port::{AgentLock, EventBus, EventRead, OperationFilter, OperationStore};
use archibald_core::record::{Disposition, OperationRecord};
use archibald_pg::{PgOptions, PgStore};
use archibald_testing::postgres::{Cluster, ClusterOptions};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::sleep;

use support::{agent, options, request, submit};

/// Set for the copy of this test that plays the process which is killed: the store's URL.
const VICTIM: &str = "ARCHIBALD_PG_VICTIM";

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    if let Ok(url) = env::var(VICTIM) {
        acknowledge_until_killed(&url).await;
    }
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 1..=5 {
        let mut victim = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_killed_process_loses_nothing_that_it_acknowledged", "--nocapture"])
            .env(VICTIM, cluster.url())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            // The test harness's own words may stand before the first.
            if let Some((_, id)) = line.split_once("acknowledged=") {
                acknowledged.insert(id.parse::<OperationId>().unwrap());
            }
            if acknowledged.len() == round * 100 {
                victim.start_kill().unwrap();
            }
        }
        victim.wait().await.unwrap();
        assert!(acknowledged.len() >= round * 100);
    }
    let store = PgStore::connect(&cluster.url(), options()).await.unwrap();
    let mut stored = BTreeSet::new();
    for n in 0..4 {
        let agent = agent(&format!("a{n}"));
        let records = all(&store, &agent).await;
        assert_eq!(log_length(&store, &agent).await, records.len() as u64, "one event each, and no hole");
        stored.extend(records.iter().map(|record| record.operation.id));
    }
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "{} of {} are lost", lost.len(), acknowledged.len());
}

async fn acknowledge_until_killed(url: &str) -> ! {
    let store = PgStore::connect(url, options()).await.unwrap();
    for n in 0..4 {
        let store = store.clone();
        tokio::spawn(async move {
            let agent = agent(&format!("a{n}"));
            for k in 0.. {
                let new = submit(&agent, &format!("{}-{k}", std::process::id()));
                let id = store.enqueue(new).await.unwrap().record.operation.id;
                let mut out = std::io::stdout().lock();
                writeln!(out, "acknowledged={id}").and_then(|()| out.flush()).unwrap();
            }
        });
    }
    std::future::pending().await
}

/// What the writers were told.
#[derive(Default)]
struct Told {
    enqueued: Mutex<Vec<(AgentId, OperationId)>>,
    completed: Mutex<Vec<(AgentId, OperationId)>>,
    unavailable: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_loses_nothing_and_the_store_recovers_by_itself() {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    let store =
        PgStore::connect(&cluster.url(), PgOptions { max_connections: 6, ..options() }).await.unwrap();
    let (told, stop) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (0..6)
        .map(|n| {
            let agent = agent(&format!("a{n}"));
            tokio::spawn(work(store.clone(), agent, told.clone(), stop.clone()))
        })
        .collect();
    for round in 0..4 {
        let before = told.enqueued.lock().unwrap().len();
        while told.enqueued.lock().unwrap().len() < before + 100 {
            sleep(Duration::from_millis(5)).await;
        }
        tokio::task::block_in_place(|| {
            if round % 2 == 0 {
                cluster.kill().unwrap();
            }
            cluster.restart().unwrap();
        });
    }
    let before = told.enqueued.lock().unwrap().len();
    while told.enqueued.lock().unwrap().len() < before + 100 {
        sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    check(&store, &told).await;
}

/// Enqueues, leases and completes, and notes what it is told; whatever fails is left behind.
async fn work(store: PgStore, agent: AgentId, told: Arc<Told>, stop: Arc<AtomicBool>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(enqueued) = store.enqueue(submit(&agent, &format!("k{n}"))).await else {
            told.unavailable.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        assert!(!enqueued.replayed, "whatever was tried again inside");
        let id = enqueued.record.operation.id;
        told.enqueued.lock().unwrap().push((agent.clone(), id));
        let leased = store.lease(&request(&enqueued.record, "w", Duration::from_millis(500))).await;
        let Ok(leased) = leased else {
            told.unavailable.fetch_add(1, Ordering::Relaxed);
            store.reap().await.ok();
            continue;
        };
        let done = Disposition::Complete { result: json!({ "n": n }) };
        match store.settle(&leased.lease, done.into()).await {
            Ok(_) => told.completed.lock().unwrap().push((agent.clone(), id)),
            Err(_) => drop(told.unavailable.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

async fn check(store: &PgStore, told: &Told) {
    let (enqueued, completed) =
        (told.enqueued.lock().unwrap().clone(), told.completed.lock().unwrap().clone());
    for (agent, id) in &enqueued {
        assert!(store.get(agent, *id).await.unwrap().is_some(), "acknowledged and lost");
    }
    for (agent, id) in &completed {
        let record = store.get(agent, *id).await.unwrap().unwrap();
        assert!(matches!(record.operation.state, OperationState::Completed { .. }), "settled and lost");
    }
    for n in 0..6 {
        let agent = agent(&format!("a{n}"));
        // Every key once, whatever was not answered.
        let records = all(store, &agent).await;
        let keys: BTreeSet<_> = records.iter().map(|record| &record.operation.key).collect();
        assert_eq!(keys.len(), records.len());
        log_length(store, &agent).await;
    }
    let refused = told.unavailable.load(Ordering::Relaxed);
    println!("{} enqueued, {} completed, {refused} not answered", enqueued.len(), completed.len());
}

async fn all(store: &PgStore, agent: &AgentId) -> Vec<OperationRecord> {
    let mut all = vec![];
    let mut before = None;
    loop {
        let filter = OperationFilter { before, limit: 500, ..OperationFilter::default() };
        let page = store.list(agent, &filter).await.unwrap();
        all.extend(page.records);
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

/// Reads the whole log and sees that no number is missing.
async fn log_length(store: &PgStore, agent: &AgentId) -> u64 {
    let head = store.head(agent).await.unwrap();
    let mut place = Cursor { epoch: head.epoch, seq: 0 };
    loop {
        let EventRead::Batch { to, events, .. } = EventBus::read(store, agent, place, 500).await.unwrap()
        else {
            panic!("the whole log is there")
        };
        if events.is_empty() {
            return place.seq;
        }
        assert!(events.iter().map(|event| event.seq).eq(place.seq + 1..=to.seq), "no hole");
        place = to;
    }
}

/// Callers that leave at any moment, on a pool that is soon taken: whatever was acknowledged is there.
#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_take_nobody_with_them() {
    let database = support::database();
    let store = PgStore::connect(&database.url, PgOptions { max_connections: 2, ..options() }).await.unwrap();
    let nancy = agent("nancy");
    let mut acknowledged = vec![];
    for n in 0..500u64 {
        let leaving = store.enqueue(submit(&agent("andrew"), &format!("k{n}")));
        drop(tokio::time::timeout(Duration::from_micros(n % 40 * 50), leaving).await);
        let also = store.snapshot(&nancy, 1);
        drop(tokio::time::timeout(Duration::from_micros(n % 30 * 50), also).await);
        let kept = store.enqueue(submit(&nancy, &format!("k{n}"))).await.unwrap();
        acknowledged.push(kept.record.operation.id);
    }
    let stored: BTreeSet<_> = all(&store, &nancy).await.iter().map(|record| record.operation.id).collect();
    let lost = acknowledged.iter().filter(|id| !stored.contains(id)).count();
    assert_eq!(lost, 0, "of 500");
    assert_eq!(log_length(&store, &nancy).await, 500);
    assert_eq!(database.sql("select count(*) from archibald.operations where agent = 'nancy'"), "500");
}
