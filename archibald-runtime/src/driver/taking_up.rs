//! New operations that start at once: leased in the transaction that accepts them.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::id::{AgentId, OperationId, OperationKind};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, NewOperation, OperationState};
use archibald_core::port::{Enqueued, TakenUp};
use archibald_core::scheduler::{Input, Ticket};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::fresh::{Fresh, give_back};
use super::{Driver, Message, SUCCESSION, Shared};
use crate::calm::calm;

/// How long an acceptance goes on after who asked for it has left.
const UNDER_WAY: Duration = Duration::from_secs(5);

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
        let (answer, promise) = oneshot::channel();
        let (agent, kind, class) = (new.agent.clone(), new.kind.clone(), new.class);
        self.inbox.send(Message::WouldStart { agent, kind, class, answer }).ok()?;
        timeout(SUCCESSION, promise).await.ok()?.ok()?
    }
}

/// Accepts an operation and leases it, if it may. Whatever becomes of the caller, what is leased is run or given back.
pub(crate) async fn take_up(
    shared: Arc<Shared>,
    new: NewOperation,
    promise: Promise,
) -> Result<Enqueued, EnqueueError> {
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        let mut answer = answer;
        let taken = accept(&shared, new, promise, &mut answer).await;
        // Who left does not need it.
        answer.send(taken).ok();
    });
    answered.await.unwrap_or_else(|ended| Err(unavailable(ended)))
}

async fn accept(
    shared: &Arc<Shared>,
    new: NewOperation,
    promise: Promise,
    answer: &mut Answer,
) -> Result<Enqueued, EnqueueError> {
    let (agent, operation, asked) = (new.agent.clone(), new.id, Instant::now());
    let config = &shared.config;
    let taken = tokio::select! {
        taken = shared.store.enqueue_and_lease(new, &config.worker, config.lease) => taken,
        () = has_left(answer) => Err(unavailable("who asked for it has left")),
    };
    if is_unknown(&taken) {
        let shared = shared.clone();
        tokio::spawn(async move { give_back_what_was_taken(&shared, &agent, operation).await });
    }
    let TakenUp { enqueued, leased } = taken?;
    let Some((leased, ticket)) = leased.zip(enqueued.record.ticket()) else { return Ok(enqueued) };
    let fresh = Box::new(Fresh::new(shared, leased, asked));
    let told = shared.inbox.send(Message::TakenUp { ticket, fresh, promise });
    if let Err(SendError(Message::TakenUp { fresh, .. })) = told {
        // Nobody is left to run it.
        let shared = shared.clone();
        tokio::spawn(async move { fresh.give_back(&shared).await });
    }
    Ok(enqueued)
}

type Answer = oneshot::Sender<Result<Enqueued, EnqueueError>>;

/// What is under way has a while to end when nobody waits for it any more.
async fn has_left(answer: &mut Answer) {
    answer.closed().await;
    sleep(UNDER_WAY).await;
}

fn unavailable(why: impl Into<Box<dyn Error + Send + Sync>>) -> EnqueueError {
    StoreError::unavailable("accepting an operation", why).into()
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

/// What this worker holds without knowing of it.
async fn give_back_what_was_taken(shared: &Shared, agent: &AgentId, operation: OperationId) {
    let Ok(Some(record)) = calm("reading an operation", shared.store.get(agent, operation)).await else {
        return;
    };
    let (worker, ttl) = (shared.config.worker.clone(), shared.config.lease);
    match &record.operation.state {
        OperationState::Running { token, worker: by, .. }
            if *by == worker && !shared.holdings.has(agent, *token) =>
        {
            let expires_at = shared.clock.now() + ttl;
            let lease = Lease { agent: agent.clone(), operation, token: *token, worker, expires_at, ttl };
            let _ = timeout(ttl, give_back(shared, &lease)).await;
        }
        _ => {}
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
        self.handed_on.insert(agent.clone(), fresh);
        self.input(Input::Waiting(ticket));
        self.obey();
        self.give_back_what_is_left(&agent);
    }
}
