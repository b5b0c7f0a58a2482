use std::env;
use std::process::Stdio;
use std::slice;
use std::time::Duration;

use archibald_core::effect::{Intent, IntentBasis, IntentRequest, Receipt};
use archibald_core::error::FenceError;
use archibald_core::id::EffectName;
use archibald_core::lease::Lease;
use archibald_core::port::{AgentLock, LeaseError, OperationStore};
use archibald_core::record::{Disposition, OperationRecord};
use archibald_pg::PgStore;
use futures::future::join_all;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::fleet::{Fleet, Plan};
use crate::judge::judge;
use crate::private::{Frozen, PATIENCE, Private};
use crate::support::{agent, options, request, submit};

/// Set for the copy of the test that plays the worker: the store's URL.
const WORKER: &str = "ARCHIBALD_PG_FROZEN_WORKER";
const TTL: Duration = Duration::from_secs(2);

/// A disk that does not answer for longer than a lease: whoever held one does not believe in it any more when
/// the database goes on, and only one of those who want it has it then.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_for_longer_than_a_lease_gives_it_to_one() {
    let private = Private::start();
    let plan = Plan::default();
    let standstill = plan.ttl + Duration::from_secs(1);
    let fleet = Fleet::start(&private, plan).await;
    for _ in 0..3 {
        fleet.settles(15).await;
        let frozen = private.freeze();
        // This is the fault, and not a wait for something.
        sleep(standstill).await;
        drop(frozen);
    }
    fleet.settles(15).await;
    fleet.hears().await;
    let told = fleet.ends(&private).await;
    judge(&private, &told);
}

/// The same for leases that nobody is just writing under: when it goes on, holder and rival ask at once.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_standstill_either_the_holder_goes_on_or_the_rival_does() {
    let private = Private::start();
    let (here, there) = (open(&private).await, open(&private).await);
    let names: Vec<_> = (0..12).map(|n| agent(&format!("a{n}"))).collect();
    let records =
        join_all(names.iter().map(|name| async { here.enqueue(submit(name, "k")).await.unwrap().record }))
            .await;
    let leases = join_all(records.iter().map(|record| lease(&here, record, "holder"))).await;
    let frozen = private.freeze();
    let asked: Vec<_> = leases
        .into_iter()
        .zip(records)
        .map(|(lease, record)| {
            let (here, there) = (here.clone(), there.clone());
            tokio::spawn(async move { tokio::join!(go_on(&here, &lease), take_over(&there, &record)) })
        })
        .collect();
    sleep(TTL + Duration::from_secs(1)).await;
    drop(frozen);
    for asked in asked {
        let (settled, taken) = timeout(PATIENCE, asked).await.expect("answered").unwrap();
        assert!(settled.is_some() != taken.is_some(), "holder: {settled:?}, rival: {taken:?}");
        if let Some(lease) = taken {
            there.settle(&lease, done()).await.expect("whoever has it settles");
        }
    }
    let twice = "select count(*) from archibald.operations where state <> 'completed'";
    assert_eq!(private.sql(twice), "0");
    let ends = "select count(*), count(distinct event->>'operation') from archibald.events \
        where event->>'type' = 'operation.completed'";
    assert_eq!(private.sql(ends), "12|12");
}

async fn go_on(store: &PgStore, lease: &Lease) -> Option<OperationRecord> {
    let kept = store.renew(slice::from_ref(lease)).await.unwrap();
    match store.settle(lease, done()).await {
        Ok(settled) => Some(settled),
        Err(FenceError::Superseded) => None,
        Err(error) => panic!("{error}, and kept: {kept:?}"),
    }
}

