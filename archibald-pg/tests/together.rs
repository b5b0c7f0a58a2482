//! Calls that come together share their transactions, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use archibald_core::error::{EnqueueError, FenceError};
use archibald_core::operation::{NewOperation, OperationState};
use archibald_core::port::{AgentLock, Enqueued, LeaseError, OperationStore};
use archibald_core::record::{Disposition, OperationRecord};
use archibald_pg::{PgOptions, PgStore};
use futures::future::join_all;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};

use support::{Database, agent, database, options, request, submit};

const MANY: usize = 60;
const LONG: Duration = Duration::from_secs(3600);

/// An operation of each of many agents.
async fn one_each(store: &PgStore) -> Vec<OperationRecord> {
    let enqueued = (0..MANY).map(|n| store.enqueue(submit(&agent(&format!("a{n}")), "k")));
    join_all(enqueued).await.into_iter().map(|enqueued| enqueued.unwrap().record).collect()
}

/// Transactions that wrote what is there now.
fn transactions(database: &Database, table: &str) -> usize {
    let sql = format!("select count(distinct xmin::text) from archibald.{table}");
    database.sql(&sql).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_agents_share_a_transaction() {
    let database = database();
    let store = database.open().await;
    let records = one_each(&store).await;
    let leased = join_all(
        records.iter().map(|record| async { store.lease(&request(record, "w", LONG)).await.unwrap().lease }),
    )
    .await;
    assert!(transactions(&database, "agents") < MANY / 4, "leases");
    let done = Disposition::Complete { result: json!({}) };
    let settled = join_all(leased.iter().map(|lease| store.settle(lease, done.clone().into()))).await;
    assert!(settled.iter().all(Result::is_ok));
    assert!(transactions(&database, "operations") < MANY / 4, "settlements");
    for record in &records {
        let now = store.get(&record.operation.agent, record.operation.id).await.unwrap().unwrap();
        assert!(matches!(now.operation.state, OperationState::Completed { .. }));
    }
    let numbered = "select bool_and(head = 3) and count(*) = 60 from archibald.streams";
    assert_eq!(database.sql(numbered), "t");
    let numbered = "select count(*) from archibald.events where seq not between 1 and 3";
    assert_eq!(database.sql(numbered), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_hinders_nobody_else() {
    let database = database();
    let store = database.open().await;
    let records = one_each(&store).await;
    store.pause(&agent("a1").into(), "locked", false).await.unwrap();
    let answers = join_all(records.iter().enumerate().map(|(n, record)| {
        let mut asked = request(record, "w", LONG);
        // Of somebody who comes later, and of one who came before.
        if n == 2 {
            asked.operation = records[3].operation.id;
        } else if n == 7 {
            asked.operation = records[6].operation.id;
        }
        let store = &store;
        async move { store.lease(&asked).await }
    }))
    .await;
    for (n, answer) in answers.iter().enumerate() {
        match n {
            1 => assert!(matches!(answer, Err(LeaseError::Paused { .. })), "{answer:?}"),
            2 | 7 => assert!(matches!(answer, Err(LeaseError::NotAvailable { due: None })), "{answer:?}"),
            _ => assert!(answer.is_ok(), "{n}: {answer:?}"),
        }
    }
    // Every fifth settles under a token that never was, another fifth twice.
    let settled = join_all(answers.into_iter().flatten().enumerate().map(|(n, leased)| {
        let (store, mut lease) = (&store, leased.lease);
        async move {
            let done = Disposition::Complete { result: json!({ "n": n }) };
            if n % 5 == 0 {
                lease.token.0 += 1;
            }
            let first = store.settle(&lease, done.clone().into()).await;
            if n % 5 == 1 { store.settle(&lease, done.into()).await } else { first }
        }
    }))
    .await;
    for (n, answer) in settled.iter().enumerate() {
        match n % 5 {
            0 | 1 => assert!(matches!(answer, Err(FenceError::Superseded)), "{n}: {answer:?}"),
            _ => assert!(answer.is_ok(), "{n}: {answer:?}"),
        }
    }
}

/// The same key, by many at once and beside others' requests: one operation, told to all.
#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_one_operation_in_a_crowd() {
    let store = database().open().await;
    let calls = (0..MANY).map(|n| {
        let (nancy, other) = (agent("nancy"), agent(&format!("a{n}")));
        let (store, payload) = (&store, json!({ "customer": if n == 7 { "OTHER" } else { "ALFKI" } }));
        async move {
            let new = NewOperation { payload, ..submit(&nancy, "same") };
            let (same, other) = futures::join!(store.enqueue(new), store.enqueue(submit(&other, "own")));
            assert!(!other.unwrap().replayed);
            same
        }
    });
    let answers: Vec<Result<Enqueued, EnqueueError>> = join_all(calls).await;
    let reused = answers.iter().filter(|answer| matches!(answer, Err(EnqueueError::KeyReused { .. })));
    let reused = reused.count();
    let taken: Vec<_> = answers.iter().flatten().collect();
    assert!(reused == 1 || reused == MANY - 1, "who came first counts: {reused}");
    assert_eq!(taken.iter().filter(|enqueued| !enqueued.replayed).count(), 1);
    assert!(taken.windows(2).all(|two| two[0].record.operation.id == two[1].record.operation.id));
}

/// Whose rows somebody else keeps locked waits by himself: nobody who came with him does.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_agent_is_left_out() {
    let database = database();
    let patient = PgOptions { lock_wait: LONG, retry_for: LONG, ..options() };
    let store = PgStore::connect(&database.url, patient).await.unwrap();
    let records = one_each(&store).await;
    let mut foreign = PgConnection::connect(&database.url).await.unwrap();
    let locks = "begin; select 1 from archibald.agents where agent = 'a0' for update; \
        select 1 from archibald.streams where agent = 'a1' for update; \
        select 1 from archibald.operations where agent = 'a2' for update";
    sqlx::raw_sql(locks).execute(&mut foreign).await.unwrap();
    let calls: Vec<_> = records
        .iter()
        .map(|record| {
            let (store, asked) = (store.clone(), request(record, "w", LONG));
            tokio::spawn(async move { store.lease(&asked).await })
        })
        .collect();
    let (locked, free): (Vec<_>, Vec<_>) = calls.into_iter().enumerate().partition(|(n, _)| *n < 3);
    for (n, call) in free {
        assert!(call.await.unwrap().is_ok(), "{n}");
    }
    assert!(!locked.iter().any(|(_, call)| call.is_finished()));
    foreign.close().await.unwrap();
    for (n, call) in locked {
        assert!(call.await.unwrap().is_ok(), "{n}: it waited");
    }
}

/// Several processes have the same agents at the same time: what one has looked at and another changes meanwhile is
/// looked at again, so that every log counts every event once, in the order in which operations got their places.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_meanwhile_is_never_overwritten() {
    let database = database();
    let stores = join_all((0..3).map(|_| database.open())).await;
    let agents = ["nancy", "janet"].map(agent);
    let enqueuing = stores.iter().enumerate().map(|(s, store)| {
        let agents = &agents;
        async move {
            for n in 0..MANY {
                let both = agents.each_ref().map(|agent| store.enqueue(submit(agent, &format!("{s} {n}"))));
                assert!(
                    join_all(both).await.iter().all(|enqueued| matches!(enqueued, Ok(it) if !it.replayed))
                );
            }
        }
    });
    let working = agents.iter().enumerate().map(|(n, agent)| {
        let store = &stores[n];
        async move {
            let mut settled = 0;
            while settled < MANY {
                let waiting = store.waiting(agent, None, 1).await.unwrap();
                let Some(ticket) = waiting.first() else { continue };
                let record = store.get(agent, ticket.operation).await.unwrap().unwrap();
                let lease = store.lease(&request(&record, "w", LONG)).await.unwrap().lease;
                store.settle(&lease, Disposition::Complete { result: json!({}) }.into()).await.unwrap();
                settled += 1;
            }
        }
    });
    futures::join!(join_all(enqueuing), join_all(working));
    // Accepted, started, completed.
    let told = MANY * 3 + MANY * 2;
    let counted = format!(
        "select bool_and(s.head = {told} and (select count(*) from archibald.events e where e.agent = s.agent) = {told} \
         and s.queued = (select count(*) from archibald.queue q where q.agent = s.agent)) from archibald.streams s"
    );
    assert_eq!(database.sql(&counted), "t");
    let in_order = "select count(*) from (select o.position, lag(o.position, 1, 0::bigint) over (partition by o.agent \
        order by e.seq) as before from archibald.operations o join archibald.events e on e.agent = o.agent \
        and e.event ->> 'type' = 'operation.queued' and e.event ->> 'operation' = o.id::text) as accepted \
        where position > before";
    assert_eq!(database.sql(in_order), (2 * 3 * MANY).to_string());
}

