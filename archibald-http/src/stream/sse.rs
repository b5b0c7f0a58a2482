use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, stream};
use serde::Serialize;

use super::{Frame, Subscription};

/// A subscription as server-sent events. The body is pulled: a frame is made when the connection has room
/// for it.
pub(crate) fn sse(subscription: Subscription, on_frame: impl FnMut(&Frame) + Send + 'static) -> Response {
    let frames = stream::unfold((subscription, on_frame), |(mut subscription, mut on_frame)| async move {
        let frame = subscription.next().await?;
        on_frame(&frame);
        let text = encode(&frame).inspect_err(|error| tracing::error!(%error, "a frame is not JSON")).ok()?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), (subscription, on_frame)))
    });
    event_stream(frames)
}

/// Events that are encoded already, as they come.
pub(crate) fn event_stream(
    events: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(events)).into_response()
}

/// One event without a place. JSON has no line breaks of its own, so the data is one line.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    let data = serde_json::to_string(data)?;
    Ok(Bytes::from(format!("event: {name}\ndata: {data}\n\n")))
}

/// One event. JSON has no line breaks of its own, so the data is one line.
fn encode(frame: &Frame) -> Result<String, serde_json::Error> {
    let data = serde_json::to_string(frame)?;
    let id = frame.place().map(|place| format!("id: {place}\n")).unwrap_or_default();
    let retry = match frame {
        Frame::Bye(bye) => format!("retry: {}\n", bye.retry_ms),
        _ => String::new(),
    };
    Ok(format!("event: {}\n{id}{retry}data: {data}\n\n", frame.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Bye, Heartbeat};
    use archibald_core::event::{Cursor, Event, NewEvent};
    use archibald_core::time::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn an_event_has_a_name_one_line_of_data_and_its_place() {
        let place = |seq| Cursor { epoch: Uuid::from_u128(1), seq };
        let event = NewEvent::plain("warning", json!({ "text": "two\nlines" }));
        let events = vec![Event { seq: 2, at: Timestamp::EPOCH, event }];
        let batch = Frame::Batch { from: place(1), to: place(2), events };
        assert_eq!(
            encode(&batch).unwrap(),
            "event: batch\n\
             id: 00000000000000000000000000000001.2\n\
             data: {\"from\":\"00000000000000000000000000000001.1\",\
             \"to\":\"00000000000000000000000000000001.2\",\
             \"events\":[{\"seq\":2,\"at\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"warning\",\
             \"text\":\"two\\nlines\"}]}\n\n"
        );
        let heartbeat = Frame::Heartbeat(Heartbeat { head: 7, at: Timestamp::EPOCH });
        assert_eq!(
            encode(&heartbeat).unwrap(),
            "event: heartbeat\ndata: {\"head\":7,\"at\":\"1970-01-01T00:00:00.000000Z\"}\n\n"
        );
        let bye = Frame::Bye(Bye { reason: "shutdown", retry_ms: 1500 });
        assert_eq!(
            encode(&bye).unwrap(),
            "event: bye\nretry: 1500\ndata: {\"reason\":\"shutdown\",\"retry_ms\":1500}\n\n"
        );
    }
}
