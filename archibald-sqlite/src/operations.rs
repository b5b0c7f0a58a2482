use std::time::Duration;

use archibald_core::effect::{Intent, IntentRequest, Receipt, Released};
use archibald_core::error::{EnqueueError, FenceError, StoreError};
use archibald_core::event::NewEvent;
use archibald_core::id::{AgentId, EffectName, OperationId, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, IllegalChange, NewOperation};
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::port::{
    AdminError, Enqueued, HandedOn, LeaseRequest, OperationFilter, OperationPage, OperationStore, RowPage,
    RowQuery, Survey, SurveyRequest, TakenUp,
};
use archibald_core::record::{Evidence, LocalRow, OperationRecord, Resolution, Settlement};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use serde_json::Value;

use crate::SqliteStore;
use crate::lock::{granted, held, lease, lease_next};
use crate::pending_orders::Unfollowed;
use crate::tx::Tx;

#[async_trait]
impl OperationStore for SqliteStore {
    async fn enqueue(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        self.write(move |tx| enqueue(tx, new, false)).await
    }

    async fn enqueue_and_lease(
        &self,
        new: NewOperation,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<TakenUp, EnqueueError> {
        let (agent, operation, worker) = (new.agent.clone(), new.id, worker.clone());
        let request = LeaseRequest { agent, operation, worker, ttl };
        self.write(move |tx| enqueue_and_lease(tx, new, request)).await
    }

    async fn get(&self, agent: &AgentId, id: OperationId) -> Result<Option<OperationRecord>, StoreError> {
        self.reader.operation(agent, id).await
    }

    async fn list(&self, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError> {
        self.reader.list(agent, filter).await
    }

    async fn waiting(
        &self,
        agent: &AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError> {
        self.reader.waiting(agent, after, limit).await
    }

    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, StoreError> {
        let survey = self.reader.survey(request).await?;
        let workers = self.hub.hear(request.beat.as_ref(), survey.now);
        Ok(Survey { workers, ..survey })
    }

    async fn intend(&self, lease: &Lease, request: &IntentRequest) -> Result<Intent, FenceError> {
        let (lease, request) = (lease.clone(), request.clone());
        self.write_journal(lease.clone(), move |record, ends, now| record.intend(&lease, ends, &request, now))
            .await
    }

    async fn release(&self, intent: &Intent) -> Result<Released, FenceError> {
        let asked = intent.release();
        self.write_journal(intent.lease().clone(), move |record, ends, now| record.release(&asked, ends, now))
            .await
    }

    async fn answered(
        &self,
        lease: &Lease,
        effect: &EffectName,
        differences: &[String],
    ) -> Result<(), FenceError> {
        let (lease, effect, differences) = (lease.clone(), effect.clone(), differences.to_vec());
        self.write_journal(lease.clone(), move |record, _, now| {
            record.answered(&lease, &effect, &differences, now)
        })
        .await
    }

    async fn record(&self, lease: &Lease, effect: &EffectName, receipt: &Receipt) -> Result<(), FenceError> {
        let (lease, effect, receipt) = (lease.clone(), effect.clone(), receipt.clone());
        self.write_journal(lease.clone(), move |record, _, _| record.record(&lease, &effect, &receipt)).await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        step: &str,
        checkpoint: Option<Value>,
        rows: Vec<LocalRow>,
    ) -> Result<(), FenceError> {
        let (lease, step) = (lease.clone(), step.to_owned());
        self.write(move |tx| {
            let mut record = held(tx, &lease)?;
            let told = record.checkpoint(&lease, &step, checkpoint)?;
            let mut events = tx.write_rows(&record, rows)?;
            events.extend(told);
            Ok(tx.update(&record, events)?)
        })
        .await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<OperationRecord, FenceError> {
        let lease = lease.clone();
        self.write(move |tx| {
            let record = settle(tx, &lease, settlement)?;
            tx.end_lease(&lease.agent)?;
            Ok(record)
        })
        .await
    }

    async fn hand_on(
        &self,
        lease: &Lease,
        settlement: Settlement,
        next: OperationId,
    ) -> Result<HandedOn, FenceError> {
        let lease = lease.clone();
        self.write(move |tx| hand_on(tx, lease, settlement, next)).await
    }

    async fn cancel(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        let by = by.to_owned();
        self.administer(agent, id, move |record, now| record.cancel(&by, now)).await
    }

    async fn redrive(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        let by = by.to_owned();
        self.administer(agent, id, move |record, now| record.redrive(&by, now)).await
    }

    async fn resolve(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
        how: &Resolution,
    ) -> Result<OperationRecord, AdminError> {
        let (by, how) = (by.to_owned(), how.clone());
        self.administer(agent, id, move |record, now| record.resolve(&by, &how, now)).await
    }

    async fn evidence(
        &self,
        agent: &AgentId,
        id: OperationId,
        n: u32,
    ) -> Result<Option<Evidence>, StoreError> {
        self.reader.evidence(agent, id, n).await
    }

    async fn rows(&self, agent: &AgentId, query: &RowQuery) -> Result<RowPage, StoreError> {
        self.reader.rows(agent, query).await
    }

    async fn pause(&self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError> {
        let (scope, why) = (scope.clone(), why.to_owned());
        self.write(move |tx| {
            tx.pause(&scope, &why, drains)?;
            match &scope {
                PauseScope::Agent { agent } => tx.append(agent, vec![NewEvent::paused(&why)]),
                PauseScope::Kind { .. } | PauseScope::Everything => {}
            }
            Ok(())
        })
        .await
    }

    async fn resume(&self, scope: &PauseScope) -> Result<(), StoreError> {
        let scope = scope.clone();
        self.write(move |tx| tx.resume(&scope)).await
    }

    async fn unlock(&self, agent: &AgentId) -> Result<bool, StoreError> {
        let agent = agent.clone();
        self.write(move |tx| tx.unlock(&agent)).await
    }

    async fn forget(&self, finished_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write(move |tx| tx.forget_finished(finished_before, limit)).await
    }

    async fn paused(&self) -> Result<Vec<Pause>, StoreError> {
        self.reader.paused().await
    }
}

impl SqliteStore {
    /// A step of the journal: it tells no device.
    async fn write_journal<T: Send + 'static>(
        &self,
        lease: Lease,
        step: impl FnOnce(&mut OperationRecord, Timestamp, Timestamp) -> Result<T, FenceError> + Send + 'static,
    ) -> Result<T, FenceError> {
        self.write(move |tx| {
            let mut record = held(tx, &lease)?;
            let agent = tx.agent(&lease.agent)?.ok_or(FenceError::Superseded)?;
            let done = step(&mut record, agent.lease_ends(), tx.now)?;
            tx.update(&record, vec![])?;
            Ok(done)
        })
        .await
    }

    /// What a person does to an operation that nobody runs. What it brings back has to find its target free.
    async fn administer(
        &self,
        agent: &AgentId,
        id: OperationId,
        change: impl FnOnce(&mut OperationRecord, Timestamp) -> Result<Vec<NewEvent>, IllegalChange>
        + Send
        + 'static,
    ) -> Result<OperationRecord, AdminError> {
        let agent = agent.clone();
        self.write(move |tx| {
            let found = tx.operation(&agent, id)?;
            let mut record = found.ok_or(AdminError::NotFound(id))?;
            let mut events = change(&mut record, tx.now)?;
            let operation = &record.operation;
            if let Some(target) = operation.claim()
                && let Some(other) = tx.holder_of_target((&agent, &operation.kind, id), target)?
            {
                return Err(AdminError::TargetTaken { target: target.clone(), by: other.operation.id });
            }
            events.extend(tx.follow(&record)?);
            tx.update(&record, events)?;
            tx.wake_workers(&agent);
            Ok(record)
        })
        .await
    }
}

/// Where a pending order is submitted that one may have to be there.
pub(crate) fn enqueue(
    tx: &mut Tx,
    new: NewOperation,
    needs_pending_order: bool,
) -> Result<Enqueued, EnqueueError> {
    let (enqueued, _) = accept(tx, new, needs_pending_order)?;
    wake_for(tx, &enqueued);
    Ok(enqueued)
}

/// What is new may run.
fn wake_for(tx: &mut Tx, enqueued: &Enqueued) {
    if !enqueued.replayed {
        tx.wake_workers(&enqueued.record.operation.agent);
    }
}

/// And whether it is new and the only one of its agent that is unfinished.
fn accept(
    tx: &mut Tx,
    new: NewOperation,
    needs_pending_order: bool,
) -> Result<(Enqueued, bool), EnqueueError> {
    if let Some(record) = existing(tx, &new)? {
        return Ok((Enqueued { record, replayed: true }, false));
    }
    let unfinished = tx.unfinished(&new.agent, new.queue_limit)?;
    if unfinished >= new.queue_limit {
        return Err(EnqueueError::QueueFull { agent: new.agent, limit: new.queue_limit });
    }
    let taken = tx.take_pending_order(&new, needs_pending_order)?;
    let (record, mut events) = OperationRecord::accept(new, tx.next_position(), tx.now);
    events.extend(taken);
    tx.insert(&record, events)?;
    Ok((Enqueued { record, replayed: false }, unfinished == 0))
}

fn enqueue_and_lease(tx: &mut Tx, new: NewOperation, request: LeaseRequest) -> Result<TakenUp, EnqueueError> {
    let (enqueued, is_alone) = accept(tx, new, false)?;
    let mut leased = None;
    if is_alone {
        // Of whom nothing was known has a row from the first event on.
        tx.write_events()?;
        leased = granted(lease(tx, request))?;
    }
    if leased.is_none() {
        wake_for(tx, &enqueued);
    }
    Ok(TakenUp { enqueued, leased })
}

/// The operation that answers the request already.
fn existing(tx: &mut Tx, new: &NewOperation) -> Result<Option<OperationRecord>, EnqueueError> {
    if let Some(record) = tx.by_key(&new.agent, new.key.as_str())? {
        if record.is_same_request(new) {
            return Ok(Some(record));
        }
        let operation = record.operation.id;
        return Err(EnqueueError::KeyReused { key: new.key.to_string(), operation });
    }
    if let Some(target) = new.claim()
        && let Some(record) = tx.holder_of_target((&new.agent, &new.kind, new.id), target)?
    {
        if record.is_same_request(new) {
            return Ok(Some(record));
        }
        let operation = record.operation.id;
        return Err(EnqueueError::TargetTaken { target: target.clone(), operation });
    }
    match new.class {
        Class::Background => {
            let waiting = tx.waiting_of_kind(&new.agent, new.kind.as_str())?;
            Ok(waiting.filter(|record| record.is_same_request(new)))
        }
        Class::Interactive => Ok(None),
    }
}

/// The end of an attempt, but for its lease.
fn settle(tx: &mut Tx, lease: &Lease, settlement: Settlement) -> Result<OperationRecord, FenceError> {
    let mut record = held(tx, lease)?;
    let told = record.settle(lease, &settlement.disposition, tx.now)?;
    let first = record.list_evidence(&settlement.evidence, tx.now);
    tx.write_evidence(&record, first, settlement.evidence)?;
    let mut events = tx.write_rows(&record, settlement.rows)?;
    events.extend(told);
    events.extend(match tx.follow(&record) {
        Ok(told) => told,
        // An attempt that ends never asks for what was given back.
        Err(Unfollowed::Changed(_)) => None,
        Err(Unfollowed::Store(error)) => return Err(error.into()),
    });
    tx.update(&record, events)?;
    Ok(record)
}

fn hand_on(
    tx: &mut Tx,
    held: Lease,
    settlement: Settlement,
    next: OperationId,
) -> Result<HandedOn, FenceError> {
    let record = settle(tx, &held, settlement)?;
    let next = granted(lease_next(tx, LeaseRequest::after(&held, next)))?;
    if next.is_none() {
        tx.end_lease(&held.agent)?;
    }
    Ok(HandedOn { record, next })
}
