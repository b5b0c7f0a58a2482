//! `/v1/session`: browsers sign in once, for a cookie that scripts cannot read.

use std::time::SystemTime;

use archibald_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::me::{Me, refuse_gone};
use crate::auth::{COOKIE, SessionKey, cookie_of, same_origin};
use crate::middleware::holder_of;
use crate::problem::Problem;
use crate::request::{JsonBody, PeerNetwork};
use crate::state::ApiState;
use crate::time::timestamp;

/// What signs in. Not `Debug`: it is a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The token that would else come in the header `Authorization`.
    #[schema(pattern = r"^[^\u0000]*$")]
    token: String,
}

/// Who is signed in now, and until when.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedIn {
    #[serde(flatten)]
    me: Me,
    /// When the session ends, unless it is signed out before.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
}

/// A token for a session's cookie, since EventSource and WebSocket in a browser cannot send a header.
///
/// Requests with the cookie that change something, and WebSockets, need an `Origin` that names this host.
#[utoipa::path(
    post,
    path = "/session",
    request_body = SignIn,
    responses(
        (status = 200, description = "The cookie is set", body = SignedIn, headers(("Set-Cookie" = String))),
        (status = 401, description = "The token is refused", body = Problem),
        (status = 403, description = "A page of another origin asks", body = Problem),
    ),
)]
pub(crate) async fn sign_in(
    State(state): State<ApiState>,
    PeerNetwork(peer): PeerNetwork,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SignIn>,
) -> Result<Response, Problem> {
    if headers.contains_key(header::ORIGIN) && !same_origin(&headers) {
        return Err(Problem::foreign_origin());
    }
    // Taken before the token is looked at, so that many at a time do not slip through; only failures count.
    state.failed.take(peer, Instant::now()).map_err(Problem::too_often)?;
    let principal = holder_of(&state, &body.token).await?;
    refuse_gone(&state, &principal)?;
    state.failed.give_back(&peer);
    if let Some(before) = cookie_of(&headers) {
        leave(&state, before);
    }
    tracing::info!(name = principal.name, "signed in");
    let now = SystemTime::now();
    let begun = state.sessions.begin(principal.clone(), now);
    // Once more: whoever removes an agent does that first, and then ends the sessions that it has.
    if let Err(gone) = refuse_gone(&state, &principal) {
        state.sessions.end_of(|other| other.scope == principal.scope);
        return Err(gone);
    }
    end_streams(&state, &begun.replaced, "replaced");
    let seconds = begun.ends.duration_since(now).unwrap_or_default().as_secs();
    let cookie = cookie(&state, &begun.id, seconds);
    let signed_in = SignedIn { me: Me::of(&state, principal), ends_at: timestamp(begun.ends) };
    Ok(([cookie], Json(signed_in)).into_response())
}

/// Ends the session and its streams, and takes the cookie back. Without a session there is nothing to do.
#[utoipa::path(
    delete,
    path = "/session",
    responses(
        (status = 204, description = "There is no session any more", headers(("Set-Cookie" = String))),
        (status = 403, description = "A page of another origin asks", body = Problem),
    ),
)]
pub(crate) async fn sign_out(State(state): State<ApiState>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(id) = cookie_of(&headers) {
        if !same_origin(&headers) {
            return Err(Problem::foreign_origin());
        }
        leave(&state, id);
    }
    Ok(([cookie(&state, "", 0)], StatusCode::NO_CONTENT).into_response())
}

fn leave(state: &ApiState, id: &str) {
    if let Some((key, principal)) = state.sessions.find(id, SystemTime::now()) {
        // The session first: a stream that is just being opened looks for it after it took its seat.
        state.sessions.end(&key);
        end_streams(state, &[key], "signed_out");
        tracing::info!(name = principal.name, "signed out");
    }
}

fn end_streams(state: &ApiState, sessions: &[SessionKey], reason: &'static str) {
    if !sessions.is_empty() {
        let of_these =
            |holder: &crate::stream::Holder| holder.session.is_some_and(|key| sessions.contains(&key));
        state.streams.end(of_these, reason);
    }
}

fn cookie(state: &ApiState, id: &str, seconds: u64) -> (header::HeaderName, HeaderValue) {
    let secure = if state.config.secure_cookies { "; Secure" } else { "" };
    let text = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let mut value = HeaderValue::from_str(&text).expect("hexadecimal digits are printable ASCII");
    value.set_sensitive(true);
    (header::SET_COOKIE, value)
}
