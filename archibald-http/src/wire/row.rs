use archibald_core::id::{AgentId, OperationId, OperationKind, WorkerId};
use archibald_core::operation::Class;
use archibald_core::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{OperationView, ProgressView};

/// An operation as a line of a long list: without what only its own page shows. Absent fields are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OperationRow {
    id: OperationId,
    agent: AgentId,
    kind: OperationKind,
    class: Class,
    state: &'static str,
    created_at: Timestamp,
    run_at: Timestamp,
    /// When the first of the attempts that are kept began.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    /// Who ran it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<WorkerId>,
    attempts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    /// Why it did not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl From<OperationView> for OperationRow {
    fn from(view: OperationView) -> Self {
        Self {
            id: view.id,
            agent: view.agent,
            kind: view.kind,
            class: view.class,
            state: view.state,
            created_at: view.created_at,
            run_at: view.run_at,
            started_at: view.attempts.first().map(|attempt| attempt.started_at),
            finished_at: view.finished_at,
            worker: view.attempts.last().map(|attempt| attempt.worker.clone()),
            attempts: view.attempts.len(),
            step: view.step,
            progress: view.progress,
            result: view.result,
            problem: view.problem.map(|problem| problem.detail),
        }
    }
}
