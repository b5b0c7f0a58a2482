//! A worker knows what goes first of each agent, and finds the rest in time: by the ends of attempts, by
//! wake-ups, and where these are lost, by its sweeps.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, Target};
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::{OperationStore, Operations, Why};
use archibald_core::time::Timestamp;
use archibald_runtime::{NoFailpoints, RuntimeConfig};
use archibald_testing::clock::SystemClock;
use archibald_testing::memory::MemoryStore;
use archibald_testing::{fake_erp::FakeErp, fake_erp::SaveFault};
use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::support::{House, Muffled, agent, order, quick};

/// More than a few pages of whatever is read of an agent.
const MANY: usize = 2_000;
/// More than is kept in memory of an agent whose queue can be worked off.
const WINDOW: u64 = 100;

/// No sweep helps where wake-ups are told.
fn unswept() -> RuntimeConfig {
    RuntimeConfig { sweep: Duration::from_secs(3600), ..quick() }
}

pub(crate) fn count(who: &AgentId, n: usize) -> NewOperation {
    NewOperation {
        id: OperationId(Uuid::now_v7()),
        agent: who.clone(),
        kind: OperationKind::new("count-customers").unwrap(),
        class: Class::Background,
        key: OperationKey::new(format!("count-{n}")).unwrap(),
        target: None,
        once_per_target: false,
        payload: json!({ "n": n }),
        run_at: None,
        origin: None,
        queue_limit: 20_000,
        trace: false,
    }
}

pub(crate) async fn fill(
    store: &MemoryStore,
    new: impl IntoIterator<Item = NewOperation>,
) -> Vec<OperationId> {
    let mut ids = vec![];
    for new in new {
        ids.push(store.enqueue(new).await.unwrap().record.operation.id);
    }
    ids
}

async fn paused(house: &House) {
    house.archibald.pause(&agent("nancy").into(), "until all of it is there", false).await.unwrap();
}

async fn resumed(house: &House) {
    house.archibald.resume(&agent("nancy").into()).await.unwrap();
}

async fn known_of(house: &House, who: &str) -> u64 {
    house.archibald.overview().await.unwrap().waiting.get(&agent(who)).copied().unwrap_or_default()
}

/// When each began, and when it ended.
async fn spans(house: &House, ids: &[OperationId]) -> Vec<(Timestamp, Timestamp)> {
    let mut spans = vec![];
    for id in ids {
        let record = house.store.get(&agent("nancy"), *id).await.unwrap().unwrap();
        assert_eq!(record.operation.state.name(), "completed");
        let attempt = record.attempts.first().unwrap();
        spans.push((attempt.started_at, attempt.ended_at.unwrap()));
    }
    spans
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_backlog_runs_in_order_through_a_window() {
    let house = House::with(unswept(), Arc::new(NoFailpoints));
    paused(&house).await;
    let ids = fill(&house.store, (0..MANY).map(|n| count(&agent("nancy"), n))).await;
    assert!(known_of(&house, "nancy").await <= WINDOW);
    resumed(&house).await;
    let nancy = agent("nancy");
    let last = house.archibald.wait(&nancy, *ids.last().unwrap(), Duration::from_secs(60));
    tokio::pin!(last);
    loop {
        let known = tokio::select! {
            last = &mut last => {
                assert_eq!(last.unwrap().unwrap().operation.state.name(), "completed");
                break;
            }
            known = known_of(&house, "nancy") => known,
        };
        assert!(known <= WINDOW, "{known} tickets in memory");
        tokio::task::yield_now().await;
    }
    let spans = spans(&house, &ids).await;
    assert!(spans.is_sorted_by_key(|(began, _)| *began), "in the order of the queue");
    let handed_on = spans.windows(2).filter(|two| two[0].1 == two[1].0).count();
    assert!(handed_on > ids.len() / 2, "{handed_on} were started at the end of the one before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_behind_a_long_backlog_starts_next() {
    let house = House::with(unswept(), Arc::new(NoFailpoints));
    paused(&house).await;
    let ids = fill(&house.store, (0..MANY).map(|n| count(&agent("nancy"), n))).await;
    let order = house.submit("nancy", "order").await;
    let why = house.archibald.explain(&agent("nancy"), ids[MANY - 1]).await;
    let expected = [
        Why::Paused { scope: agent("nancy").into(), why: "until all of it is there".into() },
        Why::Behind { operations: MANY as u64 },
    ];
    assert_eq!(why, expected);
    assert!(known_of(&house, "nancy").await <= WINDOW);
    house.erp.hold_lists(true);
    resumed(&house).await;
    house.completed("nancy", order).await;
    house.holds_a_page().await;
    let started = house.events("nancy").await.into_iter().filter(|e| e.event.kind == "operation.started");
    let started: Vec<_> = started.filter_map(|event| event.event.operation).collect();
    assert_eq!(started, [order, ids[0]]);
}

/// It is known again as soon as it gave way, and most of the orders are not known by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_gave_way_waits_for_every_order() {
    let house = House::with(unswept(), Arc::new(NoFailpoints));
    house.erp.add_customers((0..45).map(crate::customer));
    house.erp.hold_lists(true);
    let sync = house.enqueue("nancy", "sync-customers", "sync", json!({})).await;
    house.holds_a_page().await;
    let mut expected = vec![sync];
    for n in 0..60 {
        expected.push(house.submit("nancy", &format!("k{n}")).await);
    }
    house.asks_to_give_way().await;
    house.erp.hold_lists(false);
    house.completed("nancy", sync).await;
    expected.push(sync);
    let started = house.events("nancy").await.into_iter().filter(|e| e.event.kind == "operation.started");
    let started: Vec<_> = started.filter_map(|event| event.event.operation).collect();
    assert_eq!(started, expected);
}

/// Both by a wake-up and by the first look of a worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_due_hides_nothing_that_is() {
    let mut house = House::with(unswept(), Arc::new(NoFailpoints));
    let later = Some(archibald_core::port::Clock::now(&SystemClock) + Duration::from_secs(3600));
    for who in ["nancy", "andrew"] {
        let later = (0..1_500).map(|n| NewOperation { run_at: later, ..count(&agent(who), n) });
        fill(&house.store, later).await;
    }
    let due = house.enqueue("nancy", "count-customers", "due", json!({})).await;
    house.completed("nancy", due).await;
    house.worker.take().unwrap().kill();
    let due = fill(&house.store, (2_000..2_040).map(|n| count(&agent("andrew"), n))).await;
    house.restart();
    for id in due {
        house.completed("andrew", id).await;
    }
}

