use serde::{Deserialize, Serialize};

use crate::id::{AgentId, OperationId, OperationKind, Target};
use crate::operation::{Class, Step};
use crate::time::Timestamp;

/// What the scheduler needs to know of an operation that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Which operation.
    pub operation: OperationId,
    /// Whose.
    pub agent: AgentId,
    /// What sort: it may be paused.
    pub kind: OperationKind,
    /// Who goes first within the agent.
    pub class: Class,
    /// Within agent and class, lower goes first.
    pub position: u64,
    /// Due when this has come.
    pub at: Timestamp,
    /// `Commit` needs neither slot nor browser.
    pub step: Step,
    /// One after another for the same target.
    pub target: Option<Target>,
    /// How often it gave way already.
    pub preemptions: u32,
}

impl Ticket {
    /// Where it stands among those of its agent: lower goes first.
    #[must_use]
    pub fn place(&self) -> (Class, u64) {
        (self.class, self.position)
    }
}
