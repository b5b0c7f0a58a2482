use std::collections::BTreeMap;

use archibald_core::id::{AgentId, OperationId};
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::port::{ListedAgent, LoginError, Overview};
use archibald_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::OperatorAccess;
use crate::problem::Problem;
use crate::request::Query;
use crate::routes::operations::{Named, page_size};
use crate::state::ApiState;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AgentsQuery {
    /// Only those who are paused, or only those who are not.
    paused: Option<bool>,
    /// Only those of whom this process knows something that waits or runs, or only the others.
    busy: Option<bool>,
    /// At most this many; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = r"^[^\u0000]*$")]
    after: Option<String>,
}

/// A page of agents, by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct Agents {
    items: Vec<AgentView>,
    /// Where the next page begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An agent as this process sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentView {
    #[schema(value_type = String)]
    id: AgentId,
    /// Operations that wait, as far as this process knows: of a long queue it knows what goes first.
    waiting: u64,
    /// The operation that runs in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    running: Option<OperationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PausedView>,
    /// Whether that is because the ERP refused its login: no password is tried until it is changed or unlocked.
    locked_out: bool,
    /// Its user name at the ERP, where agents can be added and it is `readable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Whether it was added, and so can be changed and removed; others stand in the agents file.
    kept: bool,
    /// Whether its credentials can be read with this process's key. One of which they cannot does not log in, and
    /// can only be removed.
    readable: bool,
    /// Devices that follow, at this process.
    streams: usize,
}

/// Why nothing of an agent is started.
#[derive(Serialize, ToSchema)]
pub(crate) struct PausedView {
    why: String,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// The agents that are configured, by name.
#[utoipa::path(
    get,
    path = "/agents",
    params(AgentsQuery),
    responses((status = 200, body = Agents)),
)]
pub(crate) async fn agents(
    State(state): State<ApiState>,
    _: OperatorAccess,
    Query(query): Query<AgentsQuery>,
) -> Result<Json<Agents>, Problem> {
    let limit = usize::try_from(page_size(query.limit)?).unwrap_or(usize::MAX);
    let overview = state.operations.overview().await?;
    let listed = listed(&state).await?;
    let mut names = state.operations.agents();
    names.extend(listed.keys().cloned());
    names.sort();
    names.dedup();
    let is_after = |name: &AgentId| query.after.as_deref().is_none_or(|after| name.as_str() > after);
    let views = names.into_iter().filter(is_after).map(|name| view(&state, &overview, &listed, name));
    let wanted = views.filter(|view| {
        let busy = view.waiting > 0 || view.running.is_some();
        query.paused.is_none_or(|paused| paused == view.paused.is_some())
            && query.busy.is_none_or(|wanted| wanted == busy)
    });
    let mut items: Vec<_> = wanted.take(limit + 1).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(Agents { items, next }))
}

/// One agent.
#[utoipa::path(
    get,
    path = "/agents/{agent}",
    params(("agent" = String, Path)),
    responses((status = 200, body = AgentView)),
)]
pub(crate) async fn agent(
    State(state): State<ApiState>,
    _: OperatorAccess,
    Named(agent): Named<AgentId>,
) -> Result<Json<AgentView>, Problem> {
    let listed = listed(&state).await?;
    if !state.operations.knows(&agent) && !listed.contains_key(&agent) {
        return Err(Problem::not_found());
    }
    Ok(Json(view(&state, &state.operations.overview().await?, &listed, agent)))
}

pub(crate) async fn one(state: &ApiState, agent: AgentId) -> Result<AgentView, Problem> {
    let (overview, listed) = (state.operations.overview().await?, listed(state).await?);
    Ok(view(state, &overview, &listed, agent))
}

/// What only those know who can add agents.
async fn listed(state: &ApiState) -> Result<BTreeMap<AgentId, ListedAgent>, Problem> {
    let Some(door) = state.operations.agent_admin() else { return Ok(BTreeMap::new()) };
    Ok(door.list().await?.into_iter().map(|listed| (listed.agent.clone(), listed)).collect())
}

fn view(
    state: &ApiState,
    overview: &Overview,
    listed: &BTreeMap<AgentId, ListedAgent>,
    id: AgentId,
) -> AgentView {
    let listed = listed.get(&id);
    let own = PauseScope::from(id.clone());
    let paused = overview.paused.iter().find(|pause| pause.scope == own).cloned();
    AgentView {
        waiting: overview.waiting.get(&id).copied().unwrap_or_default(),
        running: overview.running.get(&id).copied(),
        locked_out: paused.as_ref().is_some_and(|pause| LoginError::is_lockout(&pause.why)),
        user: listed.and_then(|listed| listed.user.clone()),
        readable: listed.is_none_or(|listed| listed.user.is_some()),
        kept: listed.is_some_and(|listed| listed.kept),
        paused: paused.map(|Pause { why, since, .. }| PausedView { why, since }),
        streams: state.streams.open_of(&id),
        id,
    }
}
