use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::{Frame, StreamConfig, Subscription};
use crate::problem::Problem;

/// The subscription's configuration for a poll that waits this long: the heartbeat is the end of the wait,
/// so that the answer always comes right after a read of the log.
pub(crate) fn polling(config: &StreamConfig, wait: Duration) -> StreamConfig {
    StreamConfig { heartbeat: wait, ..config.clone() }
}

/// One `batch` or `snapshot` frame; an empty batch when nothing came in time.
pub(crate) async fn long_poll(mut subscription: Subscription) -> Result<Response, Problem> {
    loop {
        match (subscription.next().await, subscription.place()) {
            (Some(frame @ (Frame::Batch { .. } | Frame::Snapshot { .. })), _) => return answer(&frame),
            (Some(Frame::Heartbeat(_)), Some(place)) => {
                return answer(&Frame::Batch { from: place, to: place, events: vec![] });
            }
            (Some(Frame::Bye(bye)), _) => return Err(Problem::unavailable(format!("bye: {}", bye.reason))),
            (None, _) => return Err(Problem::unavailable("the stream ended")),
            (Some(Frame::Hello(_) | Frame::Progress { .. } | Frame::Heartbeat(_)), _) => {}
        }
    }
}

fn answer(frame: &Frame) -> Result<Response, Problem> {
    let json = frame.named().map_err(|error| {
        tracing::error!(%error, "a frame is not JSON");
        Problem::internal()
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
