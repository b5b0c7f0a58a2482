use std::slice;
use std::time::Duration;

use archibald_core::port::{AgentLock, OperationStore};
use archibald_core::record::Disposition;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use crate::fleet::{Fleet, Plan};
use crate::judge::judge;
use crate::private::Private;
use crate::support::{agent, request, submit};

/// What somebody's transaction does to nancy and leaves open: it locks all that is hers, and has put an
/// operation in her queue.
const MEDDLES: &str = "begin;
    select 1 from archibald.agents where agent = 'nancy' for update;
    select 1 from archibald.operations where agent = 'nancy' for update;
    update archibald.streams set head = head where agent = 'nancy';
    insert into archibald.operations
        (id, agent, key, kind, class, position, created_at, state, payload, record)
    select gen_random_uuid(), agent, 'foreign', kind, class, nextval('archibald.positions'), created_at,
        state, payload, record from archibald.operations where agent = 'nancy'";

/// Noise of the machine, on top of five times what it was before.
const NOISE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_left_open_slows_nobody_else_and_costs_no_lease() {
    let private = Private::start();
    let plan = Plan::default();
    let ttl = plan.ttl;
    let fleet = Fleet::start(&private, plan).await;
    let store = fleet.stores[0].clone();
    let nancy = agent("nancy");
    let record = store.enqueue(submit(&nancy, "k")).await.unwrap().record;
    let lease = store.lease(&request(&record, "w", ttl)).await.unwrap().lease;
    let renews = async |span: Duration| {
        let began = Instant::now();
        while began.elapsed() < span {
            assert_eq!(store.renew(slice::from_ref(&lease)).await.unwrap().len(), 1, "it is kept");
            sleep(ttl / 6).await;
        }
    };
    fleet.calls();
    renews(ttl * 2).await;
    let before = fleet.calls();
    let mut foreign = PgConnection::connect(&private.url()).await.unwrap();
    sqlx::raw_sql(MEDDLES).execute(&mut foreign).await.unwrap();
    fleet.calls();
    // Some of her own calls wait meanwhile.
    let waiting: Vec<_> = (0..20)
        .map(|n| {
            let (store, new) = (store.clone(), submit(&agent("nancy"), &format!("waits {n}")));
            tokio::spawn(async move { store.enqueue(new).await.is_ok() })
        })
        .collect();
    renews(ttl * 2).await;
    let meanwhile = fleet.calls();
    foreign.close().await.unwrap();
    let (usual, then) = (p99(before), p99(meanwhile));
    println!("99 of 100 calls within {usual:?} before, {then:?} meanwhile");
    assert!(then < usual * 5 + NOISE, "{then:?} after {usual:?}");

    let done = Disposition::Complete { result: json!({}) };
    store.settle(&lease, done.into()).await.expect("her lease outlived it");
    for call in waiting {
        call.await.unwrap();
    }
    // What waits in nancy's queue by now nobody works on.
    let cancelled = store.waiting(&nancy, None, 100).await.unwrap();
    for ticket in cancelled {
        store.cancel(&nancy, ticket.operation, "the test").await.unwrap();
    }
    assert_eq!(private.sql("select count(*) from archibald.operations where key = 'foreign'"), "0");
    private.sql("delete from archibald.operations where agent = 'nancy'");
    let told = fleet.ends(&private).await;
    assert_eq!(told.lost, 0, "{told}");
    judge(&private, &told);
}

fn p99(mut calls: Vec<Duration>) -> Duration {
    assert!(calls.len() >= 50, "too few to tell: {}", calls.len());
    calls.sort_unstable();
    calls[calls.len() * 99 / 100]
}
