use std::time::Duration;

use async_trait::async_trait;

use crate::error::{FenceError, StoreError};
use crate::id::{AgentId, FencingToken, OperationId, WorkerId};
use crate::lease::Lease;
use crate::pause::PauseScope;
use crate::record::OperationRecord;
use crate::scheduler::Ticket;
use crate::time::Timestamp;

/// Asks for the right to run one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaseRequest {
    /// Whose.
    pub agent: AgentId,
    /// Which.
    pub operation: OperationId,
    /// For whom.
    pub worker: WorkerId,
    /// For how long, unless it is renewed.
    pub ttl: Duration,
}

impl LeaseRequest {
    /// For what the agent goes on with after a lease, on the same terms.
    #[must_use]
    pub fn after(lease: &Lease, next: OperationId) -> Self {
        let (agent, worker) = (lease.agent.clone(), lease.worker.clone());
        Self { agent, operation: next, worker, ttl: lease.ttl }
    }
}

/// The lease and what it is for, as of its transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    /// The lease.
    pub lease: Lease,
    /// The operation with its journal.
    pub record: OperationRecord,
    /// The store's time.
    pub now: Timestamp,
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaped {
    /// What became available because its lease was over, each with the step that its journal gives.
    pub tickets: Vec<Ticket>,
    /// The store's time.
    pub now: Timestamp,
}

/// Why there is no lease now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Another operation of the agent runs.
    #[error("the agent is held until {until}")]
    Held {
        /// When that lease ends unless it is renewed.
        until: Timestamp,
    },
    /// It is not available any more, or not due yet.
    #[error("the operation is not available")]
    NotAvailable {
        /// When it is due, if it still waits.
        due: Option<Timestamp>,
    },
    /// An earlier unfinished operation of the agent has the same target.
    #[error("operation {by} has the same target and goes first")]
    TargetBusy {
        /// That operation.
        by: OperationId,
    },
    /// It is paused.
    #[error("{scope} is paused: {why}")]
    Paused {
        /// What is.
        scope: PauseScope,
        /// Why.
        why: String,
    },
    /// The store failed; nothing was leased as far as it knows. Reading the operation tells.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who may run an operation of an agent: one at a time, over all workers and processes.
///
/// The agent's row is lock and fence; its token grows with every lease and never repeats.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait AgentLock: Send + Sync {
    /// Takes the agent for one operation, moves the operation to running and tells the devices, in one
    /// transaction. A lease of the agent whose time is over stands in nobody's way: it is ended first, as
    /// [`Self::reap`] would.
    ///
    /// # Errors
    /// [`LeaseError`] says what stands in the way.
    ///
    /// # Cancel safety
    /// A dropped call may have leased; the lease then ends by its time.
    async fn lease(&self, request: &LeaseRequest) -> Result<Leased, LeaseError>;

    /// Renews this worker's leases and returns those that it still has, as (agent, token). One that is not
    /// returned is lost: its attempt must stop at once. One whose time is over is lost, reaped or not.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is known; the leases end by their own time.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<(AgentId, FencingToken)>, StoreError>;

    /// Gives a lease back before anything was attempted.
    ///
    /// # Errors
    /// [`FenceError::Superseded`] when it is somebody else's by now: a no-op that says so.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn hand_back(&self, lease: &Lease) -> Result<(), FenceError>;

    /// Takes the agent's lease away, whoever holds it and however long it would last, as if its time were
    /// over: for a person who knows that the holder is gone. What a holder that is not gone still does is
    /// refused; what it has released is asked for by the next attempt. `None` when there is no lease.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn revoke(&self, agent: &AgentId) -> Result<Option<Ticket>, StoreError>;

    /// Ends the leases whose time is over and returns what became available by it.
    ///
    /// # Errors
    /// [`StoreError`]: try again later.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn reap(&self) -> Result<Reaped, StoreError>;
}
