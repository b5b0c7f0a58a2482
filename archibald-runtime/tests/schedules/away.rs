//! A store that can be away: what is asked for then is answered when it is back.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::{Intent, IntentRequest, Receipt, Released};
use archibald_core::error::{EnqueueError, FenceError, StoreError};
use archibald_core::id::{AgentId, EffectName, OperationId, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, NewOperation};
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::port::{
    AdminError, Enqueued, HandedOn, OperationFilter, OperationPage, OperationStore, RowPage, RowQuery,
    Survey, SurveyRequest, TakenUp,
};
use archibald_core::record::{Evidence, LocalRow, OperationRecord, Resolution, Settlement};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long it takes what it was asked to accept and lease.
const PATIENCE: Duration = Duration::from_secs(15);

/// Away for those who enqueue and those who list; nothing else is asked for by schedules.
pub(crate) struct Away {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) is_away: watch::Receiver<bool>,
}

impl Away {
    async fn be_back(&self) {
        let _ = self.is_away.clone().wait_for(|is_away| !is_away).await;
    }
}

#[async_trait]
impl OperationStore for Away {
    async fn enqueue(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        self.be_back().await;
        self.inner.enqueue(new).await
    }

    async fn enqueue_and_lease(
        &self,
        new: NewOperation,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<TakenUp, EnqueueError> {
        let back = timeout(PATIENCE, self.be_back()).await;
        back.map_err(|elapsed| StoreError::unavailable("accepting an operation", elapsed))?;
        self.inner.enqueue_and_lease(new, worker, ttl).await
    }

    async fn list(&self, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError> {
        self.be_back().await;
        self.inner.list(agent, filter).await
    }

    async fn get(&self, agent: &AgentId, id: OperationId) -> Result<Option<OperationRecord>, StoreError> {
        self.inner.get(agent, id).await
    }

    async fn waiting(
        &self,
        agent: &AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError> {
        self.inner.waiting(agent, after, limit).await
    }

    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, StoreError> {
        self.inner.survey(request).await
    }

    async fn intend(&self, lease: &Lease, request: &IntentRequest) -> Result<Intent, FenceError> {
        self.inner.intend(lease, request).await
    }

    async fn release(&self, intent: &Intent) -> Result<Released, FenceError> {
        self.inner.release(intent).await
    }

    async fn answered(
        &self,
        lease: &Lease,
        effect: &EffectName,
        differences: &[String],
    ) -> Result<(), FenceError> {
        self.inner.answered(lease, effect, differences).await
    }

    async fn record(&self, lease: &Lease, effect: &EffectName, receipt: &Receipt) -> Result<(), FenceError> {
        self.inner.record(lease, effect, receipt).await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        step: &str,
        checkpoint: Option<Value>,
        rows: Vec<LocalRow>,
    ) -> Result<(), FenceError> {
        self.inner.checkpoint(lease, step, checkpoint, rows).await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<OperationRecord, FenceError> {
        self.inner.settle(lease, settlement).await
    }

    async fn hand_on(
        &self,
        lease: &Lease,
        settlement: Settlement,
        next: OperationId,
    ) -> Result<HandedOn, FenceError> {
        self.inner.hand_on(lease, settlement, next).await
    }

    async fn cancel(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        self.inner.cancel(agent, id, by).await
    }

    async fn redrive(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        self.inner.redrive(agent, id, by).await
    }

    async fn resolve(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
        how: &Resolution,
    ) -> Result<OperationRecord, AdminError> {
        self.inner.resolve(agent, id, by, how).await
    }

    async fn evidence(
        &self,
        agent: &AgentId,
        id: OperationId,
        n: u32,
    ) -> Result<Option<Evidence>, StoreError> {
        self.inner.evidence(agent, id, n).await
    }

    async fn rows(&self, agent: &AgentId, query: &RowQuery) -> Result<RowPage, StoreError> {
        self.inner.rows(agent, query).await
    }

    async fn pause(&self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError> {
        self.inner.pause(scope, why, drains).await
    }

    async fn resume(&self, scope: &PauseScope) -> Result<(), StoreError> {
        self.inner.resume(scope).await
    }

    async fn unlock(&self, agent: &AgentId) -> Result<bool, StoreError> {
        self.inner.unlock(agent).await
    }

    async fn forget(&self, finished_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.inner.forget(finished_before, limit).await
    }

    async fn paused(&self) -> Result<Vec<Pause>, StoreError> {
        self.inner.paused().await
    }
}
