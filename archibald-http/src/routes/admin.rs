//! `/v1/admin/…`: for operators.

pub(super) mod agents;
pub(super) mod credentials;
pub(super) mod events;
pub(super) mod operations;
pub(super) mod process;
pub(super) mod sessions;

use archibald_core::id::{AgentId, OperationKind};
use archibald_core::pause::PauseScope;
use archibald_core::port::Overview;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::OperatorAccess;
use crate::problem::Problem;
use crate::request::JsonBody;
use crate::state::ApiState;

/// What to pause: exactly one of `agent`, `kind` and `everything`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseBody {
    /// The operations of this agent.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = r"^[a-z0-9._-]+$")]
    #[serde(default)]
    agent: Option<AgentId>,
    /// The operations of this kind, whoever's they are.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = r"^[a-z0-9-]+$")]
    #[serde(default)]
    kind: Option<OperationKind>,
    /// Every operation.
    #[serde(default)]
    everything: bool,
    /// For those who ask why.
    #[serde(default)]
    #[schema(pattern = r"^[^\u0000]*$")]
    why: Option<String>,
}

/// What to resume: exactly one of `agent`, `kind` and `everything`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeBody {
    /// The operations of this agent.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = r"^[a-z0-9._-]+$")]
    #[serde(default)]
    agent: Option<AgentId>,
    /// The operations of this kind.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = r"^[a-z0-9-]+$")]
    #[serde(default)]
    kind: Option<OperationKind>,
    /// All, but for agents and kinds that are paused themselves.
    #[serde(default)]
    everything: bool,
}

/// What runs, what waits, who is paused, and the browsers.
#[utoipa::path(
    get,
    path = "/overview",
    responses((status = 200, body = ref("#/components/schemas/Overview"))),
)]
pub(crate) async fn overview(
    State(state): State<ApiState>,
    _: OperatorAccess,
) -> Result<Json<Overview>, Problem> {
    Ok(Json(state.operations.overview().await?))
}

/// Nothing of it is started until it is resumed; what runs goes on.
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
    stop(&state, body, false).await
}

/// As a pause, and what runs of it in the background is asked to give way at its next safe point.
#[utoipa::path(
    post,
    path = "/drain",
    request_body = PauseBody,
    responses((status = 204, description = "Done"), (status = 422, body = Problem)),
)]
pub(crate) async fn drain(
    State(state): State<ApiState>,
    _: OperatorAccess,
    JsonBody(body): JsonBody<PauseBody>,
) -> Result<StatusCode, Problem> {
    stop(&state, body, true).await
}

/// It goes on, unless something else about it is paused.
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
    let ResumeBody { agent, kind, everything } = body;
    // What is not known any more may still be paused.
    state.operations.resume(&scope(agent, kind, everything)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stop(state: &ApiState, body: PauseBody, drains: bool) -> Result<StatusCode, Problem> {
    let PauseBody { agent, kind, everything, why } = body;
    let scope = scope(agent, kind, everything)?;
    known(state, &scope)?;
    let why = why.unwrap_or_else(|| "paused by an operator".to_owned());
    state.operations.pause(&scope, &why, drains).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn scope(
    agent: Option<AgentId>,
    kind: Option<OperationKind>,
    everything: bool,
) -> Result<PauseScope, Problem> {
    match (agent, kind, everything) {
        (Some(agent), None, false) => Ok(agent.into()),
        (None, Some(kind), false) => Ok(kind.into()),
        (None, None, true) => Ok(PauseScope::Everything),
        _ => Err(Problem::invalid_field("", "must name exactly one of agent, kind and everything: true")),
    }
}

fn known(state: &ApiState, scope: &PauseScope) -> Result<(), Problem> {
    match scope {
        PauseScope::Agent { agent } if !state.operations.knows(agent) => {
            Err(Problem::invalid_field("/agent", format!("names no configured agent: {agent}")))
        }
        PauseScope::Kind { kind } => {
            let kinds = state.operations.kinds();
            if kinds.contains(kind) {
                return Ok(());
            }
            let known = kinds.iter().map(OperationKind::as_str).collect::<Vec<_>>().join(", ");
            Err(Problem::invalid_field("/kind", format!("must be one of {known}, got {kind}")))
        }
        PauseScope::Agent { .. } | PauseScope::Everything => Ok(()),
    }
}
