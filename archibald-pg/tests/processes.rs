//! Two stores over one database, as two processes have them; what the one does, the other sees in time.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use archibald_core::id::{AgentId, WorkerId};
use archibald_core::port::{
    AgentLock, AgentStore, EventBus, LeaseError, OperationStore, Sealed, SurveyRequest, WorkerWake,
    WorkerWakeups,
};
use archibald_core::record::{Disposition, OperationRecord};
use archibald_core::worker::Heartbeat;
use archibald_pg::{PgOptions, PgStore};
use futures::future::join_all;
use serde_json::json;
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use support::{Database, agent, database, options, request, submit};

const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(3600);

/// Two processes that have nothing but notifications to tell each other by.
async fn two_without_polls(database: &Database) -> (PgStore, PgStore) {
    let open = || async {
        let options = PgOptions { poll_every: LONG, ..options() };
        PgStore::connect(&database.url, options).await.unwrap()
    };
    (open().await, open().await)
}

/// Returns once `listening` hears what `telling` commits, however late it began to listen.
async fn until_heard(listening: &PgStore, telling: &PgStore, agent: &AgentId) {
    let mut wakes = listening.subscribe_worker();
    for n in 0.. {
        telling.enqueue(submit(agent, &format!("probe {n}"))).await.unwrap();
        let woken = timeout(Duration::from_millis(200), next_of(&mut wakes, agent)).await;
        if woken.is_ok() {
            return;
        }
        assert!(n < 100, "never heard");
    }
}

