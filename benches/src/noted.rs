//! A store whose surveys are noted: every page of a worker's sweeps is one.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;

/// The store behind it, and what was seen.
pub(crate) struct Noted {
    store: Arc<dyn OperationStore>,
    pub(crate) seen: watch::Sender<Seen>,
}

/// The surveys so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When the first one that reached the end of the list was answered.
    pub(crate) first_pass: Option<Instant>,
    /// When each one after that began.
    pub(crate) later: Vec<Instant>,
}

impl Noted {
    pub(crate) fn around(store: Arc<dyn OperationStore>) -> Self {
        Self { store, seen: watch::Sender::default() }
    }
}

#[async_trait]
impl OperationStore for Noted {
    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, StoreError> {
        let began = Instant::now();
        let survey = self.store.survey(request).await?;
        self.seen.send_modify(|seen| match seen.first_pass {
            Some(_) => seen.later.push(began),
            None if survey.next.is_none() => seen.first_pass = Some(Instant::now()),
            None => {}
        });
        Ok(survey)
    }

    async fn enqueue(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        self.store.enqueue(new).await
    }

    async fn enqueue_and_lease(
        &self,
        new: NewOperation,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<TakenUp, EnqueueError> {
        self.store.enqueue_and_lease(new, worker, ttl).await
    }

    async fn get(&self, agent: &AgentId, id: OperationId) -> Result<Option<OperationRecord>, StoreError> {
        self.store.get(agent, id).await
    }

    async fn list(&self, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError> {
        self.store.list(agent, filter).await
    }

    async fn waiting(
        &self,
        agent: &AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError> {
        self.store.waiting(agent, after, limit).await
    }

    async fn intend(&self, lease: &Lease, request: &IntentRequest) -> Result<Intent, FenceError> {
        self.store.intend(lease, request).await
    }

    async fn release(&self, intent: &Intent) -> Result<Released, FenceError> {
        self.store.release(intent).await
    }

    async fn answered(
        &self,
        lease: &Lease,
        effect: &EffectName,
        differences: &[String],
    ) -> Result<(), FenceError> {
        self.store.answered(lease, effect, differences).await
    }

    async fn record(&self, lease: &Lease, effect: &EffectName, receipt: &Receipt) -> Result<(), FenceError> {
        self.store.record(lease, effect, receipt).await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        step: &str,
        checkpoint: Option<Value>,
        rows: Vec<LocalRow>,
    ) -> Result<(), FenceError> {
        self.store.checkpoint(lease, step, checkpoint, rows).await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<OperationRecord, FenceError> {
        self.store.settle(lease, settlement).await
    }

    async fn hand_on(
        &self,
        lease: &Lease,
        settlement: Settlement,
        next: OperationId,
    ) -> Result<HandedOn, FenceError> {
        self.store.hand_on(lease, settlement, next).await
    }

    async fn cancel(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        self.store.cancel(agent, id, by).await
    }

    async fn redrive(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        self.store.redrive(agent, id, by).await
    }

    async fn resolve(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
        how: &Resolution,
    ) -> Result<OperationRecord, AdminError> {
        self.store.resolve(agent, id, by, how).await
    }

    async fn evidence(
        &self,
        agent: &AgentId,
        id: OperationId,
        n: u32,
    ) -> Result<Option<Evidence>, StoreError> {
        self.store.evidence(agent, id, n).await
    }

    async fn rows(&self, agent: &AgentId, query: &RowQuery) -> Result<RowPage, StoreError> {
        self.store.rows(agent, query).await
    }

    async fn pause(&self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError> {
        self.store.pause(scope, why, drains).await
    }

    async fn resume(&self, scope: &PauseScope) -> Result<(), StoreError> {
        self.store.resume(scope).await
    }

    async fn unlock(&self, agent: &AgentId) -> Result<bool, StoreError> {
        self.store.unlock(agent).await
    }

    async fn forget(&self, finished_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.store.forget(finished_before, limit).await
    }

    async fn paused(&self) -> Result<Vec<Pause>, StoreError> {
        self.store.paused().await
    }
}
