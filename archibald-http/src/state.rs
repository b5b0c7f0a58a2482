//! What every handler has at hand.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::port::{EventBus, Operations};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Sessions};
use crate::limit::{Buckets, Rate};
use crate::stream::{StreamConfig, StreamRegistry};

/// Buckets that are kept of peers and of agents: a few MB at most.
const BUCKETS: usize = 20_000;

/// The bounds of the API.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// The largest body, in bytes; a larger one is 413. Default 64 KiB.
    pub body_limit: usize,
    /// How long a body may take to arrive; a slower one is 408. Default 10 s.
    pub body_time: Duration,
    /// How long an answer may take, beyond the wait that the client itself asked for; a slower one is
    /// 503. A stream has answered with its first byte. Default 30 s.
    pub answer_time: Duration,
    /// Streams of one agent at a time; one more ends the oldest with `bye`. Default 16.
    pub streams_per_agent: usize,
    /// Of the streams themselves.
    pub stream: StreamConfig,
    /// How often the overview is read for an operator that follows it. Default 1 s.
    pub overview_interval: Duration,
    /// How often one agent may ask, over all its devices; more is 429. Operators are not counted. Default 300
    /// at once and 50 a second.
    pub rate: Rate,
    /// How often one address may fail to sign in; more is 429. Default 10 at once and one every ten seconds.
    pub sign_in_rate: Rate,
    /// Requests under `/v1` that are answered at a time, those that wait included; one more is 503. Streams
    /// have answered. Default 4,096.
    pub in_flight: usize,
    /// How long a session of a browser lasts, unless its token ends before. Default 12 h.
    pub session_time: Duration,
    /// Sessions of one holder at a time; one more ends the first. Default 32.
    pub sessions_per_holder: usize,
    /// Sessions at a time; one more ends the first. Default 10,000.
    pub sessions: usize,
    /// Whether browsers may send the session's cookie over TLS alone. Default true; a server that listens on
    /// loopback without TLS has to say no.
    pub secure_cookies: bool,
    /// What this process is called in `/v1/admin/workers`. Default empty.
    pub worker: String,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            body_limit: 64 * 1024,
            body_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(30),
            streams_per_agent: 16,
            stream: StreamConfig::default(),
            overview_interval: Duration::from_secs(1),
            rate: Rate { burst: 300, per_second: 50.0 },
            sign_in_rate: Rate { burst: 10, per_second: 0.1 },
            in_flight: 4096,
            session_time: Duration::from_secs(12 * 3600),
            sessions_per_holder: 32,
            sessions: 10_000,
            secure_cookies: true,
            worker: String::new(),
        }
    }
}

/// What the router is made from. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) operations: Arc<dyn Operations>,
    pub(crate) bus: Arc<dyn EventBus>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) config: Arc<ApiConfig>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) streams: Arc<StreamRegistry>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) asked: Arc<Buckets<AgentId>>,
    pub(crate) failed: Arc<Buckets<IpAddr>>,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) drain: CancellationToken,
    pub(crate) meters: Arc<Meters>,
}

/// What `/metrics` counts of the API itself.
#[derive(Default)]
pub(crate) struct Meters {
    pub(crate) requests: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) cursors_rejected: AtomicU64,
    pub(crate) limited: AtomicU64,
}

impl ApiState {
    /// Once `shutdown` is cancelled, streams and waits end and `/readyz` says no; give
    /// [`serve`](crate::serve) the same token.
    pub fn new(
        operations: Arc<dyn Operations>,
        bus: Arc<dyn EventBus>,
        authenticator: Arc<dyn Authenticator>,
        config: ApiConfig,
        shutdown: CancellationToken,
    ) -> Self {
        let in_flight = config.in_flight.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            operations,
            bus,
            authenticator,
            shutdown,
            streams: Arc::new(StreamRegistry::new(config.streams_per_agent)),
            sessions: Arc::new(Sessions::new(
                config.session_time,
                config.sessions_per_holder,
                config.sessions,
            )),
            asked: Arc::new(Buckets::new(config.rate, BUCKETS)),
            failed: Arc::new(Buckets::new(config.sign_in_rate, BUCKETS)),
            in_flight: Arc::new(Semaphore::new(in_flight)),
            drain: CancellationToken::new(),
            config: Arc::new(config),
            meters: Arc::default(),
        }
    }

    /// Cancelled when an operator asks the process to drain: then it should do what it does when it is told to
    /// stop. Without anybody who waits for it, `POST /v1/admin/workers/drain` does nothing.
    #[must_use]
    pub fn drain_asked(&self) -> CancellationToken {
        self.drain.clone()
    }
}
