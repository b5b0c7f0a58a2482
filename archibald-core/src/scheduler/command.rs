use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, OperationId};
use crate::operation::Step;
use crate::pause::PauseScope;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Ask the store for the lease and, given it, run the attempt. Must be answered by exactly one of
    /// `Leased` and `LeaseRefused`, and every `Leased` by one `Settled`: until then the agent is taken.
    Lease {
        /// Whose.
        agent: AgentId,
        /// Which operation.
        operation: OperationId,
        /// What it begins with, as far as the ticket knows; the store's record has the last word.
        step: Step,
    },
    /// Ask the attempt to give way at its next safe point. At most once for each run.
    Preempt {
        /// Whose.
        agent: AgentId,
        /// Which operation.
        operation: OperationId,
    },
}

/// What a scheduler has in hand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SchedulerCounts {
    /// Operations that wait and are known here, by agent.
    pub waiting: BTreeMap<AgentId, u64>,
    /// Operations whose lease was asked for and not answered yet.
    pub starting: BTreeMap<AgentId, OperationId>,
    /// Operations that run.
    pub running: BTreeMap<AgentId, OperationId>,
    /// What is paused, as far as this scheduler was told, and why.
    #[serde(skip)]
    pub paused: BTreeMap<PauseScope, String>,
    /// Attempts that may run together.
    pub slots: usize,
    /// Slots that are taken, by what runs and what is starting.
    pub in_use: usize,
    /// The most that were taken together since the start.
    pub peak_in_use: usize,
    /// How often an attempt was asked to give way since the start.
    pub preemptions: u64,
    /// Whether nothing is started any more.
    pub draining: bool,
}
