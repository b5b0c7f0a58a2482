//! One attempt: from the lease to what is to be settled.
//!
//! It reads from the top: which step the journal asks for, what the ERP says, what becomes of the
//! operation. Every error path ends in a [`Settlement`]; only a lost lease ends in silence, since then
//! somebody else has the last word.

mod conclude;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use archibald_core::effect::{ActOutcome, IntentBasis, IntentRequest, NotSent, Receipt, Verdict};
use archibald_core::error::FenceError;
use archibald_core::lease::Lease;
use archibald_core::operation::Step;
use archibald_core::port::{AcquireRequest, Finish, Guard, Leased, SessionLease};
use archibald_core::record::{Disposition, OperationRecord, Settlement, YieldReason};
use archibald_core::time::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::action::{ActionContext, EffectAction, ReadAction};
use crate::driver::{Message, Shared};
use crate::gate::StoreGate;
use crate::guard::LeaseGuard;
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
            guard: self.guard.clone(),
            wait: self.shared.config.session_wait,
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

    async fn work_in(&self, session: Box<dyn SessionLease>, work: Work<'_>) -> Result<Settlement, Lost> {
        let context = self.context(session.as_ref());
        let mut settlement = match work {
            Work::Probe(action) => self.probe(action, &context).await?,
            Work::Act(action) => self.act(action, &context, IntentBasis::NothingReleased).await?,
            Work::Read(action) => self.read(action, &context).await?,
        };
        let how = match &settlement.disposition {
            Disposition::Complete { .. }
            | Disposition::Yield { why: YieldReason::Preempted | YieldReason::Settling, .. } => Finish::Clean,
            _ => {
                settlement.evidence = context.client.capture().await;
                Finish::Dirty
            }
        };
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

    async fn act(
        &self,
        action: &dyn EffectAction,
        context: &ActionContext<'_>,
        basis: IntentBasis,
    ) -> Result<Settlement, Lost> {
        let baseline = match action.prepare(context).await {
            Ok(baseline) => baseline,
            Err(interrupted) => return self.interrupted(interrupted),
        };
        if context.should_yield() {
            return Ok(self.gave_way());
        }
        let intent =
            match self.shared.store.intend(self.lease(), &self.request(action, basis, baseline)).await {
                Ok(intent) => intent,
                Err(error) => return self.fenced(error),
            };
        // From here on nothing but a lost lease stops the attempt.
        let _ = self.inbox.send(Message::EffectOpen(self.guard.lease.clone()));
        self.shared.failpoints.at("effect.intended", self.record.operation.id).await;
        let gate = Arc::new(StoreGate {
            store: self.shared.store.clone(),
            guard: self.guard.clone(),
            failpoints: self.shared.failpoints.clone(),
        });
        let outcome = self.within_budget(action.act(context, intent, gate)).await;
        self.shared.failpoints.at("effect.answered", self.record.operation.id).await;
        self.acted(action, outcome).await
    }

    /// The client bounds each page that it types into and the gate the request; this bounds a client that
    /// does not.
    async fn within_budget(&self, act: impl Future<Output = ActOutcome<Receipt>>) -> ActOutcome<Receipt> {
        let config = &self.shared.config;
        let limit = config.typing + config.act_budget + config.lease_margin;
        match tokio::time::timeout(limit, act).await {
            Ok(outcome) => outcome,
            Err(_) => ActOutcome::Ambiguous {
                evidence: format!("the act took longer than {limit:?}"),
                answered: false,
            },
        }
    }

    fn request(&self, action: &dyn EffectAction, basis: IntentBasis, baseline: Value) -> IntentRequest {
        IntentRequest {
            effect: action.effect(),
            basis,
            mark: action.mark(&self.record.operation),
            baseline,
            budget: self.shared.config.act_budget,
            margin: self.shared.config.lease_margin,
        }
    }

    async fn acted(
        &self,
        action: &dyn EffectAction,
        outcome: ActOutcome<Receipt>,
    ) -> Result<Settlement, Lost> {
        match outcome {
            ActOutcome::Done(receipt) => self.found(action, receipt).await,
            ActOutcome::Differs { observed, differences } => {
                Ok(conclude::differs("saved otherwise than wanted", &observed, &differences))
            }
            ActOutcome::Refused(why) => {
                // A refusal is a whole answer: should a person redrive it, only lists may lag.
                if let Err(error) = self.shared.store.answered(self.lease(), &action.effect()).await {
                    return self.fenced(error);
                }
                Ok(Disposition::Reject { why, refused: Some(action.effect()) }.into())
            }
            ActOutcome::NotSent(NotSent::LeaseLost) => Err(Lost),
            ActOutcome::NotSent(NotSent::SessionExpired) => {
                Ok(self.no_progress(YieldReason::NoSession("the session expired".to_owned())))
            }
            ActOutcome::NotSent(error) => Ok(self.failed_attempt(error.to_string())),
            ActOutcome::Ambiguous { evidence, answered } => {
                if answered
                    && let Err(error) = self.shared.store.answered(self.lease(), &action.effect()).await
                {
                    return self.fenced(error);
                }
                Ok(self.failed_attempt(evidence))
            }
        }
    }

    async fn probe(
        &self,
        action: &dyn EffectAction,
        context: &ActionContext<'_>,
    ) -> Result<Settlement, Lost> {
        let Some(effect) = self.record.effects.iter().find(|effect| effect.name == action.effect()) else {
            return self.act(action, context, IntentBasis::NothingReleased).await;
        };
        self.shared.stats.probes.fetch_add(1, Relaxed);
        let verdict = match action.probe(context, effect).await {
            Ok(verdict) => verdict,
            Err(interrupted) => return self.interrupted(interrupted),
        };
        if let Verdict::Found(receipt) = verdict {
            return self.found(action, receipt).await;
        }
        // Everything else leads to another act or to a person, so it counts only once the request has
        // settled, by when the reading began, and from a prober that is known to read what exists.
        if let Some(over) = self.shared.config.settle.over_at(effect).filter(|over| *over > self.store_time) {
            let after = over.since(self.now()).max(Duration::from_millis(10));
            return Ok(Disposition::Yield { after, why: YieldReason::Settling }.into());
        }
        if let Err(error) = context.client.check_health().await {
            return self.interrupted(error.into());
        }
        match verdict {
            Verdict::Found(receipt) => self.found(action, receipt).await,
            Verdict::Differs { observed, differences } => {
                Ok(conclude::differs("found otherwise than wanted", &observed, &differences))
            }
            Verdict::Unclear(evidence) => Ok(Disposition::Doubt { evidence }.into()),
            Verdict::Absent if self.attempts_are_spent() => {
                let why = "the attempts are spent, and the ERP does not have it".to_owned();
                Ok(Disposition::Fail { why, absent: Some(action.effect()) }.into())
            }
            Verdict::Absent => self.act(action, context, IntentBasis::ProbedAbsent).await,
        }
    }

    async fn found(&self, action: &dyn EffectAction, receipt: Receipt) -> Result<Settlement, Lost> {
        if let Err(error) = self.shared.store.record(self.lease(), &action.effect(), &receipt).await {
            return self.fenced(error);
        }
        self.shared.failpoints.at("effect.recorded", self.record.operation.id).await;
        Ok(conclude::completed(action.complete(&self.record.operation, &receipt)))
    }

    fn commit(&self, action: &dyn EffectAction) -> Result<Settlement, Lost> {
        let recorded = self.record.effects.iter().find(|effect| effect.name == action.effect());
        match recorded.and_then(|effect| effect.receipt.as_ref()) {
            Some(receipt) => Ok(conclude::completed(action.complete(&self.record.operation, receipt))),
            None => {
                Ok(Disposition::Doubt { evidence: "the journal has no receipt to commit".to_owned() }.into())
            }
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
