use std::sync::atomic::Ordering;

use archibald_core::event::Progress;
use archibald_core::port::{EventBus, OperationStore};
use axum::http::Method;
use serde_json::json;

use crate::device::{Device, events, seq};
use crate::door::agent;
use crate::server::{JANET, NANCY, OPERATOR, Server, config, request, soon};

const EVENTS: &str = "/v1/agents/nancy/events";

#[tokio::test]
async fn a_new_device_is_greeted_gets_a_snapshot_and_then_what_happens() {
    let server = Server::start().await;
    let nancy = agent("nancy");
    server.door.submit(&nancy, "before").await;
    let mut device = server.follow(None).await;
    assert!(device.head.starts_with("HTTP/1.0 200"), "{}", device.head);
    for header in ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"] {
        assert!(device.head.contains(header), "{}", device.head);
    }
    let hello = device.next().await.unwrap();
    assert_eq!(hello.name, "hello");
    assert_eq!((&hello.data["proto"], &hello.data["agent"]), (&json!(1), &json!("nancy")));
    assert_eq!((&hello.data["head"], &hello.data["floor"]), (&json!(1), &json!(0)));
    assert_eq!(hello.data["heartbeat_ms"], 200);

    let snapshot = device.next().await.unwrap();
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(snapshot.data["operations"][0]["key"], "before");
    let cursor = snapshot.data["cursor"].as_str().unwrap();
    assert!(cursor.starts_with(hello.data["epoch"].as_str().unwrap()));

    let id = server.door.submit(&nancy, "after").await;
    let batch = device.expect("batch").await;
    let event = &events(&batch)[0];
    assert_eq!((&event["seq"], &event["type"]), (&json!(2), &json!("operation.queued")));
    assert_eq!(event["operation"], id.to_string());
}

#[tokio::test]
async fn a_device_goes_on_where_it_was_by_header_or_query() {
    let server = Server::start().await;
    let nancy = agent("nancy");
    let cursor = server.get(NANCY, "/v1/agents/nancy/snapshot").await.json()["cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    for key in ["a", "b", "c", "d"] {
        server.door.submit(&nancy, key).await;
    }
    let mut by_header = server.follow(Some(cursor)).await;
    assert_eq!(by_header.next().await.unwrap().name, "hello");
    let mut seen = 0;
    while seen < 4 {
        let batch = by_header.next().await.unwrap();
        assert_eq!(batch.name, "batch", "no snapshot is needed");
        seen += events(&batch).len();
    }
    let path = format!("{EVENTS}?cursor={cursor}");
    let mut by_query = Device::connect(server.address, NANCY, &path, None).await;
    by_query.place = Some(cursor.to_owned());
    let batch = by_query.expect("batch").await;
    assert_eq!(events(&batch).len(), 3, "cut to the largest frame");
}

#[tokio::test]
async fn a_cursor_that_is_none_is_named() {
    let server = Server::start().await;
    for bad in ["x", "1.2.3", "0", "00000000000000000000000000000001.x", "%F0%9F%98%80"] {
        let answer = server.get(NANCY, &format!("{EVENTS}?cursor={bad}")).await;
        let problem = answer.problem(400, "bad-request");
        assert!(problem["detail"].as_str().unwrap().contains("cursor"), "{problem}");
        let headers = [("Last-Event-ID", bad)];
        let answer = server.send(request(Method::GET, NANCY, EVENTS, &headers, None)).await;
        let problem = answer.problem(400, "bad-request");
        assert!(problem["detail"].as_str().unwrap().contains("Last-Event-ID"), "{problem}");
    }
}

#[tokio::test]
async fn a_cursor_that_cannot_be_served_gets_a_snapshot_never_a_part() {
    let server = Server::start().await;
    let nancy = agent("nancy");
    for key in ["a", "b", "c"] {
        server.door.submit(&nancy, key).await;
    }
    let epoch = server.bus.head(&nancy).await.unwrap().epoch.simple().to_string();
    server.bus.prune(&nancy, 2).await.unwrap();
    let strange = "00000000000000000000000000000001.3".to_owned();
    for cursor in [format!("{epoch}.1"), format!("{epoch}.99"), strange] {
        let mut device = server.follow(Some(&cursor)).await;
        assert_eq!(device.next().await.unwrap().name, "hello");
        let snapshot = device.next().await.unwrap();
        assert_eq!(snapshot.name, "snapshot", "{cursor}");
        assert_eq!(snapshot.data["operations"].as_array().unwrap().len(), 3);
        assert_eq!(device.place.unwrap(), format!("{epoch}.3"));
    }
    let mut at_the_floor = server.follow(Some(&format!("{epoch}.2"))).await;
    assert_eq!(seq(at_the_floor.expect("batch").await.id.as_deref().unwrap()), 3);
    assert!(server.get("", "/metrics").await.text().contains("archibald_cursors_rejected_total 3\n"));
}

