use archibald_core::id::AgentId;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::known;
use crate::auth::{OperatorAccess, Principal, Scope};
use crate::problem::Problem;
use crate::request::JsonBody;
use crate::state::ApiState;

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
        known(&state, &agent.clone().into())?;
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
