use archibald_core::id::AgentId;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::auth::OperatorAccess;
use crate::problem::Problem;
use crate::request::Query;
use crate::routes::events::seated;
use crate::state::ApiState;
use crate::stream::{AGENTS_FOLLOWED, Holder, follow_activity, follow_overview};
use crate::time::time_left;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ActivityQuery {
    /// Only of this agent.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64, pattern = r"^[a-z0-9._-]+$")]
    agent: Option<AgentId>,
}

/// The overview, whenever it changed, and not more often than once a second: server-sent events `overview`,
/// `heartbeat` and `bye`. None has an id: whoever comes again gets the overview as it is then.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "follow_overview",
    responses((status = 200, description = "Events", body = String, content_type = "text/event-stream")),
)]
pub(crate) async fn follow(
    State(state): State<ApiState>,
    OperatorAccess { principal, session }: OperatorAccess,
) -> Result<Response, Problem> {
    let expiry = principal.expires_at.map(time_left);
    let ending = seated(&state, None, Holder { principal, session }, expiry)?;
    Ok(follow_overview(&state, ending))
}

/// What happens to operations of all agents, of the first 200 by name: server-sent events `hello`, `history`,
/// `operations`, `events`, `progress`, `heartbeat` and `bye`.
///
/// `hello` names the agents that are followed. Where all are, `history {minutes}` tells what became of operations in the
/// last 24 hours in the process that is asked, if anything did: `minutes` is a list of `{at, interactive, background}`, the oldest first,
/// each class with how many were `completed`, `rejected`, `failed`, `in_doubt` and `cancelled`, and with `waits`, pairs of milliseconds
/// and of how many waited so long at the most before they began. What is nothing is left out. It comes again, from its last minute on, instead of a heartbeat,
/// when that minute has changed or another one has come: a minute that is told again replaces what was told of it. Then comes `operations {agent, operations}` of each: its
/// unfinished operations and the last finished ones, in short; it replaces what was known of the agent. What
/// happens after that comes as `events {agent, events}` and `progress {agent, operation, …}`, as in the agent's own stream. None has an id:
/// whoever comes again gets all as it is then. `bye` with the reason `roster` says that agents came or
/// went.
#[utoipa::path(
    get,
    path = "/activity",
    operation_id = "follow_activity",
    params(ActivityQuery),
    responses((status = 200, description = "Events", body = String, content_type = "text/event-stream")),
)]
pub(crate) async fn activity(
    State(state): State<ApiState>,
    OperatorAccess { principal, session }: OperatorAccess,
    Query(query): Query<ActivityQuery>,
) -> Result<Response, Problem> {
    let mut all = state.operations.agents();
    all.sort();
    let (agents, roster) = match query.agent {
        Some(agent) => (all.into_iter().filter(|known| *known == agent).collect(), None),
        None => (all.iter().take(AGENTS_FOLLOWED).cloned().collect(), Some(all)),
    };
    let expiry = principal.expires_at.map(time_left);
    let ending = seated(&state, None, Holder { principal, session }, expiry)?;
    Ok(follow_activity(&state, agents, roster, ending))
}
