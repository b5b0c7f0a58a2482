//! Server-sent events, WebSocket and long poll carry the same frames.

use archibald_http::{ApiConfig, ServeLimits, StreamConfig};
use axum::http::Method;
use serde_json::{Value, json};

use crate::door::{Door, agent};
use crate::server::{NANCY, Server, config, request};
use crate::websocket::Socket;

/// What happens, some of it before a device with this place was there.
async fn story(server: &Server) {
    let nancy = agent("nancy");
    for number in 0..7 {
        let id = server.door.submit(&nancy, &format!("k{number}")).await;
        if number % 2 == 0 {
            server.door.complete(&nancy, id).await;
        }
    }
}

async fn by_long_poll(server: &Server, place: Option<&str>) -> Value {
    let cursor = place.map(|place| format!("?cursor={place}")).unwrap_or_default();
    let path = format!("/v1/agents/nancy/events{cursor}");
    server.send(request(Method::GET, NANCY, &path, &[("accept", "application/json")], None)).await.json()
}

/// As the others spell it.
fn named(name: &str, mut data: Value) -> Value {
    data["frame"] = json!(name);
    data
}

#[tokio::test]
async fn every_transport_brings_the_same_frames() {
    let stream = StreamConfig { batch: 3, heartbeat: std::time::Duration::from_secs(60), ..config().stream };
    let config = ApiConfig { stream, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let start = by_long_poll(&server, None).await["cursor"].as_str().unwrap().to_owned();
    story(&server).await;
    for place in [None, Some(start.as_str())] {
        let mut device = server.follow(place).await;
        let mut socket = Socket::follow(&server, place).await;
        let by_sse = device.next().await.unwrap();
        assert_eq!(named(&by_sse.name, by_sse.data), socket.next().await.unwrap(), "the hello");
        let mut polled = place.map(str::to_owned);
        let mut frames = 0;
        loop {
            let poll = by_long_poll(&server, polled.as_deref()).await;
            if poll["frame"] == "batch" && poll["from"] == poll["to"] {
                break;
            }
            let by_sse = device.next().await.unwrap();
            assert_eq!(poll, named(&by_sse.name, by_sse.data), "by server-sent events");
            assert_eq!(poll, socket.next().await.unwrap(), "by WebSocket");
            let moved = if poll["frame"] == "snapshot" { &poll["cursor"] } else { &poll["to"] };
            polled = Some(moved.as_str().unwrap().to_owned());
            frames += 1;
        }
        assert_eq!(frames, if place.is_some() { 5 } else { 1 });
        assert_eq!(device.place, polled);
    }
    let (mut device, mut socket) =
        (server.follow(Some(&start)).await, Socket::follow(&server, Some(&start)).await);
    server.shutdown.cancel();
    let (by_sse, by_socket) = (device.expect("bye").await.data, socket.expect("bye").await);
    assert_eq!((&by_sse["reason"], &by_socket["reason"]), (&json!("shutdown"), &json!("shutdown")));
}
