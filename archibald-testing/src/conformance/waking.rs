use std::time::Duration;

use archibald_core::event::Progress;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::lease::Lease;
use archibald_core::pause::PauseScope;
use archibald_core::port::{WorkerWake, WorkerWakeups};
use archibald_core::record::{Disposition, Resolution};
use tokio::time::timeout;

use super::StoreUnderTest;
use super::checks::{AFTER_SHORT, LONG, SHORT, agent, completed, gave_way, submit};

/// Longer than any wake-up takes, shorter than a poll that would hide a lost one.
const SOON: Duration = Duration::from_secs(10);

/// Subscribe, read, wait: all of 150 commits are seen without a poll. Catches wake-ups before the commit and
/// wake-ups that come between the read and the wait.
pub async fn a_device_misses_no_commit(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let device = tokio::spawn({
        let (ports, nancy) = (ports.clone(), nancy.clone());
        let mut wakes = ports.bus.subscribe(&nancy);
        async move {
            let mut place = ports.head(&nancy).await;
            place.seq = 0;
            loop {
                place.seq += ports.events_after(&nancy, place, 100).await.len() as u64;
                if place.seq == 150 {
                    return;
                }
                let woken = timeout(SOON, wakes.changed()).await;
                woken.unwrap_or_else(|_| panic!("no wake-up after {place}")).unwrap();
            }
        }
    });
    for n in 0..150 {
        ports.enqueue(submit(&nancy, &format!("k{n}"))).await;
    }
    device.await.unwrap();
}

/// Whatever may let an operation start wakes the workers, after its commit.
pub async fn workers_are_woken_for_what_became_available(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let mut wakes = ports.bus.subscribe_worker();
    let record = ports.enqueue(submit(&nancy, "k")).await;
    woken(&mut wakes, &nancy, "an operation was accepted").await;

    let lease = ports.lease(&record, LONG).await;
    let mut wakes = ports.bus.subscribe_worker();
    ports.lock.hand_back(&lease).await.unwrap();
    woken(&mut wakes, &nancy, "a lease was handed back").await;

    let lease = ports.lease(&record, LONG).await;
    let mut wakes = ports.bus.subscribe_worker();
    ports.settle(&lease, gave_way()).await;
    woken(&mut wakes, &nancy, "an attempt was settled").await;

    let lease = ports.lease(&record, LONG).await;
    let mut wakes = ports.bus.subscribe_worker();
    let nothing =
        ports.store.hand_on(&lease, gave_way().into(), OperationId(uuid::Uuid::nil())).await.unwrap();
    assert_eq!(nothing.next, None);
    woken(&mut wakes, &nancy, "an agent could not be handed on").await;

    ports.lease(&record, SHORT).await;
    under.advance(AFTER_SHORT).await;
    let mut wakes = ports.bus.subscribe_worker();
    ports.lock.reap().await.unwrap();
    woken(&mut wakes, &nancy, "a lease ended").await;

    let lease = ports.lease(&record, LONG).await;
    ports.released(&lease).await;
    ports.settle(&lease, Disposition::Doubt { evidence: "?".into() }).await;
    let mut wakes = ports.bus.subscribe_worker();
    let id = record.operation.id;
    ports.store.resolve(&nancy, id, "operator", &Resolution::Abandon).await.unwrap();
    woken(&mut wakes, &nancy, "a doubt no longer blocks its target").await;

    let mut wakes = ports.bus.subscribe_worker();
    ports.store.redrive(&nancy, id, "operator").await.unwrap();
    woken(&mut wakes, &nancy, "an operation was redriven").await;

    let paused = PauseScope::from(nancy.clone());
    ports.store.pause(&paused, "locked", false).await.unwrap();
    let mut wakes = ports.bus.subscribe_worker();
    ports.store.resume(&paused).await.unwrap();
    woken(&mut wakes, &nancy, "the agent was resumed").await;
    for scope in [paused, record.operation.kind.clone().into(), PauseScope::Everything] {
        for resumes in [false, true] {
            let mut wakes = ports.bus.subscribe_worker();
            match resumes {
                false => ports.store.pause(&scope, "locked", false).await.unwrap(),
                true => ports.store.resume(&scope).await.unwrap(),
            }
            let told = async { while wakes.next().await.unwrap() != WorkerWake::Pauses {} };
            timeout(SOON, told).await.unwrap_or_else(|_| panic!("nobody was told of {scope}, {resumes}"));
        }
    }

    let other = ports.enqueue(submit(&nancy, "other")).await;
    let mut wakes = ports.bus.subscribe_worker();
    ports.store.cancel(&nancy, other.operation.id, "nancy").await.unwrap();
    woken(&mut wakes, &nancy, "a cancelled operation no longer blocks its target").await;
}

async fn woken(wakes: &mut Box<dyn WorkerWakeups>, agent: &AgentId, after: &str) {
    loop {
        let wake = timeout(SOON, wakes.next()).await;
        match wake.unwrap_or_else(|_| panic!("nobody was woken when {after}")).unwrap() {
            WorkerWake::Agent(woken) if woken != *agent => {}
            WorkerWake::Pauses => {}
            WorkerWake::Agent(_) | WorkerWake::Lost => return,
        }
    }
}

/// The last word about each running operation, one a running operation, with a wake-up; gone at its end.
pub async fn progress_is_the_latest_of_what_runs(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (_, lease) = ports.running(submit(&nancy, "k"), LONG).await;
    let place = ports.head(&nancy).await;
    let mut wakes = ports.bus.subscribe(&nancy);
    for done in 1..=3 {
        ports.bus.publish_progress(progress(&lease, done));
    }
    timeout(SOON, wakes.changed()).await.expect("devices are woken").unwrap();
    assert_eq!(ports.bus.progress(&nancy), [progress(&lease, 3)]);
    assert_eq!(ports.bus.progress(&agent("andrew")), []);
    assert_eq!(ports.head(&nancy).await, place, "progress has no place in the log");
    let next = ports.enqueue(submit(&nancy, "next")).await;
    let handed = ports.store.hand_on(&lease, completed().into(), next.operation.id).await.unwrap();
    assert_eq!(ports.bus.progress(&nancy), []);
    let lease = handed.next.expect("handed on").lease;
    ports.bus.publish_progress(progress(&lease, 1));
    assert_eq!(ports.bus.progress(&nancy), [progress(&lease, 1)], "of what the agent was handed on to");
    ports.settle(&lease, completed()).await;
    assert_eq!(ports.bus.progress(&nancy), []);
}

fn progress(lease: &Lease, done: u64) -> Progress {
    Progress {
        agent: lease.agent.clone(),
        operation: lease.operation,
        step: "lines".into(),
        done,
        total: 3,
        text: format!("line {done} of 3"),
    }
}
