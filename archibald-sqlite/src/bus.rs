use archibald_core::error::StoreError;
use archibald_core::event::{Cursor, Progress};
use archibald_core::id::AgentId;
use archibald_core::port::{EventBus, EventRead, Head, Snapshot, Wakeups, WorkerWakeups};
use archibald_core::time::Timestamp;
use async_trait::async_trait;

use crate::code::{column_u64, execute, optional, to_i64};
use crate::tx::Tx;
use crate::{SqliteStore, sql};

#[async_trait]
impl EventBus for SqliteStore {
    async fn head(&self, agent: &AgentId) -> Result<Head, StoreError> {
        self.reader.head(agent).await
    }

    async fn read(&self, agent: &AgentId, after: Cursor, limit: u32) -> Result<EventRead, StoreError> {
        self.reader.events(agent, after, limit).await
    }

    async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        self.reader.snapshot(agent, finished).await
    }

    async fn prune(&self, agent: &AgentId, up_to: u64) -> Result<Head, StoreError> {
        let pruned = agent.clone();
        self.write(move |tx| prune(tx, &pruned, up_to)).await?;
        self.reader.head(agent).await
    }

    async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError> {
        self.reader.prunable(before, most, agents).await
    }

    async fn new_epoch(&self) -> Result<(), StoreError> {
        self.write(|tx| tx.new_epoch().map(drop)).await
    }

    fn subscribe(&self, agent: &AgentId) -> Box<dyn Wakeups> {
        Box::new(self.hub.device(agent))
    }

    fn subscribe_worker(&self) -> Box<dyn WorkerWakeups> {
        Box::new(self.hub.worker())
    }

    fn publish_progress(&self, progress: Progress) {
        self.hub.publish(progress);
    }

    fn progress(&self, agent: &AgentId) -> Vec<Progress> {
        self.hub.progress(agent)
    }
}

/// The floor rises first, so that no reader is served from what is about to go.
fn prune(tx: &mut Tx, agent: &AgentId, up_to: u64) -> Result<(), StoreError> {
    let raised = (agent.as_str(), to_i64(up_to));
    let Some(floor) = optional(&tx.conn, sql::RAISE_FLOOR, raised, |row| column_u64(row, 0))? else {
        return Ok(());
    };
    execute(&tx.conn, sql::PRUNE_EVENTS, (agent.as_str(), to_i64(floor)))?;
    Ok(())
}
