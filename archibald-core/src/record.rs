//! An operation with its journal, and every write that may be made to it.
//!
//! Stores load a record, call one method here, and write record and events back in one transaction: what
//! is allowed is decided here once, so that all stores mean the same by it.

mod disposition;
mod journal;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::disposition::{
    Disposition, Evidence, EvidenceInfo, LocalRow, Resolution, Settlement, YieldReason,
};

use crate::effect::{EffectRecord, EffectState};
use crate::error::{FenceError, JournalError};
use crate::event::NewEvent;
use crate::id::{FencingToken, WorkerId};
use crate::lease::Lease;
use crate::operation::{Change, IllegalChange, NewOperation, Operation, OperationState, Step};
use crate::scheduler::Ticket;
use crate::time::Timestamp;

/// How many attempts a record remembers; the oldest go first.
pub const ATTEMPTS_KEPT: usize = 20;

/// One run under one lease, for those who look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The lease's token.
    pub token: FencingToken,
    /// Who ran it.
    pub worker: WorkerId,
    /// What it began with.
    pub step: Step,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended, in words.
    pub outcome: Option<String>,
}

/// An operation, its attempts and the journal of its effects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// The operation.
    pub operation: Operation,
    /// The last [`ATTEMPTS_KEPT`] attempts, oldest first.
    pub attempts: Vec<AttemptRecord>,
    /// The journal.
    pub effects: Vec<EffectRecord>,
    /// What was kept for a person to look at.
    pub evidence: Vec<EvidenceInfo>,
}

impl OperationRecord {
    /// What the store writes for a new operation.
    #[must_use]
    pub fn accept(new: NewOperation, position: u64, now: Timestamp) -> (Self, Vec<NewEvent>) {
        let at = new.run_at.unwrap_or(now).max(now);
        let operation = Operation {
            id: new.id,
            agent: new.agent,
            kind: new.kind,
            class: new.class,
            key: new.key,
            target: new.target,
            once_per_target: new.once_per_target,
            payload: new.payload,
            position,
            state: OperationState::Available { at, step: Step::Act },
            run_at: at,
            created_at: now,
            finished_at: None,
            attempts: 0,
            yields: 0,
            preemptions: 0,
            checkpoint: None,
            progress: None,
            origin: new.origin,
            trace: new.trace,
        };
        let record = Self { operation, attempts: vec![], effects: vec![], evidence: vec![] };
        let queued = record.event("operation.queued", json!({ "key": record.operation.key, "run_at": at }));
        (record, vec![queued])
    }

    /// Whether a repeated key asks for the same thing.
    #[must_use]
    pub fn is_same_request(&self, new: &NewOperation) -> bool {
        self.operation.kind == new.kind && self.operation.payload == new.payload
    }

