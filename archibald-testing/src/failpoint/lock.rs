use std::sync::Arc;

use archibald_core::error::{FenceError, StoreError};
use archibald_core::id::{AgentId, FencingToken};
use archibald_core::lease::Lease;
use archibald_core::port::{AgentLock, LeaseError, LeaseRequest, Leased, Reaped};
use archibald_core::scheduler::Ticket;
use async_trait::async_trait;

use super::Failpoint;

pub(super) struct Pointed {
    pub(super) inner: Arc<dyn AgentLock>,
    pub(super) point: Arc<Failpoint>,
}

#[async_trait]
impl AgentLock for Pointed {
    async fn lease(&self, request: &LeaseRequest) -> Result<Leased, LeaseError> {
        let call = async {
            let leased = self.inner.lease(request).await?;
            self.point.note_lease(&leased.lease);
            Ok(leased)
        };
        self.point.around("lock.lease", Some(&request.agent), call).await
    }

    /// One that counts as lost is neither renewed nor returned.
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<(AgentId, FencingToken)>, StoreError> {
        let watched =
            leases.iter().map(|lease| &lease.agent).find(|agent| self.point.is_watched(Some(agent)));
        let lost = self.point.held().lost.clone();
        let is_kept = |lease: &&Lease| Some((lease.agent.clone(), lease.token)) != lost;
        let kept: Vec<Lease> = leases.iter().filter(is_kept).cloned().collect();
        let call = self.inner.renew(&kept);
        match watched {
            Some(agent) => self.point.around("lock.renew", Some(agent), call).await,
            None => call.await,
        }
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), FenceError> {
        self.inner.hand_back(lease).await
    }

    async fn revoke(&self, agent: &AgentId) -> Result<Option<Ticket>, StoreError> {
        self.inner.revoke(agent).await
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        let reaped = self.inner.reap().await?;
        let ended = reaped.tickets.iter().map(|ticket| &ticket.agent);
        if let Some(agent) = ended.into_iter().find(|agent| self.point.is_watched(Some(agent))) {
            self.point.note_work(agent);
            self.point.cut_at("lock.reap", "after", Some(agent)).await?;
        }
        Ok(reaped)
    }
}
