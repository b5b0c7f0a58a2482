use std::sync::Arc;

use archibald_core::effect::{Intent, Permit};
use archibald_core::error::FenceError;
use archibald_core::port::{CommitGate, GateRefused, Guard, OperationStore};
use async_trait::async_trait;

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
        let permit = self.store.release(&intent).await?;
        self.failpoints.at("effect.released", operation).await;
        // Time has passed since the check above; what the store allowed may be over by our own clock.
        self.guard.check().map_err(|_| FenceError::Superseded)?;
        Ok(permit)
    }
}
