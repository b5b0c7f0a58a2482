use std::sync::Arc;

use archibald_core::effect::{Intent, Permit};
use archibald_core::error::FenceError;
use archibald_core::port::{CommitGate, GateRefused, Guard, OperationStore};
use async_trait::async_trait;
use tokio::time::Instant;

use crate::failpoint::Failpoints;
use crate::guard::LeaseGuard;

/// The commit gate of one attempt: the holder's own deadline first, then the store.
pub(crate) struct StoreGate {
    pub(crate) store: Arc<dyn OperationStore>,
    pub(crate) guard: Arc<LeaseGuard>,
    pub(crate) failpoints: Arc<dyn Failpoints>,
}

#[async_trait]
impl CommitGate for StoreGate {
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused> {
        let operation = intent.lease().operation;
        let left = self.guard.check().map_err(|_| FenceError::Superseded)?;
        if left < intent.budget() {
            return Err(FenceError::TooShort.into());
        }
        let asked = Instant::now();
        let permit = self.store.release(&intent).await?;
        self.failpoints.at("effect.released", operation).await;
        // The journal's `act_until` counts from before the commit, and so must the budget: what the commit
        // took is gone, and the lease must still outlive what is left.
        let budget = permit.budget.saturating_sub(asked.elapsed());
        let left = self.guard.check().map_err(|_| FenceError::Superseded)?;
        if budget.is_zero() || left < budget {
            return Err(FenceError::TooShort.into());
        }
        Ok(Permit { budget })
    }
}
