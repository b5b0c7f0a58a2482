//! `/v1/me`: what a token reaches, for a page that has nothing but the token.

use archibald_core::id::AgentId;
use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Principal, Scope};
use crate::problem::Problem;
use crate::state::ApiState;

/// Who holds a token.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    name: String,
    /// `agent` or `operator`.
    scope: &'static str,
    #[schema(value_type = Vec<String>)]
    agents: Vec<AgentId>,
}

/// What the token reaches.
#[utoipa::path(
    get,
    path = "/me",
    responses((status = 200, body = Me)),
)]
pub(crate) async fn me(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Me>, Problem> {
    refuse_gone(&state, &principal)?;
    Ok(Json(Me::of(&state, principal)))
}

/// The token of an agent that is not there any more is nobody's.
pub(super) fn refuse_gone(state: &ApiState, principal: &Principal) -> Result<(), Problem> {
    match &principal.scope {
        Scope::Agent(agent) if !state.operations.knows(agent) => Err(Problem::unauthorized()),
        Scope::Agent(_) | Scope::Operator => Ok(()),
    }
}

impl Me {
    pub(super) fn of(state: &ApiState, principal: Principal) -> Self {
        let scope = match &principal.scope {
            Scope::Agent(_) => "agent",
            Scope::Operator => "operator",
        };
        let mut agents = state.operations.agents();
        agents.retain(|agent| principal.reaches(agent));
        Self { name: principal.name, scope, agents }
    }
}