/// Asks for it until it gets it, or until there is nothing to be had any more.
async fn take_over(store: &PgStore, record: &OperationRecord) -> Option<Lease> {
    loop {
        match store.lease(&request(record, "rival", PATIENCE)).await {
            Ok(leased) => return Some(leased.lease),
            Err(LeaseError::Held { .. }) => sleep(Duration::from_millis(20)).await,
            Err(LeaseError::NotAvailable { due: None }) => return None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A process that is stopped between its intent and its release, for longer than its lease: whatever it does
/// when it goes on is refused, whether who took over is still at it or has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stood_still_finds_its_agent_taken_and_sends_nothing() {
    if let Ok(url) = env::var(WORKER) {
        return play_worker(&url).await;
    }
    let private = Private::start();
    let store = open(&private).await;
    for round in ["still at it", "ended"] {
        let record = store.enqueue(submit(&agent("nancy"), round)).await.unwrap().record;
        let mut worker = Worker::start(&private.url());
        worker.says("intended").await;
        let frozen = Frozen::of(vec![worker.process.id().unwrap()]);
        let deadline = Instant::now() + PATIENCE;
        while store.reap().await.unwrap().tickets.is_empty() {
            assert!(Instant::now() < deadline, "its lease does not end");
            sleep(Duration::from_millis(20)).await;
        }
        let lease = lease(&store, &record, "successor").await;
        let settled = round == "ended";
        if settled {
            act_and_settle(&store, &lease).await;
        }
        drop(frozen);
        for what in ["renew", "release", "settle"] {
            worker.process.stdin.as_mut().unwrap().write_all(b"go on\n").await.unwrap();
            worker.says(&format!("{what}: lost")).await;
        }
        assert!(timeout(PATIENCE, worker.process.wait()).await.unwrap().unwrap().success());
        if !settled {
            act_and_settle(&store, &lease).await;
        }
        let record = store.get(&lease.agent, lease.operation).await.unwrap().unwrap();
        assert_eq!(record.operation.state.name(), "completed");
        assert_eq!(record.effects[0].token, lease.token, "of the one who took over");
        assert_eq!(record.attempts.len(), 2);
    }
    let told = "select count(*) from archibald.events where event->>'type' = 'operation.completed'";
    assert_eq!(private.sql(told), "2");
}

struct Worker {
    process: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Worker {
    fn start(url: &str) -> Self {
        let name = "freezes::a_worker_that_stood_still_finds_its_agent_taken_and_sends_nothing";
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(WORKER, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Waits for a line of the worker's own; the harness's may stand between.
    async fn says(&mut self, wanted: &str) {
        let said = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it has not ended");
                if let Some((_, said)) = line.split_once("worker: ") {
                    return said.to_owned();
                }
            }
        };
        assert_eq!(timeout(PATIENCE, said).await.expect("it says something"), wanted);
    }
}

async fn play_worker(url: &str) {
    let store = PgStore::connect(url, options()).await.unwrap();
    let ticket = store.waiting(&agent("nancy"), None, 1).await.unwrap().remove(0);
    let record = store.get(&ticket.agent, ticket.operation).await.unwrap().unwrap();
    let lease = lease(&store, &record, "sleeper").await;
    let intent = intend(&store, &lease).await;
    println!("worker: intended");
    until_told();
    let kept = store.renew(slice::from_ref(&lease)).await.unwrap();
    println!("worker: renew: {}", if kept.is_empty() { "lost" } else { "kept" });
    until_told();
    let released = store.release(&intent).await;
    println!("worker: release: {}", word(&released.map(drop)));
    until_told();
    println!("worker: settle: {}", word(&store.settle(&lease, done()).await.map(drop)));
}

fn until_told() {
    tokio::task::block_in_place(|| std::io::stdin().read_line(&mut String::new())).unwrap();
}

fn word(answer: &Result<(), FenceError>) -> String {
    match answer {
        Ok(()) => "done".to_owned(),
        Err(FenceError::Superseded) => "lost".to_owned(),
        Err(error) => error.to_string(),
    }
}

async fn act_and_settle(store: &PgStore, lease: &Lease) {
    let intent = intend(store, lease).await;
    store.release(&intent).await.unwrap();
    store.record(lease, intent.effect(), &Receipt(json!({ "order": "O-1" }))).await.unwrap();
    store.settle(lease, done()).await.unwrap();
}

async fn intend(store: &PgStore, lease: &Lease) -> Intent {
    let wanted = IntentRequest {
        effect: EffectName::new("save-order").unwrap(),
        basis: IntentBasis::NothingReleased,
        mark: None,
        baseline: json!(null),
        budget: Duration::from_millis(100),
        margin: Duration::from_millis(100),
    };
    store.intend(lease, &wanted).await.unwrap()
}

async fn lease(store: &PgStore, record: &OperationRecord, by: &str) -> Lease {
    let ttl = if by == "successor" { PATIENCE } else { TTL };
    store.lease(&request(record, by, ttl)).await.unwrap().lease
}

async fn open(private: &Private) -> PgStore {
    PgStore::connect(&private.url(), options()).await.unwrap()
}

fn done() -> archibald_core::record::Settlement {
    Disposition::Complete { result: json!({}) }.into()
}
