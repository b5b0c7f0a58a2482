//! Several workers, one store: each agent has the one where its session is warm, and never waits for it long.

use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, WorkerId};
use archibald_core::port::{OperationStore, Operations};
use archibald_core::worker::{LiveWorker, owner_of};
use archibald_runtime::RuntimeConfig;
use serde_json::json;

use crate::support::{House, agent, quick};

const AGENTS: [&str; 3] = ["nancy", "andrew", "janet"];

fn named(worker: &str) -> RuntimeConfig {
    RuntimeConfig {
        worker: WorkerId::new(worker).unwrap(),
        sweep: Duration::from_secs(3600),
        // Longer than anything here takes: who is not the owner has to have a reason.
        leave_to_owner: Duration::from_secs(2),
        ..quick()
    }
}

/// Two workers that know of each other.
async fn two() -> (House, House) {
    let one = House::with(named("w1"), std::sync::Arc::new(archibald_runtime::NoFailpoints));
    let other = House::with_bus(named("w2"), one.store.clone(), one.erp.clone(), one.store.clone());
    for house in [&one, &other] {
        live(house, |workers| workers.len() == 2).await;
    }
    (one, other)
}

/// Waits until this is so of the workers that are alive, and known everywhere.
async fn live(house: &House, is_so: impl Fn(&[LiveWorker]) -> bool) -> Vec<LiveWorker> {
    let found = async {
        loop {
            let workers = house.archibald.overview().await.unwrap().workers;
            if is_so(&workers) {
                return workers;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.expect("the workers never came to this")
}

async fn ran(house: &House, who: &AgentId, id: OperationId) -> WorkerId {
    house.completed(who.as_str(), id).await;
    let record = house.store.get(who, id).await.unwrap().unwrap();
    record.attempts.last().unwrap().worker.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_agent_stays_with_its_worker() {
    let (one, _other) = two().await;
    let workers = live(&one, |_| true).await;
    // Each has told the other: the first orders may still have gone where they were heard of first.
    for round in 0..5 {
        for name in AGENTS {
            let id = one.submit(name, &format!("order {round}")).await;
            let by = ran(&one, &agent(name), id).await;
            assert!(round == 0 || Some(&by) == owner_of(&agent(name), &workers), "{name} in round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_worker_does_not_take_another_one_does() {
    let (mut one, mut other) = two().await;
    let workers = live(&one, |_| true).await;
    let owner = owner_of(&agent("nancy"), &workers).unwrap().as_str();
    let (gone, left) = if owner == "w1" { (&mut one, &other) } else { (&mut other, &one) };
    gone.worker.take().unwrap().kill();
    let id = left.submit("nancy", "order").await;
    assert_ne!(ran(left, &agent("nancy"), id).await.as_str(), owner, "it is dead, and counts as alive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_drains_hands_his_agents_over_at_once() {
    let (mut one, mut other) = two().await;
    let workers = live(&one, |_| true).await;
    let owner = owner_of(&agent("nancy"), &workers).unwrap().as_str().to_owned();
    let (leaves, stays) = if owner == "w1" { (&mut one, &other) } else { (&mut other, &one) };
    assert!(leaves.worker.take().unwrap().drain(Duration::from_secs(10)).await);
    live(stays, |workers| workers.iter().any(|live| live.drains && live.worker.as_str() == owner)).await;
    for round in 0..3 {
        let asked = tokio::time::Instant::now();
        let id = stays.enqueue("nancy", "sync-customers", &format!("sync {round}"), json!({})).await;
        ran(stays, &agent("nancy"), id).await;
        // The first may be heard of before the word that the other one drains.
        assert!(
            round == 0 || asked.elapsed() < Duration::from_secs(1),
            "round {round}: {:?}",
            asked.elapsed()
        );
    }
}
