//! The subscription alone, with time standing still.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use archibald_core::event::Progress;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::port::EventBus;
use archibald_http::{Frame, StreamConfig, Subscription};
use archibald_testing::memory::MemoryStore;
use tokio::time::Instant;

use crate::door::{Bus, Door, agent};

fn follow(bus: &Bus) -> Subscription {
    Subscription::new(Arc::new(bus.clone()), agent("nancy"), None, StreamConfig::default())
}

async fn names(subscription: &mut Subscription, count: usize) -> Vec<&'static str> {
    let mut names = vec![];
    for _ in 0..count {
        names.push(subscription.next().await.unwrap().name());
    }
    names
}

#[tokio::test(start_paused = true)]
async fn a_day_without_news_is_a_heartbeat_every_15_seconds() {
    let bus = Bus::of(&MemoryStore::default());
    let mut subscription = follow(&bus);
    assert_eq!(names(&mut subscription, 2).await, ["hello", "snapshot"]);
    let start = Instant::now();
    for beat in 1..=24 * 60 * 4 {
        assert_eq!(subscription.next().await.unwrap().name(), "heartbeat");
        let late = start.elapsed().saturating_sub(Duration::from_secs(15) * beat);
        assert!(late < Duration::from_millis(10) * beat, "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_ends_the_stream() {
    let bus = Bus::of(&MemoryStore::default());
    let mut subscription = follow(&bus);
    assert_eq!(names(&mut subscription, 2).await, ["hello", "snapshot"]);
    bus.hangs.store(true, Ordering::SeqCst);
    let start = Instant::now();
    let Some(Frame::Bye(bye)) = subscription.next().await else { panic!("no bye") };
    assert_eq!(bye.reason, "unavailable");
    assert!(start.elapsed() < Duration::from_secs(26), "{:?}", start.elapsed());
    assert_eq!(subscription.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_loses_nothing() {
    let door = Door::default();
    let bus = Bus::of(&door.store);
    let mut subscription = follow(&bus);
    assert_eq!(names(&mut subscription, 2).await, ["hello", "snapshot"]);
    let mut place = subscription.place().unwrap();
    for round in 0..50 {
        let wait = tokio::time::timeout(Duration::from_millis(1), subscription.next()).await;
        assert!(wait.is_err(), "nothing happened");
        door.submit(&agent("nancy"), &format!("k{round}")).await;
        let Some(Frame::Batch { from, to, events }) = subscription.next().await else { panic!("no batch") };
        assert_eq!((from, to.seq, events.len()), (place, place.seq + 1, 1));
        place = to;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_read_once() {
    let door = Door::default();
    let bus = Bus::of(&door.store);
    let mut subscription = follow(&bus);
    assert_eq!(names(&mut subscription, 2).await, ["hello", "snapshot"]);
    let before = bus.reads();
    for round in 0..10 {
        door.submit(&agent("nancy"), &format!("k{round}")).await;
        assert_eq!(names(&mut subscription, 1).await, ["batch"]);
        let wait = tokio::time::timeout(Duration::from_millis(1), subscription.next()).await;
        assert!(wait.is_err(), "nothing happened");
    }
    assert_eq!(bus.reads() - before, 10);
}

#[tokio::test(start_paused = true)]
async fn more_than_a_frame_takes_is_told_frame_by_frame_without_a_wake_up() {
    let door = Door::default();
    let bus = Bus::of(&door.store);
    let config = StreamConfig { batch: 3, ..StreamConfig::default() };
    let mut subscription = Subscription::new(Arc::new(bus.clone()), agent("nancy"), None, config);
    assert_eq!(names(&mut subscription, 2).await, ["hello", "snapshot"]);
    for round in 0..7 {
        door.submit(&agent("nancy"), &format!("k{round}")).await;
    }
    let mut sizes = vec![];
    for _ in 0..3 {
        let Some(Frame::Batch { events, .. }) = subscription.next().await else { panic!("no batch") };
        sizes.push(events.len());
    }
    assert_eq!(sizes, [3, 3, 1]);
}

fn reading(agent: &AgentId, operation: OperationId, done: u64) -> Progress {
    let (step, text) = ("reading".to_owned(), String::new());
    Progress { agent: agent.clone(), operation, step, done, total: 1000, text }
}

/// A device that takes longer for a frame than until the next word of progress is due.
#[tokio::test(start_paused = true)]
async fn reports_without_a_pause_keep_nothing_back() {
    let door = Door::default();
    let bus = Bus::of(&door.store);
    let nancy = agent("nancy");
    let id = door.submit(&nancy, "k").await;
    door.start(&nancy, id).await;
    let mut subscription = follow(&bus);
    assert_eq!(names(&mut subscription, 2).await, ["hello", "snapshot"]);
    let mut told = vec![];
    for done in 1..10 {
        bus.publish_progress(reading(&nancy, id, done));
        if done == 5 {
            door.submit(&nancy, "another").await;
        }
        told.extend(names(&mut subscription, 1).await);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(told.iter().position(|name| *name == "batch"), Some(4), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn progress_is_thinned_to_four_a_second_and_ends_with_the_latest() {
    let door = Door::default();
    let bus = Bus::of(&door.store);
    let nancy = agent("nancy");
    let id = door.submit(&nancy, "k").await;
    door.start(&nancy, id).await;
    let mut subscription = follow(&bus);
    assert_eq!(names(&mut subscription, 2).await, ["hello", "snapshot"]);
    let publisher = tokio::spawn(async move {
        for done in 1..=1000 {
            bus.publish_progress(reading(&nancy, id, done));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let mut frames = 0;
    loop {
        let frame = subscription.next().await.unwrap();
        let Frame::Progress { progress, .. } = frame else { panic!("{frame:?}") };
        frames += 1;
        if progress.done == 1000 {
            break;
        }
    }
    publisher.await.unwrap();
    assert!((8..=11).contains(&frames), "{frames} frames in about 2.3 seconds");
}

#[tokio::test(start_paused = true)]
async fn an_end_given_from_outside_wins_over_frames() {
    let bus = Bus::of(&MemoryStore::default());
    let mut subscription = follow(&bus).ending(async { "expired" });
    let Some(Frame::Bye(bye)) = subscription.next().await else { panic!("no bye") };
    assert_eq!(bye.reason, "expired");
    assert_eq!(subscription.next().await, None);
}
