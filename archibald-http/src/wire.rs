//! Operations as clients read them.

use archibald_core::effect::{EffectRecord, EffectState, Mark, Receipt};
use archibald_core::event::Progress;
use archibald_core::id::{
    AgentId, EffectName, FencingToken, OperationId, OperationKey, OperationKind, WorkerId,
};
use archibald_core::operation::{Class, EffectAtEnd, OperationState, Step};
use archibald_core::port::Why;
use archibald_core::record::{AttemptRecord, EvidenceInfo, OperationRecord};
use archibald_core::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// An operation. Absent fields are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationView {
    /// UUIDv7.
    pub id: OperationId,
    /// Whose.
    pub agent: AgentId,
    /// What sort.
    pub kind: OperationKind,
    /// `interactive` or `background`; comes with the kind.
    pub class: Class,
    /// `available`, `running`, `completed`, `rejected`, `failed`, `in_doubt` or `cancelled`.
    pub state: &'static str,
    /// The caller's name for it.
    pub key: OperationKey,
    /// What is wanted.
    pub payload: Value,
    /// What the kind reports, once completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it is rejected, failed, in doubt or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemView>,
    /// The step that it is at, in words, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How far that step is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressView>,
    /// Not before this.
    pub run_at: Timestamp,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it reached a final state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// The last ones, oldest first.
    pub attempts: Vec<AttemptView>,
    /// What it does at the ERP.
    pub effects: Vec<EffectView>,
    /// What was kept for a person to look at.
    pub evidence: Vec<EvidenceView>,
    /// Why it is not running; only where one operation is asked for, or a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Why>,
}

/// Why an operation did not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemView {
    /// In the words of who said so.
    pub detail: String,
    /// Of a failed one: whether the ERP may have been changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectAtEnd>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProgressView {
    /// The step.
    pub step: String,
    /// How much is done.
    pub done: u64,
    /// Of how much.
    pub total: u64,
    /// For a person.
    pub text: String,
}

/// One run under one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptView {
    /// The lease's token.
    pub token: FencingToken,
    /// Who ran it.
    pub worker: WorkerId,
    /// What it began with.
    pub step: Step,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How it ended, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// A change of the ERP and how far it has got. The baseline is left out: it can be large.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EffectView {
    /// Its name within the operation.
    pub name: EffectName,
    /// `intended`, `released`, `recorded` or `void`.
    pub state: EffectState,
    /// What its bearer carries at the ERP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// How often it was intended.
    pub acts: u32,
    /// When it was last intended.
    pub intended_at: Timestamp,
    /// When it was last released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Timestamp>,
    /// When the released request was answered whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// What the ERP called it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// Kept evidence and where to get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EvidenceView {
    /// Number, name, media type, size and time.
    #[serde(flatten)]
    pub info: EvidenceInfo,
    /// Its path.
    pub href: String,
}

impl OperationView {
    /// A record, the agent's latest progress (of whatever operation), and why it waits.
    #[must_use]
    pub fn new(record: OperationRecord, progress: &[Progress], why: Vec<Why>) -> Self {
        let OperationRecord { operation, attempts, effects, evidence } = record;
        let path = format!("{}/evidence", operation_path(&operation.agent, operation.id));
        let running = matches!(operation.state, OperationState::Running { .. });
        let progress = progress.iter().find(|progress| running && progress.operation == operation.id);
        let state = operation.state.name();
        let (result, problem) = end_of(operation.state);
        Self {
            id: operation.id,
            agent: operation.agent,
            kind: operation.kind,
            class: operation.class,
            state,
            key: operation.key,
            payload: operation.payload,
            result,
            problem,
            step: operation.progress,
            progress: progress.map(ProgressView::from),
            run_at: operation.run_at,
            created_at: operation.created_at,
            finished_at: operation.finished_at,
            attempts: attempts.into_iter().map(AttemptView::from).collect(),
            effects: effects.into_iter().map(EffectView::from).collect(),
            evidence: evidence.into_iter().map(|info| evidence_view(info, &path)).collect(),
            why,
        }
    }
}

/// Where an operation is read.
pub(crate) fn operation_path(agent: &AgentId, id: OperationId) -> String {
    format!("/v1/agents/{agent}/operations/{id}")
}

fn end_of(state: OperationState) -> (Option<Value>, Option<ProblemView>) {
    let problem = |detail, effect| (None, Some(ProblemView { detail, effect }));
    match state {
        OperationState::Available { .. } | OperationState::Running { .. } => (None, None),
        OperationState::Completed { result } => (Some(result), None),
        OperationState::Rejected { why } => problem(why, None),
        OperationState::Failed { why, effect } => problem(why, Some(effect)),
        OperationState::InDoubt { evidence } => problem(evidence, None),
        OperationState::Cancelled { by } => problem(format!("cancelled by {by}"), None),
    }
}

fn evidence_view(info: EvidenceInfo, path: &str) -> EvidenceView {
    EvidenceView { href: format!("{path}/{}", info.n), info }
}

impl From<&Progress> for ProgressView {
    fn from(progress: &Progress) -> Self {
        let Progress { step, done, total, text, .. } = progress.clone();
        Self { step, done, total, text }
    }
}

impl From<AttemptRecord> for AttemptView {
    fn from(attempt: AttemptRecord) -> Self {
        let AttemptRecord { token, worker, step, started_at, ended_at, outcome } = attempt;
        Self { token, worker, step, started_at, ended_at, outcome }
    }
}

impl From<EffectRecord> for EffectView {
    fn from(effect: EffectRecord) -> Self {
        Self {
            name: effect.name,
            state: effect.state,
            mark: effect.mark,
            acts: effect.acts,
            intended_at: effect.intended_at,
            released_at: effect.released_at,
            answered_at: effect.answered_at,
            receipt: effect.receipt,
        }
    }
}
