//! What is printed, a line each.

use archibald_benches::browser::Sessions;
use serde::Serialize;

/// Orders that were saved.
#[derive(Debug, Serialize)]
pub(crate) struct Tasks {
    pub(crate) workload: &'static str,
    pub(crate) part: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<&'static str>,
    pub(crate) engine: &'static str,
    pub(crate) sessions: Sessions,
    pub(crate) agents: u16,
    pub(crate) browsers: usize,
    pub(crate) tasks: usize,
    pub(crate) errors: usize,
    /// That the ERP has.
    pub(crate) orders: usize,
    pub(crate) logins: u64,
    pub(crate) requests_per_task: f64,
    pub(crate) tasks_per_s: f64,
    /// Until there was a page: of a pool that keeps sessions one that is logged in, else a blank one.
    pub(crate) acquire_p50_ms: Option<f64>,
    pub(crate) acquire_p99_ms: Option<f64>,
    pub(crate) warm_p50_ms: Option<f64>,
    pub(crate) warm_p99_ms: Option<f64>,
    /// Until the agent was logged in on it, where that had to be done.
    pub(crate) cold_p50_ms: Option<f64>,
    pub(crate) cold_p99_ms: Option<f64>,
    pub(crate) task_p50_ms: Option<f64>,
    pub(crate) task_p99_ms: Option<f64>,
    pub(crate) client_cpu_s: f64,
    pub(crate) browsers_cpu_s: f64,
    pub(crate) cpu_ms_per_task: Option<f64>,
    pub(crate) tasks_per_cpu_s: f64,
    pub(crate) load: f64,
}

/// Logins that were thrown away.
#[derive(Debug, Serialize)]
pub(crate) struct Login {
    pub(crate) workload: &'static str,
    pub(crate) part: &'static str,
    pub(crate) engine: &'static str,
    pub(crate) agents: u16,
    pub(crate) logins: usize,
    pub(crate) logins_per_s: f64,
    pub(crate) page_p50_ms: Option<f64>,
    pub(crate) login_p50_ms: Option<f64>,
    pub(crate) login_p99_ms: Option<f64>,
    pub(crate) client_cpu_s: f64,
    pub(crate) browsers_cpu_s: f64,
    pub(crate) cpu_ms_per_login: f64,
    pub(crate) load: f64,
}

/// Memory of the browsers with agents who rest.
#[derive(Debug, Serialize)]
pub(crate) struct Resting {
    pub(crate) workload: &'static str,
    pub(crate) part: &'static str,
    pub(crate) engine: &'static str,
    pub(crate) browsers: usize,
    pub(crate) empty_mb: f64,
    pub(crate) idle_agents: u16,
    /// Of the browsers, once all sessions are parked.
    pub(crate) idle_mb: f64,
    pub(crate) mb_per_idle_agent: f64,
    pub(crate) idle_processes: usize,
    /// Of the process that drives the browsers.
    pub(crate) client_mb: f64,
    pub(crate) busy_agents: u16,
    pub(crate) mb_per_busy_agent: f64,
}
