use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use archibald_core::error::StoreError;
use archibald_core::port::{Operations, Overview};
use axum::response::Response;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, stream};
use serde_json::json;
use tokio::time::Instant;

use super::{event, event_stream};
use crate::state::ApiState;
use crate::time::timestamp;

/// The overview as it changes, as server-sent events. It is read at intervals, so however much happens it is
/// sent that often at most, and of what a slow reader missed the latest counts.
pub(crate) fn follow_overview(
    state: &ApiState,
    ending: impl Future<Output = &'static str> + Send + 'static,
) -> Response {
    let config = &state.config;
    let reader = Reader {
        operations: state.operations.clone(),
        interval: config.overview_interval.max(Duration::from_millis(10)),
        heartbeat: config.stream.heartbeat,
        read_time: config.stream.read_time,
        next_read: Instant::now(),
        told_at: Instant::now(),
        told: None,
    };
    let follower = Follower { reader, ending: ending.boxed(), over: false };
    event_stream(stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    }))
}

struct Follower {
    reader: Reader,
    ending: BoxFuture<'static, &'static str>,
    over: bool,
}

struct Reader {
    operations: Arc<dyn Operations>,
    interval: Duration,
    heartbeat: Duration,
    read_time: Duration,
    next_read: Instant,
    told_at: Instant,
    told: Option<Overview>,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the overview could not be read in time")]
    TooSlow(#[from] tokio::time::error::Elapsed),
    #[error("the overview is not JSON")]
    NotJson(#[from] serde_json::Error),
}

impl Follower {
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let reason = tokio::select! {
            biased;
            reason = &mut self.ending => reason,
            event = self.reader.next() => match event {
                Ok(event) => return Some(event),
                Err(error) => {
                    tracing::warn!(%error, "an operator's stream ends");
                    "unavailable"
                }
            },
        };
        self.over = true;
        event("bye", &json!({ "reason": reason, "retry_ms": 1000 })).ok()
    }
}

impl Reader {
    async fn next(&mut self) -> Result<Bytes, ReadError> {
        loop {
            tokio::time::sleep_until(self.next_read).await;
            let overview = tokio::time::timeout(self.read_time, self.operations.overview()).await??;
            let now = Instant::now();
            self.next_read = now + self.interval;
            if self.told.as_ref() != Some(&overview) {
                self.told_at = now;
                return Ok(event("overview", self.told.insert(overview))?);
            }
            if now >= self.told_at + self.heartbeat {
                self.told_at = now;
                return Ok(event("heartbeat", &json!({ "at": timestamp(SystemTime::now()) }))?);
            }
        }
    }
}
