use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AdminError, AgentAdmin, Enqueued, Minute, OperationFilter, OperationPage, PendingOrders, PoolOccupancy,
    RowPage, RowQuery,
};
use crate::error::{EnqueueError, StoreError};
use crate::event::Origin;
use crate::id::{AgentId, OperationId, OperationKey, OperationKind};
use crate::pause::{Pause, PauseScope};
use crate::record::{Evidence, OperationRecord, Resolution};
use crate::time::Timestamp;
use crate::worker::LiveWorker;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct EnqueueRequest {
    /// Whose.
    pub agent: AgentId,
    /// The name of the kind, as given.
    pub kind: String,
    /// Its payload, as given.
    pub payload: Value,
    /// The same key twice is one operation.
    pub key: OperationKey,
    /// Not before this.
    pub run_at: Option<Timestamp>,
    /// Who asks.
    pub origin: Option<Origin>,
    /// Whether a trace is to be kept with the evidence, with pictures, also of an attempt that ended well: what was done
    /// step by step, and typed. None of an attempt that gave way. Each attempt takes longer then. Where the key names an
    /// operation that exists, that stays as it is.
    pub trace: bool,
}

/// A reason why an operation is not running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// Nothing is taken any more: the worker drains.
    Draining,
    /// It is paused.
    Paused {
        /// What is paused.
        #[serde(flatten)]
        scope: PauseScope,
        /// Why.
        why: String,
    },
    /// An earlier operation has the same target: it runs, waits, or is in doubt.
    TargetBlocked {
        /// That one.
        by: OperationId,
    },
    /// Its time has not come.
    NotDue {
        /// When it comes.
        at: Timestamp,
    },
    /// Another worker has the agent's lease.
    LeasedElsewhere {
        /// When it is asked for again, at the latest.
        until: Timestamp,
    },
    /// The store failed when the lease was asked for.
    StoreFailed {
        /// When it is asked again.
        until: Timestamp,
    },
    /// Another operation of the agent runs.
    AgentBusy {
        /// That one.
        operation: OperationId,
    },
    /// The one that runs goes on meanwhile; comes with [`AgentBusy`](Self::AgentBusy).
    NotPreempted {
        /// Why.
        because: NotPreempted,
    },
    /// Operations of the agent go first.
    Behind {
        /// How many.
        operations: u64,
    },
    /// Every slot that it may have is taken.
    NoSlot,
    /// Agents have their turn at a slot before this one; comes with [`NoSlot`](Self::NoSlot).
    InTurn {
        /// How many.
        agents: u64,
    },
    /// The lease was asked for and is on its way.
    Starting,
}

/// Why what runs does not give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotPreempted {
    /// It was asked to, and does at its next safe point.
    Asked,
    /// Only background operations give way, and only to interactive ones that could start.
    NotForThisOne,
    /// It may have changed the ERP, or is about to.
    EffectOpen,
    /// It gave way often enough, or waited long enough: this run is protected.
    Protected,
    /// Its lease was asked for and is on its way.
    Starting,
}

/// What an operator sees first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Operations that wait, by agent, as far as this worker knows them: of a long queue it knows what goes first.
    pub waiting: BTreeMap<AgentId, u64>,
    /// Operations that run in this worker.
    pub running: BTreeMap<AgentId, OperationId>,
    /// What is paused.
    pub paused: Vec<Pause>,
    /// The workers that are alive, by name.
    pub workers: Vec<LiveWorker>,
    /// Operations that may run together in this worker.
    pub slots: usize,
    /// The most that ran together since the start.
    pub peak_running: usize,
    /// Probes made since the start.
    pub probes: u64,
    /// Preemptions since the start.
    pub preemptions: u64,
    /// Whether the worker drains.
    pub draining: bool,
    /// The browser pool.
    pub pool: PoolOccupancy,
}

/// What the product does for those who ask from outside: the door that HTTP and embedders use.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Operations: Send + Sync {
    /// Checks and accepts an operation. `Ok` means: on disk.
    ///
    /// # Errors
    /// [`EnqueueError`]; then nothing was stored.
    ///
    /// # Cancel safety
    /// A dropped call may have stored it; the same key again tells.
    async fn enqueue(&self, request: EnqueueRequest) -> Result<Enqueued, EnqueueError>;

    /// One operation of an agent.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn get(&self, agent: &AgentId, id: OperationId) -> Result<Option<OperationRecord>, StoreError>;

    /// Operations of an agent, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn list(&self, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError>;

    /// Waits until the operation is final or in doubt, or the time is over, and returns it as it then is.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn wait(
        &self,
        agent: &AgentId,
        id: OperationId,
        limit: Duration,
    ) -> Result<Option<OperationRecord>, StoreError>;

    /// Withdraws an operation that waits and has no effect.
    ///
    /// # Errors
    /// [`AdminError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn cancel(&self, agent: &AgentId, id: OperationId, by: &str)
    -> Result<OperationRecord, AdminError>;

    /// Starts a rejected or failed operation again.
    ///
    /// # Errors
    /// [`AdminError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn retry(&self, agent: &AgentId, id: OperationId, by: &str) -> Result<OperationRecord, AdminError>;

    /// Decides a doubt.
    ///
    /// # Errors
    /// [`AdminError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn resolve(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
        how: &Resolution,
    ) -> Result<OperationRecord, AdminError>;

    /// Why an operation is not running, as far as this worker or the store knows; empty when it runs or is final.
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn explain(&self, agent: &AgentId, id: OperationId) -> Vec<Why>;

    /// Kept evidence.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn evidence(
        &self,
        agent: &AgentId,
        id: OperationId,
        n: u32,
    ) -> Result<Option<Evidence>, StoreError>;

    /// Local rows that operations brought.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn rows(&self, agent: &AgentId, query: &RowQuery) -> Result<RowPage, StoreError>;

    /// The door to pending orders; `None` where there are none.
    fn pending_orders(&self) -> Option<Arc<dyn PendingOrders>> {
        None
    }

    /// The door to agents; `None` where they come from what the service was started with alone.
    fn agent_admin(&self) -> Option<Arc<dyn AgentAdmin>> {
        None
    }

    /// Whether the agent is configured.
    fn knows(&self, agent: &AgentId) -> bool;

    /// All configured agents.
    fn agents(&self) -> Vec<AgentId>;

    /// The kinds that can be asked for.
    fn kinds(&self) -> Vec<OperationKind>;

    /// What an operator sees first.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn overview(&self) -> Result<Overview, StoreError>;

    /// What became of operations in this process in the last 24 hours, from the minute of `since` on: the oldest
    /// minute first, none in which nothing happened. The last one is not over.
    fn history(&self, since: Timestamp) -> Vec<Minute> {
        let _ = since;
        vec![]
    }

    /// A small picture, as JPEG, of what the agent's session in use in this process shows; see
    /// [`BrowserPool::picture`](super::BrowserPool::picture).
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn picture(&self, agent: &AgentId) -> Option<Arc<[u8]>> {
        let _ = agent;
        None
    }

    /// Whether sessions in this process have pictures at all; see
    /// [`BrowserPool::has_pictures`](super::BrowserPool::has_pictures).
    fn has_pictures(&self) -> bool {
        false
    }

    /// Pauses something: nothing that it is about is started, by any worker, until it is resumed. What runs goes
    /// on, but if it `drains`: then what runs in the background is asked to give way at its next safe point.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn pause(&self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError>;

    /// Ends a pause. Not paused: nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn resume(&self, scope: &PauseScope) -> Result<(), StoreError>;
}
