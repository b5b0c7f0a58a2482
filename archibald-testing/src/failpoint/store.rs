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
use async_trait::async_trait;
use serde_json::Value;

use super::{Failpoint, named};

pub(super) struct Pointed {
    pub(super) inner: Arc<dyn OperationStore>,
    pub(super) point: Arc<Failpoint>,
}

/// What lies between acceptance and end passes its points; what people ask for does not.
#[async_trait]
impl OperationStore for Pointed {
    async fn enqueue(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        let agent = new.agent.clone();
        let call = async {
            let enqueued = self.inner.enqueue(new).await;
            self.point.note_work(&agent);
            enqueued
        };
        self.point.around("store.enqueue", Some(&agent), call).await
    }

    /// With its lease only where the point is on this way: others lie on the longer one.
    async fn enqueue_and_lease(
        &self,
        new: NewOperation,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<TakenUp, EnqueueError> {
        if !self.point.is_of("store.enqueue") {
            return Ok(TakenUp { enqueued: self.enqueue(new).await?, leased: None });
        }
        let agent = new.agent.clone();
        let call = async {
            let taken = self.inner.enqueue_and_lease(new, worker, ttl).await;
            self.point.note_work(&agent);
            taken
        };
        self.point.around("store.enqueue", Some(&agent), call).await
    }

    async fn get(&self, agent: &AgentId, id: OperationId) -> Result<Option<OperationRecord>, StoreError> {
        self.inner.get(agent, id).await
    }

    async fn list(&self, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError> {
        self.inner.list(agent, filter).await
    }

    async fn waiting(
        &self,
        agent: &AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError> {
        let call = async {
            let tickets = self.inner.waiting(agent, after, limit).await?;
            tickets.iter().for_each(|ticket| self.point.note_work(&ticket.agent));
            Ok(tickets)
        };
        self.point.around("store.waiting", Some(agent), call).await
    }

    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, StoreError> {
        self.point.cut_at("store.survey", "before", None).await?;
        let survey = self.inner.survey(request).await?;
        survey.fronts.iter().for_each(|ticket| self.point.note_work(&ticket.agent));
        Ok(survey)
    }

    async fn intend(&self, lease: &Lease, request: &IntentRequest) -> Result<Intent, FenceError> {
        let name = named(&request.effect, "store.intend", "repair.intend");
        self.point.around(name, Some(&lease.agent), self.inner.intend(lease, request)).await
    }

    async fn release(&self, intent: &Intent) -> Result<Released, FenceError> {
        let name = named(intent.effect(), "store.release", "repair.release");
        self.point.around(name, Some(&intent.lease().agent), self.inner.release(intent)).await
    }

    async fn answered(
        &self,
        lease: &Lease,
        effect: &EffectName,
        differences: &[String],
    ) -> Result<(), FenceError> {
        let call = self.inner.answered(lease, effect, differences);
        self.point.around("store.answered", Some(&lease.agent), call).await
    }

    async fn record(&self, lease: &Lease, effect: &EffectName, receipt: &Receipt) -> Result<(), FenceError> {
        let name = named(effect, "store.record", "repair.record");
        self.point.around(name, Some(&lease.agent), self.inner.record(lease, effect, receipt)).await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        step: &str,
        checkpoint: Option<Value>,
        rows: Vec<LocalRow>,
    ) -> Result<(), FenceError> {
        let call = self.inner.checkpoint(lease, step, checkpoint, rows);
        self.point.around("store.checkpoint", Some(&lease.agent), call).await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<OperationRecord, FenceError> {
        self.point.around("store.settle", Some(&lease.agent), self.inner.settle(lease, settlement)).await
    }

    async fn hand_on(
        &self,
        lease: &Lease,
        settlement: Settlement,
        next: OperationId,
    ) -> Result<HandedOn, FenceError> {
        let call = async {
            let handed = self.inner.hand_on(lease, settlement, next).await?;
            if let Some(next) = handed.next.as_ref() {
                self.point.note_lease(&next.lease);
            }
            Ok(handed)
        };
        self.point.around("store.settle", Some(&lease.agent), call).await
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
        self.point.around("store.rows", Some(agent), self.inner.rows(agent, query)).await
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
