use std::slice;
use std::time::Duration;

use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::id::AgentId;
use archibald_core::lease::Lease;
use archibald_core::port::{AgentLock, OperationStore};
use archibald_core::record::Disposition;
use archibald_pg::{Listen, PgOptions, PgStore};
use archibald_testing::postgres::ClusterOptions;
use futures::future::join_all;
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::private::{PATIENCE, Private};
use crate::support::{agent, options, request, submit};

const TTL: Duration = Duration::from_secs(3);

/// Others have every connection that the server gives: with those that it has the store goes on, and without
/// any it says so in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_told_in_time_and_nothing_is_half_done() {
    let private = Private::start_with(ClusterOptions { max_connections: 12, ..ClusterOptions::default() });
    let few = PgOptions { max_connections: 4, retry_for: Duration::from_secs(2), ..options() };
    let store = PgStore::connect(&private.url(), few).await.unwrap();
    let lease = held(&store, &agent("nancy"), PATIENCE * 2).await;
    let mut somebody = Somebody::new(&private).await;
    somebody.takes_what_is_left(&private).await;
    store.enqueue(submit(&agent("andrew"), "by those it has")).await.unwrap();
    assert_eq!(store.renew(slice::from_ref(&lease)).await.unwrap().len(), 1);

    somebody.takes_all(&private).await;
    let (before, new) = (Instant::now(), submit(&agent("andrew"), "without any"));
    let refused = store.enqueue(new.clone()).await;
    assert!(matches!(refused, Err(EnqueueError::Store(StoreError::Unavailable { .. }))), "{refused:?}");
    let renewed = store.renew(slice::from_ref(&lease)).await;
    assert!(matches!(renewed, Err(StoreError::Unavailable { .. })), "unknown is not lost: {renewed:?}");
    assert!(store.waiting(&agent("andrew"), None, 10).await.is_err());
    assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());

    somebody.goes().await;
    assert!(!store.enqueue(new).await.unwrap().replayed, "nothing was written");
    assert_eq!(store.renew(slice::from_ref(&lease)).await.unwrap().len(), 1);
    let done = Disposition::Complete { result: json!({}) };
    store.settle(&lease, done.into()).await.unwrap();
    assert_eq!(private.sql("select count(*) from archibald.operations"), "3");
    assert_eq!(private.sql("select count(*) from archibald.events"), "5");
}

/// Who asked for a connection while none was there sees the one that comes back, although the pool goes on trying to
/// open another.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_comes_back_is_found_while_the_server_is_full() {
    let private = Private::start_with(ClusterOptions { max_connections: 12, ..ClusterOptions::default() });
    let pool = PgPoolOptions::new().max_connections(4).connect(&private.url()).await.unwrap();
    let patient = PgOptions { retry_for: Duration::from_secs(8), listen: Listen::Nowhere, ..options() };
    let store = PgStore::with_pool(pool.clone(), patient).await.unwrap();
    let mut all = vec![pool.acquire().await.unwrap()];
    while all.len() < pool.size() as usize {
        all.push(pool.acquire().await.unwrap());
    }
    let open = pool.size();
    let mut somebody = Somebody::new(&private).await;
    somebody.sees_no_more_than(i64::from(open) + 1).await;
    somebody.takes_what_is_left(&private).await;

    let asking = {
        let (store, nancy) = (store.clone(), agent("nancy"));
        tokio::spawn(async move { store.waiting(&nancy, None, 10).await })
    };
    let deadline = Instant::now() + PATIENCE;
    while pool.size() <= open {
        assert!(Instant::now() < deadline, "it does not try to open another");
        sleep(Duration::from_millis(1)).await;
    }
    drop(all);
    let (before, answer) = (Instant::now(), asking.await.unwrap());
    assert!(
        answer.is_ok() && before.elapsed() < Duration::from_secs(8),
        "{answer:?} after {:?}",
        before.elapsed()
    );
}

/// Who takes connections, and one to look through.
struct Somebody {
    looks: PgConnection,
    taken: Vec<PgConnection>,
    pids: Vec<i32>,
}

impl Somebody {
    async fn new(private: &Private) -> Self {
        let looks = PgConnection::connect(&private.url()).await.unwrap();
        Self { looks, taken: vec![], pids: vec![] }
    }

