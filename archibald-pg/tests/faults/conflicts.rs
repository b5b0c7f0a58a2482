use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use archibald_core::port::{AgentLock, OperationStore};
use archibald_core::record::Disposition;
use archibald_pg::{PgOptions, PgStore};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::fleet::{Fleet, Plan};
use crate::judge::judge;
use crate::private::{PATIENCE, Private};
use crate::support::{agent, options, request, submit};

/// Somebody takes an agent's rows in the other order. The database ends one of the two, here always ours: it
/// is tried again, and done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_with_somebody_else_is_tried_again_and_done_once() {
    let private = Private::start();
    // Who waits looks for a deadlock once, after this time: the other has to have come by then.
    private.sql("alter database postgres set deadlock_timeout = '4s'");
    let mut looks = PgConnection::connect(&private.url()).await.unwrap();
    let patient = PgOptions { lock_wait: PATIENCE, retry_for: PATIENCE, ..options() };
    let store = PgStore::connect(&private.url(), patient).await.unwrap();
    for (name, also_paused) in [("nancy", false), ("andrew", true)] {
        let name = agent(name);
        let record = store.enqueue(submit(&name, "k")).await.unwrap().record;
        let lease = store.lease(&request(&record, "w", PATIENCE)).await.unwrap().lease;
        let mut foreign = PgConnection::connect(&private.url()).await.unwrap();
        // It never notices by itself: the other one has to give in.
        execute(&mut foreign, "set deadlock_timeout = '1h'; begin").await;
        lock(&mut foreign, "streams", name.as_str()).await;
        let (caller, settled) = (store.clone(), lease.clone());
        let call = tokio::spawn(async move {
            if also_paused {
                return caller
                    .pause(&settled.agent.clone().into(), "enough", false)
                    .await
                    .map_err(|error| error.to_string());
            }
            let done = Disposition::Complete { result: json!({}) };
            caller.settle(&settled, done.into()).await.map(drop).map_err(|error| error.to_string())
        });
        until_somebody_waits(&mut looks).await;
        timeout(PATIENCE, lock(&mut foreign, "agents", name.as_str())).await.expect("it gets the row");
        assert!(!call.is_finished(), "who is tried again waits for the row");
        execute(&mut foreign, "commit").await;
        timeout(PATIENCE, call).await.expect("answered").unwrap().expect("done");
        let told = format!(
            "select count(*) from archibald.events where agent = '{name}' \
             and event->>'type' in ('operation.completed', 'warning')"
        );
        assert_eq!(private.sql(&told), "1");
    }
    let deadlocks = "select deadlocks > 0 from pg_stat_database where datname = current_database()";
    let deadline = Instant::now() + PATIENCE;
    while private.sql(deadlocks) != "t" {
        assert!(Instant::now() < deadline, "there was no deadlock");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Where every transaction is serialisable by the database's default, and somebody's that read everything
/// write an agent's rows meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn serialisable_transactions_beside_and_by_default_stop_nobody() {
    let private = Private::start();
    private.sql("alter database postgres set default_transaction_isolation = 'serializable'");
    let fleet = Fleet::start(&private, Plan::default()).await;
    fleet.settles(5).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (committed, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let others: Vec<_> = (0..2)
        .map(|n| {
            let (url, stop) = (private.url(), stop.clone());
            let (committed, refused) = (committed.clone(), refused.clone());
            tokio::spawn(async move {
                let mut foreign = PgConnection::connect(&url).await.unwrap();
                while !stop.load(Relaxed) {
                    match read_and_write(&mut foreign, n).await {
                        Ok(()) => committed.fetch_add(1, Relaxed),
                        Err(_) => refused.fetch_add(1, Relaxed),
                    };
                }
                foreign.close().await.ok();
            })
        })
        .collect();
    fleet.settles(20).await;
    let deadline = Instant::now() + PATIENCE;
    while committed.load(Relaxed) == 0 || refused.load(Relaxed) == 0 {
        assert!(Instant::now() < deadline, "{committed:?} committed, {refused:?} refused");
        fleet.settles(5).await;
    }
    stop.store(true, Relaxed);
    for other in others {
        timeout(PATIENCE, other).await.expect("it ends").unwrap();
    }
    let told = fleet.ends(&private).await;
    judge(&private, &told);
}

/// As a report that keeps a figure of its own, and touches what it read.
async fn read_and_write(foreign: &mut PgConnection, agent: u32) -> Result<(), sqlx::Error> {
    let mut tx = foreign.begin_with("begin isolation level serializable").await?;
    sqlx::query("select count(*), max(head) from archibald.operations join archibald.streams using (agent)")
        .execute(&mut *tx)
        .await?;
    for table in ["agents", "streams"] {
        let touch = format!("update archibald.{table} set agent = agent where agent = 'a{agent}'");
        sqlx::raw_sql(AssertSqlSafe(touch)).execute(&mut *tx).await?;
    }
    tx.commit().await
}

async fn lock(foreign: &mut PgConnection, table: &str, agent: &str) {
    let lock = format!("select 1 from archibald.{table} where agent = '{agent}' for update");
    execute(foreign, &lock).await;
}

async fn execute(foreign: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(foreign).await.unwrap();
}

async fn until_somebody_waits(looks: &mut PgConnection) {
    let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
    let deadline = Instant::now() + PATIENCE;
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *looks).await.unwrap() == 0 {
        assert!(Instant::now() < deadline, "nobody waits for a lock");
        sleep(Duration::from_millis(10)).await;
    }
}
