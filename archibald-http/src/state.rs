//! What every handler has at hand.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use archibald_core::port::{EventBus, Operations};
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::stream::{StreamConfig, StreamRegistry};

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
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            body_limit: 64 * 1024,
            body_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(30),
            streams_per_agent: 16,
            stream: StreamConfig::default(),
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
    pub(crate) meters: Arc<Meters>,
}

/// What `/metrics` counts of the API itself.
#[derive(Default)]
pub(crate) struct Meters {
    pub(crate) requests: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) cursors_rejected: AtomicU64,
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
        let streams = Arc::new(StreamRegistry::new(config.streams_per_agent));
        let config = Arc::new(config);
        Self { operations, bus, authenticator, config, shutdown, streams, meters: Arc::default() }
    }
}
