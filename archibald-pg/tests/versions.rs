//! Workers of two versions beside each other, as while a deployment rolls on.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use archibald_core::port::{AgentLock, OperationStore, PendingOrderStore, SurveyRequest};
use archibald_core::record::Disposition;
use archibald_pg::{ConnectError, PgStore};
use serde_json::json;

use support::{agent, database, draft, options, request, submit};

/// What the next version does to the tables: it adds.
const NEXT: &str = "begin;
    insert into archibald.migrations (version, name) values (1000, 'next');
    alter table archibald.operations add column since_next text;
    alter table archibald.agents add column since_next int not null default 0;
    create table archibald.of_next (id uuid primary key);
    create index next_of_kind on archibald.operations (kind);
    commit";

#[tokio::test]
async fn a_worker_goes_on_beside_one_of_the_next_version() {
    let database = database();
    let running = database.open().await;
    let nancy = agent("nancy");
    let before = running.enqueue(submit(&nancy, "before")).await.unwrap().record;
    database.sql(NEXT);
    // What the next version wrote has a field that this one does not know.
    database.sql(
        "update archibald.operations set record = (record::jsonb || '{\"since_next\": 7}')::json, since_next = 'x'",
    );

    let started_now = database.open().await;
    for (store, key) in [(&running, "running"), (&started_now, "started now")] {
        store.enqueue(submit(&nancy, key)).await.unwrap();
    }
    for store in [&running, &started_now, &running] {
        let ticket = store.waiting(&nancy, None, 1).await.unwrap().remove(0);
        let record = store.get(&nancy, ticket.operation).await.unwrap().unwrap();
        let lease = store.lease(&request(&record, "w", Duration::from_secs(60))).await.unwrap().lease;
        assert_eq!(store.renew(std::slice::from_ref(&lease)).await.unwrap().len(), 1);
        store.settle(&lease, Disposition::Complete { result: json!({}) }.into()).await.unwrap();
    }
    assert_eq!(database.sql("select count(*) from archibald.operations where state = 'completed'"), "3");
    let kept = format!("select since_next from archibald.operations where id = '{}'", before.operation.id);
    assert_eq!(database.sql(&kept), "x", "what is not ours is left alone");
}

#[tokio::test]
async fn tables_of_the_version_before_are_brought_up_to_date() {
    let (database, nancy) = (database(), agent("nancy"));
    let before = database.open().await;
    before.enqueue(submit(&nancy, "before")).await.unwrap();
    database.sql(
        "begin; drop table archibald.pending_orders, archibald.kept_agents; delete from archibald.migrations where version > 2; commit",
    );
    let now = database.open().await;
    assert!(now.create(draft(&nancy, "k")).await.is_ok());
    assert_eq!(
        database.sql("select string_agg(name, ', ' order by version) from archibald.migrations"),
        "tables, pauses and workers, pending orders, kept agents"
    );
    // What the version before does is left alone.
    before.enqueue(submit(&nancy, "still running")).await.unwrap();
    assert_eq!(now.waiting(&nancy, None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn tables_from_before_the_first_release_are_refused() {
    let database = database();
    database.sql(
        "begin; create schema archibald;
        create table archibald.migrations (version bigint primary key, name text not null);
        insert into archibald.migrations values (1, 'first'), (2, 'targets'), (3, 'kinds'); commit",
    );
    let refused = PgStore::connect(&database.url, options()).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, ConnectError::Unsuitable(_)), "{refused}");
    assert!(refused.to_string().contains("before the first release"), "{refused}");
    assert_eq!(database.sql("select count(*) from archibald.migrations"), "3", "and left alone");
}

#[tokio::test]
async fn a_ticket_of_the_first_version_is_read_with_its_kind() {
    let (database, nancy) = (database(), agent("nancy"));
    let store = database.open().await;
    let record = store.enqueue(submit(&nancy, "k")).await.unwrap().record;
    let known = store.waiting(&nancy, None, 10).await.unwrap();
    database.sql("update archibald.queue set ticket = (ticket::jsonb - 'kind')::json");
    assert_eq!(database.sql("select count(*) from archibald.queue where ticket -> 'kind' is null"), "1");
    assert_eq!(known[0].kind, record.operation.kind);
    assert_eq!(store.waiting(&nancy, None, 10).await.unwrap(), known);
    let request = SurveyRequest { after: None, agents: 9, each: 9, beat: None };
    assert_eq!(store.survey(&request).await.unwrap().fronts, known);
}
