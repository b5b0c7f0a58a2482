use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::StoreError;
use crate::event::{Cursor, Event, Progress};
use crate::id::AgentId;
use crate::pending_order::PendingOrder;
use crate::record::OperationRecord;
use crate::time::Timestamp;

/// The ends of an agent's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which history.
    pub epoch: Uuid,
    /// The last event; 0 before the first.
    pub head: u64,
    /// The highest pruned event; a cursor below it is not served.
    pub floor: u64,
}

/// Why a device has to begin with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// It had no cursor.
    New,
    /// Its cursor is of another history.
    Epoch,
    /// What it missed is pruned in part.
    Pruned,
    /// Its cursor is ahead of the log: commits were lost.
    Ahead,
}

/// What a device at a place gets next.
#[derive(Debug, Clone, PartialEq)]
pub enum EventRead {
    /// Everything after `from` up to `to`, without a hole; empty when `from` equals `to`.
    Batch {
        /// The place that was asked from.
        from: Cursor,
        /// The place after this batch.
        to: Cursor,
        /// In order.
        events: Vec<Event>,
    },
    /// The place cannot be served, not even in part: a snapshot is needed.
    Reset(ResetReason),
}

/// All that a device shows, and the place in the log that it corresponds to, read in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Where the log goes on from here.
    pub cursor: Cursor,
    /// Unfinished operations, and the last finished ones, newest first.
    pub operations: Vec<OperationRecord>,
    /// Pending orders: those that are not submitted, and as many of the submitted ones as finished operations
    /// were asked for, the last ones; newest first.
    pub pending_orders: Vec<PendingOrder>,
}

/// The bus ended; nothing more will come from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event bus is closed")]
pub struct BusClosed;

/// Tells that something was committed for one agent. It carries no data: read the log.
#[async_trait]
pub trait Wakeups: Send {
    /// Waits until something was committed, or progress was made, since the last call returned.
    ///
    /// # Errors
    /// [`BusClosed`] when the bus ended.
    ///
    /// # Cancel safety
    /// Cancel safe: a wake-up that was not returned is returned by the next call.
    async fn changed(&mut self) -> Result<(), BusClosed>;
}

/// What workers are woken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerWake {
    /// Something of this agent may have become available: read what waits.
    Agent(AgentId),
    /// What every survey tells has changed: what is paused, or who works.
    Survey,
    /// Wake-ups may have been lost: read everything.
    Lost,
}

/// Tells workers of agents for whom something may have become available.
#[async_trait]
pub trait WorkerWakeups: Send {
    /// Waits for the next agent.
    ///
    /// # Errors
    /// [`BusClosed`] when the bus ended.
    ///
    /// # Cancel safety
    /// Cancel safe: a wake-up that was not returned is returned by the next call.
    async fn next(&mut self) -> Result<WorkerWake, BusClosed>;
}

/// The log that devices follow, and the wake-ups beside it.
///
/// Every store is one. To follow an agent, with nothing missed and nothing told twice:
///
/// ```
/// use archibald_core::id::AgentId;
/// use archibald_core::port::{EventBus, EventRead};
///
/// async fn follow(bus: &dyn EventBus, agent: &AgentId) -> Result<(), Box<dyn std::error::Error>> {
///     let mut wakeups = bus.subscribe(agent);
///     let mut at = bus.snapshot(agent, 10).await?.cursor;
///     loop {
///         match bus.read(agent, at, 100).await? {
///             EventRead::Batch { events, from, to } if from != to => {
///                 events.iter().for_each(|event| println!("{event:?}"));
///                 at = to;
///             }
///             EventRead::Batch { .. } => wakeups.changed().await?,
///             // What was missed is pruned: begin with what there is now.
///             EventRead::Reset(_) => at = bus.snapshot(agent, 10).await?.cursor,
///         }
///     }
/// }
/// ```
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait EventBus: Send + Sync {
    /// The ends of the agent's log.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn head(&self, agent: &AgentId) -> Result<Head, StoreError>;

    /// What follows a place, at most `limit` events; fewer only up to the end of the log. Never a partial replay.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn read(&self, agent: &AgentId, after: Cursor, limit: u32) -> Result<EventRead, StoreError>;

    /// State and place, read in one transaction; with the last `finished` finished operations.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError>;

    /// Removes events up to `seq` (at most the head) and moves the floor with them, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn prune(&self, agent: &AgentId, up_to: u64) -> Result<Head, StoreError>;

    /// Whose logs have events from before a time, or more than `most` of them, and up to where each may be
    /// pruned in one go; of at most `agents` agents, those first who have most of that.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError>;

    /// Begins a new history for every agent: all cursors are reset.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn new_epoch(&self) -> Result<(), StoreError>;

    /// Wake-ups for a device. Subscribe first, then read, then wait: nothing is missed.
    fn subscribe(&self, agent: &AgentId) -> Box<dyn Wakeups>;

    /// Wake-ups for a worker's scheduler.
    fn subscribe_worker(&self) -> Box<dyn WorkerWakeups>;

    /// Fine progress: kept as the latest of its operation, wakes the agent's devices, never blocks.
    fn publish_progress(&self, progress: Progress);

    /// The latest progress of the agent's running operations.
    fn progress(&self, agent: &AgentId) -> Vec<Progress>;
}
