//! Operations as clients read them.

mod pending_order;
mod row;

use archibald_core::effect::{EffectRecord, EffectState, Mark, Receipt};
use archibald_core::event::Progress;
use archibald_core::id::{
    AgentId, EffectName, FencingToken, OperationId, OperationKey, OperationKind, WorkerId,
};
use archibald_core::operation::{Class, EffectAtEnd, OperationState, Step};
use archibald_core::port::Why;
use archibald_core::record::{AttemptRecord, EvidenceInfo, OperationRecord};
use archibald_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub(crate) use self::pending_order::OrderContentSchema;
pub use self::pending_order::PendingOrderView;
pub(crate) use self::row::OperationRow;

/// An operation. Absent fields are left out.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OperationView {
    /// UUIDv7.
    #[schema(value_type = String)]
    pub id: OperationId,
    /// Whose.
    #[schema(value_type = String)]
    pub agent: AgentId,
    /// What sort.
    #[schema(value_type = String)]
    pub kind: OperationKind,
    /// `interactive` or `background`; comes with the kind.
    #[schema(value_type = String)]
    pub class: Class,
    /// `available`, `running`, `completed`, `rejected`, `failed`, `in_doubt` or `cancelled`.
    #[schema(value_type = StateName)]
    pub state: &'static str,
    /// The caller's name for it.
    #[schema(value_type = String)]
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
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it reached a final state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// The last ones, oldest first.
    pub attempts: Vec<AttemptView>,
    /// What it does at the ERP.
    pub effects: Vec<EffectView>,
    /// What was kept for a person to look at.
    pub evidence: Vec<EvidenceView>,
    /// Why it is not running; only where one operation is asked for, or a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<WhySchema>)]
    pub why: Vec<Why>,
}

/// The states by their names on the wire.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateName {
    Available,
    Running,
    Completed,
    Rejected,
    Failed,
    InDoubt,
    Cancelled,
}

/// Why an operation did not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemView {
    /// In the words of who said so.
    pub detail: String,
    /// Of a failed one: whether the ERP may have been changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub effect: Option<EffectAtEnd>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AttemptView {
    /// The lease's token.
    #[schema(value_type = u64)]
    pub token: FencingToken,
    /// Who ran it.
    #[schema(value_type = String)]
    pub worker: WorkerId,
    /// What it began with.
    #[schema(value_type = String)]
    pub step: Step,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// How it ended, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// A change of the ERP and how far it has got. The baseline is left out: it can be large.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EffectView {
    /// Its name within the operation.
    #[schema(value_type = String)]
    pub name: EffectName,
    /// `intended`, `released`, `recorded` or `void`.
    #[schema(value_type = String)]
    pub state: EffectState,
    /// What its bearer carries at the ERP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mark: Option<Mark>,
    /// How often it was intended.
    pub acts: u32,
    /// When it was last intended.
    #[schema(value_type = String, format = DateTime)]
    pub intended_at: Timestamp,
    /// When it was last released.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub released_at: Option<Timestamp>,
    /// When the released request was answered whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub answered_at: Option<Timestamp>,
    /// What the ERP called it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub receipt: Option<Receipt>,
}

/// Kept evidence and where to get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EvidenceView {
    /// Its number within the operation, from 0.
    pub n: u32,
    /// What it is, such as `screenshot`.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was kept.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
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

impl StateName {
    pub(crate) fn on_the_wire(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
            Self::Cancelled => "cancelled",
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
    let EvidenceInfo { n, name, media_type, size, at } = info;
    EvidenceView { n, name, media_type, size, at, href: format!("{path}/{n}") }
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

/// Stands for a schema that is written by hand.
#[derive(ToSchema)]
#[schema(as = Why)]
#[allow(dead_code, reason = "it is there for its schema")]
struct WhySchema {}

/// Stands for a schema that is written by hand.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it is there for its schema")]
pub(crate) struct PollFrame {}
