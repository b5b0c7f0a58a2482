//! `/v1/admin/…`: for operators.

use archibald_core::id::AgentId;
use archibald_core::port::Overview;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::auth::OperatorAccess;
use crate::problem::Problem;
use crate::request::JsonBody;
use crate::state::ApiState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseBody {
    agent: AgentId,
    #[serde(default)]
    why: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeBody {
    agent: AgentId,
}

pub(crate) async fn overview(
    State(state): State<ApiState>,
    _: OperatorAccess,
) -> Result<Json<Overview>, Problem> {
    Ok(Json(state.operations.overview().await?))
}

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
