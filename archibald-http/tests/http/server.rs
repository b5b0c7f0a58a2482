//! A running server and the plainest client for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use archibald_http::{ApiConfig, ApiState, Authenticator, ServeLimits, StreamConfig, TokenEntry, TokenSet};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::device::Device;
use crate::door::{Bus, Door, agent};

pub const NANCY: &str = "token-of-nancy";
pub const JANET: &str = "token-of-janet";
pub const OPERATOR: &str = "token-of-the-operator";

/// Long enough for a busy machine; what passes does not wait for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    pub door: Door,
    pub bus: Bus,
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
    pub drain_asked: CancellationToken,
    pub serving: JoinHandle<()>,
    _stop: DropGuard,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a problem of this sort and shape, and returns it.
    pub fn problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:archibald:problem:{name}"));
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem
    }

    /// Checks that it is a 422 about exactly these places.
    pub fn pointers(&self, expected: &[&str]) {
        let problem = self.json();
        assert_eq!(self.status, 422, "{problem}");
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors in {problem}"));
        let found: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{problem}");
    }
}

/// Waits for something that has to come soon.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it did not come")
}

/// Streams that go on fast, so that tests need not wait.
pub fn config() -> ApiConfig {
    let stream = StreamConfig { heartbeat: Duration::from_millis(200), batch: 3, ..StreamConfig::default() };
    ApiConfig { stream, ..ApiConfig::default() }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(config(), ServeLimits::default(), Door::default()).await
    }

    pub async fn start_with(config: ApiConfig, limits: ServeLimits, door: Door) -> Self {
        let tokens = TokenSet::new([
            TokenEntry::agent(agent("nancy"), NANCY),
            TokenEntry::agent(agent("janet"), JANET),
            TokenEntry::operator(OPERATOR),
        ]);
        Self::start_as(Arc::new(tokens.unwrap()), config, limits, door).await
    }

    pub async fn start_as(
        authenticator: Arc<dyn Authenticator>,
        config: ApiConfig,
        limits: ServeLimits,
        door: Door,
    ) -> Self {
        let bus = Bus::of(&door.store);
        let shutdown = CancellationToken::new();
        let behind = (Arc::new(door.clone()), Arc::new(bus.clone()));
        let state = ApiState::new(behind.0, behind.1, authenticator, config, shutdown.clone());
        let drain_asked = state.drain_asked();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = archibald_http::router(state);
        let serving = tokio::spawn(archibald_http::serve(listener, router, shutdown.clone(), limits));
        let _stop = shutdown.clone().drop_guard();
        Self { door, bus, address, _stop, shutdown, drain_asked, serving }
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let response = soon(sender.send_request(request)).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = soon(body.collect()).await.unwrap().to_bytes();
        connection.abort();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(request(Method::GET, token, path, &[], None)).await
    }

    pub async fn post(&self, token: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.send(request(Method::POST, token, path, headers, Some(body.to_string()))).await
    }

    /// Posts an operation of nancy's.
    pub async fn enqueue(&self, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.post(NANCY, "/v1/agents/nancy/operations", headers, body).await
    }

    /// Nancy's device, from a place.
    pub async fn follow(&self, place: Option<&str>) -> Device {
        Device::connect(self.address, NANCY, "/v1/agents/nancy/events", place).await
    }
}

/// With a token unless it is empty; a body is JSON.
pub fn request(
    method: Method,
    token: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<String>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let named = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if body.is_some() && !named("content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body.unwrap_or_default())).unwrap()
}
