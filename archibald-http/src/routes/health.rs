//! `/healthz`, `/readyz` and `/metrics`: for whoever runs it. No names of agents and nothing of customers.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::problem::Problem;
use crate::state::ApiState;

/// The process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    responses((status = 200, body = String)),
)]
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The store answers, and neither server nor worker is on its way out.
#[utoipa::path(
    get,
    path = "/readyz",
    responses((status = 200, body = String), (status = 503, body = Problem)),
)]
pub(crate) async fn ready(State(state): State<ApiState>) -> Result<&'static str, Problem> {
    if state.shutdown.is_cancelled() || state.operations.overview().await?.draining {
        return Err(Problem::unavailable("draining: nothing new is taken"));
    }
    Ok("ok\n")
}

/// Prometheus text.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, body = String)),
)]
pub(crate) async fn metrics(State(state): State<ApiState>) -> Result<impl IntoResponse, Problem> {
    let overview = state.operations.overview().await?;
    let pool = &overview.pool;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let mut text = String::new();
    for (kind, name, help, value) in [
        ("gauge", "operations_waiting", "Operations that wait.", overview.waiting.values().sum()),
        ("gauge", "operations_running", "Operations that run.", count(overview.running.len())),
        ("gauge", "agents_paused", "Agents that are paused.", count(overview.paused.len())),
        ("gauge", "slots", "Operations that may run together.", count(overview.slots)),
        ("gauge", "peak_running", "The most that ran together.", count(overview.peak_running)),
        ("counter", "probes_total", "Probes of the ERP.", overview.probes),
        ("counter", "preemptions_total", "Operations that gave way.", overview.preemptions),
        ("gauge", "draining", "1 while the worker drains.", u64::from(overview.draining)),
        ("gauge", "pool_browsers", "Browsers that run.", count(pool.browsers)),
        ("gauge", "pool_capacity", "Contexts that may exist together.", count(pool.capacity)),
        ("gauge", "pool_in_use", "Contexts in use.", count(pool.in_use)),
        ("gauge", "pool_idle", "Logged-in contexts that wait for their agent.", count(pool.idle)),
        ("counter", "pool_logins_total", "Logins.", pool.logins),
        ("counter", "pool_evictions_total", "Idle contexts evicted.", pool.evictions),
        ("counter", "pool_crashes_total", "Browsers that died.", pool.crashes),
        ("gauge", "streams_open", "Devices that follow.", count(state.streams.open())),
        ("counter", "cursors_rejected_total", "Cursors not served.", load(&state.meters.cursors_rejected)),
        ("counter", "requests_total", "Requests.", load(&state.meters.requests)),
        ("counter", "requests_limited_total", "Requests refused as too many.", load(&state.meters.limited)),
        ("counter", "panics_total", "Handlers that panicked.", load(&state.meters.panics)),
    ] {
        let name = format!("archibald_{name}");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
