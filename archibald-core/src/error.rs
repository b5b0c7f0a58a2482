//! Errors that more than one port speaks of.

use serde::{Deserialize, Serialize};

/// A field of a request that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Where it is: a JSON pointer (RFC 6901) such as `/lines/0/quantity`; empty for the whole value.
    pub pointer: String,
    /// What was expected there.
    pub detail: String,
}

impl FieldError {
    /// A complaint about one place.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// The cause of an error, where it comes from below an adapter.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The store did not do what it was asked, and nothing is half done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached or has no room now; try again later.
    #[error("the store is unavailable: {what}")]
    Unavailable {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        cause: Option<Cause>,
    },
    /// What it holds cannot be read: a damaged file, a row of an unknown shape.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What could not be read.
        what: String,
        /// Why.
        #[source]
        cause: Option<Cause>,
    },
}

impl StoreError {
    /// [`StoreError::Unavailable`] with its cause.
    pub fn unavailable(what: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self::Unavailable { what: what.into(), cause: Some(cause.into()) }
    }

    /// [`StoreError::Damaged`] with its cause.
    pub fn damaged(what: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self::Damaged { what: what.into(), cause: Some(cause.into()) }
    }
}

/// A write under a lease was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FenceError {
    /// The lease is no longer the agent's: stop, close the page, write nothing more.
    #[error("the lease is lost: the agent is held under another token, or by nobody")]
    Superseded,
    /// The lease would not outlive what is about to be done.
    #[error("the lease ends too soon for this: it must outlive the act's budget and a margin")]
    TooShort,
    /// The journal does not allow this step.
    #[error("the journal does not allow it: {0}")]
    Journal(#[from] JournalError),
    /// The store failed; nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A step that the effect's journal does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It was repaired before and is still not as wanted: a person decides.
    #[error("effect {0} was repaired once already")]
    RepairedOnce(String),
    /// Once released, an effect is intended again only after a probe found it absent.
    #[error("effect {0} was released before; only a probe that finds it absent allows another act")]
    ProbeFirst(String),
    /// A recorded effect is reused, never redone.
    #[error("effect {0} has a receipt already")]
    AlreadyRecorded(String),
    /// The step before this one is missing.
    #[error("effect {0} was not intended under this lease")]
    NotIntended(String),
    /// A completion with an effect that is open.
    #[error("effect {0} is open: released and without a receipt")]
    Open(String),
    /// The operation's state does not allow the change.
    #[error(transparent)]
    State(#[from] crate::operation::IllegalChange),
}

/// An operation could not be accepted; nothing of it was stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// Fields that cannot be accepted.
    #[error("the payload cannot be accepted: {}", list(.0))]
    Invalid(Vec<FieldError>),
    /// No action is registered under this name.
    #[error("unknown kind {kind:?}; known kinds are {}", .known.join(", "))]
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No such agent is configured.
    #[error("unknown agent {0:?}")]
    UnknownAgent(String),
    /// The key names an operation with another kind or payload.
    #[error("key {key:?} was used before for something else (operation {operation})")]
    KeyReused {
        /// The key.
        key: String,
        /// The operation that has it.
        operation: crate::id::OperationId,
    },
    /// The target has such an operation already, and may have one only.
    #[error("{target} was submitted before, by operation {operation}")]
    TargetTaken {
        /// What it works on.
        target: crate::id::Target,
        /// The operation that has it, live or completed.
        operation: crate::id::OperationId,
    },
    /// The agent has as many unfinished operations as are allowed.
    #[error("agent {agent} has {limit} unfinished operations already, which is the limit")]
    QueueFull {
        /// Whose queue.
        agent: crate::id::AgentId,
        /// How many it may hold.
        limit: u64,
    },
    /// It submits a pending order that is not there any more.
    #[error("there is no pending order {0}")]
    NoPendingOrder(crate::id::PendingOrderId),
    /// It submits a pending order that says something else by now: read it again.
    #[error("pending order {0} was changed meanwhile, or says something else than the payload")]
    PendingOrderChanged(crate::id::PendingOrderId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) fn list(errors: &[FieldError]) -> String {
    errors.iter().map(|e| format!("{} {}", e.pointer, e.detail)).collect::<Vec<_>>().join("; ")
}
