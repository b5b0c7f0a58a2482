//! Behind PgBouncer in transaction mode, and on a pool of the user's own.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::port::{AgentLock, EventBus, OperationStore, WorkerWake};
use archibald_core::record::Disposition;
use archibald_pg::{Listen, PgOptions, PgStore};
use archibald_testing::conformance::{Ports, StoreUnderTest};
use archibald_testing::postgres::Pooler;
use async_trait::async_trait;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::time::{sleep, timeout};
use tracing_subscriber::fmt::MakeWriter;

use support::{Database, agent, database, options, pooler, request, submit};

const SOON: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(3600);

/// Connections of no store's own for longer than a transaction.
struct Pooled {
    database: Database,
    pooler: Pooler,
    store: Arc<PgStore>,
}

fn unprepared() -> PgOptions {
    let poll_every = Duration::from_millis(50);
    PgOptions { prepared_statements: false, listen: Listen::Nowhere, poll_every, ..options() }
}

async fn fresh() -> Pooled {
    let (database, pooler) = (database(), pooler());
    let store = PgStore::connect(&pooler.database_url(&database.name), unprepared()).await.unwrap();
    Pooled { database, pooler, store: Arc::new(store) }
}

impl Pooled {
    async fn open(&self, options: PgOptions) -> PgStore {
        PgStore::connect(&self.pooler.database_url(&self.database.name), options).await.unwrap()
    }
}

#[async_trait]
impl StoreUnderTest for Pooled {
    fn ports(&self) -> Ports {
        Ports::of(self.store.clone())
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Arc::new(self.open(unprepared()).await);
    }

    async fn finish(&mut self) {
        self.store.close().await;
    }
}

archibald_testing::store_conformance!(fresh);

/// Whether a worker of one store hears, within some twenty commits, of what another one commits.
async fn hears(listening: &PgStore, telling: &PgStore) -> bool {
    let nancy = agent("nancy");
    let mut wakes = listening.subscribe_worker();
    for n in 0..100 {
        telling.enqueue(submit(&nancy, &format!("probe {n}"))).await.unwrap();
        let woken = async { while wakes.next().await.unwrap() != WorkerWake::Agent(nancy.clone()) {} };
        if timeout(Duration::from_millis(200), woken).await.is_ok() {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_listens_the_logs_are_looked_at() {
    let pooled = fresh().await;
    let other = pooled.open(unprepared()).await;
    assert!(hears(&pooled.store, &other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_can_be_listened_to_past_the_pooler() {
    let pooled = fresh().await;
    let listen = Listen::At(Box::new(PgConnectOptions::from_str(&pooled.database.url).unwrap()));
    let listening = pooled.open(PgOptions { listen, poll_every: LONG, ..unprepared() }).await;
    assert!(hears(&listening, &pooled.store).await);
}

/// To listen is granted where nothing will be heard: that has to be found out.
#[tokio::test]
async fn who_listens_in_vain_finds_out_and_looks() {
    let said = Said::default();
    let _heard = tracing::subscriber::set_default(
        tracing_subscriber::fmt().with_writer(said.clone()).with_max_level(tracing::Level::ERROR).finish(),
    );
    let pooled = fresh().await;
    let listening = pooled.open(PgOptions { listen: Listen::Here, ..unprepared() }).await;
    let found_out = async {
        while !said.text().contains("notifications do not come through") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, found_out).await.expect("it finds out");
    assert!(hears(&listening, &pooled.database.open().await).await);
}

/// What was logged.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Said {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

async fn own_pool(database: &Database, connections: u32) -> PgPool {
    PgPoolOptions::new().max_connections(connections).connect(&database.url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_the_users_serves_both_and_stays_open() {
    let database = database();
    let pool = own_pool(&database, 3).await;
    let store = PgStore::with_pool(pool.clone(), options()).await.unwrap();
    let nancy = agent("nancy");
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql("create table drafts (id int)").execute(&mut *tx).await.unwrap();
    let accepted = store.enqueue_within(&mut tx, submit(&nancy, "k")).await.unwrap();
    tx.commit().await.unwrap();
    store.committed(&nancy);
    let lease = store.lease(&request(&accepted.record, "w", LONG)).await.unwrap().lease;
    store.settle(&lease, Disposition::Complete { result: json!({}) }.into()).await.unwrap();
    store.close().await;
    let left: i64 = sqlx::query_scalar("select count(*) from drafts").fetch_one(&pool).await.unwrap();
    assert_eq!((left, pool.is_closed()), (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_the_users_pool_taken_is_told_in_time() {
    let database = database();
    let pool = own_pool(&database, 2).await;
    let short = PgOptions { retry_for: Duration::from_millis(300), ..options() };
    let store = PgStore::with_pool(pool.clone(), short).await.unwrap();
    let taken = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let nancy = agent("nancy");
    let refused = timeout(SOON, store.enqueue(submit(&nancy, "k"))).await.expect("within its time");
    assert!(refused.is_err());
    drop(taken);
    store.enqueue(submit(&nancy, "k")).await.expect("and goes on afterwards");
}
