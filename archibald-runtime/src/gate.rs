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
        let (operation, budget) = (intent.lease().operation, intent.budget());
        let left = self.guard.check().map_err(|_| FenceError::Superseded)?;
        if left < budget {
            return Err(FenceError::TooShort.into());
        }
        // The journal's `act_until` counts from the commit, which is later than this: whoever waits for that
        // waits for longer than the permit lasts.
        let until = Instant::now() + budget;
        let released = self.store.release(&intent).await?;
        self.failpoints.at("effect.released", operation).await;
        // What the commit took is gone, and the lease must still outlive what is left.
        let left = self.guard.check().map_err(|_| FenceError::Superseded)?;
        let remaining = until.saturating_duration_since(Instant::now());
        if remaining.is_zero() || left < remaining {
            return Err(FenceError::TooShort.into());
        }
        Ok(released.permit(until.into_std()))
    }
}
