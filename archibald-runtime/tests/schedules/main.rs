//! What workers ask for by themselves, told over a store in memory and hours that pass at once.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod away;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, ScheduleName};
use archibald_core::operation::Operation;
use archibald_core::port::{Clock, EnqueueRequest, OperationFilter, OperationStore, Operations};
use archibald_core::schedule::{Cron, Missed, Period, Schedule, Times};
use archibald_core::time::Timestamp;
use archibald_runtime::{Archibald, BuildError, Ports, RuntimeConfig, Worker};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::failpoint::Failpoint;
use archibald_testing::fake_erp::FakeErp;
use archibald_testing::memory::MemoryStore;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::away::Away;

const AGENTS: [&str; 3] = ["andrew", "janet", "nancy"];

/// Goes as tokio's time does, and jumps when it is told to.
struct Jumping {
    start: Instant,
    ahead_secs: AtomicI64,
}

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-23T06:12:00Z".parse().unwrap();
        let ahead = self.ahead_secs.load(Relaxed) * 1_000_000;
        Timestamp::from_micros((start + self.start.elapsed()).as_micros() + ahead)
    }
}

/// A store with its clock, and who there is: what outlives every worker.
struct World {
    clock: Arc<Jumping>,
    store: Arc<MemoryStore>,
    erp: Arc<FakeErp>,
    credentials: Arc<FixedCredentials>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(Jumping { start: Instant::now(), ahead_secs: AtomicI64::new(0) });
        let credentials = FixedCredentials::new();
        AGENTS.iter().for_each(|name| credentials.set(agent(name), *name, "secret"));
        let store = Arc::new(MemoryStore::new(clock.clone()));
        Self { store, erp: FakeErp::new(8), credentials: Arc::new(credentials), clock }
    }

    fn build(&self, schedules: &[Schedule]) -> Result<Archibald, BuildError> {
        self.build_with(schedules, self.store.clone())
    }

    /// Its operations go to this store, or come from it.
    fn build_with(
        &self,
        schedules: &[Schedule],
        store: Arc<dyn OperationStore>,
    ) -> Result<Archibald, BuildError> {
        let ports = Ports::new(self.store.clone(), self.erp.clone(), self.credentials.clone());
        // Its own clock is a day off: it is the store's that counts.
        let clock = Arc::new(Jumping { start: Instant::now(), ahead_secs: AtomicI64::new(24 * 3600) });
        let config = RuntimeConfig { concurrency: 4, ..RuntimeConfig::default() };
        let ports = Ports { clock, store, ..ports };
        Archibald::builder(ports).config(config).schedules(schedules.to_vec()).build()
    }

    fn start(&self, schedules: &[Schedule]) -> (Archibald, Worker) {
        let archibald = self.build(schedules).unwrap();
        let worker = archibald.start().unwrap();
        (archibald, worker)
    }

    /// What an agent has, oldest first.
    async fn operations(&self, name: &str) -> Vec<Operation> {
        let filter = OperationFilter { limit: 500, ..OperationFilter::default() };
        let page = self.store.list(&agent(name), &filter).await.unwrap();
        page.records.into_iter().rev().map(|record| record.operation).collect()
    }

    /// The nominal times that an agent's operations are for.
    async fn times(&self, name: &str) -> Vec<String> {
        let time = |operation: Operation| operation.key.as_str().rsplit_once('T').unwrap().1[..5].to_owned();
        self.operations(name).await.into_iter().map(time).collect()
    }

    async fn states(&self, name: &str) -> Vec<&'static str> {
        self.operations(name).await.iter().map(|operation| operation.state.name()).collect()
    }
}

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn kind(name: &str) -> OperationKind {
    OperationKind::new(name).unwrap()
}

fn quarters() -> Schedule {
    Schedule::of(kind("sync-customers"), Times::Every(Period::new(minutes(15)).unwrap()))
}

