//! What is written comes back as it was, or is refused with a reason.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use archibald_core::error::{EnqueueError, FieldError};
use archibald_core::id::Collection;
use archibald_core::operation::NewOperation;
use archibald_core::port::{AgentLock, OperationStore, RowQuery};
use archibald_core::record::{Disposition, Evidence, LocalRow, Settlement};
use archibald_pg::{ConnectError, PgOptions, PgStore};
use serde_json::json;

use support::{agent, database, options, request, submit};

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_with_a_nul_is_refused_by_its_place() {
    let store = database().open().await;
    let new = submit(&agent("nancy"), "k");
    let new = NewOperation { payload: json!({ "lines": [{ "note": "a\u{0}b" }] }), ..new };
    let refused = store.enqueue(new).await.unwrap_err();
    let EnqueueError::Invalid(fields) = &refused else { panic!("{refused:?}") };
    let expected = FieldError::new("/lines/0/note", "must not contain the character U+0000");
    assert_eq!(*fields, [expected]);
    assert_eq!(
        refused.to_string(),
        "the payload cannot be accepted: /lines/0/note must not contain the character U+0000"
    );
}

/// What the ERP or a browser said is no reason to lose an attempt's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_nul_from_elsewhere_stands_in_nobodys_way() {
    let store = database().open().await;
    let nancy = agent("nancy");
    let record = store.enqueue(submit(&nancy, "k")).await.unwrap().record;
    let lease = store.lease(&request(&record, "w", Duration::from_secs(60))).await.unwrap().lease;
    let customers = Collection::new("customers").unwrap();
    let row = LocalRow {
        collection: customers.clone(),
        id: "ALFKI".into(),
        doc: Some(json!({ "name": "Al\0freds" })),
        event: Some("customer.updated".into()),
    };
    let evidence = Evidence { name: "d\0m".into(), media_type: "text/html".into(), bytes: vec![0] };
    let disposition = Disposition::Complete { result: json!({ "order": "O\0" }) };
    let settlement = Settlement { disposition, rows: vec![row], evidence: vec![evidence] };
    let settled = store.settle(&lease, settlement).await.unwrap();
    assert_eq!(store.get(&nancy, record.operation.id).await.unwrap(), Some(settled));
    let query = RowQuery { collection: customers, search: Some("AL\0F".into()), after: None, limit: 5 };
    assert_eq!(store.rows(&nancy, &query).await.unwrap().rows[0].1, json!({ "name": "Al\0freds" }));
    store.pause(&nancy.clone().into(), "a\0b", false).await.unwrap();
    assert_eq!(store.paused().await.unwrap()[0].why, "a\u{fffd}b");
}

/// A number that comes back as another one would make the same request twice two requests.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_numbers_are_the_same_request() {
    let store = database().open().await;
    let payload = json!({ "n": [1e16, 1e300, 0.1, 1.0, -0.0, 9.071992547409917e16, u64::MAX, i64::MIN] });
    let new = NewOperation { payload: payload.clone(), ..submit(&agent("nancy"), "k") };
    let first = store.enqueue(new.clone()).await.unwrap();
    let again = store.enqueue(new).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.record, first.record);
    assert_eq!(again.record.operation.payload, payload);
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_says_what_is_wrong() {
    let error = PgStore::connect("sqlite:file", options()).await.err().unwrap();
    assert!(matches!(error, ConnectError::BadUrl(_)), "{error}");
    let nowhere = "postgres://postgres@localhost/postgres?host=/nonexistent";
    let error = PgStore::connect(nowhere, options()).await.err().unwrap();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
    let bad = PgOptions { schema: "a b".into(), ..options() };
    let error = PgStore::connect(&database().url, bad).await.err().unwrap();
    assert!(matches!(error, ConnectError::BadSchema(_)), "{error}");
}

/// What says that an operation is finished may be older than what brought it back.
#[tokio::test]
async fn what_was_brought_back_is_not_forgotten() {
    let database = database();
    let store = database.open().await;
    let nancy = agent("nancy");
    let waiting = store.enqueue(submit(&nancy, "k")).await.unwrap().record;
    database.sql(
        "insert into archibald.finished (agent, finished_at, position, operation)
        select agent, now() - interval '1 day', position, id from archibald.operations",
    );
    let now = waiting.operation.created_at + Duration::from_secs(60);
    assert_eq!(store.forget(now, 10).await.unwrap(), 0);
    assert!(store.get(&nancy, waiting.operation.id).await.unwrap().is_some());
}
