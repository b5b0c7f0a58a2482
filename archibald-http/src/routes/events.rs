//! `/v1/agents/{agent}/events` and `snapshot`: what devices follow.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use archibald_core::event::Cursor;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::auth::AgentAccess;
use crate::problem::Problem;
use crate::request::{Query, cut_wait, last_event_id, wants_json};
use crate::state::ApiState;
use crate::stream::{Frame, Subscription, long_poll, polling, sse};
use crate::wire::{OperationView, PendingOrderView};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Where to go on; the header `Last-Event-ID` goes first.
    cursor: Option<String>,
    /// Seconds that a long poll waits, at most 60.
    wait: Option<u64>,
}

/// Server-sent events, or with `Accept: application/json` the next frame of them.
#[utoipa::path(
    get,
    path = "/events",
    params(EventsQuery, ("Last-Event-ID" = Option<String>, Header, description = "Where to go on")),
    responses(
        (status = 200, description = "Frames: hello, snapshot, batch, heartbeat, progress, bye", content(
            (String = "text/event-stream"),
            (Object = "application/json"),
        )),
        (status = 400, description = "What was sent is no cursor", body = Problem),
    ),
)]
pub(crate) async fn follow(
    State(state): State<ApiState>,
    access: AgentAccess,
    headers: HeaderMap,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Problem> {
    let place = match last_event_id(&headers)? {
        Some(place) => Some(place),
        None => query.cursor.as_deref().map(cursor).transpose()?,
    };
    if !wants_json(&headers) {
        return Ok(stream(&state, access, place));
    }
    let config = polling(&state.config.stream, cut_wait(query.wait.unwrap_or(0)));
    let subscription = Subscription::new(state.bus.clone(), access.agent, place, config);
    let shutdown = state.shutdown.clone().cancelled_owned();
    long_poll(subscription.ending(async move {
        shutdown.await;
        "shutdown"
    }))
    .await
}

/// All that a device shows, and the cursor from which its stream goes on.
#[utoipa::path(
    get,
    path = "/snapshot",
    responses((status = 200, description = "`cursor`, `operations` and `pending_orders`", body = Object)),
)]
pub(crate) async fn snapshot(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
) -> Result<Json<Frame>, Problem> {
    let snapshot = state.bus.snapshot(&agent, state.config.stream.finished).await?;
    let progress = state.bus.progress(&agent);
    let view = |record| OperationView::new(record, &progress, vec![]);
    let operations = snapshot.operations.into_iter().map(view).collect();
    let pending_orders = snapshot.pending_orders.into_iter().map(PendingOrderView::from).collect();
    Ok(Json(Frame::Snapshot { cursor: snapshot.cursor, operations, pending_orders }))
}

fn stream(state: &ApiState, access: AgentAccess, place: Option<Cursor>) -> Response {
    let seat = state.streams.enter(&access.agent);
    let shutdown = state.shutdown.clone();
    let expiry = access.principal.expires_at.map(time_left);
    let ending = async move {
        tokio::select! {
            () = shutdown.cancelled() => "shutdown",
            () = seat.replaced() => "replaced",
            () = after(expiry) => "expired",
        }
    };
    let config = state.config.stream.clone();
    let subscription = Subscription::new(state.bus.clone(), access.agent, place, config).ending(ending);
    let meters = state.meters.clone();
    let mut had_place = place.is_some();
    sse(subscription, move |frame| {
        if matches!(frame, Frame::Snapshot { .. }) && std::mem::replace(&mut had_place, true) {
            meters.cursors_rejected.fetch_add(1, Ordering::Relaxed);
        }
    })
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("query parameter cursor: {error}")))
}

fn time_left(until: SystemTime) -> Duration {
    until.duration_since(SystemTime::now()).unwrap_or_default()
}

async fn after(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}
