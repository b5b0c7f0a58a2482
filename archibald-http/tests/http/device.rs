//! A device: reads its stream byte by byte off the wire, checks that there is no hole, and can be cut off
//! anywhere.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::soon;

/// One event of the stream, as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub name: String,
    pub id: Option<String>,
    pub data: Value,
}

pub struct Device {
    stream: TcpStream,
    pub head: String,
    rest: Vec<u8>,
    /// Its place, as far as whole frames tell.
    pub place: Option<String>,
    closed: bool,
}

impl Device {
    /// Asks in HTTP/1.0, so that the body is the bare stream.
    pub async fn connect(address: SocketAddr, token: &str, path: &str, place: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let last = place.map(|place| format!("Last-Event-ID: {place}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Accept: text/event-stream\r\n{last}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let place = place.map(str::to_owned);
        let mut device = Self { stream, head: String::new(), rest: vec![], place, closed: false };
        while device.head.is_empty() && device.receive(4096).await {
            if let Some(end) = find(&device.rest, b"\r\n\r\n") {
                let body = device.rest.split_off(end + 4);
                device.head = String::from_utf8(std::mem::replace(&mut device.rest, body)).unwrap();
            }
        }
        device
    }

    /// Takes at most this many bytes off the wire; false once it is closed.
    pub async fn receive(&mut self, most: usize) -> bool {
        let mut bytes = vec![0; most];
        let read = soon(self.stream.read(&mut bytes)).await.unwrap_or(0);
        self.rest.extend_from_slice(&bytes[..read]);
        self.closed |= read == 0;
        !self.closed
    }

    /// The next whole frame that was received, its place checked and moved.
    pub fn take(&mut self) -> Option<Received> {
        let end = find(&self.rest, b"\n\n")?;
        let rest = self.rest.split_off(end + 2);
        let block = String::from_utf8(std::mem::replace(&mut self.rest, rest)).unwrap();
        let field = |name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
        };
        let data = serde_json::from_str(&field("data").unwrap()).unwrap();
        let received = Received { name: field("event").unwrap(), id: field("id"), data };
        self.check(&received);
        Some(received)
    }

    /// The next frame, waiting for it; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some(received) = self.take() {
                return Some(received);
            }
            if !self.receive(4096).await {
                return None;
            }
        }
    }

    /// The next frame of this name; others are skipped.
    pub async fn expect(&mut self, name: &str) -> Received {
        let coming = async {
            loop {
                let received = self.next().await.unwrap_or_else(|| panic!("the end came before {name}"));
                if received.name == name {
                    return received;
                }
            }
        };
        soon(coming).await
    }

    /// Whether a part of a frame was received and not the rest.
    pub fn is_within_a_frame(&self) -> bool {
        !self.rest.is_empty()
    }

    fn check(&mut self, received: &Received) {
        let data = &received.data;
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        match received.name.as_str() {
            "snapshot" => {
                assert_eq!(received.id, text("cursor"));
                self.place = text("cursor");
            }
            "batch" => {
                assert_eq!(text("from"), self.place, "a hole");
                assert_eq!(received.id, text("to"));
                let seqs: Vec<_> =
                    events(received).iter().map(|event| event["seq"].as_u64().unwrap()).collect();
                let expected: Vec<_> =
                    (seq(&text("from").unwrap()) + 1..=seq(&text("to").unwrap())).collect();
                assert_eq!(seqs, expected);
                self.place = text("to");
            }
            _ => assert_eq!(received.id, None, "only what moves the place has an id"),
        }
    }
}

pub fn events(received: &Received) -> &[Value] {
    received.data["events"].as_array().unwrap()
}

/// Tests may look into a cursor; devices do not.
pub fn seq(cursor: &str) -> u64 {
    cursor.split_once('.').unwrap().1.parse().unwrap()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
