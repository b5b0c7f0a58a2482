//! What a call decides from the rows that were found for it, whether they were locked or only looked at: purely.

use std::mem;

use archibald_core::error::{EnqueueError, FenceError};
use archibald_core::id::OperationId;
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::{Enqueued, HandedOn, LeaseRequest, TakenUp};
use archibald_core::record::{LocalRow, OperationRecord, Settlement};
use archibald_core::time::Timestamp;
use serde_json::Value;

use crate::lock::grant;
use crate::tx::Runs;
use crate::writes::{Candidate, Found, Holder, Standing, Writes};

/// The event counter is locked, which makes the enqueues of an agent one after the other: whatever is looked at
/// here is still so when it is written. It waits for nothing after that.
pub(crate) fn enqueue(
    (new, needs_pending_order): &(NewOperation, bool),
    mut found: Found,
) -> Result<(Enqueued, Writes), EnqueueError> {
    accept(new, *needs_pending_order, &mut found)
}

/// The agent is locked too, if nobody else has it: what is free and has nothing else to do stays so.
pub(crate) fn enqueue_and_lease(
    (new, request): &(NewOperation, LeaseRequest),
    mut found: Found,
) -> Result<(TakenUp, Writes), EnqueueError> {
    let has_nothing = found.standing.unfinished == Some(0);
    let (enqueued, mut writes) = accept(new, false, &mut found)?;
    let agent = found.agent.take().filter(|agent| agent.operation.is_none() && has_nothing);
    let granted = agent.zip(writes.accepted.clone()).and_then(|(agent, record)| {
        grant(request, agent, Some(Candidate { record, blocker: None }), found.now).ok()
    });
    let Some((leased, events)) = granted else { return Ok((TakenUp { enqueued, leased: None }, writes)) };
    writes.accepted = Some(leased.record.clone());
    writes.agent = Some(Holder::Is(leased.lease.clone()));
    writes.runs = Some(Runs::Started(request.operation));
    writes.wakes_workers = false;
    writes.events.extend(events);
    Ok((TakenUp { enqueued, leased: Some(leased) }, writes))
}

fn accept(
    new: &NewOperation,
    needs_pending_order: bool,
    found: &mut Found,
) -> Result<(Enqueued, Writes), EnqueueError> {
    let Standing { unfinished, position, .. } = found.standing;
    if let Some(record) = existing(new, mem::take(&mut found.standing))? {
        let replayed = !(found.maybe_done_before && record.operation.id == new.id);
        return Ok((Enqueued { record, replayed }, Writes::default()));
    }
    if unfinished.is_some_and(|unfinished| unfinished >= new.queue_limit) {
        return Err(EnqueueError::QueueFull { agent: new.agent.clone(), limit: new.queue_limit });
    }
    let (pending_order, taken) = found.take_pending_order(new, needs_pending_order)?;
    let (record, mut events) = OperationRecord::accept(new.clone(), position, found.now);
    events.extend(taken);
    let accepted = Some(record.clone());
    let writes = Writes { accepted, pending_order, events, wakes_workers: true, ..Writes::default() };
    Ok((Enqueued { record, replayed: false }, writes))
}

/// The operation that answers the request already.
fn existing(new: &NewOperation, standing: Standing) -> Result<Option<OperationRecord>, EnqueueError> {
    if let Some(record) = standing.of_key {
        if record.is_same_request(new) {
            return Ok(Some(record));
        }
        let (key, operation) = (new.key.to_string(), record.operation.id);
        return Err(EnqueueError::KeyReused { key, operation });
    }
    if let (Some(target), Some(record)) = (new.claim(), standing.of_target) {
        if record.is_same_request(new) {
            return Ok(Some(record));
        }
        return Err(EnqueueError::TargetTaken { target: target.clone(), operation: record.operation.id });
    }
    match new.class {
        Class::Background => Ok(standing.of_kind.filter(|record| record.is_same_request(new))),
        Class::Interactive => Ok(None),
    }
}

/// What a step of the journal is decided from.
pub(crate) struct Held<'a> {
    pub(crate) record: &'a mut OperationRecord,
    pub(crate) lease: &'a Lease,
    /// When the lease ends, as the store has it.
    pub(crate) ends: Timestamp,
    pub(crate) now: Timestamp,
}

pub(crate) type Decide<A, T> = fn(Held<'_>, &A) -> Result<T, FenceError>;
pub(crate) fn step<A, T>(
    (lease, arguments, decide): &(Lease, A, Decide<A, T>),
    mut found: Found,
) -> Result<(T, Writes), FenceError> {
    let (mut record, ends) = found.held(lease)?;
    let done = decide(Held { record: &mut record, lease, ends, now: found.now }, arguments)?;
    Ok((done, Writes { saved: Some(record), ..Writes::default() }))
}

/// How far a step has come, and the rows that it brings.
pub(crate) struct Checkpoint {
    pub(crate) lease: Lease,
    pub(crate) step: String,
    pub(crate) checkpoint: Option<Value>,
    pub(crate) rows: Vec<LocalRow>,
}

pub(crate) fn write_checkpoint(point: &Checkpoint, mut found: Found) -> Result<((), Writes), FenceError> {
    let (mut record, _) = found.held(&point.lease)?;
    let told = record.checkpoint(&point.lease, &point.step, point.checkpoint.clone())?;
    let (rows, mut events) = found.write_rows(&record, &point.rows)?;
    events.extend(told);
    Ok(((), Writes { saved: Some(record), rows, events, ..Writes::default() }))
}

pub(crate) fn settle(
    (lease, settlement): &(Lease, Settlement),
    mut found: Found,
) -> Result<(OperationRecord, Writes), FenceError> {
    let (mut record, _) = found.held(lease)?;
    let told = record.settle(lease, &settlement.disposition, found.now)?;
    let first = record.list_evidence(&settlement.evidence, found.now);
    let (rows, mut events) = found.write_rows(&record, &settlement.rows)?;
    events.extend(told);
    let (pending_order, followed) = found.follow(&record);
    events.extend(followed);
    let writes = Writes {
        saved: Some(record.clone()),
        agent: Some(Holder::Nobody),
        evidence: (first, settlement.evidence.clone()),
        runs: Some(Runs::Ended(lease.operation)),
        wakes_workers: true,
        rows,
        pending_order,
        events,
        ..Writes::default()
    };
    Ok((record, writes))
}

/// The next one is looked at as the settlement leaves it: who has its target may have ended just now.
pub(crate) fn hand_on(
    (settled, next): &((Lease, Settlement), OperationId),
    mut found: Found,
) -> Result<(HandedOn, Writes), FenceError> {
    let (agent, wanted, now) = (found.agent.clone(), found.next.take(), found.now);
    let (record, mut writes) = settle(settled, found)?;
    let wanted = wanted.map(|wanted| Candidate {
        blocker: wanted.blocker.or_else(|| record.goes_before(&wanted.record).then_some(record.operation.id)),
        ..wanted
    });
    let request = LeaseRequest::after(&settled.0, *next);
    let granted = agent.and_then(|agent| grant(&request, agent, wanted, now).ok());
    let next = granted.map(|(leased, events)| {
        writes.events.extend(events);
        writes.agent = Some(Holder::Is(leased.lease.clone()));
        writes.next = Some(leased.record.clone());
        writes.runs = Some(Runs::Started(leased.lease.operation));
        writes.wakes_workers = false;
        leased
    });
    Ok((HandedOn { record, next }, writes))
}
