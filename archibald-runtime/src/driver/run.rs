use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::error::{FenceError, JournalError, StoreError};
use archibald_core::id::{AgentId, OperationId};
use archibald_core::operation::Step;
use archibald_core::port::{LeaseError, LeaseRequest, Leased};
use archibald_core::record::{Disposition, OperationRecord, Settlement, YieldReason};
use archibald_core::scheduler::{Input, Refusal};
use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Driver, Message, Shared};
use crate::attempt::{Attempt, Lost};
use crate::calm::calm;
use crate::guard::LeaseGuard;

/// How long a store that failed is left alone before it is asked again.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long an operation of an unknown kind is left to other workers.
const UNKNOWN_KIND_PAUSE: Duration = Duration::from_secs(30);

impl Driver {
    /// One task from the request for the lease to the settlement.
    pub(super) fn start(&mut self, agent: AgentId, operation: OperationId, step: Step) {
        let give_way = CancellationToken::new();
        self.running.insert(operation, give_way.clone());
        let shared = self.shared.clone();
        let span = tracing::info_span!("operation", %agent, %operation, ?step);
        self.attempts.spawn(
            async move {
                let (input, settled) = lease_and_run(&shared, &agent, operation, give_way).await;
                let _ = shared.inbox.send(Message::Ended { operation, settled });
                shared.tell(input);
            }
            .instrument(span),
        );
    }
}

/// What the scheduler is told of the end, and whether the store took it.
async fn lease_and_run(
    shared: &Arc<Shared>,
    agent: &AgentId,
    operation: OperationId,
    give_way: CancellationToken,
) -> (Input, bool) {
    let request = LeaseRequest {
        agent: agent.clone(),
        operation,
        worker: shared.config.worker.clone(),
        ttl: shared.config.lease,
    };
    let asked = Instant::now();
    let leased = match calm("leasing", shared.lock.lease(&request)).await {
        Ok(leased) => {
            shared.clock.learn(leased.now, asked);
            leased
        }
        Err(error) => return (refused(shared, agent, operation, error), false),
    };
    let guard = Arc::new(LeaseGuard::new(leased.lease.clone(), asked, shared.config.lease_margin));
    shared.holdings.add(&guard);
    shared.tell(Input::Leased { agent: agent.clone(), operation });
    let settled = run(shared, leased, &guard, give_way).await;
    shared.holdings.remove(&guard);
    let is_settled = settled.is_some();
    let next = settled.and_then(|record| record.ticket());
    (Input::Settled { agent: agent.clone(), operation, next }, is_settled)
}

fn refused(shared: &Shared, agent: &AgentId, operation: OperationId, error: LeaseError) -> Input {
    let later = shared.clock.now() + STORE_PAUSE;
    let reason = match error {
        LeaseError::Held { until } => Refusal::AgentHeld { until },
        // Due a little later by the store's clock than by what is known of it: never ask again at once.
        LeaseError::NotAvailable { due: Some(at) } => {
            Refusal::NotDue { at: at.max(shared.clock.now() + Duration::from_millis(20)) }
        }
        LeaseError::NotAvailable { due: None } => Refusal::Gone,
        LeaseError::TargetBusy { by } => Refusal::TargetBusy { by },
        LeaseError::Paused { why } => Refusal::Paused { why },
        error => {
            tracing::warn!(%error, "no lease");
            Refusal::Unavailable { until: later }
        }
    };
    Input::LeaseRefused { agent: agent.clone(), operation, reason }
}

/// The attempt and its settlement; `None` when the lease was lost or the settlement could not be written.
async fn run(
    shared: &Arc<Shared>,
    leased: Leased,
    guard: &Arc<LeaseGuard>,
    give_way: CancellationToken,
) -> Option<OperationRecord> {
    let Some(action) = shared.registry.get(&leased.record.operation.kind).cloned() else {
        tracing::warn!(kind = %leased.record.operation.kind, "unknown kind, left for a worker that knows it");
        let later = Disposition::Yield { after: UNKNOWN_KIND_PAUSE, why: YieldReason::UnknownKind };
        return calm("settling", shared.store.settle(&guard.lease, later.into())).await.ok();
    };
    let attempt = Attempt::new(shared.clone(), action, leased, guard.clone(), give_way, shared.inbox.clone());
    let ended = tokio::select! {
        ended = AssertUnwindSafe(attempt.run()).catch_unwind() => ended,
        () = guard.lost() => Ok(Err(Lost)),
    };
    let settlement = match ended {
        Ok(Ok(settlement)) => settlement,
        Ok(Err(Lost)) => {
            tracing::warn!("the lease was lost; the attempt stopped");
            return None;
        }
        Err(_) => {
            tracing::error!("the attempt panicked");
            let why = "the attempt panicked".to_owned();
            Disposition::Retry { after: attempt.pause_before_retry(), why }.into()
        }
    };
    settle(shared, guard, &attempt, settlement).await
}

/// Settles, again and again until the lease ends: what was recorded must not be lost to a passing fault.
async fn settle(
    shared: &Shared,
    guard: &LeaseGuard,
    attempt: &Attempt,
    mut settlement: Settlement,
) -> Option<OperationRecord> {
    loop {
        let error = match calm("settling", shared.store.settle(&guard.lease, settlement.clone())).await {
            Ok(record) => {
                tracing::info!(state = record.operation.state.name(), outcome = outcome(&record), "settled");
                return Some(record);
            }
            Err(error) => error,
        };
        match error {
            FenceError::Superseded => return None,
            FenceError::Journal(JournalError::Open(effect)) => {
                let why = format!("effect {effect} is open: the ERP is asked next");
                settlement.retry(attempt.pause_before_retry(), why);
            }
            FenceError::Journal(error) => {
                tracing::error!(%error, "the journal refuses the settlement");
                settlement.retry(attempt.pause_before_retry(), error.to_string());
            }
            FenceError::Store(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "the store cannot hold the settlement");
                settlement.disposition = Disposition::Doubt { evidence: error.to_string() };
                settlement.rows.clear();
            }
            error => {
                tracing::warn!(%error, "not settled yet");
                tokio::select! {
                    () = tokio::time::sleep(STORE_PAUSE) => {}
                    () = guard.lost() => return None,
                }
            }
        }
    }
}

fn outcome(record: &OperationRecord) -> &str {
    record.attempts.last().and_then(|attempt| attempt.outcome.as_deref()).unwrap_or_default()
}
