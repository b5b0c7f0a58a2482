use std::cmp::Reverse;

use archibald_core::error::StoreError;
use archibald_core::event::{Cursor, Progress};
use archibald_core::id::AgentId;
use archibald_core::operation::OperationState;
use archibald_core::port::{EventBus, EventRead, Head, ResetReason, Snapshot, Wakeups, WorkerWakeups};
use archibald_core::record::OperationRecord;
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use uuid::Uuid;

use super::{Agent, MemoryStore};

#[async_trait]
impl EventBus for MemoryStore {
    async fn head(&self, agent: &AgentId) -> Result<Head, StoreError> {
        let mut state = self.lock();
        let epoch = state.epoch;
        Ok(state.agent(agent).head(epoch))
    }

    async fn read(&self, agent: &AgentId, after: Cursor, limit: u32) -> Result<EventRead, StoreError> {
        let mut state = self.lock();
        let epoch = state.epoch;
        let agent = state.agent(agent);
        if let Some(why) = refuse(agent.head(epoch), after) {
            return Ok(EventRead::Reset(why));
        }
        let following = agent.events.range(after.seq + 1..);
        let events: Vec<_> = following.take(limit.max(1) as usize).map(|(_, event)| event.clone()).collect();
        let seq = events.last().map_or(after.seq, |last| last.seq);
        Ok(EventRead::Batch { from: after, to: Cursor { epoch, seq }, events })
    }

    async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        let mut state = self.lock();
        let epoch = state.epoch;
        let agent = state.agent(agent);
        let cursor = Cursor { epoch, seq: agent.head };
        let pending_orders = agent.pending_orders_shown(finished as usize);
        Ok(Snapshot { cursor, operations: shown(agent, finished as usize), pending_orders })
    }

    async fn prune(&self, agent: &AgentId, up_to: u64) -> Result<Head, StoreError> {
        self.write(|state, _| {
            let epoch = state.epoch;
            let agent = state.agent(agent);
            agent.floor = agent.floor.max(up_to.min(agent.head));
            agent.events = agent.events.split_off(&(agent.floor + 1));
            Ok(agent.head(epoch))
        })
    }

    async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError> {
        self.write(|state, _| {
            let found = state.agents.iter().filter_map(|(name, agent)| {
                let old = agent.events.values().take_while(|event| event.at < before).last();
                let old = old.map_or(0, |event| event.seq);
                let up_to = old.max(agent.head.saturating_sub(most));
                (up_to > agent.floor).then(|| (name.clone(), up_to, up_to - agent.floor))
            });
            let mut found: Vec<_> = found.collect();
            found.sort_by_key(|(.., much)| Reverse(*much));
            Ok(found.into_iter().take(agents as usize).map(|(name, up_to, _)| (name, up_to)).collect())
        })
    }

    async fn new_epoch(&self) -> Result<(), StoreError> {
        self.write(|state, _| {
            state.epoch = Uuid::now_v7();
            for agent in state.agents.values_mut() {
                (agent.head, agent.floor) = (0, 0);
                agent.events.clear();
            }
            let everyone: Vec<_> = state.agents.keys().cloned().collect();
            everyone.iter().for_each(|agent| state.wake_devices(agent));
            Ok(())
        })
    }

    fn subscribe(&self, agent: &AgentId) -> Box<dyn Wakeups> {
        Box::new(self.wakes.device(agent))
    }

    fn subscribe_worker(&self) -> Box<dyn WorkerWakeups> {
        Box::new(self.wakes.worker())
    }

    fn publish_progress(&self, progress: Progress) {
        let published: Result<(), StoreError> = self.write(|state, _| {
            let agent = state.agent(&progress.agent);
            if agent.by_id(progress.operation).is_some_and(is_running) {
                let id = progress.agent.clone();
                agent.progress.insert(progress.operation, progress);
                state.wake_devices(&id);
            }
            Ok(())
        });
        debug_assert!(published.is_ok());
    }

    fn progress(&self, agent: &AgentId) -> Vec<Progress> {
        let mut state = self.lock();
        state.agent(agent).progress.values().cloned().collect()
    }
}

fn is_running(record: &OperationRecord) -> bool {
    matches!(record.operation.state, OperationState::Running { .. })
}

fn refuse(head: Head, after: Cursor) -> Option<ResetReason> {
    if after.epoch != head.epoch {
        Some(ResetReason::Epoch)
    } else if after.seq < head.floor {
        Some(ResetReason::Pruned)
    } else if after.seq > head.head {
        Some(ResetReason::Ahead)
    } else {
        None
    }
}

fn shown(agent: &Agent, finished: usize) -> Vec<OperationRecord> {
    let (mut done, mut shown): (Vec<_>, Vec<_>) =
        agent.operations.values().cloned().partition(|record| record.operation.is_final());
    done.sort_by_key(|record| (record.operation.finished_at, record.operation.position));
    shown.extend(done.into_iter().rev().take(finished));
    shown.sort_by_key(|record| std::cmp::Reverse(record.operation.position));
    shown
}
