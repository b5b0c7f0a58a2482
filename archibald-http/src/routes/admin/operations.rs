//! Operations of all agents, agent after agent: each agent's own list is in an index of the store, all of them
//! together in none, because what changes with every step of an operation had better be in none.

use archibald_core::id::{AgentId, OperationKind};
use archibald_core::port::OperationFilter;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::auth::OperatorAccess;
use crate::problem::Problem;
use crate::request::Query;
use crate::routes::operations::{Operations, page_size, view};
use crate::state::ApiState;
use crate::wire::StateName;

/// Agents that are looked at for one page.
const AGENTS: usize = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OperationsQuery {
    /// Only of this agent.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64, pattern = r"^[a-z0-9._-]+$")]
    agent: Option<AgentId>,
    /// Only in this state.
    state: Option<StateName>,
    /// Only of this kind.
    #[param(value_type = Option<String>, min_length = 1, max_length = 64, pattern = r"^[a-z0-9-]+$")]
    kind: Option<OperationKind>,
    /// At most this many; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = r"^[0-9]{0,18}~[a-z0-9._-]{1,64}$")]
    after: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DoubtsQuery {
    /// At most this many; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = r"^[0-9]{0,18}~[a-z0-9._-]{1,64}$")]
    after: Option<String>,
}

/// Operations of all agents: by agent, newest first of each.
///
/// A page looks at a hundred agents at most, so it may be short, or empty, and there be more: go on while there
/// is a `next`.
#[utoipa::path(
    get,
    path = "/operations",
    operation_id = "all_operations",
    params(OperationsQuery),
    responses((status = 200, body = Operations)),
)]
pub(crate) async fn operations(
    State(state): State<ApiState>,
    _: OperatorAccess,
    Query(query): Query<OperationsQuery>,
) -> Result<Json<Operations>, Problem> {
    walk(&state, query).await.map(Json)
}

/// What waits for a person's decision, as pages of `operations` are.
#[utoipa::path(
    get,
    path = "/doubts",
    params(DoubtsQuery),
    responses((status = 200, body = Operations)),
)]
pub(crate) async fn doubts(
    State(state): State<ApiState>,
    _: OperatorAccess,
    Query(DoubtsQuery { limit, after }): Query<DoubtsQuery>,
) -> Result<Json<Operations>, Problem> {
    let state_name = Some(StateName::InDoubt);
    let query = OperationsQuery { agent: None, state: state_name, kind: None, limit, after };
    walk(&state, query).await.map(Json)
}

async fn walk(state: &ApiState, query: OperationsQuery) -> Result<Operations, Problem> {
    let limit = page_size(query.limit)?;
    let start = query.after.as_deref().map(Place::read).transpose()?;
    let mut agents = state.operations.agents();
    agents.retain(|agent| {
        query.agent.as_ref().is_none_or(|only| only == agent)
            && start.as_ref().is_none_or(|place| *agent >= place.agent)
    });
    agents.sort();
    let mut filter = OperationFilter {
        state: query.state.map(|state| state.on_the_wire().to_owned()),
        kind: query.kind,
        ..OperationFilter::default()
    };
    let mut items = vec![];
    for (looked_at, agent) in agents.into_iter().enumerate() {
        filter.before = start.as_ref().filter(|place| place.agent == agent).and_then(|place| place.before);
        filter.limit = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        if filter.limit == 0 || looked_at == AGENTS {
            return Ok(Operations { items, next: Some(Place { before: filter.before, agent }.text()) });
        }
        let page = state.operations.list(&agent, &filter).await?;
        for record in page.records {
            items.push(view(state, record).await);
        }
        if page.next.is_some() {
            return Ok(Operations { items, next: Some(Place { before: page.next, agent }.text()) });
        }
    }
    Ok(Operations { items, next: None })
}

/// Where a page begins: with this agent, and of its operations with those before a position.
struct Place {
    agent: AgentId,
    before: Option<u64>,
}

impl Place {
    fn read(text: &str) -> Result<Self, Problem> {
        let refused = || Problem::bad_request("query parameter after must be the `next` of a page before");
        let (before, agent) = text.split_once('~').ok_or_else(refused)?;
        let agent = AgentId::new(agent).map_err(|_| refused())?;
        let before = match before {
            "" => None,
            position => Some(position.parse().map_err(|_| refused())?),
        };
        Ok(Self { agent, before })
    }

    fn text(&self) -> String {
        let before = self.before.map(|position| position.to_string()).unwrap_or_default();
        format!("{before}~{}", self.agent)
    }
}
