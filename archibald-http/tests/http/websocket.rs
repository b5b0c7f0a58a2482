//! A device by WebSocket, and what one may and may not do.

use std::time::Duration;

use archibald_http::ServeLimits;
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::door::{Door, agent};
use crate::server::{JANET, NANCY, Server, config, soon};

pub struct Socket {
    pub stream: WebSocketStream<TcpStream>,
}

impl Socket {
    /// Opens one, or returns the status that it was refused with.
    pub async fn open(server: &Server, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://localhost{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name: hyper::header::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let tcp = TcpStream::connect(server.address).await.unwrap();
        let opened: Result<(_, Response), _> = soon(tokio_tungstenite::client_async(request, tcp)).await;
        match opened {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Nancy's, from a place.
    pub async fn follow(server: &Server, place: Option<&str>) -> Self {
        let cursor = place.map(|place| format!("?cursor={place}")).unwrap_or_default();
        let bearer = format!("Bearer {NANCY}");
        let path = format!("/v1/agents/nancy/ws{cursor}");
        Self::open(server, &path, &[("authorization", &bearer)]).await.unwrap()
    }

    /// The next frame; `None` once it is closed.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            match soon(self.stream.next()).await? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame of this name; others are skipped.
    pub async fn expect(&mut self, name: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("the end came before {name}"));
            if frame["frame"] == name {
                return frame;
            }
        }
    }
}

#[tokio::test]
async fn a_device_sees_what_was_and_what_comes() {
    let server = Server::start().await;
    let first = server.door.submit(&agent("nancy"), "a").await;
    let mut socket = Socket::follow(&server, None).await;
    assert_eq!(socket.next().await.unwrap()["frame"], "hello");
    let snapshot = socket.expect("snapshot").await;
    assert_eq!(snapshot["operations"][0]["id"], first.to_string());
    let second = server.door.submit(&agent("nancy"), "b").await;
    let batch = socket.expect("batch").await;
    assert_eq!(
        (&batch["from"], &batch["events"][0]["operation"]),
        (&snapshot["cursor"], &second.to_string().into())
    );
    drop(socket);
    server.door.submit(&agent("nancy"), "c").await;
    let mut again = Socket::follow(&server, batch["to"].as_str()).await;
    assert_eq!(again.next().await.unwrap()["frame"], "hello");
    assert_eq!(again.next().await.unwrap()["from"], batch["to"]);
}

#[tokio::test]
async fn a_snapshot_may_be_much_larger_than_a_buffer() {
    let server = Server::start().await;
    for number in 0..2000 {
        server.door.submit(&agent("nancy"), &format!("{number:0>180}")).await;
    }
    let mut socket = Socket::follow(&server, None).await;
    let snapshot = socket.expect("snapshot").await;
    assert_eq!(snapshot["operations"].as_array().unwrap().len(), 2000);
    assert!(snapshot.to_string().len() > 500_000);
}

#[tokio::test]
async fn it_is_refused_as_other_requests_are() {
    let server = Server::start().await;
    let check = async |path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        Socket::open(&server, path, &[("authorization", &bearer)]).await.err()
    };
    assert_eq!(check("/v1/agents/nancy/ws", "wrong").await, Some(401));
    assert_eq!(check("/v1/agents/nancy/ws", JANET).await, Some(404));
    assert_eq!(check("/v1/agents/nancy/ws?cursor=nonsense", NANCY).await, Some(400));
    assert_eq!(check("/v1/agents/nancy/ws?cursr=x", NANCY).await, Some(400));
    let answer = server.get(NANCY, "/v1/agents/nancy/ws").await;
    answer.problem(426, "upgrade-required");
    assert_eq!(answer.header("upgrade"), "websocket");
}

#[tokio::test]
async fn what_a_device_sends_is_not_looked_at_and_too_much_of_it_ends_it() {
    let server = Server::start().await;
    let mut socket = Socket::follow(&server, None).await;
    socket.stream.send(Message::text("hello?")).await.unwrap();
    socket.stream.send(Message::binary(vec![0; 1000])).await.unwrap();
    socket.expect("heartbeat").await;
    socket.stream.send(Message::text("x".repeat(5000))).await.unwrap();
    while socket.next().await.is_some() {}
    no_streams(&server).await;
}

#[tokio::test]
async fn a_device_that_goes_away_leaves_nothing_behind() {
    let server = Server::start().await;
    for close in [true, false] {
        let mut socket = Socket::follow(&server, None).await;
        socket.expect("snapshot").await;
        if close {
            socket.stream.close(None).await.unwrap();
        }
        drop(socket);
    }
    no_streams(&server).await;
}

#[tokio::test]
async fn one_stream_too_many_ends_the_oldest_of_whatever_sort() {
    let config = archibald_http::ApiConfig { streams_per_agent: 2, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let mut socket = Socket::follow(&server, None).await;
    socket.expect("snapshot").await;
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    let _third = Socket::follow(&server, None).await;
    assert_eq!(socket.expect("bye").await["reason"], "replaced");
    assert_eq!(socket.next().await, None);
    let _fourth = server.follow(None).await;
    assert_eq!(device.expect("bye").await.data["reason"], "replaced");
}

#[tokio::test]
async fn the_server_says_bye_and_waits_for_it_to_be_read() {
    let server = Server::start().await;
    let mut socket = Socket::follow(&server, None).await;
    socket.expect("snapshot").await;
    server.shutdown.cancel();
    let bye = socket.expect("bye").await;
    assert_eq!(bye["reason"], "shutdown");
    assert!(bye["retry_ms"].as_u64().unwrap() >= 1000);
    assert_eq!(socket.next().await, None);
    drop(socket);
    soon(server.serving).await.unwrap();
}

#[tokio::test]
async fn a_device_that_reads_nothing_does_not_hold_the_server_up() {
    let limits = ServeLimits { grace: Duration::from_millis(200), ..ServeLimits::default() };
    let server = Server::start_with(config(), limits, Door::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "GET /v1/agents/nancy/ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Authorization: Bearer {NANCY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    soon(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    server.shutdown.cancel();
    soon(server.serving).await.unwrap();
}

pub async fn no_streams(server: &Server) {
    soon(async {
        while !server.get("", "/metrics").await.text().contains("archibald_streams_open 0\n") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