    /// Whether it waits, and is due.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        matches!(self.operation.state, OperationState::Available { at, .. } if at <= now)
    }

    /// Whether another operation of the agent has to wait for this one: it has the same target, came later,
    /// and this one is not final.
    #[must_use]
    pub fn goes_before(&self, other: &Self) -> bool {
        let (this, other) = (&self.operation, &other.operation);
        this.target.is_some()
            && this.target == other.target
            && this.position < other.position
            && !this.state.is_final()
    }

    /// What the scheduler needs to know while it waits; `None` in every other state.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        let OperationState::Available { at, step } = self.operation.state else { return None };
        Some(Ticket {
            operation: self.operation.id,
            agent: self.operation.agent.clone(),
            kind: self.operation.kind.clone(),
            class: self.operation.class,
            position: self.operation.position,
            at,
            step,
            target: self.operation.target.clone(),
            preemptions: self.operation.preemptions,
        })
    }

    /// A worker got it.
    ///
    /// # Errors
    /// [`IllegalChange`] unless it is available.
    pub fn lease(&mut self, lease: &Lease, now: Timestamp) -> Result<Vec<NewEvent>, IllegalChange> {
        let change = Change::Lease { token: lease.token, worker: lease.worker.clone() };
        self.operation.state = self.operation.state.after(change)?;
        let OperationState::Running { step, .. } = self.operation.state else { return Ok(vec![]) };
        if self.attempts.len() == ATTEMPTS_KEPT {
            self.attempts.remove(0);
        }
        self.attempts.push(AttemptRecord {
            token: lease.token,
            worker: lease.worker.clone(),
            step,
            started_at: now,
            ended_at: None,
            outcome: None,
        });
        let data = json!({ "worker": lease.worker, "step": step, "attempt": self.operation.attempts + 1 });
        Ok(vec![self.event("operation.started", data)])
    }

    /// Whether this lease is the one that it runs under.
    #[must_use]
    pub fn is_held_under(&self, lease: &Lease) -> bool {
        lease.operation == self.operation.id
            && lease.agent == self.operation.agent
            && matches!(self.operation.state, OperationState::Running { token, .. } if token == lease.token)
    }

    fn fence(&self, lease: &Lease) -> Result<(), FenceError> {
        if self.is_held_under(lease) { Ok(()) } else { Err(FenceError::Superseded) }
    }

    /// A step that people see, and where a sync goes on if it is cut off here.
    ///
    /// # Errors
    /// [`FenceError::Superseded`] under any other lease.
    pub fn checkpoint(
        &mut self,
        lease: &Lease,
        step: &str,
        checkpoint: Option<Value>,
    ) -> Result<Vec<NewEvent>, FenceError> {
        self.fence(lease)?;
        if checkpoint.is_some() {
            self.operation.checkpoint = checkpoint;
        }
        if self.operation.progress.as_deref() == Some(step) {
            return Ok(vec![]);
        }
        self.operation.progress = Some(step.to_owned());
        Ok(vec![self.event("operation.step", json!({ "step": step }))])
    }

    /// The end of an attempt.
    ///
    /// # Errors
    /// [`FenceError::Superseded`] under any other lease; [`FenceError::Journal`] when an effect is open
    /// that the disposition would forget.
    pub fn settle(
        &mut self,
        lease: &Lease,
        disposition: &Disposition,
        now: Timestamp,
    ) -> Result<Vec<NewEvent>, FenceError> {
        self.fence(lease)?;
        let (outcome, event, data) = self.outcome_of(disposition, now)?;
        self.operation.state =
            self.operation.state.after(Change::Settle { outcome }).map_err(JournalError::from)?;
        self.count(disposition);
        self.end_attempt(disposition.in_words(), now);
        Ok(vec![self.event(event, data)])
    }

    /// The lease is given back before anything was attempted: as if it had never been taken.
    ///
    /// # Errors
    /// [`FenceError::Superseded`] under any other lease.
    pub fn hand_back(&mut self, lease: &Lease, now: Timestamp) -> Result<Vec<NewEvent>, FenceError> {
        self.fence(lease)?;
        self.operation.state = self
            .operation
            .state
            .after(Change::Expire { at: now, step: self.next_step() })
            .map_err(JournalError::from)?;
        self.end_attempt("handed back".to_owned(), now);
        Ok(vec![self.event("operation.yielded", json!({ "why": "handed back" }))])
    }

    /// The lease ended without a word of its holder: what is next, the journal says.
    ///
    /// # Errors
    /// [`IllegalChange`] unless it runs.
    pub fn expire(&mut self, now: Timestamp) -> Result<Vec<NewEvent>, IllegalChange> {
        let step = self.next_step();
        self.operation.state = self.operation.state.after(Change::Expire { at: now, step })?;
        self.operation.attempts = self.operation.attempts.saturating_add(1);
        self.end_attempt("the worker was lost".to_owned(), now);
        Ok(vec![self.event(
            "operation.retrying",
            json!({ "why": "the worker was lost", "step": step, "run_at": now }),
        )])
    }

    /// Withdraws it.
    ///
    /// # Errors
    /// [`IllegalChange`] unless it waits and no effect was released or recorded.
    pub fn cancel(&mut self, by: &str, now: Timestamp) -> Result<Vec<NewEvent>, IllegalChange> {
        let effects = self
            .effects
            .iter()
            .any(|effect| effect.released_at.is_some() || effect.state == EffectState::Recorded);
        self.operation.state = self.operation.state.after(Change::Cancel { by: by.to_owned(), effects })?;
        self.operation.finished_at = Some(now);
        Ok(vec![self.event("operation.cancelled", json!({ "by": by }))])
    }

    /// A person starts it again; journal, mark and baseline are kept.
    ///
    /// # Errors
    /// [`IllegalChange`] unless it was rejected or failed.
    pub fn redrive(&mut self, by: &str, now: Timestamp) -> Result<Vec<NewEvent>, IllegalChange> {
        let mut reopened = self.clone();
        reopened.reopen_effects();
        let step = reopened.next_step();
        reopened.operation.state = self.operation.state.after(Change::Redrive { at: now, step })?;
        *self = reopened;
        self.reopen(now);
        Ok(vec![self.event("operation.queued", json!({ "by": by, "redriven": true }))])
    }

    /// A person decides a doubt.
    ///
    /// # Errors
    /// [`IllegalChange`] unless it is in doubt.
    pub fn resolve(
        &mut self,
        by: &str,
        how: &Resolution,
        now: Timestamp,
    ) -> Result<Vec<NewEvent>, IllegalChange> {
        let step = match how {
            Resolution::Applied { .. } => Some(Step::Commit),
            Resolution::NotApplied => Some(Step::Probe),
            Resolution::Abandon => None,
        };
        self.operation.state = self.operation.state.after(Change::Resolve { at: now, step })?;
        let event = match how {
            Resolution::Abandon => {
                self.operation.finished_at = Some(now);
                "operation.failed"
            }
            Resolution::Applied { receipt } => {
                self.record_by_hand(receipt);
                self.reopen(now);
                "operation.queued"
            }
            Resolution::NotApplied => {
                self.deny_by_hand();
                self.reopen(now);
                "operation.queued"
            }
        };
        Ok(vec![self.event(event, json!({ "by": by, "resolved": how.name() }))])
    }

    fn reopen(&mut self, now: Timestamp) {
        self.operation.run_at = now;
        self.operation.finished_at = None;
        self.operation.attempts = 0;
        self.operation.yields = 0;
        let repairs = self.effects.iter_mut().filter(|effect| EffectRecord::is_repair(&effect.name));
        repairs.for_each(|repair| repair.acts = 0);
    }

    fn count(&mut self, disposition: &Disposition) {
        let operation = &mut self.operation;
        match disposition {
            Disposition::Yield { why, .. } => match why {
                YieldReason::Preempted => operation.preemptions = operation.preemptions.saturating_add(1),
                YieldReason::NoSession(_) | YieldReason::Unhealthy(_) => {
                    operation.yields = operation.yields.saturating_add(1);
                }
                YieldReason::Drained | YieldReason::Settling | YieldReason::UnknownKind => {}
            },
            Disposition::Complete { .. }
            | Disposition::Reject { .. }
            | Disposition::Retry { .. }
            | Disposition::Fail { .. }
            | Disposition::Doubt { .. } => {
                operation.attempts = operation.attempts.saturating_add(1);
                operation.yields = 0;
            }
        }
    }

    fn end_attempt(&mut self, outcome: String, now: Timestamp) {
        self.operation.progress = None;
        if self.operation.is_final() {
            self.operation.finished_at = Some(now);
        }
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ended_at = Some(now);
            attempt.outcome = Some(outcome);
        }
    }

    fn event(&self, kind: &str, data: Value) -> NewEvent {
        NewEvent::about(&self.operation, kind, data)
    }
}

#[cfg(test)]
mod tests;
