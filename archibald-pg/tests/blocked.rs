//! Somebody keeps rows locked: it is that agent's trouble, and nobody else's.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::slice;
use std::time::{Duration, Instant};

use archibald_core::effect::{IntentBasis, IntentRequest};
use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::id::EffectName;
use archibald_core::lease::Lease;
use archibald_core::pending_order::{OrderContent, PendingOrderEdit};
use archibald_core::port::{AgentLock, LeaseError, OperationStore, PendingOrderStore};
use archibald_core::record::Disposition;
use archibald_core::time::Timestamp;
use archibald_pg::{PgOptions, PgStore};
use futures::future::join_all;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use support::{Database, agent, database, draft, options, request, submit};

/// A foreign transaction that is left open; its locks end with the value.
struct Foreign(PgConnection);

impl Foreign {
    async fn locking(database: &Database, tables: &[&str], agent: &str) -> Self {
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        sqlx::raw_sql("begin").execute(&mut connection).await.unwrap();
        for table in tables {
            let lock = format!("select 1 from archibald.{table} where agent = '{agent}' for update");
            sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut connection).await.unwrap();
        }
        Self(connection)
    }

    async fn ends(self) {
        self.0.close().await.unwrap();
    }
}

async fn held(store: &PgStore, name: &str, ttl: Duration) -> Lease {
    let record = store.enqueue(submit(&agent(name), "k")).await.unwrap().record;
    store.lease(&request(&record, "w", ttl)).await.unwrap().lease
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_its_own_agent_alone() {
    let database = database();
    let options = PgOptions { retry_for: Duration::from_secs(4), ..options() };
    let store = PgStore::connect(&database.url, options).await.unwrap();
    let lease = held(&store, "nancy", Duration::from_secs(60)).await;
    let foreign = Foreign::locking(&database, &["agents", "streams"], "nancy").await;
    // More than there are connections.
    let stuck: Vec<_> = (0..40)
        .map(|n| {
            let (store, new) = (store.clone(), submit(&agent("nancy"), &format!("stuck {n}")));
            tokio::spawn(async move { store.enqueue(new).await })
        })
        .collect();
    let before = Instant::now();
    for n in 0..20 {
        let record = store.enqueue(submit(&agent("andrew"), &format!("k{n}"))).await.unwrap().record;
        let lease = store.lease(&request(&record, "w", Duration::from_secs(60))).await.unwrap().lease;
        let done = Disposition::Complete { result: json!({}) };
        store.settle(&lease, done.into()).await.unwrap();
        assert_eq!(store.reap().await.unwrap().tickets, []);
    }
    assert!(!stuck.iter().any(tokio::task::JoinHandle::is_finished) || before.elapsed().as_secs() >= 1);
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    // Who waits for it is told in time, and nothing of it is written.
    let refused = join_all(stuck).await.into_iter().find_map(|answer| answer.unwrap().err());
    assert!(matches!(refused, Some(EnqueueError::Store(StoreError::Unavailable { .. }))), "{refused:?}");
    foreign.ends().await;
    let done = Disposition::Complete { result: json!({}) };
    store.settle(&lease, done.into()).await.unwrap();
    store.enqueue(submit(&agent("nancy"), "free again")).await.unwrap();
}

/// An edit needs the log alone, and that of its own agent.
#[tokio::test(flavor = "multi_thread")]
async fn who_edits_an_order_waits_for_nobody_elses_log() {
    let database = database();
    let patient =
        PgOptions { lock_wait: Duration::from_secs(30), retry_for: Duration::from_secs(60), ..options() };
    let store = PgStore::connect(&database.url, patient).await.unwrap();
    let mut orders = vec![];
    for name in ["nancy", "andrew", "janet"] {
        orders.push(store.create(draft(&agent(name), "k")).await.unwrap().order);
    }
    let log = Foreign::locking(&database, &["streams"], "nancy").await;
    let lease = Foreign::locking(&database, &["agents"], "andrew").await;
    let edit = |n: usize, round: u64| {
        let (store, order) = (store.clone(), orders[n].clone());
        let content = OrderContent { note: Some(format!("round {round}")), ..OrderContent::default() };
        let edit = PendingOrderEdit { expected: round, content, origin: None };
        tokio::spawn(async move { store.edit(&order.agent, order.id, &edit).await })
    };
    let stuck = edit(0, 1);
    for round in 1..=20 {
        for answer in join_all([edit(1, round), edit(2, round)]).await {
            assert_eq!(answer.unwrap().unwrap().version, round + 1);
        }
    }
    assert!(!stuck.is_finished(), "its log is locked");
    log.ends().await;
    lease.ends().await;
    assert_eq!(stuck.await.unwrap().unwrap().version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_waits_for_nobody_and_counts() {
    let (database, ttl) = (database(), Duration::from_secs(6));
    let store = database.open().await;
    let (nancy, andrew) = (held(&store, "nancy", ttl).await, held(&store, "andrew", ttl).await);
    let foreign = Foreign::locking(&database, &["agents"], "nancy").await;
    sleep(ttl / 2).await;
    let before = Instant::now();
    let kept = store.renew(&[nancy.clone(), andrew.clone()]).await.unwrap();
    assert!(before.elapsed() < Duration::from_millis(900), "{:?}", before.elapsed());
    let names = [(nancy.agent.clone(), nancy.token), (andrew.agent.clone(), andrew.token)];
    assert_eq!(kept, names, "blocked is not lost");
    foreign.ends().await;

    // Past the end that the blocked row itself has: the renewal holds, for reapers and takers alike, and for
    // the holder's own acts.
    until(&database, nancy.expires_at).await;
    assert_eq!(store.reap().await.unwrap().tickets, []);
    let record = store.enqueue(submit(&nancy.agent, "next")).await.unwrap().record;
    let taken = store.lease(&request(&record, "w2", ttl)).await;
    let Err(LeaseError::Held { until: renewed }) = taken else { panic!("{taken:?}") };
    assert!(renewed > nancy.expires_at, "until the renewal ends");
    let intent = IntentRequest {
        effect: EffectName::new("save-order").unwrap(),
        basis: IntentBasis::NothingReleased,
        mark: None,
        baseline: json!(null),
        budget: Duration::from_millis(100),
        margin: Duration::from_millis(100),
    };
    store.intend(&nancy, &intent).await.unwrap();

    // And no longer than it says.
    until(&database, renewed).await;
    assert_eq!(store.renew(slice::from_ref(&nancy)).await.unwrap(), []);
    assert_eq!(store.reap().await.unwrap().tickets.len(), 2);
    store.lease(&request(&record, "w2", ttl)).await.unwrap();
    assert_eq!(database.sql("select count(*) from archibald.blocked_renewals"), "0", "nothing is left of it");
}

/// Waits until it is past this time by the database's clock.
async fn until(database: &Database, time: Timestamp) {
    while database.sql(&format!("select clock_timestamp() > '{time}'")) == "f" {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_blocked_is_renewed_for_as_long_as_it_takes() {
    let (database, ttl) = (database(), Duration::from_secs(4));
    let store = database.open().await;
    let lease = held(&store, "nancy", ttl).await;
    let foreign = Foreign::locking(&database, &["agents"], "nancy").await;
    for _ in 0..4 {
        sleep(ttl / 3).await;
        assert_eq!(store.renew(slice::from_ref(&lease)).await.unwrap().len(), 1);
    }
    until(&database, lease.expires_at).await;
    foreign.ends().await;
    assert_eq!(store.reap().await.unwrap().tickets, []);
    assert_eq!(store.renew(slice::from_ref(&lease)).await.unwrap().len(), 1);
    assert_eq!(store.reap().await.unwrap().tickets, []);
    let done = Disposition::Complete { result: json!({}) };
    store.settle(&lease, done.into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_blocked_and_over_is_lost() {
    let (database, ttl) = (database(), Duration::from_secs(1));
    let store = database.open().await;
    let lease = held(&store, "nancy", ttl).await;
    let foreign = Foreign::locking(&database, &["agents"], "nancy").await;
    until(&database, lease.expires_at).await;
    assert_eq!(store.renew(slice::from_ref(&lease)).await.unwrap(), []);
    let before = Instant::now();
    assert_eq!(store.reap().await.unwrap().tickets, [], "passed over");
    assert!(before.elapsed() < Duration::from_secs(1));
    foreign.ends().await;
    assert_eq!(store.reap().await.unwrap().tickets.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_settled_meanwhile_is_not_kept() {
    let database = database();
    let store = database.open().await;
    for round in 0..50 {
        let lease = held(&store, &format!("a{round}"), Duration::from_secs(60)).await;
        let done = Disposition::Complete { result: json!({}) };
        let settling = tokio::spawn({
            let (store, lease) = (store.clone(), lease.clone());
            async move { store.settle(&lease, done.into()).await }
        });
        // Whatever it answers while the settlement is on its way, afterwards it is lost.
        store.renew(slice::from_ref(&lease)).await.unwrap();
        settling.await.unwrap().unwrap();
        assert_eq!(store.renew(slice::from_ref(&lease)).await.unwrap(), []);
    }
}