#[tokio::test]
async fn a_new_epoch_resets_a_device_that_is_connected() {
    let server = Server::start().await;
    let nancy = agent("nancy");
    server.door.submit(&nancy, "a").await;
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    let before = device.place.clone();
    server.bus.new_epoch().await.unwrap();
    device.expect("snapshot").await;
    assert_ne!(device.place, before);
    server.door.submit(&nancy, "b").await;
    let batch = device.expect("batch").await;
    assert_eq!(events(&batch)[0]["type"], "operation.queued");
}

#[tokio::test]
async fn the_origin_of_a_write_comes_back_to_its_device() {
    let server = Server::start().await;
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    let headers = [("Idempotency-Key", "k"), ("X-Device-Id", "tablet"), ("X-Mutation-Id", "m7")];
    let body = json!({ "kind": "submit-order", "payload": { "customer": "ALFKI" } });
    assert_eq!(server.enqueue(&headers, &body).await.status, 202);
    let batch = device.expect("batch").await;
    assert_eq!(events(&batch)[0]["origin"], json!({ "device": "tablet", "mutation": "m7" }));
}

#[tokio::test]
async fn nobody_sees_what_happens_to_others() {
    let server = Server::start().await;
    let mut janet = Device::connect(server.address, JANET, "/v1/agents/janet/events", None).await;
    janet.expect("snapshot").await;
    server.door.submit(&agent("nancy"), "secret").await;
    server.door.submit(&agent("janet"), "own").await;
    let batch = janet.expect("batch").await;
    assert_eq!(events(&batch).len(), 1);
    assert_eq!(events(&batch)[0]["key"], "own");
}

#[tokio::test]
async fn an_idle_stream_says_that_the_log_was_read() {
    let server = Server::start().await;
    server.door.submit(&agent("nancy"), "a").await;
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    let reads = server.bus.reads();
    for _ in 0..2 {
        let heartbeat = device.next().await.unwrap();
        assert_eq!((heartbeat.name.as_str(), &heartbeat.data["head"]), ("heartbeat", &json!(1)));
        assert!(heartbeat.data["at"].as_str().unwrap().ends_with('Z'));
    }
    assert!(server.bus.reads() >= reads + 2, "a heartbeat without a read proves nothing");
}

#[tokio::test]
async fn a_stream_whose_log_cannot_be_read_ends_and_says_so() {
    let server = Server::start().await;
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    server.bus.broken.store(true, Ordering::SeqCst);
    let bye = device.next().await.unwrap();
    assert_eq!((bye.name.as_str(), &bye.data["reason"]), ("bye", &json!("unavailable")));
    assert!((1000..=3000).contains(&bye.data["retry_ms"].as_u64().unwrap()));
    assert!(device.next().await.is_none());
}

#[tokio::test]
async fn a_shutdown_says_bye_and_the_server_ends() {
    let server = Server::start().await;
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    server.shutdown.cancel();
    let bye = device.expect("bye").await;
    assert_eq!(bye.data["reason"], "shutdown");
    assert!(device.next().await.is_none());
    soon(server.serving).await.unwrap();
}

#[tokio::test]
async fn one_stream_too_many_ends_the_oldest() {
    let config = archibald_http::ApiConfig { streams_per_agent: 2, ..config() };
    let server = Server::start_with(config, Default::default(), Default::default()).await;
    let mut first = server.follow(None).await;
    let mut second = server.follow(None).await;
    let mut janet = Device::connect(server.address, JANET, "/v1/agents/janet/events", None).await;
    first.expect("snapshot").await;
    let mut third = server.follow(None).await;
    assert_eq!(first.expect("bye").await.data["reason"], "replaced");
    for device in [&mut second, &mut third, &mut janet] {
        device.expect("heartbeat").await;
    }
    assert!(server.get(OPERATOR, "/metrics").await.text().contains("archibald_streams_open 3\n"));
}

#[tokio::test]
async fn fine_progress_is_shown_without_a_place() {
    let server = Server::start().await;
    let nancy = agent("nancy");
    let id = server.door.submit(&nancy, "a").await;
    let lease = server.door.start(&nancy, id).await.lease;
    server.door.store.checkpoint(&lease, "reading customers", None, vec![]).await.unwrap();
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    let progress = |done| Progress {
        agent: nancy.clone(),
        operation: id,
        step: "reading customers".into(),
        done,
        total: 900,
        text: format!("page {done}"),
    };
    server.bus.publish_progress(progress(20));
    let received = device.expect("progress").await;
    assert_eq!(
        received.data,
        json!({ "operation": id, "step": "reading customers", "done": 20, "total": 900, "text": "page 20" })
    );
    let operation = server.get(NANCY, &format!("/v1/agents/nancy/operations/{id}")).await.json();
    assert_eq!(operation["step"], "reading customers");
    assert_eq!(operation["progress"]["done"], 20);

    for done in 21..=400 {
        server.bus.publish_progress(progress(done));
    }
    let mut frames = 0;
    while device.expect("progress").await.data["done"] != 400 {
        frames += 1;
    }
    assert!(frames <= 1, "{frames} more than the pace allows");
}
