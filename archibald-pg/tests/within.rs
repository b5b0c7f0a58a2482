//! Operations accepted and settled in transactions of the user's own.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use archibald_core::error::{EnqueueError, FenceError};
use archibald_core::event::Cursor;
use archibald_core::port::{AgentLock, EventBus, EventRead, OperationStore, WorkerWake};
use archibald_core::record::{Disposition, Settlement};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use support::{agent, database, request, submit};

const LONG: Duration = Duration::from_secs(600);

fn done() -> Settlement {
    Disposition::Complete { result: json!({}) }.into()
}

#[tokio::test]
async fn an_operation_is_there_if_the_transaction_is_committed_and_never_was_if_not() {
    let database = database();
    let store = database.open().await;
    let mut users = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql("create table drafts (id int primary key)").execute(&mut users).await.unwrap();
    let nancy = agent("nancy");
    let mut worker = store.subscribe_worker();

    for (draft, commits) in [(1, false), (2, true)] {
        let mut tx = users.begin().await.unwrap();
        sqlx::query("insert into drafts values ($1)").bind(draft).execute(&mut *tx).await.unwrap();
        let key = format!("draft {draft}");
        let accepted = store.enqueue_within(&mut tx, submit(&nancy, &key)).await.unwrap();
        assert!(!accepted.replayed);
        let id = accepted.record.operation.id;
        assert!(store.get(&nancy, id).await.unwrap().is_none(), "not yet");
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        store.committed(&nancy);
        while worker.next().await.unwrap() != WorkerWake::Agent(nancy.clone()) {}
        assert_eq!(store.get(&nancy, id).await.unwrap().is_some(), commits);
    }
    assert_eq!(database.sql("select string_agg(id::text, ',') from drafts"), "2");
    assert_eq!(store.waiting(&nancy, None, 10).await.unwrap().len(), 1);
    let head = store.head(&nancy).await.unwrap();
    let read = store.read(&nancy, Cursor { epoch: head.epoch, seq: 0 }, 10).await.unwrap();
    let EventRead::Batch { events, .. } = read else { panic!("{read:?}") };
    assert_eq!((head.head, events.len()), (1, 1), "what was rolled back leaves no hole");
}

#[tokio::test]
async fn what_is_refused_leaves_the_transaction_as_it_was() {
    let database = database();
    let store = database.open().await;
    let mut users = PgConnection::connect(&database.url).await.unwrap();
    let nancy = agent("nancy");
    store.enqueue(submit(&nancy, "k")).await.unwrap();

    let mut tx = users.begin().await.unwrap();
    let full = archibald_core::operation::NewOperation { queue_limit: 1, ..submit(&nancy, "other") };
    let refused = store.enqueue_within(&mut tx, full).await.unwrap_err();
    assert!(matches!(refused, EnqueueError::QueueFull { limit: 1, .. }), "{refused}");
    let again = store.enqueue_within(&mut tx, submit(&nancy, "k")).await.unwrap();
    assert!(again.replayed, "the same request is the same operation");
    tx.commit().await.unwrap();
    assert_eq!(database.sql("select count(*) from archibald.operations"), "1");
}

#[tokio::test]
async fn an_attempt_ends_with_what_its_transaction_writes_or_not_at_all() {
    let database = database();
    let store = database.open().await;
    let mut users = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql("create table invoices (n int primary key)").execute(&mut users).await.unwrap();
    let nancy = agent("nancy");
    let record = store.enqueue(submit(&nancy, "k")).await.unwrap().record;
    let lease = store.lease(&request(&record, "w", LONG)).await.unwrap().lease;

    for commits in [false, true] {
        let mut tx = users.begin().await.unwrap();
        sqlx::query("insert into invoices values (1)").execute(&mut *tx).await.unwrap();
        let settled = store.settle_within(&mut tx, &lease, done()).await.unwrap();
        assert!(settled.operation.is_final());
        if commits {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
            assert_eq!(store.renew(std::slice::from_ref(&lease)).await.unwrap().len(), 1, "it is still held");
        }
        store.committed(&nancy);
        let id = record.operation.id;
        assert_eq!(store.get(&nancy, id).await.unwrap().unwrap().operation.is_final(), commits);
    }

    let mut tx = users.begin().await.unwrap();
    sqlx::query("insert into invoices values (2)").execute(&mut *tx).await.unwrap();
    let late = store.settle_within(&mut tx, &lease, done()).await.unwrap_err();
    assert!(matches!(late, FenceError::Superseded), "{late}");
    tx.rollback().await.unwrap();
    assert_eq!(database.sql("select count(*) from invoices"), "1");
}