async fn next_of(wakes: &mut Box<dyn WorkerWakeups>, agent: &AgentId) {
    while wakes.next().await.unwrap() != WorkerWake::Agent(agent.clone()) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_one_keeps_is_the_others_at_its_next_question() {
    let database = database();
    let (here, there) = (database.open().await, database.open().await);
    let nancy = agent("nancy");
    let sealed = |n: u8| Sealed(vec![n; 60]);
    let claims = (0..40).map(|n| {
        let (store, nancy) = (if n % 2 == 0 { here.clone() } else { there.clone() }, nancy.clone());
        tokio::spawn(async move { store.keep_agent(&nancy, &Sealed(vec![n; 60])).await.unwrap() })
    });
    let kept: Vec<_> = join_all(claims).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 1, "{kept:?}");
    let first = sealed(u8::try_from(kept.iter().position(|kept| *kept).unwrap()).unwrap());
    assert_eq!(there.kept_agent(&nancy).await.unwrap(), Some(first.clone()));
    assert!(here.replace_agent(&nancy, &first, &sealed(100)).await.unwrap());
    assert_eq!(there.kept_agent(&nancy).await.unwrap(), Some(sealed(100)));
    assert!(!there.replace_agent(&nancy, &first, &sealed(101)).await.unwrap());
    assert!(there.drop_agent(&nancy).await.unwrap());
    assert_eq!(here.kept_agents("", 9).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_in_one_excludes_the_other() {
    let database = database();
    let (here, there) = (database.open().await, database.open().await);
    let record = here.enqueue(submit(&agent("nancy"), "k")).await.unwrap().record;
    let claims = (0..40).map(|n| {
        let (store, record) = (if n % 2 == 0 { here.clone() } else { there.clone() }, record.clone());
        tokio::spawn(async move { store.lease(&request(&record, &format!("w{n}"), LONG)).await })
    });
    let answers: Vec<_> = join_all(claims).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().flatten().count(), 1);
    assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|e| matches!(e, LeaseError::Held { .. })));
    let lease = answers.into_iter().flatten().next().unwrap().lease;
    let done = Disposition::Complete { result: json!({}) };
    there.settle(&lease, done.clone().into()).await.unwrap();
    assert!(here.settle(&lease, done.into()).await.is_err(), "once, wherever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_one_wakes_the_other() {
    let database = database();
    let (here, there) = two_without_polls(&database).await;
    let nancy = agent("nancy");
    until_heard(&there, &here, &nancy).await;
    let (mut device, mut other) = (there.subscribe(&nancy), there.subscribe(&agent("andrew")));
    let record = here.enqueue(submit(&nancy, "k")).await.unwrap().record;
    timeout(SOON, device.changed()).await.expect("a device is woken").unwrap();
    assert!(timeout(Duration::from_millis(50), other.changed()).await.is_err(), "and no other agent's");

    let lease = here.lease(&request(&record, "w", LONG)).await.unwrap().lease;
    let mut workers = there.subscribe_worker();
    here.hand_back(&lease).await.unwrap();
    timeout(SOON, next_of(&mut workers, &nancy)).await.expect("workers are woken");

    let mut device = there.subscribe(&nancy);
    here.new_epoch().await.unwrap();
    timeout(SOON, device.changed()).await.expect("everybody is woken").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_is_heard_by_who_listens_and_wakes_nobody() {
    let database = database();
    let (here, there) = two_without_polls(&database).await;
    let nancy = agent("nancy");
    until_heard(&there, &here, &nancy).await;
    until_heard(&here, &there, &nancy).await;
    let mut heard = PgListener::connect(&database.url).await.unwrap();
    heard.listen("archibald_wakes").await.unwrap();
    let beat = Heartbeat { worker: WorkerId::new("w").unwrap(), slots: 1, drains: false, lasts: LONG };
    let mut survey = SurveyRequest { after: None, agents: 1, each: 1, beat: Some(beat) };
    // What the first beat changes for others is told; the second changes nothing.
    here.survey(&survey).await.unwrap();
    let mut workers = there.subscribe_worker();
    while !timeout(SOON, heard.recv()).await.expect("the news").unwrap().payload().ends_with('=') {}
    while timeout(SOON, workers.next()).await.expect("the news").unwrap() != WorkerWake::Survey {}
    here.survey(&survey).await.unwrap();
    let beat = timeout(SOON, heard.recv()).await.expect("the beat").unwrap();
    assert!(!beat.payload().contains(' '), "it says nothing: {}", beat.payload());
    survey.beat = None;
    here.survey(&survey).await.unwrap();
    here.enqueue(submit(&nancy, "k")).await.unwrap();
    let next = timeout(SOON, heard.recv()).await.expect("the news").unwrap();
    assert!(next.payload().ends_with("nancy!"), "nothing before it: {}", next.payload());
    assert_eq!(timeout(SOON, workers.next()).await.expect("a wake-up"), Ok(WorkerWake::Agent(nancy)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_the_connection_is_told_to_read_everything() {
    let database = database();
    let (here, there) = two_without_polls(&database).await;
    let nancy = agent("nancy");
    until_heard(&there, &here, &nancy).await;
    for round in 0..5 {
        let (mut device, mut workers) = (there.subscribe(&nancy), there.subscribe_worker());
        let listeners = "from pg_stat_activity where datname = current_database() and query like 'LISTEN%'";
        let ended = database.sql(&format!("select count(pg_terminate_backend(pid)) {listeners}"));
        assert_eq!(ended, "2", "both listen");
        here.enqueue(submit(&nancy, &format!("unheard {round}"))).await.unwrap();
        timeout(SOON, device.changed()).await.expect("a device is woken").unwrap();
        let lost = async { while workers.next().await.unwrap() != WorkerWake::Lost {} };
        timeout(SOON, lost).await.expect("workers are told");
        until_heard(&there, &here, &agent(&format!("a{round}"))).await;
        until_heard(&here, &there, &agent(&format!("b{round}"))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_notification_is_found_by_looking() {
    let database = database();
    let options = PgOptions { poll_every: Duration::from_millis(100), ..options() };
    let store = PgStore::connect(&database.url, options).await.unwrap();
    let nancy = agent("nancy");
    store.enqueue(submit(&nancy, "k")).await.unwrap();
    let mut device = store.subscribe(&nancy);
    while timeout(Duration::from_secs(1), device.changed()).await.is_ok() {}
    // As somebody whose notification never came.
    database.sql(
        "with place as (update archibald.streams set head = head + 1 where agent = 'nancy' returning *) \
         insert into archibald.events select agent, epoch, head, now(), '{\"type\": \"warning\"}' from place",
    );
    timeout(SOON, device.changed()).await.expect("found").unwrap();
    assert_eq!(store.head(&nancy).await.unwrap().head, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_open_an_empty_database_at_once() {
    let database = database();
    let opened = (0..8).map(|_| {
        let url = database.url.clone();
        tokio::spawn(async move { PgStore::connect(&url, options()).await })
    });
    let stores: Vec<_> = join_all(opened).await.into_iter().map(|store| store.unwrap().unwrap()).collect();
    let twice = "select count(*) - count(distinct version) from archibald.migrations";
    assert_eq!(database.sql(twice), "0", "each migration is made once");
    let nancy = agent("nancy");
    let mut epochs = join_all(stores.iter().map(|store| store.head(&nancy))).await;
    epochs.dedup_by_key(|head| head.as_ref().unwrap().epoch);
    assert_eq!(epochs.len(), 1, "one history");
    let locks = "select count(*) from pg_locks where locktype = 'advisory'";
    assert_eq!(database.sql(locks), "0", "nobody keeps the migrations locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_in_the_schema_that_it_is_given() {
    let database = database();
    let options = || PgOptions { schema: "sales_2".into(), ..options() };
    let store = PgStore::connect(&database.url, options()).await.unwrap();
    let record = walk_through(&store).await;
    let again = PgStore::connect(&database.url, options()).await.unwrap();
    assert_eq!(again.get(&record.operation.agent, record.operation.id).await.unwrap(), Some(record));
    let schemas = "select string_agg(distinct schemaname, ',') from pg_tables where tablename = 'operations'";
    assert_eq!(database.sql(schemas), "sales_2");
}

async fn walk_through(store: &PgStore) -> OperationRecord {
    let nancy = agent("nancy");
    let record = store.enqueue(submit(&nancy, "k")).await.unwrap().record;
    let lease = store.lease(&request(&record, "w", LONG)).await.unwrap().lease;
    assert_eq!(store.renew(std::slice::from_ref(&lease)).await.unwrap().len(), 1);
    let done = Disposition::Complete { result: json!({}) };
    let settled = store.settle(&lease, done.into()).await.unwrap();
    store.pause(&nancy.clone().into(), "enough", false).await.unwrap();
    assert_eq!(store.prune(&nancy, 2).await.unwrap().floor, 2);
    store.new_epoch().await.unwrap();
    assert_eq!(store.snapshot(&nancy, 5).await.unwrap().operations, std::slice::from_ref(&settled));
    settled
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_end_with_the_store() {
    let store = database().open().await;
    let (mut device, mut workers) = (store.subscribe(&agent("nancy")), store.subscribe_worker());
    let before = Instant::now();
    store.close().await;
    while timeout(SOON, device.changed()).await.unwrap().is_ok() {}
    while timeout(SOON, workers.next()).await.unwrap().is_ok() {}
    assert!(store.enqueue(submit(&agent("nancy"), "k")).await.is_err());
    assert!(before.elapsed() < SOON, "closed is known at once");
}
