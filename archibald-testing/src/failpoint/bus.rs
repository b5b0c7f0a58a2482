use std::sync::Arc;

use archibald_core::error::StoreError;
use archibald_core::event::{Cursor, Progress};
use archibald_core::id::AgentId;
use archibald_core::port::{
    BusClosed, EventBus, EventRead, Head, Snapshot, Wakeups, WorkerWake, WorkerWakeups,
};
use archibald_core::time::Timestamp;
use async_trait::async_trait;

use super::Failpoint;

/// The devices' side is left as it is: nothing of an operation's way depends on it.
pub(super) struct Pointed {
    pub(super) inner: Arc<dyn EventBus>,
    pub(super) point: Arc<Failpoint>,
}

struct PointedWakeups {
    inner: Box<dyn WorkerWakeups>,
    point: Arc<Failpoint>,
}

#[async_trait]
impl EventBus for Pointed {
    async fn head(&self, agent: &AgentId) -> Result<Head, StoreError> {
        self.inner.head(agent).await
    }

    async fn read(&self, agent: &AgentId, after: Cursor, limit: u32) -> Result<EventRead, StoreError> {
        self.inner.read(agent, after, limit).await
    }

    async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        self.inner.snapshot(agent, finished).await
    }

    async fn prune(&self, agent: &AgentId, up_to: u64) -> Result<Head, StoreError> {
        self.inner.prune(agent, up_to).await
    }

    async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError> {
        self.inner.prunable(before, most, agents).await
    }

    async fn new_epoch(&self) -> Result<(), StoreError> {
        self.inner.new_epoch().await
    }

    fn subscribe(&self, agent: &AgentId) -> Box<dyn Wakeups> {
        self.inner.subscribe(agent)
    }

    fn subscribe_worker(&self) -> Box<dyn WorkerWakeups> {
        Box::new(PointedWakeups { inner: self.inner.subscribe_worker(), point: self.point.clone() })
    }

    fn publish_progress(&self, progress: Progress) {
        self.inner.publish_progress(progress);
    }

    fn progress(&self, agent: &AgentId) -> Vec<Progress> {
        self.inner.progress(agent)
    }
}

#[async_trait]
impl WorkerWakeups for PointedWakeups {
    /// Where it is cut, the wake-up is lost, as one that a lost connection would have brought.
    async fn next(&mut self) -> Result<WorkerWake, BusClosed> {
        let wake = self.inner.next().await?;
        if let WorkerWake::Agent(agent) = &wake {
            self.point.note_work(agent);
            if self.point.cut_at("bus.wake", "after", Some(agent)).await.is_err() {
                return Err(BusClosed);
            }
        }
        Ok(wake)
    }
}