    /// Connections that were closed are open at the server for a moment.
    async fn sees_no_more_than(&mut self, connections: i64) {
        let seen = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
        let deadline = Instant::now() + PATIENCE;
        while sqlx::query_scalar::<_, i64>(seen).fetch_one(&mut self.looks).await.unwrap() > connections {
            assert!(Instant::now() < deadline, "more than {connections} stay open");
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn takes_what_is_left(&mut self, private: &Private) {
        while let Ok(mut connection) = PgConnection::connect(&private.url()).await {
            let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
            self.pids.push(pid);
            self.taken.push(connection);
        }
    }

    /// Cuts those of the store, and is faster than it, sooner or later.
    async fn takes_all(&mut self, private: &Private) {
        let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
            where backend_type = 'client backend' and pid <> pg_backend_pid() and pid <> all($1)";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let cut = sqlx::query_scalar(cut).bind(self.pids.clone());
            let others: i64 = cut.fetch_one(&mut self.looks).await.unwrap();
            if others == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "the store is always faster");
            self.takes_what_is_left(private).await;
        }
    }

    async fn goes(self) {
        for connection in self.taken {
            connection.close().await.unwrap();
        }
        self.looks.close().await.unwrap();
    }
}

/// Somebody keeps the rows of more agents locked than the store has connections: what waits for them leaves
/// some to the others, and to the renewals of everybody's leases.
#[tokio::test(flavor = "multi_thread")]
async fn many_agents_that_are_blocked_leave_connections_to_the_others() {
    let private = Private::start();
    let default = PgOptions { max_connections: 8, ..PgOptions::default() };
    let store = PgStore::connect(&private.url(), default).await.unwrap();
    let names: Vec<_> = (0..40).map(|n| agent(&format!("blocked-{n}"))).collect();
    let blocked = join_all(names.iter().map(|name| held(&store, name, PATIENCE * 4))).await;
    // Whoever is new has rows to be made, and waits with those who wait.
    let andrew = agent("andrew");
    work(&store, &andrew, 0).await;
    let nancy = held(&store, &agent("nancy"), TTL).await;
    let mut foreign = PgConnection::connect(&private.url()).await.unwrap();
    let lock = "begin; select 1 from archibald.agents where agent like 'blocked%' for update";
    sqlx::raw_sql(lock).execute(&mut foreign).await.unwrap();
    let waiting: Vec<_> = blocked
        .into_iter()
        .map(|lease| {
            let (store, done) = (store.clone(), Disposition::Complete { result: json!({}) });
            tokio::spawn(async move { store.settle(&lease, done.into()).await.map(drop) })
        })
        .collect();
    until_blocked(&private).await;
    let (began, mut longest) = (Instant::now(), Duration::ZERO);
    let mut n = 1;
    while began.elapsed() < TTL * 3 {
        let asked = Instant::now();
        let kept = timeout(TTL, store.renew(slice::from_ref(&nancy))).await;
        assert_eq!(kept.expect("a renewal waits for nobody").unwrap().len(), 1);
        work(&store, &andrew, n).await;
        longest = longest.max(asked.elapsed());
        n += 1;
        sleep(TTL / 6).await;
    }
    assert!(longest < TTL, "others were held up: {longest:?}");
    foreign.close().await.unwrap();
    let answers = join_all(waiting).await.into_iter().map(Result::unwrap);
    let refused = answers.filter(Result::is_err).count();
    println!("{n} rounds, the longest {longest:?}; {refused} of 40 blocked calls were told to try again");
}

async fn held(store: &PgStore, name: &AgentId, ttl: Duration) -> Lease {
    let record = store.enqueue(submit(name, "held")).await.unwrap().record;
    store.lease(&request(&record, "w", ttl)).await.unwrap().lease
}

async fn work(store: &PgStore, name: &AgentId, n: usize) {
    let record = store.enqueue(submit(name, &format!("k{n}"))).await.unwrap().record;
    let lease = store.lease(&request(&record, "w", PATIENCE)).await.unwrap().lease;
    let done = Disposition::Complete { result: json!({}) };
    store.settle(&lease, done.into()).await.unwrap();
}

async fn until_blocked(private: &Private) {
    let waiting = "select count(*) > 1 from pg_stat_activity where wait_event_type = 'Lock'";
    let deadline = Instant::now() + PATIENCE;
    while private.sql(waiting) != "t" {
        assert!(Instant::now() < deadline, "nobody waits for a lock");
        sleep(Duration::from_millis(10)).await;
    }
}
