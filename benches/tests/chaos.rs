//! The event stream with everything going wrong, over three transports and two stores; and protocols that do not
//! hold, each of which the same judge has to object to.
//!
//! `ARCHIBALD_SEEDS=20` runs that many seeds of each, `ARCHIBALD_SEEDS=7..8` runs seed 7.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use archibald_benches::chaos::{Bug, Check, Plan, Report, Store, Transport};
use archibald_testing::postgres::{Cluster, ClusterOptions};
use tempfile::TempDir;

/// Of each transport and store.
const SEEDS: u64 = 2;
/// Within so many seeds a mistake has to be noticed.
const SEEDS_OF_BUGS: u64 = 30;

static CLUSTER: LazyLock<Cluster> =
    LazyLock::new(|| Cluster::start(&ClusterOptions { fsync: false, ..ClusterOptions::default() }).unwrap());
static DATABASES: AtomicU32 = AtomicU32::new(0);

#[tokio::test(flavor = "multi_thread")]
async fn a_device_on_server_sent_events_misses_nothing_of_a_file() {
    nothing_is_missed(Kind::Sqlite, Transport::Sse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_on_a_websocket_misses_nothing_of_a_file() {
    nothing_is_missed(Kind::Sqlite, Transport::Ws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_polls_misses_nothing_of_a_file() {
    nothing_is_missed(Kind::Sqlite, Transport::Poll).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_on_server_sent_events_misses_nothing_of_a_database() {
    nothing_is_missed(Kind::Postgres, Transport::Sse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_on_a_websocket_misses_nothing_of_a_database() {
    nothing_is_missed(Kind::Postgres, Transport::Ws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_polls_misses_nothing_of_a_database() {
    nothing_is_missed(Kind::Postgres, Transport::Poll).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_leaves_something_out_is_noticed() {
    is_noticed(Check::Hole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_tells_something_twice_is_noticed() {
    is_noticed(Check::Repeat).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_tells_what_never_was_is_noticed() {
    is_noticed(Check::Phantom).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_forgets_places_is_noticed() {
    is_noticed(Check::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_lets_devices_fall_behind_is_noticed() {
    is_noticed(Check::Stale).await;
}

/// Every mistake of this sort.
async fn is_noticed(check: Check) {
    for bug in Bug::ALL.into_iter().filter(|bug| bug.breaks() == check) {
        let mut said = None;
        for (seed, transport) in (0..SEEDS_OF_BUGS).zip(Transport::ALL.into_iter().cycle()) {
            let report = run(Kind::Sqlite, transport, seed, Some(bug)).await;
            said = report.failed.get(&check).map(|times| {
                let first = report.violations.iter().find(|violation| violation.check == check);
                format!("seed {seed}, {transport:?}, {check:?} {times} times: {first:.300?}")
            });
            if said.is_some() {
                break;
            }
        }
        println!("{bug:?}: {}", said.unwrap_or_else(|| panic!("{bug:?} was not noticed")));
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Sqlite,
    Postgres,
}

async fn nothing_is_missed(kind: Kind, transport: Transport) {
    for seed in seeds() {
        let report = run(kind, transport, seed, None).await;
        println!("{kind:?} {transport:?}, seed {seed}: {report:?}");
        let said: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
        assert!(
            report.failed.is_empty(),
            "ARCHIBALD_SEEDS={seed}..{}: {:?}\n{}",
            seed + 1,
            report.failed,
            said.join("\n")
        );
        assert!(report.epochs > 1 && report.counts.cuts > 0 && report.counts.delivered > report.events / 10);
    }
}

async fn run(kind: Kind, transport: Transport, seed: u64, bug: Option<Bug>) -> Report {
    let folder = TempDir::new().unwrap();
    let store = match kind {
        Kind::Sqlite => Store::Sqlite(folder.path().join("chaos.db")),
        Kind::Postgres => {
            let number = DATABASES.fetch_add(1, Ordering::Relaxed);
            Store::Postgres(CLUSTER.create_database(&format!("chaos_{number}")).unwrap())
        }
    };
    let plan = Plan::small(seed, store, &[transport]);
    let plan = bug.map_or_else(|| plan.clone(), |bug| plan.clone().with(bug));
    plan.run().await.unwrap_or_else(|failure| panic!("ARCHIBALD_SEEDS={seed}..{}: {failure}", seed + 1))
}

fn seeds() -> Range<u64> {
    let Ok(wanted) = std::env::var("ARCHIBALD_SEEDS") else { return 0..SEEDS };
    let number =
        |text: &str| text.parse::<u64>().expect("ARCHIBALD_SEEDS is a number or a range such as 7..8");
    match wanted.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&wanted),
    }
}
