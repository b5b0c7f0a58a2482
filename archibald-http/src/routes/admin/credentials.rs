//! Agents that are added, changed and removed. Passwords come in, and go out nowhere: not in answers, problems or logs.

use std::sync::Arc;

use archibald_core::id::AgentId;
use archibald_core::port::{AgentAdmin, CredentialError, Credentials};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::agents::{AgentView, one};
use crate::auth::{OperatorAccess, Principal, Scope};
use crate::problem::Problem;
use crate::request::SecretBody;
use crate::routes::operations::Named;
use crate::state::ApiState;

/// An agent to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAgentBody {
    /// What it is called here.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = r"^[a-z0-9._-]+$")]
    id: AgentId,
    /// Its user name at the ERP.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    user: String,
    /// Its password there. It is never shown again.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    password: String,
}

/// How an agent logs in from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordBody {
    /// Its password at the ERP. It is never shown again.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    password: String,
}

/// Adds an agent, who can be asked for at once here, and in other processes a few seconds later.
#[utoipa::path(
    post,
    path = "/agents",
    operation_id = "add_agent",
    request_body = NewAgentBody,
    responses(
        (
            status = 201,
            body = AgentView,
            headers(("Location" = String, description = "Where the agent is")),
        ),
        (status = 409, description = "There is such an agent, or there are too many", body = Problem),
    ),
)]
pub(crate) async fn add(
    State(state): State<ApiState>,
    OperatorAccess { principal: by, .. }: OperatorAccess,
    SecretBody(body): SecretBody<NewAgentBody>,
) -> Result<Response, Problem> {
    let NewAgentBody { id, user, password } = body;
    door(&state)?.add(&id, &Credentials { user, password }).await?;
    tracing::info!(by = by.name, agent = %id, "agent added");
    let location = format!("/v1/admin/agents/{id}");
    let view = one(&state, id).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(view)).into_response())
}

/// Removes an agent that was added, once every operation of it is final. Its streams and sessions in this
/// process end, also where it is gone already. What it did stays until it is forgotten by age, and is seen again if an agent of that name is added.
#[utoipa::path(
    delete,
    path = "/agents/{agent}",
    operation_id = "remove_agent",
    params(("agent" = String, Path)),
    responses(
        (status = 204, description = "There is no such agent any more"),
        (
            status = 409,
            description = "An operation of it, which is named, is not final, or it stands in the agents file",
            body = Problem,
        ),
    ),
)]
pub(crate) async fn remove(
    State(state): State<ApiState>,
    OperatorAccess { principal: by, .. }: OperatorAccess,
    Named(agent): Named<AgentId>,
) -> Result<StatusCode, Problem> {
    let removed = door(&state)?.remove(&agent).await;
    if matches!(removed, Ok(()) | Err(CredentialError::Unknown(_))) {
        let whose = |principal: &Principal| principal.scope == Scope::Agent(agent.clone());
        state.sessions.end_of(whose);
        state.streams.end(|holder| whose(&holder.principal), "revoked");
    }
    removed?;
    tracing::info!(by = by.name, %agent, "agent removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces an agent's password: its next login is with the new one. Ends a lock-out, and no session that was made
/// with the old password is used again.
#[utoipa::path(
    put,
    path = "/agents/{agent}/password",
    operation_id = "change_agent_password",
    params(("agent" = String, Path)),
    request_body = PasswordBody,
    responses(
        (status = 204, description = "Done"),
        (status = 409, description = "It stands in the agents file, or cannot be read", body = Problem),
    ),
)]
pub(crate) async fn change_password(
    State(state): State<ApiState>,
    OperatorAccess { principal: by, .. }: OperatorAccess,
    Named(agent): Named<AgentId>,
    SecretBody(body): SecretBody<PasswordBody>,
) -> Result<StatusCode, Problem> {
    door(&state)?.change_password(&agent, &body.password).await?;
    tracing::info!(by = by.name, %agent, "an agent's password was changed");
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a lock-out, the pause after a login that the ERP refused: the same password is tried once more. A pause that
/// a person made stays.
#[utoipa::path(
    post,
    path = "/agents/{agent}/unlock",
    operation_id = "unlock_agent",
    params(("agent" = String, Path)),
    responses(
        (status = 204, description = "It is not locked out"),
        (status = 409, description = "It cannot be read", body = Problem),
    ),
)]
pub(crate) async fn unlock(
    State(state): State<ApiState>,
    OperatorAccess { principal: by, .. }: OperatorAccess,
    Named(agent): Named<AgentId>,
) -> Result<StatusCode, Problem> {
    door(&state)?.unlock(&agent).await?;
    tracing::info!(by = by.name, %agent, "agent unlocked");
    Ok(StatusCode::NO_CONTENT)
}

fn door(state: &ApiState) -> Result<Arc<dyn AgentAdmin>, Problem> {
    state.operations.agent_admin().ok_or_else(Problem::not_found)
}
