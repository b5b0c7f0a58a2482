//! An operation and the machine of its states.

mod kind;
mod policy;
mod state;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::kind::Class;
pub use self::policy::{Backoff, Policy};
pub use self::state::{Change, EffectAtEnd, IllegalChange, OperationState, Outcome, Step};

use crate::event::Origin;
use crate::id::{AgentId, OperationId, OperationKey, OperationKind, PendingOrderId, Target};
use crate::time::Timestamp;

/// What somebody asks for. Nothing is acknowledged before the store has it on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewOperation {
    /// A fresh UUIDv7. Ignored when the key names an operation that exists.
    pub id: OperationId,
    /// Whose.
    pub agent: AgentId,
    /// What sort.
    pub kind: OperationKind,
    /// Comes with the kind, never from the client.
    pub class: Class,
    /// The same key twice is one operation.
    pub key: OperationKey,
    /// What it works on; one after another for the same target.
    pub target: Option<Target>,
    /// Whether the target may have one such operation only, live or completed, whatever their keys.
    pub once_per_target: bool,
    /// Checked by the kind's action before it gets here.
    pub payload: Value,
    /// Not before this; now when absent.
    pub run_at: Option<Timestamp>,
    /// The device and mutation that asked, echoed in events.
    pub origin: Option<Origin>,
    /// How many unfinished operations the agent may have, this one included.
    pub queue_limit: u64,
    /// Whether its attempts are traced, with pictures.
    pub trace: bool,
}

impl NewOperation {
    /// The target that it wants for itself.
    #[must_use]
    pub fn claim(&self) -> Option<&Target> {
        self.target.as_ref().filter(|_| self.once_per_target)
    }

    /// The pending order that it would submit: the one that it wants for itself.
    #[must_use]
    pub fn pending_order(&self) -> Option<PendingOrderId> {
        self.claim().and_then(PendingOrderId::of_target)
    }
}

/// An operation as the store has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Whose.
    pub agent: AgentId,
    /// What sort.
    pub kind: OperationKind,
    /// Interactive or background.
    pub class: Class,
    /// The caller's name for it.
    pub key: OperationKey,
    /// What it works on.
    pub target: Option<Target>,
    /// Whether the target may have one such operation only, live or completed.
    #[serde(default)]
    pub once_per_target: bool,
    /// What is wanted.
    pub payload: Value,
    /// Its place: within an agent and class, lower goes first.
    pub position: u64,
    /// Where it stands.
    pub state: OperationState,
    /// Not before this.
    pub run_at: Timestamp,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it reached a final state.
    pub finished_at: Option<Timestamp>,
    /// Attempts that count against the policy.
    pub attempts: u32,
    /// Yields for want of a session or of a healthy ERP, since an attempt last ended otherwise.
    pub yields: u32,
    /// How often it gave way to an interactive operation.
    pub preemptions: u32,
    /// Where a sync goes on after it yielded.
    pub checkpoint: Option<Value>,
    /// The step that it is at, in words, while it runs.
    pub progress: Option<String>,
    /// The device and mutation that asked for it.
    pub origin: Option<Origin>,
    /// Whether its attempts are traced, with pictures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trace: bool,
}

impl Operation {
    /// Whether nothing will happen to it any more unless a person redrives it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.state.is_final()
    }

    /// The target that it has for itself as its state is.
    #[must_use]
    pub fn claim(&self) -> Option<&Target> {
        self.target.as_ref().filter(|_| self.once_per_target && self.state.holds_target())
    }

    /// The pending order that it submits, whatever its state is.
    #[must_use]
    pub fn pending_order(&self) -> Option<PendingOrderId> {
        self.target.as_ref().filter(|_| self.once_per_target).and_then(PendingOrderId::of_target)
    }
}
