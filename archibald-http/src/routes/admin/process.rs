//! Those who work, this process's browsers, and its end.

use archibald_core::id::AgentId;
use archibald_core::port::PoolOccupancy;
use archibald_core::time::Timestamp;
use archibald_core::worker::LiveWorker;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::OperatorAccess;
use crate::problem::Problem;
use crate::routes::operations::Named;
use crate::state::ApiState;

/// The workers that are alive.
#[derive(Serialize, ToSchema)]
pub(crate) struct Workers {
    items: Vec<WorkerView>,
}

/// A worker, as it said last.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkerView {
    id: String,
    /// Operations that may run together.
    slots: u32,
    /// Whether it takes nothing more.
    draining: bool,
    /// When it was first heard of.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Until when it counts as alive.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// What it carries, where it is this process's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
}

/// What a worker carries.
#[derive(Serialize, ToSchema)]
pub(crate) struct Load {
    /// Operations that run.
    running: usize,
    /// The most that ran together since the start.
    peak_running: usize,
}

/// The workers that are alive, in all processes, by name.
#[utoipa::path(
    get,
    path = "/workers",
    responses((status = 200, body = Workers)),
)]
pub(crate) async fn workers(
    State(state): State<ApiState>,
    _: OperatorAccess,
) -> Result<Json<Workers>, Problem> {
    let overview = state.operations.overview().await?;
    let load = |id: &str| {
        let (running, peak_running) = (overview.running.len(), overview.peak_running);
        (id == state.config.worker).then_some(Load { running, peak_running })
    };
    let view = |LiveWorker { worker, slots, drains, since, until }: LiveWorker| WorkerView {
        draining: drains || (state.drain.is_cancelled() && worker.as_str() == state.config.worker),
        load: load(worker.as_str()),
        id: worker.into(),
        slots,
        since,
        until,
    };
    Ok(Json(Workers { items: overview.workers.clone().into_iter().map(view).collect() }))
}

/// This process's browsers.
#[utoipa::path(
    get,
    path = "/pool",
    responses((status = 200, body = ref("#/components/schemas/PoolOccupancy"))),
)]
pub(crate) async fn pool(
    State(state): State<ApiState>,
    _: OperatorAccess,
) -> Result<Json<PoolOccupancy>, Problem> {
    Ok(Json(state.operations.overview().await?.pool))
}

/// What the session of an agent shows just now, small. Only while an operation uses it, in this process: else
/// there is none.
#[utoipa::path(
    get,
    path = "/pool/{agent}/picture",
    params(("agent" = String, Path)),
    responses(
        (status = 200, description = "320 by 200 pixels, of 32 KiB at the most", content_type = "image/jpeg"),
        (status = 404, description = "There is none just now, or, with the type `urn:archibald:problem:no-pictures`, never here", body = Problem),
    ),
)]
pub(crate) async fn picture(
    State(state): State<ApiState>,
    _: OperatorAccess,
    Named(agent): Named<AgentId>,
) -> Result<Response, Problem> {
    if !state.operations.has_pictures() {
        return Err(Problem::no_pictures());
    }
    let picture = state.operations.picture(&agent).await.ok_or_else(Problem::not_found)?;
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Bytes::from_owner(picture)).into_response())
}

/// This process takes nothing more, lets what runs finish or give way, and ends.
#[utoipa::path(
    post,
    path = "/workers/drain",
    responses((status = 202, description = "It is on its way")),
)]
pub(crate) async fn end(
    State(state): State<ApiState>,
    OperatorAccess { principal, .. }: OperatorAccess,
) -> StatusCode {
    tracing::info!(by = principal.name, "asked to drain");
    state.drain.cancel();
    StatusCode::ACCEPTED
}