/// The draft's own queue is longer than a page, and so is that of another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_blocked_hides_nothing_that_is_free_from_a_worker_that_starts() {
    let mut house = House::with(unswept(), Arc::new(NoFailpoints));
    crate::verb::open_order(&house.erp);
    house.erp.fail_next_save(SaveFault::Half);
    house.erp.fail_next_save(SaveFault::Altered);
    let mut edit = order();
    edit["order"] = json!("20001");
    let doubt = house.enqueue("nancy", "edit-order", "doubt", edit.clone()).await;
    let record = house.finished("nancy", doubt).await;
    assert_eq!(record.operation.state.name(), "in_doubt");
    house.worker.take().unwrap().kill();
    let on = |target: Option<Target>, n| NewOperation {
        target,
        class: Class::Interactive,
        ..count(&agent("nancy"), n)
    };
    fill(&house.store, (0..1_100).map(|n| on(record.operation.target.clone(), n))).await;
    let free = fill(&house.store, [on(None, 5_000)]).await;
    house.restart();
    house.completed("nancy", free[0]).await;
}

/// More agents than a page has, and a bus that says nothing.
async fn muffled(sweep: Duration) -> (House, Arc<Notify>, Vec<AgentId>) {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let tells = Arc::new(Notify::new());
    let bus = Muffled { store: store.clone(), tells: tells.clone(), failing_looks: 0.into() };
    let config = RuntimeConfig { sweep, ..quick() };
    let house = House::with_bus(config, store, FakeErp::new(8), Arc::new(bus));
    let agents: Vec<_> = (0..600).map(|n| agent(&format!("agent-{n:03}"))).collect();
    // The first look is over, and found this one alone.
    let first = fill(&house.store, [count(&agent("nancy"), 0)]).await;
    tells.notify_one();
    house.completed("nancy", first[0]).await;
    (house, tells, agents)
}

async fn all_are_served(house: &House, agents: &[AgentId]) {
    for who in agents {
        let list = house.store.list(who, &Default::default()).await.unwrap();
        house.completed(who.as_str(), list.records[0].operation.id).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_up_that_is_known_to_be_lost_costs_nobody_a_sweep() {
    let (house, tells, agents) = muffled(Duration::from_secs(3600)).await;
    fill(&house.store, agents.iter().map(|who| count(who, 0))).await;
    tells.notify_one();
    all_are_served(&house, &agents).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_come_round_to_everybody_whose_wake_up_was_lost() {
    let (house, _tells, agents) = muffled(Duration::from_millis(50)).await;
    fill(&house.store, agents.iter().map(|who| count(who, 0))).await;
    all_are_served(&house, &agents).await;
}
