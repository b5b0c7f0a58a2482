//! `/v1/admin/…`: for operators.

use archibald_core::id::AgentId;
use archibald_core::port::Overview;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{OperatorAccess, Principal, Scope};
use crate::problem::Problem;
use crate::request::JsonBody;
use crate::state::ApiState;

/// Whom to pause.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseBody {
    #[schema(value_type = String)]
    agent: AgentId,
    #[serde(default)]
    why: Option<String>,
}

/// Whom to resume.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeBody {
    #[schema(value_type = String)]
    agent: AgentId,
}

/// What runs, what waits, who is paused, and the browsers.
#[utoipa::path(
    get,
    path = "/overview",
    responses((status = 200, body = Object)),
)]
pub(crate) async fn overview(
    State(state): State<ApiState>,
    _: OperatorAccess,
) -> Result<Json<Overview>, Problem> {
    Ok(Json(state.operations.overview().await?))
}

/// Nothing of the agent is started until it is resumed.
#[utoipa::path(
    post,
    path = "/pause",
    request_body = PauseBody,
    responses((status = 204, description = "Done"), (status = 422, body = Problem)),
)]
pub(crate) async fn pause(
    State(state): State<ApiState>,
    _: OperatorAccess,
    JsonBody(body): JsonBody<PauseBody>,
) -> Result<StatusCode, Problem> {
    known(&state, &body.agent)?;
    let why = body.why.unwrap_or_else(|| "paused by an operator".to_owned());
    state.operations.pause(&body.agent, &why).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The agent goes on.
#[utoipa::path(
    post,
    path = "/resume",
    request_body = ResumeBody,
    responses((status = 204, description = "Done"), (status = 422, body = Problem)),
)]
pub(crate) async fn resume(
    State(state): State<ApiState>,
    _: OperatorAccess,
    JsonBody(body): JsonBody<ResumeBody>,
) -> Result<StatusCode, Problem> {
    known(&state, &body.agent)?;
    state.operations.resume(&body.agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose sessions to end: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeBody {
    /// Of an agent, whatever the token is called.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    agent: Option<AgentId>,
    /// Of everybody who is called so.
    #[serde(default)]
    name: Option<String>,
}

/// What was ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// Sessions of browsers.
    sessions: usize,
    /// Streams, also those that a token opened.
    streams: usize,
}

/// Ends sessions and streams of somebody, in this process. A token is not a session: one that still holds
/// opens another stream or session, unless it is taken out of the configuration or its time is over.
#[utoipa::path(
    post,
    path = "/sessions/revoke",
    request_body = RevokeBody,
    responses((status = 200, body = Revoked), (status = 422, body = Problem)),
)]
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    OperatorAccess { principal: by, .. }: OperatorAccess,
    JsonBody(body): JsonBody<RevokeBody>,
) -> Result<Json<Revoked>, Problem> {
    if let Some(agent) = &body.agent {
        known(&state, agent)?;
    }
    let whose: Box<dyn Fn(&Principal) -> bool + Send> = match (body.agent, body.name) {
        (Some(agent), None) => Box::new(move |principal| principal.scope == Scope::Agent(agent.clone())),
        (None, Some(name)) => Box::new(move |principal| principal.name == name),
        _ => return Err(Problem::invalid_field("/agent", "give either agent or name")),
    };
    // Sessions first: a stream that is just being opened looks for its session after it took its seat.
    let sessions = state.sessions.end_of(&whose);
    let streams = state.streams.end(|holder| whose(&holder.principal), "revoked");
    tracing::info!(by = by.name, sessions, streams, "sessions revoked");
    Ok(Json(Revoked { sessions, streams }))
}

fn known(state: &ApiState, agent: &AgentId) -> Result<(), Problem> {
    if state.operations.knows(agent) {
        return Ok(());
    }
    Err(Problem::invalid_field("/agent", format!("names no configured agent: {agent}")))
}
