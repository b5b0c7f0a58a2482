use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::{AgentLock, LeaseRequest, OperationStore};
use archibald_core::record::Disposition;
use archibald_testing::postgres::{Cluster, ClusterOptions};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;

use super::Looked;
use crate::call::{Job, single};
use crate::operations::settling;
use crate::tx::How;
use crate::{PgOptions, PgStore};

const LONG: Duration = Duration::from_secs(3600);

async fn leased(store: &PgStore, agent: &AgentId) -> Lease {
    let new = NewOperation {
        id: OperationId(Uuid::now_v7()),
        agent: agent.clone(),
        kind: OperationKind::new("submit-order").unwrap(),
        class: Class::Interactive,
        key: OperationKey::new("k").unwrap(),
        target: None,
        once_per_target: false,
        payload: json!({}),
        run_at: None,
        origin: None,
        queue_limit: 10,
        trace: false,
    };
    let operation = store.enqueue(new).await.unwrap().record.operation.id;
    let worker = WorkerId::new("w").unwrap();
    store.lease(&LeaseRequest { agent: agent.clone(), operation, worker, ttl: LONG }).await.unwrap().lease
}

/// Of each sort of row that a settlement depends on: touched by somebody else after it was looked at, then locked, then
/// left alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_touched_since_it_was_looked_at_is_not_written() {
    let cluster = Cluster::start(&ClusterOptions { fsync: false, ..ClusterOptions::default() }).unwrap();
    let url = cluster.create_database("looked").unwrap();
    let store = PgStore::connect(&url, PgOptions::default()).await.unwrap();
    let mut lane = PgConnection::connect(&url).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    for table in ["agents", "operations", "streams"] {
        let agent = AgentId::new(table).unwrap();
        let lease = leased(&store, &agent).await;
        let settlement = Disposition::Complete { result: json!({}) };
        let ask = settling(lease.clone(), settlement.into());
        let (job, _answer) = single(How::once("settling"), &agent, Instant::now() + LONG, ask);
        let mut jobs: [Box<dyn Job>; 1] = [job];
        let state = "select o.state || ' ' || s.head from archibald.operations o join archibald.streams s using (agent)";
        let state = || cluster.sql("looked", &format!("{state} where agent = '{table}'")).unwrap();
        let before = state();

        let looked = Looked::at(&store.inner.sql, &mut lane, &mut jobs).await.ok().unwrap();
        let touched = format!("update archibald.{table} set agent = agent where agent = '{table}'");
        cluster.sql("looked", &touched).unwrap();
        let written = looked.write(&store.inner.sql, &mut lane).await.ok().unwrap();
        assert!(matches!(written[..], [None]) && state() == before, "{table}: touched");

        let looked = Looked::at(&store.inner.sql, &mut lane, &mut jobs).await.ok().unwrap();
        let locked = format!("begin; select from archibald.{table} where agent = '{table}' for update");
        sqlx::raw_sql(sqlx::AssertSqlSafe(locked)).execute(&mut other).await.unwrap();
        let written = looked.write(&store.inner.sql, &mut lane).await.ok().unwrap();
        assert!(matches!(written[..], [None]) && state() == before, "{table}: locked");
        sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();

        let looked = Looked::at(&store.inner.sql, &mut lane, &mut jobs).await.ok().unwrap();
        let written = looked.write(&store.inner.sql, &mut lane).await.ok().unwrap();
        assert!(matches!(written[..], [Some(_)]) && state() == "completed 3", "{table}: {}", state());
    }
}
