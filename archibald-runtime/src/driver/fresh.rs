use std::sync::Arc;

use archibald_core::error::FenceError;
use archibald_core::id::{FencingToken, OperationId};
use archibald_core::lease::Lease;
use archibald_core::operation::OperationState;
use archibald_core::port::{Guard, Leased};
use archibald_core::record::OperationRecord;
use archibald_core::time::Timestamp;
use tokio::time::Instant;

use super::Shared;
use super::run::STORE_PAUSE;
use crate::calm::calm;
use crate::guard::LeaseGuard;

/// A lease that nothing was attempted with yet, renewed like every other. It is to be run or given back.
pub(crate) struct Fresh {
    pub(super) leased: Leased,
    pub(super) guard: Arc<LeaseGuard>,
    /// When it was asked for, by the store's clock.
    pub(super) asked: Timestamp,
}

impl Fresh {
    /// `asked` is when it was about to be asked for.
    pub(super) fn new(shared: &Shared, leased: Leased, asked: Instant) -> Self {
        shared.clock.learn(leased.now, asked);
        let guard = Arc::new(LeaseGuard::new(leased.lease.clone(), asked, shared.config.lease_margin));
        shared.holdings.add(&guard);
        Self { leased, guard, asked: shared.clock.now() - asked.elapsed() }
    }

    /// Whether it can be run as the lease for this operation.
    pub(super) fn is_for(&self, operation: OperationId) -> bool {
        self.leased.lease.operation == operation && self.guard.check().is_ok()
    }

    /// Not wanted after all.
    pub(super) async fn give_back(self, shared: &Shared) {
        tokio::select! {
            () = give_back(shared, &self.leased.lease) => {}
            () = self.guard.lost() => {}
        }
        shared.holdings.remove(&self.guard);
    }
}

/// Again and again until the store takes it, or it is somebody else's.
pub(super) async fn give_back(shared: &Shared, lease: &Lease) {
    loop {
        match calm("handing back a lease", shared.lock.hand_back(lease)).await {
            Ok(()) | Err(FenceError::Superseded) => return,
            Err(error) => {
                tracing::warn!(agent = %lease.agent, %error, "a lease could not be handed back yet")
            }
        }
        tokio::time::sleep(STORE_PAUSE).await;
    }
}

/// Nobody knew whether the agent was handed on after this lease, and now it is known that the lease is over. If
/// it was, nobody runs what it was handed on to.
pub(super) async fn give_back_what_followed(shared: &Shared, ended: &Lease, next: OperationId) {
    let Ok(Some(record)) = calm("reading an operation", shared.store.get(&ended.agent, next)).await else {
        return;
    };
    let followed = FencingToken(ended.token.0 + 1);
    if shared.token_in(&record) == Some(followed) {
        let lease = Lease { operation: next, token: followed, ..ended.clone() };
        let _ = tokio::time::timeout(ended.ttl, give_back(shared, &lease)).await;
    }
}

impl Shared {
    /// The token under which this worker runs an operation, as the store has it.
    pub(super) fn token_in(&self, record: &OperationRecord) -> Option<FencingToken> {
        match &record.operation.state {
            OperationState::Running { token, worker, .. } if *worker == self.config.worker => Some(*token),
            _ => None,
        }
    }
}
