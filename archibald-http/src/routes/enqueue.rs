//! `POST /v1/agents/{agent}/operations`: a 202 means that it is on disk.

use std::time::Duration;

use archibald_core::id::{AgentId, OperationKey};
use archibald_core::port::{EnqueueRequest, Enqueued};
use archibald_core::record::OperationRecord;
use archibald_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::operations::view;
use crate::auth::AgentAccess;
use crate::problem::Problem;
use crate::request::{JsonBody, OriginHeaders, idempotency_key, origin, preferred_wait};
use crate::state::ApiState;
use crate::wire::{OperationView, operation_path};

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnqueueBody {
    /// Such as `submit-order`.
    kind: String,
    /// What the kind asks for.
    payload: Value,
    /// The same thing as the header `Idempotency-Key`; one of the two is needed.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    key: Option<OperationKey>,
    /// Not before this.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<Timestamp>,
    /// Keep a trace with the evidence, also where all went well: what was done at the ERP step by step, with pictures.
    #[serde(default)]
    trace: bool,
}

/// Asks for an operation. The same key twice is one operation.
#[utoipa::path(
    post,
    path = "/operations",
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 200, pattern = "^[!-~]([ -~]*[!-~])?$",
            description = "One of this and the body's `key` is needed"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` waits up to N seconds (at most 60)"),
        OriginHeaders,
    ),
    request_body = EnqueueBody,
    responses(
        (status = 200, description = "It existed before, or was waited for and is final", body = OperationView,
            headers(("Location" = String), ("Idempotency-Replayed" = String))),
        (status = 202, description = "It is on disk", body = OperationView, headers(("Location" = String))),
        (status = 409, description = "The agent's queue is full", body = Problem),
        (status = 422, description = "It cannot be accepted, or the key was used otherwise", body = Problem),
    ),
)]
pub(crate) async fn enqueue(
    State(state): State<ApiState>,
    AgentAccess { agent, .. }: AgentAccess,
    headers: HeaderMap,
    JsonBody(body): JsonBody<EnqueueBody>,
) -> Result<Response, Problem> {
    let request = EnqueueRequest {
        agent: agent.clone(),
        kind: body.kind,
        payload: body.payload,
        key: one_key(idempotency_key(&headers)?, body.key)?,
        run_at: body.run_at,
        origin: origin(&headers)?,
        trace: body.trace,
    };
    let enqueued = state.operations.enqueue(request).await?;
    waited_for(&state, &agent, enqueued, &headers).await
}

/// The answer for an operation that is on disk, after the wait that the client prefers.
pub(super) async fn waited_for(
    state: &ApiState,
    agent: &AgentId,
    mut enqueued: Enqueued,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let wait = preferred_wait(headers);
    if let Some(limit) = wait.filter(|_| !enqueued.record.operation.is_final()) {
        enqueued.record = waited(state, agent, enqueued.record, limit).await?;
    }
    let mut response = answer(state, enqueued).await;
    if let Some(wait) = wait {
        let applied = HeaderValue::from_str(&format!("wait={}", wait.as_secs()));
        let applied = applied.expect("a number is printable ASCII");
        response.headers_mut().insert(HeaderName::from_static("preference-applied"), applied);
    }
    Ok(response)
}

/// Header and body are the same thing: one of them is needed, and both must agree.
fn one_key(header: Option<OperationKey>, body: Option<OperationKey>) -> Result<OperationKey, Problem> {
    match (header, body) {
        (None, None) => {
            Err(Problem::bad_request("a write needs a key: send the header Idempotency-Key, or `key`"))
        }
        (Some(header), Some(body)) if header != body => {
            Err(Problem::invalid_field("/key", "must equal the header Idempotency-Key where both are given"))
        }
        (Some(key), _) | (None, Some(key)) => Ok(key),
    }
}

/// The record once it is final or in doubt, or as it is when the time is over or the server stops.
async fn waited(
    state: &ApiState,
    agent: &AgentId,
    record: OperationRecord,
    limit: Duration,
) -> Result<OperationRecord, Problem> {
    let waiting = state.operations.wait(agent, record.operation.id, limit);
    match state.shutdown.run_until_cancelled(waiting).await {
        Some(waited) => Ok(waited?.unwrap_or(record)),
        None => Ok(record),
    }
}

async fn answer(state: &ApiState, enqueued: Enqueued) -> Response {
    let Enqueued { record, replayed } = enqueued;
    let location = operation_path(&record.operation.agent, record.operation.id);
    let done = replayed || record.operation.is_final();
    let status = if done { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(view(state, record).await)).into_response();
    let headers = response.headers_mut();
    let location = HeaderValue::from_str(&location).expect("agent names and UUIDs are printable ASCII");
    headers.insert(header::LOCATION, location);
    if replayed {
        headers.insert(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
    }
    response
}