fn daily(cron: &str) -> Schedule {
    Schedule::of(kind("sync-customers"), Times::Cron(Cron::new(cron, "Europe/Rome").unwrap()))
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

async fn ask(door: &Archibald, name: &str, key: &str) -> OperationId {
    let request = EnqueueRequest {
        agent: agent(name),
        kind: "sync-customers".to_owned(),
        payload: json!({}),
        key: OperationKey::new(key).unwrap(),
        run_at: None,
        origin: None,
        trace: false,
    };
    door.enqueue(request).await.unwrap().record.operation.id
}

#[tokio::test(start_paused = true)]
async fn every_occurrence_of_every_agent_is_one_operation_within_the_spread() {
    let world = World::new();
    // What came before nobody asks for.
    let schedule = Schedule { missed: Missed::Skip, ..quarters() };
    let (_door, worker) = world.start(std::slice::from_ref(&schedule));
    sleep(minutes(60)).await;
    for name in AGENTS {
        let times = world.times(name).await;
        assert_eq!(times, ["06:15", "06:30", "06:45", "07:00"]);
        for operation in world.operations(name).await {
            let nominal = operation.key.as_str().rsplit_once("customers:").unwrap().1.parse().unwrap();
            let late = operation.created_at.since(nominal);
            let offset = schedule.offset(&agent(name));
            assert!(late >= offset && late < offset + Duration::from_secs(1), "{late:?} for {offset:?}");
            assert_eq!(operation.state.name(), "completed");
        }
    }
    assert!(worker.drain(minutes(1)).await);
}

#[tokio::test(start_paused = true)]
async fn several_workers_and_their_ends_make_it_no_more() {
    let world = World::new();
    let schedules = [Schedule { missed: Missed::Skip, ..quarters() }];
    let (one, other) = (world.start(&schedules), world.start(&schedules));
    sleep(minutes(33)).await;
    one.1.kill();
    let third = world.start(&schedules);
    sleep(minutes(31)).await;
    other.1.kill();
    sleep(minutes(57)).await;
    third.1.drain(minutes(1)).await;
    let wanted = ["06:15", "06:30", "06:45", "07:00", "07:15", "07:30", "07:45", "08:00"];
    for name in AGENTS {
        assert_eq!(world.times(name).await, wanted, "{name}");
        assert_eq!(world.states(name).await, ["completed"; 8], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_its_drain_a_worker_asks_for_nothing() {
    let world = World::new();
    let (_door, worker) = world.start(&[quarters()]);
    sleep(minutes(20)).await;
    assert!(worker.drain(minutes(1)).await);
    let before = world.times("nancy").await.len();
    assert!(before > 0);
    sleep(minutes(60)).await;
    assert_eq!(world.times("nancy").await.len(), before);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_made_up_for_once_by_all_that_start() {
    let world = World::new();
    // In Rome it is twelve past seven.
    let schedules = [daily("0,30 4-5 * * *")];
    let skips = [Schedule { missed: Missed::Skip, ..daily("0,30 4-5 * * *") }];
    let (_door, worker) = world.start(&skips);
    sleep(minutes(15)).await;
    assert_eq!(world.times("nancy").await, [""; 0]);
    worker.kill();
    let (_one, _other) = (world.start(&schedules), world.start(&schedules));
    sleep(minutes(15)).await;
    for name in AGENTS {
        assert_eq!(world.times(name).await, ["04:30"], "half past five in Rome");
        assert_eq!(world.states(name).await, ["completed"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_began_since_makes_up_for_what_was_missed() {
    let world = World::new();
    let (door, worker) = world.start(&[]);
    let id = ask(&door, "nancy", "by hand").await;
    door.wait(&agent("nancy"), id, minutes(1)).await.unwrap();
    worker.kill();
    let _running = world.start(&[daily("0 5 * * *")]);
    sleep(minutes(15)).await;
    assert_eq!(world.operations("nancy").await.len(), 1);
    assert_eq!(world.times("andrew").await, ["04:00"]);
}

/// It waited when the next occurrence came, which was it and left no key: that is not missed.
#[tokio::test(start_paused = true)]
async fn what_became_one_that_waited_is_not_made_up_for_after_a_start() {
    let world = World::new();
    let missed = Missed::Once { within: minutes(60) };
    let schedules = [Schedule { missed, ..daily("30 7,8 * * *") }];
    let (door, worker) = world.start(&schedules);
    door.pause(&agent("nancy").into(), "holidays", false).await.unwrap();
    sleep(minutes(150)).await;
    assert_eq!(world.times("nancy").await, ["06:30"]);
    assert_eq!(world.states("nancy").await, ["available"], "the second one is this one");
    door.resume(&agent("nancy").into()).await.unwrap();
    sleep(minutes(1)).await;
    worker.kill();
    let _running = world.start(&schedules);
    sleep(minutes(15)).await;
    assert_eq!(world.states("nancy").await, ["completed"]);
    assert_eq!(world.times("andrew").await, ["06:30", "07:30"]);
}

#[tokio::test(start_paused = true)]
async fn of_a_paused_kind_one_waits_and_runs_once() {
    let world = World::new();
    let (door, _worker) = world.start(&[quarters()]);
    door.pause(&kind("sync-customers").into(), "the list is broken", false).await.unwrap();
    sleep(minutes(24 * 60)).await;
    for name in AGENTS {
        assert_eq!(world.states(name).await, ["available"], "{name}");
    }
    door.resume(&kind("sync-customers").into()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    for name in AGENTS {
        assert_eq!(world.states(name).await, ["completed"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn behind_one_that_runs_the_next_waits_and_all_that_follow_are_that_one() {
    let world = World::new();
    world.erp.hold_lists(true);
    let (_door, _worker) = world.start(&[quarters()]);
    sleep(minutes(65)).await;
    assert_eq!(world.states("nancy").await, ["running", "available"]);
    world.erp.hold_lists(false);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.states("nancy").await, ["completed", "completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_clock_jumps_has_nothing_twice() {
    let world = World::new();
    let (_door, _worker) = world.start(&[quarters()]);
    sleep(minutes(40)).await;
    let before = world.times("nancy").await;
    world.clock.ahead_secs.store(-30 * 60, Relaxed);
    sleep(minutes(25)).await;
    assert_eq!(world.times("nancy").await, before, "these times were had");
    world.clock.ahead_secs.store(4 * 3600, Relaxed);
    sleep(minutes(12)).await;
    let after = world.times("nancy").await;
    let new = &after[before.len()..];
    assert!((1..=2).contains(&new.len()), "the latest, and perhaps the next: {new:?}");
    assert!(new.iter().all(|time| time.as_str() >= "10:45"), "{new:?}");
}

#[tokio::test(start_paused = true)]
async fn agents_come_and_go_while_it_runs() {
    let world = World::new();
    let (_door, _worker) = world.start(&[quarters()]);
    sleep(minutes(30)).await;
    world.credentials.set(agent("steven"), "steven", "secret");
    world.credentials.remove(&agent("nancy"));
    let hers = world.times("nancy").await.len();
    sleep(minutes(30)).await;
    assert!(world.times("steven").await.len() >= 2);
    assert_eq!(world.times("nancy").await.len(), hers);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_work_is_refused_at_the_start() {
    let world = World::new();
    let refused = |schedule: Schedule| world.build(&[schedule]).err().unwrap().to_string();
    let with = |payload: Value| Schedule { payload, ..quarters() };
    let of = |name: &str| Schedule { kind: kind(name), ..quarters() };
    assert_eq!(
        refused(of("sync-all")),
        "schedule sync-customers: kind must be one of sync-customers, sync-orders, sync-prices, \
         sync-products, got \"sync-all\""
    );
    assert_eq!(
        refused(of("submit-order")),
        "schedule sync-customers: kind must be a background one, and submit-order is interactive"
    );
    assert!(refused(with(json!({ "page": 1 }))).starts_with("schedule sync-customers: payload/page "));
    let within = minutes(90 * 24 * 60);
    let late = Schedule { missed: Missed::Once { within }, ..quarters() };
    assert!(refused(late).contains("must be shorter than keep_finished"));
    let twice = world.build(&[quarters(), quarters()]).err().unwrap();
    assert_eq!(twice.to_string(), "schedule sync-customers: there are two of this name");
    let other = Schedule { name: ScheduleName::new("by-night").unwrap(), ..quarters() };
    assert!(world.build(&[quarters(), other]).is_ok());
}

/// Not stored, or stored without an answer: it is tried again, and is one.
#[tokio::test(start_paused = true)]
async fn what_the_store_did_not_take_is_tried_again() {
    for point in ["store.enqueue.before:cut:nancy", "store.enqueue.after:cut:nancy"] {
        let world = World::new();
        let file = std::env::temp_dir().join(format!("archibald-{}", uuid::Uuid::now_v7()));
        let failing = Failpoint::armed(point.parse().unwrap(), file.clone()).store(world.store.clone());
        let schedule = Schedule { missed: Missed::Once { within: minutes(5) }, ..daily("15 7 * * *") };
        let worker = world.build_with(&[schedule], failing).unwrap().start().unwrap();
        sleep(minutes(20)).await;
        assert!(file.exists(), "{point}: it failed");
        for name in AGENTS {
            assert_eq!(world.times(name).await, ["06:15"], "{point}: {name}");
            assert_eq!(world.states(name).await, ["completed"], "{point}: {name}");
        }
        worker.kill();
        std::fs::remove_file(file).unwrap();
    }
}

/// More agents than are served at once, and an hour without the store. What grew too old in that time is nothing that
/// is enqueued when it is back, and of the rest there is one.
#[tokio::test(start_paused = true)]
async fn what_came_while_the_store_was_away_goes_by_the_rule_when_it_is_back() {
    let world = World::new();
    let names: Vec<String> = (0..600).map(|n| format!("agent-{n}")).collect();
    names.iter().for_each(|name| world.credentials.set(agent(name), name, "secret"));
    let (away, is_away) = watch::channel(true);
    let store = Arc::new(Away { inner: world.store.clone(), is_away });
    let skips = Schedule { missed: Missed::Skip, ..quarters() };
    let within = minutes(20);
    let once =
        Schedule { missed: Missed::Once { within }, ..Schedule::of(kind("sync-orders"), quarters().times) };
    let worker = world.build_with(&[skips.clone(), once.clone()], store).unwrap().start().unwrap();
    sleep(minutes(62)).await;
    let back = world.clock.now();
    away.send_replace(false);
    sleep(minutes(15)).await;
    // Each may be on its way for so long when the store comes back.
    let (under_way, punctual) = (Duration::from_secs(20), Duration::from_secs(60));
    let mut made_up = 0;
    for name in &names {
        let operations = world.operations(name).await;
        for (schedule, oldest) in [(&skips, punctual), (&once, within)] {
            let prefix = format!("schedule:{}:", schedule.name);
            let due = |operation: &Operation| {
                let nominal: Timestamp =
                    operation.key.as_str().strip_prefix(&prefix).unwrap().parse().unwrap();
                nominal + schedule.offset(&agent(name))
            };
            let mut mine = operations.iter().filter(|operation| operation.kind == schedule.kind).peekable();
            assert!(mine.peek().is_some(), "{name} has the next {}", schedule.kind);
            let mut missed = 0;
            for operation in mine {
                let age = operation.created_at.since(due(operation));
                assert!(age <= oldest + under_way, "{name}: {} is {age:?} late", operation.key.as_str());
                missed += usize::from(back.since(due(operation)) > punctual);
            }
            assert!(missed <= 1, "{name}: {missed} of {}", schedule.kind);
            made_up += missed;
        }
    }
    assert!(made_up > 0, "some are made up for");
    worker.kill();
}

/// What is to be tried again is not lost with the time that it was to be tried at.
#[tokio::test(start_paused = true)]
async fn a_store_whose_clock_goes_back_takes_what_it_had_not_taken() {
    let world = World::new();
    let (away, is_away) = watch::channel(true);
    let store = Arc::new(Away { inner: world.store.clone(), is_away });
    let worker = world.build_with(&[daily("15 7 * * *")], store).unwrap().start().unwrap();
    sleep(minutes(40)).await;
    world.clock.ahead_secs.store(-20 * 60, Relaxed);
    sleep(minutes(5)).await;
    away.send_replace(false);
    sleep(minutes(15)).await;
    for name in AGENTS {
        assert_eq!(world.times(name).await, ["06:15"], "{name}");
    }
    worker.kill();
}
