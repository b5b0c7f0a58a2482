use std::collections::BTreeSet;

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
    let mut items = match some_of(&overview, &query) {
        Some(names) => page_of(&state, &overview, &query, names, limit + 1).await?,
        None => page_of_all(&state, &overview, &query, limit + 1).await?,
    };
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
    one(&state, agent).await.map(Json)
}

pub(crate) async fn one(state: &ApiState, agent: AgentId) -> Result<AgentView, Problem> {
    let known = find(state, agent).await?.ok_or_else(Problem::not_found)?;
    Ok(view(state, &state.operations.overview().await?, known))
}

/// An agent, and what only those know of it who can add agents.
type Known = (AgentId, Option<ListedAgent>);

/// Of whom the question can be at all, where that is not everybody.
fn some_of(overview: &Overview, query: &AgentsQuery) -> Option<BTreeSet<AgentId>> {
    if query.paused == Some(true) {
        let agent_of = |pause: &Pause| match &pause.scope {
            PauseScope::Agent { agent } => Some(agent.clone()),
            PauseScope::Kind { .. } | PauseScope::Everything => None,
        };
        return Some(overview.paused.iter().filter_map(agent_of).collect());
    }
    let busy = || overview.waiting.keys().chain(overview.running.keys()).cloned().collect();
    (query.busy == Some(true)).then(busy)
}

/// Looks for these one by one, until the page is full.
async fn page_of(
    state: &ApiState,
    overview: &Overview,
    query: &AgentsQuery,
    names: BTreeSet<AgentId>,
    limit: usize,
) -> Result<Vec<AgentView>, Problem> {
    let mut items = vec![];
    for name in names.into_iter().filter(|name| query.is_after(name)) {
        let known = find(state, name).await?.map(|known| view(state, overview, known));
        items.extend(known.filter(|view| query.wants(view)));
        if items.len() >= limit {
            break;
        }
    }
    Ok(items)
}

/// Reads on from page to page, until this one is full.
async fn page_of_all(
    state: &ApiState,
    overview: &Overview,
    query: &AgentsQuery,
    limit: usize,
) -> Result<Vec<AgentView>, Problem> {
    let (mut items, mut after) = (vec![], query.after.clone().unwrap_or_default());
    loop {
        let known = read(state, &after, limit).await?;
        let is_last = known.len() < limit;
        after = known.last().map(|(agent, _)| agent.to_string()).unwrap_or(after);
        let views = known.into_iter().map(|known| view(state, overview, known));
        items.extend(views.filter(|view| query.wants(view)).take(limit - items.len()));
        if is_last || items.len() >= limit {
            return Ok(items);
        }
    }
}

async fn read(state: &ApiState, after: &str, limit: usize) -> Result<Vec<Known>, Problem> {
    if let Some(door) = state.operations.agent_admin() {
        let page = door.list(after, u32::try_from(limit).unwrap_or(u32::MAX)).await?;
        return Ok(page.into_iter().map(|listed| (listed.agent.clone(), Some(listed))).collect());
    }
    let mut names = state.operations.agents();
    names.retain(|name| name.as_str() > after);
    names.sort();
    Ok(names.into_iter().take(limit).map(|name| (name, None)).collect())
}

async fn find(state: &ApiState, agent: AgentId) -> Result<Option<Known>, Problem> {
    match state.operations.agent_admin() {
        Some(door) => Ok(door.find(&agent).await?.map(|listed| (agent, Some(listed)))),
        None => Ok(state.operations.knows(&agent).then_some((agent, None))),
    }
}

impl AgentsQuery {
    fn is_after(&self, agent: &AgentId) -> bool {
        self.after.as_deref().is_none_or(|after| agent.as_str() > after)
    }

    fn wants(&self, view: &AgentView) -> bool {
        let busy = view.waiting > 0 || view.running.is_some();
        self.paused.is_none_or(|paused| paused == view.paused.is_some())
            && self.busy.is_none_or(|wanted| wanted == busy)
    }
}

fn view(state: &ApiState, overview: &Overview, (id, listed): Known) -> AgentView {
    let own = PauseScope::from(id.clone());
    let paused = overview.paused.iter().find(|pause| pause.scope == own).cloned();
    AgentView {
        waiting: overview.waiting.get(&id).copied().unwrap_or_default(),
        running: overview.running.get(&id).copied(),
        locked_out: paused.as_ref().is_some_and(|pause| LoginError::is_lockout(&pause.why)),
        readable: listed.as_ref().is_none_or(|listed| listed.user.is_some()),
        kept: listed.as_ref().is_some_and(|listed| listed.kept),
        user: listed.and_then(|listed| listed.user),
        paused: paused.map(|Pause { why, since, .. }| PausedView { why, since }),
        streams: state.streams.open_of(&id),
        id,
    }
}
