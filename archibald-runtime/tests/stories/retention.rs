//! What is old is let go, by the worker and without being asked.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::event::Cursor;
use archibald_core::id::AgentId;
use archibald_core::port::{EventBus, EventRead, Head, OperationStore, ResetReason};
use archibald_runtime::{NoFailpoints, RuntimeConfig};
use archibald_testing::clock::SystemClock;
use archibald_testing::fake_erp::FakeErp;
use archibald_testing::memory::MemoryStore;
use futures::future::join_all;
use tokio::time::timeout;

use crate::support::{House, Muffled, agent, quick};

/// A device that is further behind than what is kept begins with a snapshot, and every other goes on.
#[tokio::test]
async fn a_log_is_pruned_to_what_is_kept() {
    let config = RuntimeConfig { keep_events_at_most: 2, sweep: Duration::from_millis(50), ..quick() };
    let mut house = House::with(config, Arc::new(NoFailpoints));
    let nancy = agent("nancy");
    for key in ["one", "two"] {
        let id = house.submit("nancy", key).await;
        house.finished("nancy", id).await;
    }
    // A worker looks for what is old with its first sweep, and then once in a while.
    house.restart();
    let head = pruned(&house, &nancy).await;
    assert_eq!(head.floor, head.head - 2);
    let read = async |seq| house.store.read(&nancy, Cursor { epoch: head.epoch, seq }, 10).await.unwrap();
    assert_eq!(read(head.floor - 1).await, EventRead::Reset(ResetReason::Pruned));
    let EventRead::Batch { events, .. } = read(head.floor).await else { panic!("it is kept") };
    assert_eq!(events.len(), 2);
}

/// What the store could not say is asked again soon.
#[tokio::test]
async fn a_look_for_old_events_that_failed_is_made_again_with_the_next_sweep() {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let bus = Muffled { store: store.clone(), tells: Arc::default(), failing_looks: 2.into() };
    let config = RuntimeConfig { keep_events_at_most: 2, sweep: Duration::from_millis(50), ..quick() };
    let house = House::with_bus(config, store, FakeErp::new(8), Arc::new(bus));
    for key in ["one", "two"] {
        let id = house.submit("nancy", key).await;
        house.finished("nancy", id).await;
    }
    pruned(&house, &agent("nancy")).await;
}

/// The log's end, once it does not begin with the first event any more.
async fn pruned(house: &House, agent: &AgentId) -> Head {
    let pruned = async {
        loop {
            let head = house.store.head(agent).await.unwrap();
            if head.floor > 0 {
                return head;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), pruned).await.expect("the log is pruned")
}

/// Long enough for a machine that does other things besides.
const SWEEP: Duration = Duration::from_secs(6);

/// A worker that forgot once a sweep would never catch up with a busy service.
#[tokio::test]
async fn all_that_is_old_is_forgotten_without_waiting_for_the_next_sweep() {
    let keep_all = RuntimeConfig { sweep: SWEEP, ..quick() };
    let mut house = House::with(keep_all.clone(), Arc::new(NoFailpoints));
    let mut all = vec![];
    for number in 0..250 {
        all.push(house.submit("nancy", &format!("k{number}")).await);
    }
    for id in &all {
        house.finished("nancy", *id).await;
    }
    house.restart_with(RuntimeConfig { keep_finished: Duration::ZERO, ..keep_all });
    let nancy = agent("nancy");
    let left = async || {
        let kept = all.iter().map(|id| house.store.get(&nancy, *id));
        join_all(kept).await.into_iter().filter(|kept| kept.as_ref().unwrap().is_some()).count()
    };
    let all_are_gone = async {
        while left().await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // The first look comes with the first sweep, and without the others nobody would look before the next one.
    timeout(SWEEP * 3 / 2, all_are_gone).await.expect("all are forgotten before the second sweep");
}
