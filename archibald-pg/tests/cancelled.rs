//! A caller that leaves takes nothing of anybody else's with it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use archibald_core::port::{AgentLock, LeaseError, OperationStore};
use archibald_pg::{PgOptions, PgStore};

use support::{agent, database, options, request, submit};

/// sqlx 0.9.0 gives a connection back whose `BEGIN` was cancelled on its way, with the transaction open: what
/// its next user is told to be done vanishes with it (transact-rs/sqlx#4385). With one connection the next
/// user is always the one who follows a cancelled call; a renewal is one statement, and commits by itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_after_a_cancelled_call_is_there() {
    let database = database();
    let one = PgOptions { max_connections: 1, ..options() };
    let store = PgStore::connect(&database.url, one).await.unwrap();
    let somebody_else = database.open().await;
    let nancy = agent("nancy");
    let record = store.enqueue(submit(&nancy, "held")).await.unwrap().record;
    let asked = request(&record, "w", Duration::from_secs(600));
    let lease = store.lease(&asked).await.unwrap().lease;
    let mut last = lease.expires_at;
    for n in 0..400_u64 {
        let (leaver, new) = (store.clone(), submit(&agent("andrew"), &format!("leaves {n}")));
        let leaves = tokio::spawn(async move { leaver.enqueue(new).await });
        tokio::time::sleep(Duration::from_micros(n * 8)).await;
        leaves.abort();
        assert_eq!(store.renew(std::slice::from_ref(&lease)).await.unwrap().len(), 1);
        let Err(LeaseError::Held { until }) = somebody_else.lease(&asked).await else { panic!("held") };
        assert!(until > last, "renewal {n} was acknowledged and is not there");
        last = until;
    }
}
