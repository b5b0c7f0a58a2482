//! `/v1/agents/{agent}/events`, `ws` and `snapshot`: what devices follow.

use std::sync::atomic::Ordering;
use std::time::Duration;

use archibald_core::event::Cursor;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::auth::AgentAccess;
use crate::problem::Problem;
use crate::request::{Query, cut_wait, last_event_id, wants_json};
use crate::serve::Held;
use crate::state::ApiState;
use crate::stream::{Frame, Holder, Subscription, Whose, long_poll, polling, sse, upgrade, ws};
use crate::time::time_left;
use crate::wire::{OperationView, PendingOrderView, PollFrame};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Where to go on; the header `Last-Event-ID` goes first.
    cursor: Option<String>,
    /// Seconds that a long poll waits, at most 60.
    wait: Option<u64>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WsQuery {
    /// Where to go on.
    cursor: Option<String>,
}

/// What is done about a frame before it is sent.
type OnFrame = Box<dyn FnMut(&Frame) + Send>;

/// Server-sent events, or with `Accept: application/json` the next frame of them.
#[utoipa::path(
    get,
    path = "/events",
    params(EventsQuery, ("Last-Event-ID" = Option<String>, Header, description = "Where to go on")),
    responses(
        (status = 200, description = "Frames: hello, snapshot, batch, heartbeat, progress, bye", content(
            (String = "text/event-stream"),
            (PollFrame = "application/json"),
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
        let (subscription, on_frame) = subscribe(&state, access, place)?;
        return Ok(sse(subscription, on_frame));
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

/// The same frames over WebSocket: one JSON message a frame, with its name in `frame`. What the device sends
/// is not looked at.
#[utoipa::path(
    get,
    path = "/ws",
    params(WsQuery),
    responses(
        (status = 101, description = "Frames: hello, snapshot, batch, heartbeat, progress, bye"),
        (status = 400, description = "What was sent is no cursor", body = Problem),
        (status = 426, description = "It did not ask for a WebSocket", body = Problem),
    ),
)]
pub(crate) async fn follow_by_ws(
    State(state): State<ApiState>,
    access: AgentAccess,
    held: Option<Extension<Held>>,
    Query(query): Query<WsQuery>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let place = query.cursor.as_deref().map(cursor).transpose()?;
    let socket = upgrade(socket.map_err(|_| Problem::upgrade_required())?);
    let (subscription, on_frame) = subscribe(&state, access, place)?;
    let held = held.map(|Extension(held)| held);
    let subscription = Box::new(subscription);
    // Boxed, since the task that waits for the upgrade goes on as the task of the connection.
    Ok(socket.on_upgrade(move |socket| Box::pin(ws(Box::new(socket), subscription, on_frame, held))))
}

/// All that a device shows, and the cursor from which its stream goes on.
#[utoipa::path(
    get,
    path = "/snapshot",
    responses((status = 200, description = "`cursor`, `operations` and `pending_orders`", body = ref("#/components/schemas/Snapshot"))),
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

/// A seat, and the subscription that ends with it.
fn subscribe(
    state: &ApiState,
    access: AgentAccess,
    place: Option<Cursor>,
) -> Result<(Subscription, OnFrame), Problem> {
    let AgentAccess { agent, principal, session } = access;
    let expiry = principal.expires_at.map(time_left);
    let ending = seated(state, Some(agent.clone()), Holder { principal, session }, expiry)?;
    let config = state.config.stream.clone();
    let subscription = Subscription::new(state.bus.clone(), agent, place, config).ending(ending);
    let meters = state.meters.clone();
    let mut had_place = place.is_some();
    let on_frame = move |frame: &Frame| {
        if matches!(frame, Frame::Snapshot { .. }) && std::mem::replace(&mut had_place, true) {
            meters.cursors_rejected.fetch_add(1, Ordering::Relaxed);
        }
    };
    Ok((subscription, Box::new(on_frame)))
}

/// Takes a seat; what comes back says when and why it is lost.
pub(super) fn seated(
    state: &ApiState,
    whose: Whose,
    holder: Holder,
    expiry: Option<Duration>,
) -> Result<impl Future<Output = &'static str> + Send + use<>, Problem> {
    let session = holder.session;
    let seat = state.streams.enter(whose.clone(), holder);
    // After the seat was taken: who signs out ends the session first, and then what has a seat.
    if session.is_some_and(|key| !state.sessions.is_open(&key)) {
        return Err(Problem::unauthorized());
    }
    if whose.as_ref().is_some_and(|agent| !state.operations.knows(agent)) {
        return Err(Problem::not_found());
    }
    let (shutdown, gone) = (state.shutdown.clone(), gone(state, whose));
    Ok(async move {
        tokio::select! {
            () = shutdown.cancelled() => "shutdown",
            reason = seat.ended() => reason,
            () = gone => "revoked",
            () = after(expiry) => "expired",
        }
    })
}

fn cursor(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("query parameter cursor: {error}")))
}

/// Returns once there is no such agent any more: one that another process removed. Whoever removes one here ends its
/// streams at once.
fn gone(state: &ApiState, whose: Whose) -> impl Future<Output = ()> + Send + use<> {
    let (operations, between) = (state.operations.clone(), state.config.stream.heartbeat);
    async move {
        let Some(agent) = whose else { return std::future::pending().await };
        while operations.knows(&agent) {
            tokio::time::sleep(between).await;
        }
    }
}

async fn after(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}
