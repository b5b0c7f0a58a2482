//! What is paused starts nowhere, whoever paused it; what has nothing to do with it goes past.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::OperationKind;
use archibald_core::pause::PauseScope;
use archibald_core::port::{OperationStore, Operations, Why};
use archibald_runtime::{NoFailpoints, RuntimeConfig};
use serde_json::json;

use crate::support::{House, agent, quick};
use crate::syncs::ORDERS;
use crate::window::{count, fill};

/// No sweep helps: word of a pause has to come by itself.
fn house() -> House {
    let config = RuntimeConfig { sweep: Duration::from_secs(3600), ..quick() };
    House::with(config, Arc::new(NoFailpoints))
}

fn kind(name: &str) -> PauseScope {
    OperationKind::new(name).unwrap().into()
}

/// As another process does: nobody tells this one but the store.
async fn pause(house: &House, scope: &PauseScope, drains: bool) {
    house.store.pause(scope, "by hand", drains).await.unwrap();
}

async fn resume(house: &House, scope: &PauseScope) {
    house.store.resume(scope).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_queue_of_a_paused_kind_stands_in_nobodys_way() {
    let (house, counting) = (house(), kind("count-customers"));
    pause(&house, &counting, false).await;
    let counts = fill(&house.store, (0..2_000).map(|n| count(&agent("nancy"), n))).await;
    let sync = house.enqueue("nancy", "sync-customers", "behind all of them", json!({})).await;
    house.completed("nancy", sync).await;
    let why = house.archibald.explain(&agent("nancy"), counts[1_999]).await;
    assert_eq!(why[0], Why::Paused { scope: counting.clone(), why: "by hand".into() });
    for id in [counts[0], counts[1_999]] {
        let record = house.store.get(&agent("nancy"), id).await.unwrap().unwrap();
        assert_eq!((record.operation.state.name(), record.attempts.len()), ("available", 0));
    }
    resume(&house, &counting).await;
    house.completed("nancy", counts[1_999]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_behind_a_kind_that_is_paused_later_is_found() {
    let (house, counting) = (house(), kind("count-customers"));
    pause(&house, &PauseScope::Everything, false).await;
    fill(&house.store, (0..2_000).map(|n| count(&agent("nancy"), n))).await;
    let sync = house.enqueue("nancy", "sync-customers", "behind all of them", json!({})).await;
    pause(&house, &counting, false).await;
    resume(&house, &PauseScope::Everything).await;
    house.completed("nancy", sync).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_gives_way_to_a_pause_that_drains_and_goes_on_afterwards() {
    for scope in [PauseScope::Everything, kind("sync-orders"), agent("nancy").into()] {
        let house = house();
        (0..5).for_each(|n| (ORDERS.add)(&house.erp, n));
        house.erp.hold_details(true);
        let sync = house.enqueue("nancy", "sync-orders", "sync", json!({})).await;
        house.holds_a_page().await;
        pause(&house, &scope, true).await;
        house.asks_to_give_way().await;
        house.erp.hold_details(false);
        house.saw("nancy", sync, "operation.yielded").await;
        let record = house.store.get(&agent("nancy"), sync).await.unwrap().unwrap();
        assert_eq!((record.operation.state.name(), record.operation.attempts), ("available", 0), "{scope}");
        let paused = Why::Paused { scope: scope.clone(), why: "by hand".into() };
        // The worker hears of it a moment after the store.
        while !house.archibald.explain(&agent("nancy"), sync).await.contains(&paused) {
            tokio::task::yield_now().await;
        }
        resume(&house, &scope).await;
        house.completed("nancy", sync).await;
    }
}