/// The lanes' connections are closed with the store, also where the pool is the caller's and stays open; what was begun
/// is done by then, and nothing begins afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn no_connection_outlives_its_store() {
    let database = database();
    let pool = PgPoolOptions::new().max_connections(4).connect(&database.url).await.unwrap();
    for store in [database.open().await, PgStore::with_pool(pool.clone(), options()).await.unwrap()] {
        let (busy, nancy) = (store.clone(), agent("nancy"));
        let calls: Vec<_> = (0..MANY)
            .map(|n| {
                let (busy, new) = (busy.clone(), submit(&nancy, &format!("k{n}")));
                tokio::spawn(async move { busy.enqueue(new).await })
            })
            .collect();
        store.close().await;
        assert!(store.enqueue(submit(&agent("late"), "k")).await.is_err());
        let accepted = join_all(calls).await.into_iter().filter(|call| matches!(call, Ok(Ok(_)))).count();
        let late = database.sql("select count(*) from archibald.operations where agent = 'late'");
        assert_eq!(late, "0");
        let kept: usize = database.sql("select count(*) from archibald.operations").parse().unwrap();
        assert!(kept >= accepted, "{accepted} accepted, {kept} there");
    }
    pool.close().await;
    let left = || database.sql("select count(*) from pg_stat_activity where datname = current_database()");
    // The server takes a moment to notice; one is who asks.
    for _ in 0..500 {
        if left() == "1" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} connections", left());
}
