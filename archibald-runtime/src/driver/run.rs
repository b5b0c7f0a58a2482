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
use tokio::sync::mpsc::error::SendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::fresh::{Fresh, give_back_what_followed};
use super::{Driver, Message, Shared};
use crate::attempt::{Attempt, Lost};
use crate::calm::calm;
use crate::guard::LeaseGuard;

/// How long a store that failed is left alone before it is asked again.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long an operation of an unknown kind is left to other workers.
const UNKNOWN_KIND_PAUSE: Duration = Duration::from_secs(30);

/// How an attempt ended, or why there was none.
pub(crate) struct Ended {
    /// What the scheduler is told.
    pub(super) input: Input,
    /// Whether the store took its end.
    pub(super) settled: bool,
    /// What the agent was handed on to.
    pub(super) next: Option<Fresh>,
}

impl Driver {
    /// One task from the request for the lease, or the lease that the agent was handed on with, to the
    /// settlement.
    pub(super) fn start(&mut self, agent: AgentId, operation: OperationId, step: Step) {
        let give_way = CancellationToken::new();
        self.running.insert(operation, give_way.clone());
        let fresh = self.handed_on.remove(&agent);
        let shared = self.shared.clone();
        let span = tracing::info_span!("operation", %agent, %operation, ?step);
        self.attempts.spawn(
            async move {
                let ended = match lease(&shared, &agent, operation, fresh).await {
                    Ok(fresh) => run_leased(&shared, fresh, give_way).await,
                    Err(error) => Ended {
                        input: refused(&shared, &agent, operation, error),
                        settled: false,
                        next: None,
                    },
                };
                let told = shared.inbox.send(Message::Ended { agent, operation, ended: Box::new(ended) });
                if let Err(SendError(Message::Ended { ended, .. })) = told
                    && let Some(fresh) = ended.next
                {
                    // Nobody is left to decide.
                    fresh.give_back(&shared).await;
                }
            }
            .instrument(span),
        );
    }

    /// An attempt is over. What its agent was handed on to goes on if the scheduler says so too; since nobody is
    /// woken then, what comes after is read in time.
    pub(super) fn ended(&mut self, agent: AgentId, operation: OperationId, ended: Ended) {
        self.running.remove(&operation);
        if ended.settled {
            self.reading.settled(operation);
            self.sweeping.settled(operation);
        }
        if let Some(next) = &ended.next {
            self.scheduler.handed_on(next.asked, &agent, next.leased.lease.operation);
        }
        self.decide_with(&agent, ended.next, ended.input);
        self.look_further(agent);
    }

    /// The scheduler decides while a lease of the agent is at hand; one that it does not ask for is given back.
    pub(super) fn decide_with(&mut self, agent: &AgentId, fresh: Option<Fresh>, input: Input) {
        if let Some(fresh) = fresh {
            self.handed_on.insert(agent.clone(), fresh);
        }
        self.input(input);
        self.obey();
        if let Some(fresh) = self.handed_on.remove(agent) {
            let shared = self.shared.clone();
            self.attempts.spawn(async move { fresh.give_back(&shared).await });
        }
    }
}

/// The lease that the agent was handed on with, if it is for this operation, else a new one.
async fn lease(
    shared: &Shared,
    agent: &AgentId,
    operation: OperationId,
    fresh: Option<Fresh>,
) -> Result<Fresh, LeaseError> {
    match fresh {
        Some(fresh) if fresh.is_for(operation) => return Ok(fresh),
        Some(fresh) => fresh.give_back(shared).await,
        None => {}
    }
    let (agent, worker, ttl) = (agent.clone(), shared.config.worker.clone(), shared.config.lease);
    let request = LeaseRequest { agent, operation, worker, ttl };
    let asked = Instant::now();
    let leased = calm("leasing", shared.lock.lease(&request)).await?;
    Ok(Fresh::new(shared, leased, asked))
}

async fn run_leased(shared: &Arc<Shared>, fresh: Fresh, give_way: CancellationToken) -> Ended {
    let Fresh { leased, guard, .. } = fresh;
    let (agent, operation) = (leased.lease.agent.clone(), leased.lease.operation);
    shared.tell(Input::Leased { agent: agent.clone(), operation });
    shared.stats.started(&leased.record);
    let settled = run(shared, leased, &guard, give_way).await;
    shared.holdings.remove(&guard);
    let (settled, ticket, next) = match settled {
        Some(Settled { record, next }) => (true, record.ticket(), next),
        None => (false, None, None),
    };
    Ended { input: Input::Settled { agent, operation, next: ticket }, settled, next }
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
        LeaseError::Paused { scope, why } => Refusal::Paused { scope, why },
        error => {
            tracing::warn!(%error, "no lease");
            Refusal::Unavailable { until: later }
        }
    };
    Input::LeaseRefused { agent: agent.clone(), operation, reason }
}

/// What the store took, and what it handed the agent on to.
struct Settled {
    record: OperationRecord,
    next: Option<Fresh>,
}

/// The attempt and its settlement; `None` when the lease was lost or the settlement could not be written.
async fn run(
    shared: &Arc<Shared>,
    leased: Leased,
    guard: &Arc<LeaseGuard>,
    give_way: CancellationToken,
) -> Option<Settled> {
    let Some(action) = shared.registry.get(&leased.record.operation.kind).cloned() else {
        tracing::warn!(kind = %leased.record.operation.kind, "unknown kind, left for a worker that knows it");
        let later = Disposition::Yield { after: UNKNOWN_KIND_PAUSE, why: YieldReason::UnknownKind };
        let settled = calm("settling", shared.store.settle(&guard.lease, later.into())).await;
        return settled.ok().map(|record| Settled { record, next: None });
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

/// Settles, again and again until the lease ends: what was recorded must not be lost to a passing fault. Only
/// the first time the agent is handed on, so that what is wrong with the next operation is its own trouble.
async fn settle(
    shared: &Shared,
    guard: &LeaseGuard,
    attempt: &Attempt,
    settlement: Settlement,
) -> Option<Settled> {
    let next = shared.goes_on_with(&guard.lease).await;
    if let Some(next) = next {
        let asked = Instant::now();
        let handed = shared.store.hand_on(&guard.lease, settlement.clone(), next);
        match calm("settling", handed).await {
            Ok(handed) => {
                told(shared, &handed.record);
                let next = handed.next.map(|leased| Fresh::new(shared, leased, asked));
                return Some(Settled { record: handed.record, next });
            }
            Err(FenceError::Superseded) => return None,
            Err(error) => tracing::debug!(%error, "not handed on"),
        }
    }
    let record = settle_alone(shared, guard, attempt, settlement).await;
    if let (None, Some(next)) = (&record, next) {
        give_back_what_followed(shared, &guard.lease, next).await;
    }
    record.map(|record| Settled { record, next: None })
}

async fn settle_alone(
    shared: &Shared,
    guard: &LeaseGuard,
    attempt: &Attempt,
    mut settlement: Settlement,
) -> Option<OperationRecord> {
    loop {
        let error = match calm("settling", shared.store.settle(&guard.lease, settlement.clone())).await {
            Ok(record) => {
                told(shared, &record);
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

fn told(shared: &Shared, record: &OperationRecord) {
    shared.stats.ended(record);
    let outcome = record.attempts.last().and_then(|attempt| attempt.outcome.as_deref()).unwrap_or_default();
    tracing::info!(state = record.operation.state.name(), outcome, "settled");
}
