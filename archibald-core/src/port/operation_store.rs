use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::Leased;
use crate::effect::{Intent, IntentRequest, Receipt, Released};
use crate::error::{EnqueueError, FenceError, FieldError, StoreError};
use crate::id::{AgentId, Collection, EffectName, OperationId, OperationKind, Target, WorkerId};
use crate::lease::Lease;
use crate::operation::{Class, IllegalChange, NewOperation};
use crate::pause::{Pause, PauseScope};
use crate::record::{Evidence, LocalRow, OperationRecord, Resolution, Settlement};
use crate::scheduler::Ticket;
use crate::time::Timestamp;
use crate::worker::{Heartbeat, LiveWorker};

/// An accepted operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Enqueued {
    /// As stored.
    pub record: OperationRecord,
    /// Whether it existed before: the same key and payload, the same payload for a target that may have one
    /// such operation only, or a background operation of a kind of which one waits already.
    pub replayed: bool,
}

/// An accepted operation that may run already.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenUp {
    /// As it was accepted, before it was leased.
    pub enqueued: Enqueued,
    /// Its lease; `None` where it has to wait, and for one that existed before.
    pub leased: Option<Leased>,
}

/// Which operations of an agent to list, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OperationFilter {
    /// In this state, by its name on the wire.
    pub state: Option<String>,
    /// Of this kind.
    pub kind: Option<OperationKind>,
    /// On this target.
    pub target: Option<Target>,
    /// Older than this one: its position.
    pub before: Option<u64>,
    /// At most this many, 1 to 500.
    pub limit: u32,
}

/// A page of operations, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationPage {
    /// The operations.
    pub records: Vec<OperationRecord>,
    /// Where the next page begins: a value for [`OperationFilter::before`].
    pub next: Option<u64>,
}

/// Which local rows of an agent to list, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowQuery {
    /// Which set.
    pub collection: Collection,
    /// Only rows that contain this text, upper and lower case alike (see [`LocalRow::searchable`]).
    pub search: Option<String>,
    /// Only ids after this one.
    pub after: Option<String>,
    /// At most this many, 1 to 500.
    pub limit: u32,
}

/// A page of local rows, by id.
#[derive(Debug, Clone, PartialEq)]
pub struct RowPage {
    /// Id, content, and when it was last written, also where that did not change it.
    pub rows: Vec<(String, Value, Timestamp)>,
    /// Where the next page begins: a value for [`RowQuery::after`].
    pub next: Option<String>,
}

/// Which agents to survey, in an order by name that is the store's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyRequest {
    /// Only agents after this one: [`Survey::next`] of the page before.
    pub after: Option<AgentId>,
    /// At most so many agents that have something waiting, at least 1.
    pub agents: u32,
    /// At most so many tickets of each, at least 1.
    pub each: u32,
    /// What the worker that asks says of itself.
    pub beat: Option<Heartbeat>,
}

/// What waits, what is paused and who works, as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The store's time.
    pub now: Timestamp,
    /// Whether the time of some lease seems to be over, of any agent.
    pub has_ended_leases: bool,
    /// All that is paused, on every page, in order of scope.
    pub paused: Vec<Pause>,
    /// The workers that are alive, the one that asks among them, by name.
    pub workers: Vec<LiveWorker>,
    /// What goes first of each agent of the page, agent after agent, each in the order of
    /// [`OperationStore::waiting`].
    pub fronts: Vec<Ticket>,
    /// A value for [`SurveyRequest::after`]; `None` where no agent comes after this page.
    pub next: Option<AgentId>,
}

/// What the end of an attempt left that handed its agent on.
#[derive(Debug, Clone, PartialEq)]
pub struct HandedOn {
    /// The operation that was settled.
    pub record: OperationRecord,
    /// The one that the agent is held for now; `None` where something stood in its way, and the agent is free.
    pub next: Option<Leased>,
}

