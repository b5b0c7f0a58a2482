//! One attempt: from the lease to what is to be settled.
//!
//! It reads from the top: which step the journal asks for, what the ERP says, what becomes of the
//! operation. Every error path ends in a [`Settlement`]; only a lost lease ends in silence, since then
//! somebody else has the last word.

mod conclude;
mod effect;
mod evidence;

use std::sync::Arc;

use archibald_core::effect::IntentBasis;
use archibald_core::error::FenceError;
use archibald_core::lease::Lease;
use archibald_core::operation::Step;
use archibald_core::port::{AcquireRequest, Finish, Guard, Leased, SessionLease};
use archibald_core::record::{Disposition, OperationRecord, Settlement, YieldReason};
use archibald_core::time::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::action::{ActionContext, EffectAction, ReadAction};
use crate::driver::{Message, Shared};
use crate::guard::{LeaseGuard, ReadGuard, WriteGuard};
use crate::registry::Action;

/// The lease is somebody else's by now: write nothing more.
pub(crate) struct Lost;

/// What one attempt works with.
pub(crate) struct Attempt {
    pub(crate) shared: Arc<Shared>,
    pub(crate) action: Action,
    pub(crate) record: OperationRecord,
    pub(crate) guard: Arc<LeaseGuard>,
    pub(crate) give_way: CancellationToken,
    pub(crate) inbox: mpsc::UnboundedSender<Message>,
    started: Instant,
    store_time: Timestamp,
}

impl Attempt {
    pub(crate) fn new(
        shared: Arc<Shared>,
        action: Action,
        leased: Leased,
        guard: Arc<LeaseGuard>,
        give_way: CancellationToken,
        inbox: mpsc::UnboundedSender<Message>,
    ) -> Self {
        let (record, store_time) = (leased.record, leased.now);
        Self { shared, action, record, guard, give_way, inbox, started: Instant::now(), store_time }
    }

    /// Runs to what is to be settled. Dropped when the lease is lost, which destroys its page.
    pub(crate) async fn run(&self) -> Result<Settlement, Lost> {
        let settlement = match (&self.action, self.record.next_step()) {
            (Action::Effect(action), Step::Commit) => self.commit(action.as_ref()),
            (Action::Effect(action), Step::Probe) => self.in_session(Work::Probe(action.as_ref())).await,
            (Action::Effect(action), Step::Act) => self.in_session(Work::Act(action.as_ref())).await,
            (Action::Read(action), _) => self.in_session(Work::Read(action.as_ref())).await,
        }?;
        self.pause_if_hopeless(&settlement).await;
        Ok(settlement)
    }

    async fn in_session(&self, work: Work<'_>) -> Result<Settlement, Lost> {
        let request = AcquireRequest {
            agent: self.record.operation.agent.clone(),
            token: self.guard.lease.token,
            class: self.record.operation.class,
            guard: self.page_guard(&work),
            wait: self.shared.config.session_wait,
            trace: self.record.operation.trace,
        };
        let session = tokio::select! {
            session = self.shared.pool.acquire(request) => session,
            () = self.give_way.cancelled() => return Ok(self.gave_way()),
        };
        match session {
            Ok(session) => self.work_in(session, work).await,
            Err(error) => self.no_session(error).await,
        }
    }

    /// Only a read gives way between two pages: what acts or probes asks by itself, while it may. A probe may
    /// be followed by a repair in the same session.
    fn page_guard(&self, work: &Work<'_>) -> Arc<dyn Guard> {
        match work {
            Work::Read(_) => {
                Arc::new(ReadGuard { lease: self.guard.clone(), give_way: self.give_way.clone() })
            }
            Work::Probe(_) | Work::Act(_) => {
                Arc::new(WriteGuard { lease: self.guard.clone(), bus: self.shared.bus.clone() })
            }
        }
    }

    async fn work_in(&self, session: Box<dyn SessionLease>, work: Work<'_>) -> Result<Settlement, Lost> {
        let context = self.context(session.as_ref());
        let mut settlement = match work {
            Work::Probe(action) => self.probe(action, &context).await?,
            Work::Act(action) => self.act(action, &context, IntentBasis::NothingReleased).await?,
            Work::Read(action) => self.read(action, &context).await?,
        };
        let how = match &settlement.disposition {
            Disposition::Complete { .. }
            | Disposition::Yield {
                why: YieldReason::Preempted | YieldReason::Drained | YieldReason::Settling,
                ..
            } => Finish::Clean,
            _ => Finish::Dirty,
        };
        let mut evidence = match how {
            Finish::Clean => vec![],
            Finish::Dirty => context.client.capture().await,
        };
        let is_over = matches!(settlement.disposition, Disposition::Complete { .. });
        if how == Finish::Dirty || (is_over && self.record.operation.trace) {
            evidence.extend(context.client.trace().await);
        }
        let room = evidence::room(&self.record.evidence, &settlement.disposition);
        settlement.evidence = evidence::fitting(evidence, room);
        session.finish(how).await;
        Ok(settlement)
    }

    fn context<'a>(&'a self, session: &'a dyn SessionLease) -> ActionContext<'a> {
        ActionContext {
            operation: &self.record.operation,
            client: session.client(),
            store: self.shared.store.as_ref(),
            bus: self.shared.bus.as_ref(),
            lease: &self.guard.lease,
            give_way: &self.give_way,
        }
    }

    async fn read(&self, action: &dyn ReadAction, context: &ActionContext<'_>) -> Result<Settlement, Lost> {
        match action.run(context).await {
            Ok(completion) => Ok(conclude::completed(completion)),
            Err(interrupted) => self.interrupted(interrupted),
        }
    }

    fn lease(&self) -> &Lease {
        &self.guard.lease
    }

    /// The store's time, as far as it can be told from here.
    fn now(&self) -> Timestamp {
        self.store_time + self.started.elapsed()
    }

    fn fenced(&self, error: FenceError) -> Result<Settlement, Lost> {
        match error {
            FenceError::Superseded => Err(Lost),
            error if self.guard.check().is_err() => {
                tracing::warn!(%error, "the lease ended");
                Err(Lost)
            }
            error => Ok(self.failed_attempt(error.to_string())),
        }
    }
}

enum Work<'a> {
    Probe(&'a dyn EffectAction),
    Act(&'a dyn EffectAction),
    Read(&'a dyn ReadAction),
}
