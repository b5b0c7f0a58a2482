//! What a careless or hostile client can do: not much.

use std::net::SocketAddr;
use std::time::Duration;

use archibald_core::port::EventBus;
use archibald_http::{ApiConfig, Rate, ServeLimits, StreamConfig};
use axum::http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::device::Device;
use crate::door::{Door, agent};
use crate::server::{JANET, NANCY, OPERATOR, Server, config, request, soon};

const FOLLOW: &str = "GET /v1/agents/nancy/events HTTP/1.1\r\nHost: x\r\n\
                      Authorization: Bearer token-of-nancy\r\n\r\n";

async fn limited(limits: ServeLimits) -> Server {
    Server::start_with(config(), limits, Door::default()).await
}

/// All that comes until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = vec![];
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn headers_that_never_end_and_silence_are_cut_off() {
    let limits = ServeLimits { header_time: Duration::from_millis(100), ..ServeLimits::default() };
    let server = limited(limits).await;
    for beginning in ["", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await, "");
    }
    // The same limit ends a connection that stays silent after an answer.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stream_is_not_cut_off_by_the_limits_of_requests() {
    let short = Duration::from_millis(100);
    let limits = ServeLimits { header_time: short, ..ServeLimits::default() };
    let config = ApiConfig { answer_time: short, body_time: short, ..config() };
    let server = Server::start_with(config, limits, Door::default()).await;
    let mut device = server.follow(None).await;
    for _ in 0..3 {
        device.expect("heartbeat").await;
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408() {
    let config = ApiConfig { body_time: Duration::from_millis(100), ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /v1/agents/nancy/operations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Authorization: Bearer token-of-nancy\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("urn:archibald:problem:too-slow"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_503() {
    let config = ApiConfig { answer_time: Duration::from_millis(100), ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    server.bus.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    server.get(NANCY, "/v1/agents/nancy/snapshot").await.problem(503, "unavailable");
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let server = limited(ServeLimits { connections: 1, ..ServeLimits::default() }).await;
    let device = server.follow(None).await;
    let waits = tokio::time::timeout(Duration::from_millis(300), server.get("", "/healthz")).await;
    assert!(waits.is_err(), "a second connection was served");
    drop(device);
    assert_eq!(soon(server.get("", "/healthz")).await.status, 200);
}

#[tokio::test]
async fn requests_under_way_end_before_the_server_does_and_the_rest_is_cut_off() {
    let server = limited(ServeLimits { grace: Duration::from_millis(200), ..ServeLimits::default() }).await;
    let (mut unread, _) = unread(&server, 20_000).await;
    settled(&server).await;
    server.shutdown.cancel();
    soon(server.serving).await.unwrap();
    let received = rest(&mut unread).await;
    assert!(!received.contains("event: bye"), "it was cut off, having read nothing");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let limits = ServeLimits { write_time: Duration::from_millis(200), ..ServeLimits::default() };
    let server = limited(limits).await;
    let (_unread, _) = unread(&server, 20_000).await;
    soon(async {
        while !server.get("", "/metrics").await.text().contains("archibald_streams_open 0\n") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_costs_no_memory_and_misses_nothing() {
    let stream = StreamConfig { batch: 20, ..config().stream };
    let config = ApiConfig { stream, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let (mut unread, events) = unread(&server, 20_000).await;
    let frames_in_all = events / 20;
    let ahead = settled(&server).await;
    assert!(ahead < frames_in_all / 2, "{ahead} of {frames_in_all} frames were made for a reader of none");

    soon(read_all(&mut unread, events)).await;
}

/// Reads until this many events were seen.
async fn read_all(stream: &mut TcpStream, events: u64) {
    let mut seen = 0;
    let mut text = String::new();
    let mut bytes = vec![0; 65536];
    while seen < events {
        let read = stream.read(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "the stream ended after {seen} of {events} events");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        seen += text[..whole].matches("\"type\":\"operation.queued\"").count() as u64;
        text.drain(..whole);
    }
    assert_eq!(seen, events);
}

/// A connection with a small window, whose stream has this many events to tell and nobody who reads.
async fn unread(server: &Server, events: u64) -> (TcpStream, u64) {
    let nancy = agent("nancy");
    let place = server.bus.head(&nancy).await.unwrap();
    for number in 0..events {
        // A long key makes a long event: some 300 bytes.
        server.door.submit(&nancy, &format!("{number:0>180}")).await;
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let SocketAddr::V4(_) = server.address else { panic!("an IPv4 address") };
    let mut stream = socket.connect(server.address).await.unwrap();
    let cursor = format!("events?cursor={}.0", place.epoch.simple());
    stream.write_all(FOLLOW.replacen("events", &cursor, 1).as_bytes()).await.unwrap();
    (stream, events)
}

/// How many reads of the log were made, once no more are made.
async fn settled(server: &Server) -> u64 {
    let mut reads = 0;
    let mut same = 0;
    soon(async {
        while same < 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            same = if server.bus.reads() == reads { same + 1 } else { 0 };
            reads = server.bus.reads();
        }
    })
    .await;
    reads
}

#[tokio::test]
async fn a_device_that_goes_away_leaves_nothing_behind() {
    let server = Server::start().await;
    for _ in 0..20 {
        let mut device = Device::connect(server.address, NANCY, "/v1/agents/nancy/events", None).await;
        device.expect("snapshot").await;
    }
    soon(async {
        while !server.get("", "/metrics").await.text().contains("archibald_streams_open 0\n") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_asks_too_often_waits_and_others_do_not() {
    let config = ApiConfig { rate: Rate { burst: 5, per_second: 0.01 }, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    for _ in 0..5 {
        assert_eq!(server.get(NANCY, "/v1/me").await.status, 200);
    }
    let refused = server.get(NANCY, "/v1/agents/nancy/operations").await;
    refused.problem(429, "too-often");
    assert!((1..=100).contains(&refused.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(server.get(JANET, "/v1/me").await.status, 200);
    for _ in 0..20 {
        assert_eq!(server.get(OPERATOR, "/v1/me").await.status, 200);
    }
    let metrics = server.get("", "/metrics").await;
    assert!(metrics.text().contains("archibald_requests_limited_total 1\n"));
}

#[tokio::test]
async fn one_request_too_many_at_a_time_is_a_503_and_health_is_told_still() {
    let config = ApiConfig { in_flight: 1, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    server.bus.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut hangs = TcpStream::connect(server.address).await.unwrap();
    let request =
        "GET /v1/agents/nancy/snapshot HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-of-nancy\r\n\r\n";
    hangs.write_all(request.as_bytes()).await.unwrap();
    soon(async {
        while server.bus.reads() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let refused = server.get(NANCY, "/v1/me").await;
    refused.problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(server.get("", "/healthz").await.status, 200);
}

#[tokio::test]
async fn streams_do_not_count_as_requests_under_way() {
    let config = ApiConfig { in_flight: 1, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let mut devices = [server.follow(None).await, server.follow(None).await];
    for device in &mut devices {
        device.expect("snapshot").await;
    }
    assert_eq!(server.get(NANCY, "/v1/me").await.status, 200);
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut request = String::from("GET /healthz HTTP/1.1\r\nHost: x\r\n");
    for number in 0..200 {
        request.push_str(&format!("X-{number}: y\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_ask_and_streams_never() {
    let server = Server::start().await;
    for number in 0..50 {
        server.door.submit(&agent("nancy"), &format!("k{number}")).await;
    }
    let gzip = [("accept-encoding", "gzip")];
    let get = async |path: &str, headers: &[(&str, &str)]| {
        server.send(request(Method::GET, NANCY, path, headers, None)).await
    };
    let plain = get("/v1/agents/nancy/operations", &[]).await;
    let small = get("/v1/agents/nancy/operations", &gzip).await;
    assert_eq!((plain.header("content-encoding"), small.header("content-encoding")), ("", "gzip"));
    assert!(small.bytes.len() * 4 < plain.bytes.len(), "{} of {}", small.bytes.len(), plain.bytes.len());
    assert_eq!(get("/v1/me", &gzip).await.header("content-encoding"), "");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let follow = FOLLOW.replace("\r\n\r\n", "\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
    stream.write_all(follow.as_bytes()).await.unwrap();
    let mut head = vec![0; 2000];
    let read = soon(stream.read(&mut head)).await.unwrap();
    let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
    assert!(head.contains("text/event-stream") && !head.contains("content-encoding"), "{head}");
}
