//! A device's connection: the same frames over three transports, read off a socket.

use std::net::SocketAddr;
use std::time::Duration;

use archibald_core::event::Cursor;
use archibald_core::id::AgentId;
use futures::StreamExt;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::server::TOKEN;
use super::told::Frame;
use crate::Failure;

/// How long a poll may wait for something to be told, in seconds.
const WAIT: u64 = 60;

/// How a device follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Server-sent events.
    Sse,
    /// WebSocket.
    Ws,
    /// Long poll.
    Poll,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sse, Self::Ws, Self::Poll];
}

/// Where a device follows whom, and how fast it reads.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    pub(crate) agent: AgentId,
    /// Waits so long after each read.
    pub(crate) pause: Option<Duration>,
}

/// A connection that is open.
pub(crate) enum Link {
    Sse(Bytes),
    Ws(Box<WebSocketStream<TcpStream>>, Way),
    Poll(Way),
}

impl Link {
    pub(crate) async fn open(transport: Transport, way: Way, place: Option<Cursor>) -> Result<Self, Failure> {
        Ok(match transport {
            Transport::Sse => Self::Sse(sse(way, place).await?),
            Transport::Ws => Self::Ws(Box::new(ws(&way, place).await?), way),
            Transport::Poll => Self::Poll(way),
        })
    }

    /// The next frame for a device at this place; `None` at the end.
    pub(crate) async fn next(&mut self, place: Option<Cursor>) -> Result<Option<Frame>, Failure> {
        match self {
            Self::Sse(bytes) => bytes.event().await,
            Self::Ws(socket, way) => loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        paused(way).await;
                        return Frame::named(text.as_bytes()).map(Some);
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
                    Some(Ok(_)) => {}
                }
            },
            Self::Poll(way) => poll(way, place).await,
        }
    }
}

async fn paused(way: &Way) {
    if let Some(pause) = way.pause {
        sleep(pause).await;
    }
}

async fn sse(way: Way, place: Option<Cursor>) -> Result<Bytes, Failure> {
    let last = place.map(|place| format!("Last-Event-ID: {place}\r\n")).unwrap_or_default();
    let request = get(&way, "events", &format!("Accept: text/event-stream\r\n{last}"));
    let mut bytes = Bytes::ask(way, &request).await?;
    bytes.head().await?;
    Ok(bytes)
}

async fn ws(way: &Way, place: Option<Cursor>) -> Result<WebSocketStream<TcpStream>, Failure> {
    let cursor = place.map(|place| format!("?cursor={place}")).unwrap_or_default();
    let url = format!("ws://{}/v1/agents/{}/ws{cursor}", way.address, way.agent);
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse()?);
    Ok(client_async(request, TcpStream::connect(way.address).await?).await?.0)
}

async fn poll(way: &Way, place: Option<Cursor>) -> Result<Option<Frame>, Failure> {
    let cursor = place.map(|place| format!("&cursor={place}")).unwrap_or_default();
    let path = format!("events?wait={WAIT}{cursor}");
    let mut bytes = Bytes::ask(way.clone(), &get(way, &path, "Accept: application/json\r\n")).await?;
    let length = bytes.head().await?.ok_or("an answer without a length")?;
    while bytes.rest.len() < length {
        if !bytes.more().await? {
            return Ok(None);
        }
    }
    Frame::named(&bytes.rest).map(Some)
}

/// In HTTP/1.0, so that a body is bare.
fn get(way: &Way, path: &str, headers: &str) -> String {
    format!(
        "GET /v1/agents/{}/{path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n{headers}\r\n",
        way.agent
    )
}

/// An answer as it comes in.
pub(crate) struct Bytes {
    stream: TcpStream,
    rest: Vec<u8>,
    way: Way,
}

impl Bytes {
    async fn ask(way: Way, request: &str) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(way.address).await?;
        stream.write_all(request.as_bytes()).await?;
        Ok(Self { stream, rest: vec![], way })
    }

    /// False once it is closed. Who reads slowly reads little.
    async fn more(&mut self) -> Result<bool, Failure> {
        let most = if self.way.pause.is_some() { 512 } else { 64 * 1024 };
        self.rest.reserve(most);
        let read = (&mut self.stream).take(most as u64).read_buf(&mut self.rest).await?;
        paused(&self.way).await;
        Ok(read > 0)
    }

    /// Reads up to the body; gives back how long that is, where it is said.
    async fn head(&mut self) -> Result<Option<usize>, Failure> {
        let end = self.until(b"\r\n\r\n").await?.ok_or("closed before its answer")?;
        let head = String::from_utf8(self.rest.drain(..end).collect())?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status != "200" {
            return Err(format!("answered {status}").into());
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        Ok(length)
    }

    async fn event(&mut self) -> Result<Option<Frame>, Failure> {
        let Some(end) = self.until(b"\n\n").await? else { return Ok(None) };
        let block: Vec<u8> = self.rest.drain(..end).collect();
        let block = std::str::from_utf8(&block)?;
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let (name, data) =
            (field("event").ok_or("an event without a name")?, field("data").unwrap_or_default());
        Frame::read(name, data.as_bytes()).map(Some)
    }

    /// Where this ends in what came in; `None` if the stream ends before.
    async fn until(&mut self, mark: &[u8]) -> Result<Option<usize>, Failure> {
        let mut looked = 0;
        loop {
            let found = self.rest[looked..].windows(mark.len()).position(|window| window == mark);
            if let Some(found) = found {
                return Ok(Some(looked + found + mark.len()));
            }
            looked = self.rest.len().saturating_sub(mark.len() - 1);
            if !self.more().await? {
                return Ok(None);
            }
        }
    }
}
