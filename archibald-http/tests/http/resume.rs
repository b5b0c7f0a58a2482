//! No hole and nothing twice, however often the line is cut.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::port::EventBus;
use archibald_http::{ApiConfig, ServeLimits, StreamConfig};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Semaphore;

use crate::device::{Received, events, seq};
use crate::door::{Door, agent};
use crate::server::{NANCY, Server, config, soon};

const CUTS: usize = 200;

/// Commits whenever it is allowed to: one event a turn, or three.
async fn write(door: Door, turns: Arc<Semaphore>, writer: usize) {
    let nancy = agent("nancy");
    let mut number = 0;
    while let Ok(turn) = turns.acquire().await {
        turn.forget();
        number += 1;
        let id = door.submit(&nancy, &format!("w{writer}-{number}")).await;
        if writer == 0 {
            door.complete(&nancy, id).await;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_cut_off_200_times_sees_every_event_once_and_in_order() {
    let heartbeat = Duration::from_millis(10);
    let config = ApiConfig { stream: StreamConfig { heartbeat, ..config().stream }, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let start = server.get(NANCY, "/v1/agents/nancy/snapshot").await.json()["cursor"].clone();
    let turns = Arc::new(Semaphore::new(0));
    let writers: Vec<_> =
        (0..3).map(|writer| tokio::spawn(write(server.door.clone(), turns.clone(), writer))).collect();

    let mut random = StdRng::seed_from_u64(7);
    let mut place = start.as_str().unwrap().to_owned();
    let mut seen: Vec<u64> = vec![];
    let mut note = |received: Received| {
        assert_ne!(received.name, "snapshot", "every place can be served");
        if received.name == "batch" {
            seen.extend(events(&received).iter().map(|event| event["seq"].as_u64().unwrap()));
        }
    };
    let mut cut_within_a_frame = 0;
    for _ in 0..CUTS {
        let mut device = server.follow(Some(&place)).await;
        turns.add_permits(random.random_range(0..4));
        for _ in 0..random.random_range(0..6) {
            // The heartbeat makes sure that bytes come, also where nobody writes.
            assert!(device.receive(random.random_range(1..1500)).await);
            turns.add_permits(random.random_range(0..3));
            while let Some(received) = device.take() {
                note(received);
            }
        }
        cut_within_a_frame += usize::from(device.is_within_a_frame());
        place = device.place.unwrap();
    }
    turns.close();
    for writer in writers {
        soon(writer).await.unwrap();
    }
    let head = server.bus.head(&agent("nancy")).await.unwrap().head;
    let mut device = server.follow(Some(&place)).await;
    soon(async {
        while seq(device.place.as_ref().unwrap()) < head {
            note(device.next().await.unwrap());
        }
    })
    .await;
    assert_eq!(seen, (1..=head).collect::<Vec<_>>());
    assert!(head > 500 && cut_within_a_frame > 20, "{head} events, {cut_within_a_frame} cuts within a frame");
}
