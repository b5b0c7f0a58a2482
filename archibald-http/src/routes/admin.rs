//! `/v1/admin/…`: for operators.

pub(super) mod agents;
pub(super) mod events;
pub(super) mod operations;
pub(super) mod process;
pub(super) mod sessions;

use archibald_core::id::AgentId;
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

/// Whom to pause.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseBody {
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = r"^[a-z0-9._-]+$")]
    agent: AgentId,
    #[serde(default)]
    #[schema(pattern = r"^[^\u0000]*$")]
    why: Option<String>,
}

/// Whom to resume.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeBody {
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = r"^[a-z0-9._-]+$")]
    agent: AgentId,
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

fn known(state: &ApiState, agent: &AgentId) -> Result<(), Problem> {
    if state.operations.knows(agent) {
        return Ok(());
    }
    Err(Problem::invalid_field("/agent", format!("names no configured agent: {agent}")))
}
