//! New operations that start at once: leased in the transaction that accepts them.

use std::sync::Arc;

use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::id::{AgentId, OperationId, OperationKind};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, NewOperation, OperationState};
use archibald_core::port::{Enqueued, TakenUp};
use archibald_core::scheduler::{Input, Ticket};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{Instant, sleep, timeout};

use super::fresh::{Fresh, give_back};
use super::run::STORE_PAUSE;
use super::{Driver, Message, Shared};
use crate::calm::calm;

/// Room for an operation that is being accepted. It counts until it is dropped.
pub(crate) struct Promise {
    _counted: Arc<()>,
}

/// How many promises there are.
#[derive(Default)]
pub(super) struct Promises(Arc<()>);

impl Promises {
    fn count(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    fn give(&self) -> Promise {
        Promise { _counted: self.0.clone() }
    }
}

impl Shared {
    /// Room for a new operation that would start at once here; nothing waits long for it.
    pub(crate) async fn promise(&self, new: &NewOperation) -> Option<Promise> {
        if new.run_at.is_some() || self.is_draining() {
            return None;
        }
        let (agent, kind, class) = (new.agent.clone(), new.kind.clone(), new.class);
        self.guess(|answer| Message::WouldStart { agent, kind, class, answer }).await
    }
}

/// Accepts an operation and leases it, if it may, in a task of the worker's: whatever becomes of the caller, what is
/// leased is run or given back.
pub(crate) async fn take_up(
    shared: Arc<Shared>,
    worker: &Handle,
    new: NewOperation,
    promise: Promise,
) -> Result<Enqueued, EnqueueError> {
    let accepting = shared.accepting.clone();
    let accepted = accepting.spawn_on(async move { accept(&shared, new, promise).await }, worker);
    let ended = |ended| Err(StoreError::unavailable("accepting an operation", ended).into());
    accepted.await.unwrap_or_else(ended)
}

async fn accept(shared: &Arc<Shared>, new: NewOperation, promise: Promise) -> Result<Enqueued, EnqueueError> {
    let (agent, operation, asked) = (new.agent.clone(), new.id, Instant::now());
    let config = &shared.config;
    let taken = shared.store.enqueue_and_lease(new, &config.worker, config.lease);
    let taken = calm("accepting an operation", taken).await;
    if is_unknown(&taken) {
        let asking = shared.clone();
        shared.accepting.spawn(async move {
            let _ = timeout(asking.config.lease, give_back_what_was_taken(&asking, &agent, operation)).await;
        });
    }
    let TakenUp { enqueued, leased } = taken?;
    let Some((leased, ticket)) = leased.zip(enqueued.record.ticket()) else { return Ok(enqueued) };
    let fresh = Box::new(Fresh::new(shared, leased, asked));
    let told = shared.inbox.send(Message::TakenUp { ticket, fresh, promise });
    if let Err(SendError(Message::TakenUp { fresh, .. })) = told {
        // Nobody is left to run it.
        fresh.give_back(shared).await;
    }
    Ok(enqueued)
}

/// Whether it may have been leased without an answer that says so.
fn is_unknown(taken: &Result<TakenUp, EnqueueError>) -> bool {
    match taken {
        Ok(TakenUp { enqueued, leased: None }) => {
            let state = &enqueued.record.operation.state;
            !enqueued.replayed && matches!(state, OperationState::Running { .. })
        }
        Ok(_) => false,
        Err(error) => matches!(error, EnqueueError::Store(_)),
    }
}

/// What this worker holds without knowing of it. It is asked for until the store answers, and again a moment later:
/// a lease that is being taken just now is known of then.
async fn give_back_what_was_taken(shared: &Shared, agent: &AgentId, operation: OperationId) {
    let mut seen = None;
    loop {
        let Ok(found) = calm("reading an operation", shared.store.get(agent, operation)).await else {
            sleep(STORE_PAUSE).await;
            continue;
        };
        let token = found.and_then(|record| shared.token_in(&record));
        let Some(token) = token.filter(|token| !shared.holdings.has(agent, *token)) else { return };
        if seen.replace(token) == Some(token) {
            let (agent, worker, ttl) = (agent.clone(), shared.config.worker.clone(), shared.config.lease);
            let expires_at = shared.clock.now() + ttl;
            return give_back(shared, &Lease { agent, operation, token, worker, expires_at, ttl }).await;
        }
        sleep(STORE_PAUSE).await;
    }
}

impl Driver {
    pub(super) fn would_start(&self, agent: &AgentId, kind: &OperationKind, class: Class) -> Option<Promise> {
        let is_own = self.spread.is_own(agent, &self.shared.config.worker);
        let starts = is_own && self.scheduler.would_start(agent, kind, class, self.promises.count());
        starts.then(|| self.promises.give())
    }

    /// It starts with the lease that it has, if the scheduler says so too.
    pub(super) fn taken_up(&mut self, ticket: Ticket, fresh: Fresh, promise: Promise) {
        let agent = ticket.agent.clone();
        drop(promise);
        self.decide_with(&agent, Some(fresh), Input::Waiting(ticket));
    }
}
