//! What surrounds every handler.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::auth::{AuthError, Principal, Scope, SessionKey, cookie_of, same_origin};
use crate::problem::Problem;
use crate::request::MAX_WAIT;
use crate::state::ApiState;

/// The longest request id that is taken over from a client.
const REQUEST_ID_LIMIT: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything of this origin, and nothing inline. Pages may show each other in frames, nobody else may show them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; manifest-src 'self'; worker-src 'self'; frame-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// The outermost layer: an id and a span for the request, a limit on its time, a 500 for its panics, and
/// the headers that every answer carries.
pub(crate) async fn envelope(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    state.meters.requests.fetch_add(1, Ordering::Relaxed);
    let id = request_id(request.headers());
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
    );
    let mut response = guarded(&state, request, next).instrument(span).await;
    set_headers(response.headers_mut(), id);
    response
}

/// Around `/v1`: no more at a time than the process can carry.
pub(crate) async fn admit(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let permit = state.in_flight.try_acquire();
    let _permit = permit.map_err(|_| Problem::unavailable("too many requests are under way; try again"))?;
    Ok(next.run(request).await)
}

/// Around what is of somebody: nobody gets further who is not known, or asks too often.
pub(crate) async fn authenticate(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (principal, session) = match bearer(request.headers()) {
        Some(token) => (holder_of(&state, token).await?, None),
        None => {
            let (session, principal) = signed_in(&state, request.headers())?;
            refuse_foreign_pages(&request)?;
            (principal, Some(session))
        }
    };
    pace(&state, &principal)?;
    request.extensions_mut().insert(principal);
    if let Some(session) = session {
        request.extensions_mut().insert(session);
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Who holds a token.
pub(crate) async fn holder_of(state: &ApiState, token: &str) -> Result<Principal, Problem> {
    state.authenticator.authenticate(token).await.map_err(|error| match error {
        AuthError::Refused => Problem::unauthorized(),
        AuthError::Unavailable(cause) => {
            tracing::error!(%cause, "tokens cannot be checked");
            Problem::unavailable("tokens cannot be checked now; try again")
        }
    })
}

/// A cookie alone is sent by a browser whoever wrote the page that asks.
fn signed_in(state: &ApiState, headers: &HeaderMap) -> Result<(SessionKey, Principal), Problem> {
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(Problem::unauthorized());
    }
    let id = cookie_of(headers).ok_or_else(Problem::unauthorized)?;
    state.sessions.find(id, SystemTime::now()).ok_or_else(Problem::unauthorized)
}

/// Reading is left to the browser, which shows answers to pages of this origin only; a WebSocket's it shows to
/// all.
fn refuse_foreign_pages(request: &Request) -> Result<(), Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if (reads && !request.headers().contains_key(header::UPGRADE)) || same_origin(request.headers()) {
        return Ok(());
    }
    Err(Problem::foreign_origin())
}

/// An agent's devices share its rate; operators are trusted.
fn pace(state: &ApiState, principal: &Principal) -> Result<(), Problem> {
    let Scope::Agent(agent) = &principal.scope else { return Ok(()) };
    state.asked.take(agent.clone(), Instant::now()).map_err(|wait| {
        state.meters.limited.fetch_add(1, Ordering::Relaxed);
        Problem::too_often(wait)
    })
}

async fn guarded(state: &ApiState, request: Request, next: Next) -> Response {
    let limit = state.config.answer_time + asked_wait(&request);
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            state.meters.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(panic = in_words(panic.as_ref()), "a handler panicked");
            Problem::internal().into_response()
        }
        Err(_) => {
            let detail = "the answer took too long; what was asked may have been done: ask with the same key";
            Problem::unavailable(detail).into_response()
        }
    }
}

/// What the client itself asked to wait comes on top of the limit.
fn asked_wait(request: &Request) -> Duration {
    let by_query = request.uri().query().is_some_and(|query| query.contains("wait="));
    if by_query || request.headers().contains_key("prefer") { MAX_WAIT } else { Duration::ZERO }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The client's own id where it is harmless in a log, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let harmless = |value: &&HeaderValue| {
        !value.is_empty()
            && value.len() <= REQUEST_ID_LIMIT
            && value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    };
    headers.get(&REQUEST_ID).filter(harmless).cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&Uuid::now_v7().to_string()).expect("a UUID is printable ASCII")
    })
}

fn set_headers(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(REQUEST_ID, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("same-origin"));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
}

fn in_words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("not a text")
}
