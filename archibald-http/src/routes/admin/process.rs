//! This process: what it carries, its browsers, and its end.

use archibald_core::port::PoolOccupancy;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::OperatorAccess;
use crate::problem::Problem;
use crate::state::ApiState;

/// The workers that this process knows.
#[derive(Serialize, ToSchema)]
pub(crate) struct Workers {
    items: Vec<WorkerView>,
}

/// A worker and what it carries.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkerView {
    id: String,
    /// Operations that may run together.
    slots: usize,
    /// Operations that run.
    running: usize,
    /// The most that ran together since the start.
    peak_running: usize,
    /// Whether it takes nothing more.
    draining: bool,
}

/// This process's own worker; each process tells of itself.
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
    let worker = WorkerView {
        id: state.config.worker.clone(),
        slots: overview.slots,
        running: overview.running.len(),
        peak_running: overview.peak_running,
        draining: overview.draining || state.drain.is_cancelled(),
    };
    Ok(Json(Workers { items: vec![worker] }))
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

/// This process takes nothing more, lets what runs finish or give way, and ends.
#[utoipa::path(
    post,
    path = "/drain",
    responses((status = 202, description = "It is on its way")),
)]
pub(crate) async fn drain(
    State(state): State<ApiState>,
    OperatorAccess { principal, .. }: OperatorAccess,
) -> StatusCode {
    tracing::info!(by = principal.name, "asked to drain");
    state.drain.cancel();
    StatusCode::ACCEPTED
}
