//! A cluster for the process that runs the tests, and a database for each of them.
#![allow(dead_code, unreachable_pub)]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, PendingOrderId, WorkerId};
use archibald_core::operation::{Class, NewOperation};
use archibald_core::pending_order::{NewPendingOrder, OrderContent};
use archibald_core::port::LeaseRequest;
use archibald_core::record::OperationRecord;
use archibald_pg::{PgOptions, PgStore};
use archibald_testing::postgres::{Cluster, ClusterOptions, Pooler};
use serde_json::json;
use uuid::Uuid;

/// Stays until the process ends; its guard cleans up then.
static CLUSTER: LazyLock<Cluster> =
    LazyLock::new(|| Cluster::start(&ClusterOptions { fsync: false, ..ClusterOptions::default() }).unwrap());
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty database of the process's cluster.
pub struct Database {
    pub name: String,
    pub url: String,
}

/// As good as no connections, so that each transaction has another one than the one before.
pub fn pooler() -> Pooler {
    static PORTS: AtomicU16 = AtomicU16::new(6432);
    CLUSTER.pooler(PORTS.fetch_add(1, Ordering::Relaxed), 6).unwrap()
}

/// Where the cluster's socket is.
pub fn folder() -> &'static std::path::Path {
    CLUSTER.directory()
}

pub fn database() -> Database {
    let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let url = CLUSTER.create_database(&name).unwrap();
    Database { name, url }
}

impl Database {
    /// Runs a statement, as somebody else would.
    pub fn sql(&self, statement: &str) -> String {
        CLUSTER.sql(&self.name, statement).unwrap()
    }

    pub async fn open(&self) -> PgStore {
        PgStore::connect(&self.url, options()).await.unwrap()
    }
}

/// Short waits, so that a test that waits for one is over soon.
pub fn options() -> PgOptions {
    PgOptions { max_connections: 8, lock_wait: Duration::from_secs(1), ..PgOptions::default() }
}

pub fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub fn submit(agent: &AgentId, key: &str) -> NewOperation {
    NewOperation {
        id: OperationId(Uuid::now_v7()),
        agent: agent.clone(),
        kind: OperationKind::new("submit-order").unwrap(),
        class: Class::Interactive,
        key: OperationKey::new(key).unwrap(),
        target: None,
        once_per_target: false,
        payload: json!({ "customer": "ALFKI" }),
        run_at: None,
        origin: None,
        queue_limit: 1_000_000,
        trace: false,
    }
}

pub fn draft(agent: &AgentId, key: &str) -> NewPendingOrder {
    NewPendingOrder {
        id: PendingOrderId(Uuid::now_v7()),
        agent: agent.clone(),
        key: OperationKey::new(key).unwrap(),
        content: OrderContent { customer: Some("ALFKI".to_owned()), ..OrderContent::default() },
        origin: None,
    }
}

pub fn request(record: &OperationRecord, by: &str, ttl: Duration) -> LeaseRequest {
    LeaseRequest {
        agent: record.operation.agent.clone(),
        operation: record.operation.id,
        worker: WorkerId::new(by).unwrap(),
        ttl,
    }
}