/// A person's request that could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// No such operation of this agent.
    #[error("the agent has no operation {0}")]
    NotFound(OperationId),
    /// Something in the request that cannot be accepted.
    #[error("{} {}", .0.pointer, .0.detail)]
    Invalid(FieldError),
    /// Its state does not allow it.
    #[error(transparent)]
    State(#[from] IllegalChange),
    /// Another operation took its target meanwhile, and there may be one only.
    #[error("operation {by} is for the same {target}, which may have one only")]
    TargetTaken {
        /// What both work on.
        target: Target,
        /// The other one, live or completed.
        by: OperationId,
    },
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where operations, their journals and the local rows live.
///
/// Every write commits with the events that tell of it, durably, before it is answered. All times are the
/// store's own.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait OperationStore: Send + Sync {
    /// Accepts an operation. What is answered survives any crash.
    ///
    /// # Errors
    /// [`EnqueueError::KeyReused`], [`EnqueueError::TargetTaken`], [`EnqueueError::QueueFull`] or
    /// [`EnqueueError::Store`].
    ///
    /// # Cancel safety
    /// A dropped call may have stored it; the same key again tells.
    async fn enqueue(&self, new: NewOperation) -> Result<Enqueued, EnqueueError>;

    /// As [`enqueue`](Self::enqueue), and in the same transaction the operation is leased to this worker for so long,
    /// as [`AgentLock::lease`](super::AgentLock::lease) would, where it is new and due, its agent is free and nothing
    /// else of the agent waits.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Cancel safety
    /// A dropped call may have stored and leased it; the lease ends by its time.
    async fn enqueue_and_lease(
        &self,
        new: NewOperation,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<TakenUp, EnqueueError>;

    /// One operation of an agent; `None` also when it is another agent's.
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

    /// What of an agent waits, due or not, in the order in which it goes: by class, then by position. `after` is
    /// the [place](Ticket::place) of the last one of the page before.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn waiting(
        &self,
        agent: &AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError>;

    /// All that a worker's sweep needs to know, in one read: a page of the agents that have something waiting,
    /// with what goes first of each, what is paused, who works, and whether [`AgentLock::reap`](super::AgentLock::reap) has
    /// anything to do.
    /// It is the worker's heartbeat too: of a worker that is new, or drains now, the others are woken.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it writes nothing but the heartbeat.
    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, StoreError>;

    /// Commits that an effect is about to be acted, and gives the right to it.
    ///
    /// # Errors
    /// See [`OperationRecord::intend`].
    ///
    /// # Cancel safety
    /// A dropped call may have committed; intending again is fine, since nothing was released.
    async fn intend(&self, lease: &Lease, request: &IntentRequest) -> Result<Intent, FenceError>;

    /// Commits that the request leaves now. Called by the commit gate alone.
    ///
    /// # Errors
    /// See [`OperationRecord::release`]; then nothing may be sent.
    ///
    /// # Cancel safety
    /// Must not be dropped: the gate runs it in a task that nothing cancels. A dropped call may have
    /// released, and then the next attempt probes.
    async fn release(&self, intent: &Intent) -> Result<Released, FenceError>;

    /// Notes that the released request was answered whole, and what the answer read back otherwise than wanted.
    ///
    /// # Errors
    /// See [`OperationRecord::answered`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn answered(
        &self,
        lease: &Lease,
        effect: &EffectName,
        differences: &[String],
    ) -> Result<(), FenceError>;

    /// Keeps the receipt, in the smallest transaction possible.
    ///
    /// # Errors
    /// See [`OperationRecord::record`].
    ///
    /// # Cancel safety
    /// Cancel safe; recording the same receipt again is fine.
    async fn record(&self, lease: &Lease, effect: &EffectName, receipt: &Receipt) -> Result<(), FenceError>;

    /// A step that people see, local rows read so far, and where to go on if it is cut off here.
    ///
    /// # Errors
    /// [`FenceError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn checkpoint(
        &self,
        lease: &Lease,
        step: &str,
        checkpoint: Option<Value>,
        rows: Vec<LocalRow>,
    ) -> Result<(), FenceError>;

    /// The end of an attempt: state, rows, evidence and events, and the agent freed, in one transaction.
    /// Returns the record after it.
    ///
    /// # Errors
    /// [`FenceError`]; then nothing was written.
    ///
    /// # Cancel safety
    /// A dropped call may have settled; asking again then says superseded.
    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<OperationRecord, FenceError>;

    /// As [`settle`](Self::settle), and in the same transaction the agent goes on to `next`, another operation, as
    /// [`AgentLock::lease`](super::AgentLock::lease) would: with a new token, for the same worker and as long as
    /// the lease that ends. Where anything stands in the way of that one the agent is freed.
    ///
    /// # Errors
    /// [`FenceError`]; then nothing was written.
    ///
    /// # Cancel safety
    /// A dropped call may have settled and leased; asking again then says superseded, and the new lease ends by
    /// its time.
    async fn hand_on(
        &self,
        lease: &Lease,
        settlement: Settlement,
        next: OperationId,
    ) -> Result<HandedOn, FenceError>;

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
    async fn redrive(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError>;

    /// Decides a doubt; `note` is kept for the audit.
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

    /// Kept evidence, by its number.
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

    /// Local rows of an agent.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn rows(&self, agent: &AgentId, query: &RowQuery) -> Result<RowPage, StoreError>;

    /// Pauses something: nothing that it is about is leased until it is resumed, and workers are woken. Again: the
    /// newer reason counts, but an agent's lock-out and another reason stand beside each other ([`Pause::over`]). For
    /// an agent it writes a `warning` event; of the others devices are told nothing, since it concerns all of them.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn pause(&self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError>;

    /// Ends a pause, and wakes workers. Not paused: nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn resume(&self, scope: &PauseScope) -> Result<(), StoreError>;

    /// Ends what a refused login adds to the agent's pause, and leaves the rest as it is ([`Pause::unlocked`]);
    /// wakes workers. Whether nothing pauses the agent itself any more.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn unlock(&self, agent: &AgentId) -> Result<bool, StoreError>;

    /// Forgets operations that finished before a time, oldest first and at most `limit` of them, each with its
    /// key, journal and evidence in one piece. What is not final is never forgotten. Returns how many went.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe; a dropped call may have forgotten some.
    async fn forget(&self, finished_before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// All that is paused, in order of scope.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn paused(&self) -> Result<Vec<Pause>, StoreError>;
}
