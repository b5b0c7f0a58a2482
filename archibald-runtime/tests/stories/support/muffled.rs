use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use archibald_core::error::StoreError;
use archibald_core::event::{Cursor, Progress};
use archibald_core::id::AgentId;
use archibald_core::port::{
    BusClosed, EventBus, EventRead, Head, Snapshot, Wakeups, WorkerWake, WorkerWakeups,
};
use archibald_core::time::Timestamp;
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;
use tokio::sync::Notify;

/// A bus that loses every wake-up of a worker, and says so only when it is told to.
pub(crate) struct Muffled {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) tells: Arc<Notify>,
    /// So many looks for old events fail.
    pub(crate) failing_looks: AtomicU32,
}

struct Silence(Arc<Notify>);

#[async_trait]
impl WorkerWakeups for Silence {
    async fn next(&mut self) -> Result<WorkerWake, BusClosed> {
        self.0.notified().await;
        Ok(WorkerWake::Lost)
    }
}

#[async_trait]
impl EventBus for Muffled {
    async fn head(&self, agent: &AgentId) -> Result<Head, StoreError> {
        self.store.head(agent).await
    }

    async fn read(&self, agent: &AgentId, after: Cursor, limit: u32) -> Result<EventRead, StoreError> {
        self.store.read(agent, after, limit).await
    }

    async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        self.store.snapshot(agent, finished).await
    }

    async fn prune(&self, agent: &AgentId, up_to: u64) -> Result<Head, StoreError> {
        self.store.prune(agent, up_to).await
    }

    async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError> {
        let one_less = |left: u32| left.checked_sub(1);
        if self.failing_looks.fetch_update(Relaxed, Relaxed, one_less).is_ok() {
            return Err(StoreError::unavailable("looking for old events", "on purpose"));
        }
        self.store.prunable(before, most, agents).await
    }

    async fn new_epoch(&self) -> Result<(), StoreError> {
        self.store.new_epoch().await
    }

    fn subscribe(&self, agent: &AgentId) -> Box<dyn Wakeups> {
        self.store.subscribe(agent)
    }

    fn subscribe_worker(&self) -> Box<dyn WorkerWakeups> {
        Box::new(Silence(self.tells.clone()))
    }

    fn publish_progress(&self, progress: Progress) {
        self.store.publish_progress(progress);
    }

    fn progress(&self, agent: &AgentId) -> Vec<Progress> {
        self.store.progress(agent)
    }
}
