use archibald_core::effect::{Intent, IntentRequest, Receipt, Released};
use archibald_core::error::{EnqueueError, FenceError, FieldError, StoreError};
use archibald_core::event::NewEvent;
use archibald_core::id::{AgentId, EffectName, OperationId};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, IllegalChange, NewOperation};
use archibald_core::port::{
    AdminError, Enqueued, OperationFilter, OperationPage, OperationStore, PausedAgent, RowPage, RowQuery,
};
use archibald_core::record::{Evidence, LocalRow, OperationRecord, Resolution, Settlement};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use futures::FutureExt;
use serde_json::Value;

use crate::codec::unstorable;
use crate::read;
use crate::records::Locked;
use crate::store::PgStore;
use crate::tx::{How, Runs, Stop, Tx};

#[async_trait]
impl OperationStore for PgStore {
    async fn enqueue(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        if let Some((pointer, detail)) = unstorable(&new.payload) {
            return Err(EnqueueError::Invalid(vec![FieldError::new(pointer, detail)]));
        }
        let agent = new.agent.clone();
        self.write(How::repeatable("accepting an operation"), &agent, new, |tx, new| enqueue(tx, new).boxed())
            .await
    }

    async fn get(&self, agent: &AgentId, id: OperationId) -> Result<Option<OperationRecord>, StoreError> {
        let asked = (agent.to_string(), id);
        self.read("reading an operation", asked, |conn, sql, (agent, id)| {
            read::operation(conn, sql, agent, *id).boxed()
        })
        .await
    }

    async fn list(&self, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError> {
        let asked = (agent.to_string(), filter.clone());
        self.read("listing operations", asked, |conn, sql, (agent, filter)| {
            read::operations(conn, sql, agent, filter).boxed()
        })
        .await
    }

    async fn waiting(
        &self,
        agent: Option<AgentId>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError> {
        self.read("reading what waits", (agent, after, limit), |conn, sql, (agent, after, limit)| {
            read::waiting(conn, sql, agent.as_ref(), *after, *limit).boxed()
        })
        .await
    }

    async fn intend(&self, lease: &Lease, request: &IntentRequest) -> Result<Intent, FenceError> {
        self.step(How::repeatable("intending an effect"), lease, request.clone(), |held, request| {
            held.record.intend(held.lease, held.ends, request, held.now)
        })
        .await
    }

    async fn release(&self, intent: &Intent) -> Result<Released, FenceError> {
        self.step(How::once("opening the gate"), intent.lease(), intent.release(), |held, intent| {
            held.record.release(intent, held.ends, held.now)
        })
        .await
    }

    async fn answered(
        &self,
        lease: &Lease,
        effect: &EffectName,
        differences: &[String],
    ) -> Result<(), FenceError> {
        let noted = (effect.clone(), differences.to_vec());
        self.step(How::repeatable("noting an answer"), lease, noted, |held, (effect, differences)| {
            held.record.answered(held.lease, effect, differences, held.now)
        })
        .await
    }

    async fn record(&self, lease: &Lease, effect: &EffectName, receipt: &Receipt) -> Result<(), FenceError> {
        let kept = (effect.clone(), receipt.clone());
        self.step(How::repeatable("keeping a receipt"), lease, kept, |held, (effect, receipt)| {
            held.record.record(held.lease, effect, receipt)
        })
        .await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        step: &str,
        checkpoint: Option<Value>,
        rows: Vec<LocalRow>,
    ) -> Result<(), FenceError> {
        let point = Checkpoint { lease: lease.clone(), step: step.to_owned(), checkpoint, rows };
        self.write(How::repeatable("keeping a checkpoint"), &lease.agent, point, |tx, point| {
            write_checkpoint(tx, point).boxed()
        })
        .await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<OperationRecord, FenceError> {
        let asked = (lease.clone(), settlement);
        self.write(How::once("settling an attempt"), &lease.agent, asked, |tx, (lease, settlement)| {
            settle(tx, lease, settlement).boxed()
        })
        .await
    }

    async fn cancel(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        self.administer("cancelling an operation", agent, id, by.to_owned(), |record, by, now| {
            record.cancel(by, now)
        })
        .await
    }

    async fn redrive(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        self.administer("redriving an operation", agent, id, by.to_owned(), |record, by, now| {
            record.redrive(by, now)
        })
        .await
    }

    async fn resolve(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
        how: &Resolution,
    ) -> Result<OperationRecord, AdminError> {
        let decided = (by.to_owned(), how.clone());
        self.administer("resolving a doubt", agent, id, decided, |record, (by, how), now| {
            record.resolve(by, how, now)
        })
        .await
    }

    async fn evidence(
        &self,
        agent: &AgentId,
        id: OperationId,
        n: u32,
    ) -> Result<Option<Evidence>, StoreError> {
        let asked = (agent.to_string(), id, n);
        self.read("reading evidence", asked, |conn, sql, (agent, id, n)| {
            read::evidence(conn, sql, agent, *id, *n).boxed()
        })
        .await
    }

    async fn rows(&self, agent: &AgentId, query: &RowQuery) -> Result<RowPage, StoreError> {
        let asked = (agent.to_string(), query.clone());
        self.read("listing rows", asked, |conn, sql, (agent, query)| {
            read::rows(conn, sql, agent, query).boxed()
        })
        .await
    }

    async fn pause(&self, agent: &AgentId, why: &str) -> Result<(), StoreError> {
        self.write(How::once("pausing an agent"), agent, why.to_owned(), |tx, why| pause(tx, why).boxed())
            .await
    }

    async fn resume(&self, agent: &AgentId) -> Result<(), StoreError> {
        self.write(How::repeatable("resuming an agent"), agent, (), |tx, ()| resume(tx).boxed()).await
    }

    async fn forget(&self, finished_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let asked = (finished_before, limit);
        self.read("forgetting old operations", asked, |conn, sql, (before, limit)| {
            read::forget(conn, sql, *before, *limit).boxed()
        })
        .await
    }

    async fn paused(&self) -> Result<Vec<PausedAgent>, StoreError> {
        self.read("reading who is paused", (), |conn, sql, ()| read::paused(conn, sql).boxed()).await
    }
}

/// What a step of the journal is decided from.
struct Held<'a> {
    record: &'a mut OperationRecord,
    lease: &'a Lease,
    /// When the lease ends, as the store has it.
    ends: Timestamp,
    now: Timestamp,
}

type Decide<A, T> = fn(Held<'_>, &A) -> Result<T, FenceError>;
type Change<A> = fn(&mut OperationRecord, &A, Timestamp) -> Result<Vec<NewEvent>, IllegalChange>;

impl PgStore {
    /// A step of the journal under a lease: it tells no device.
    async fn step<A, T>(
        &self,
        how: How,
        lease: &Lease,
        arguments: A,
        decide: Decide<A, T>,
    ) -> Result<T, FenceError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let asked = (lease.clone(), arguments, decide);
        self.write(how, &lease.agent, asked, |tx, (lease, arguments, decide)| {
            step(tx, lease, arguments, *decide).boxed()
        })
        .await
    }

    /// What a person does to an operation that nobody runs.
    async fn administer<A: Send + Sync + 'static>(
        &self,
        what: &'static str,
        agent: &AgentId,
        id: OperationId,
        arguments: A,
        change: Change<A>,
    ) -> Result<OperationRecord, AdminError> {
        self.write(How::once(what), agent, (id, arguments, change), |tx, (id, arguments, change)| {
            administer(tx, *id, arguments, *change).boxed()
        })
        .await
    }
}

/// Takes the event counter first, which makes the enqueues of an agent one after the other: whatever is
/// looked at here is still so when it is written. It waits for nothing after that.
async fn enqueue(tx: &mut Tx, new: &NewOperation) -> Result<Enqueued, Stop<EnqueueError>> {
    tx.lock_stream().await?;
    if let Some(record) = existing(tx, new).await? {
        let replayed = !(tx.maybe_done_before && record.operation.id == new.id);
        return Ok(Enqueued { record, replayed });
    }
    if tx.unfinished(new.queue_limit).await? >= new.queue_limit {
        let (agent, limit) = (new.agent.clone(), new.queue_limit);
        return Err(EnqueueError::QueueFull { agent, limit }.into());
    }
    let (position, now) = tx.next_position().await?;
    let (record, events) = OperationRecord::accept(new.clone(), position, now);
    tx.insert(&record).await?;
    tx.emit(&events, now).await?;
    tx.wakes_workers = true;
    Ok(Enqueued { record, replayed: false })
}

/// The operation that answers the request already.
async fn existing(tx: &mut Tx, new: &NewOperation) -> Result<Option<OperationRecord>, Stop<EnqueueError>> {
    if let Some(record) = tx.operation_by_key(&new.key).await? {
        if record.is_same_request(new) {
            return Ok(Some(record));
        }
        let (key, operation) = (new.key.to_string(), record.operation.id);
        return Err(EnqueueError::KeyReused { key, operation }.into());
    }
    if let Some(target) = new.claim()
        && let Some(record) = tx.holder_of_target(&new.kind, new.id, target).await?
    {
        if record.is_same_request(new) {
            return Ok(Some(record));
        }
        let operation = record.operation.id;
        return Err(EnqueueError::TargetTaken { target: target.clone(), operation }.into());
    }
    match new.class {
        Class::Background => {
            let waiting = tx.waiting_of_kind(&new.kind).await?;
            Ok(waiting.filter(|record| record.is_same_request(new)))
        }
        Class::Interactive => Ok(None),
    }
}

async fn step<A, T>(
    tx: &mut Tx,
    lease: &Lease,
    arguments: &A,
    decide: Decide<A, T>,
) -> Result<T, Stop<FenceError>> {
    let (agent, Locked { mut record, now }) = tx.lock_held(lease).await?;
    let ends = agent.ends.unwrap_or(Timestamp::EPOCH);
    let done = decide(Held { record: &mut record, lease, ends, now }, arguments)?;
    tx.save(&record).await?;
    Ok(done)
}

struct Checkpoint {
    lease: Lease,
    step: String,
    checkpoint: Option<Value>,
    rows: Vec<LocalRow>,
}

async fn write_checkpoint(tx: &mut Tx, point: &Checkpoint) -> Result<(), Stop<FenceError>> {
    let (_, Locked { mut record, now }) = tx.lock_held(&point.lease).await?;
    let told = record.checkpoint(&point.lease, &point.step, point.checkpoint.clone())?;
    let mut events = tx.write_rows(&record, &point.rows, now).await?;
    events.extend(told);
    tx.save(&record).await?;
    Ok(tx.emit(&events, now).await?)
}

async fn settle(
    tx: &mut Tx,
    lease: &Lease,
    settlement: &Settlement,
) -> Result<OperationRecord, Stop<FenceError>> {
    let (_, Locked { mut record, now }) = tx.lock_held(lease).await?;
    let told = record.settle(lease, &settlement.disposition, now)?;
    let first = record.list_evidence(&settlement.evidence, now);
    tx.keep_evidence(&record, first, &settlement.evidence).await?;
    let mut events = tx.write_rows(&record, &settlement.rows, now).await?;
    events.extend(told);
    tx.save(&record).await?;
    tx.free_agent().await?;
    tx.emit(&events, now).await?;
    (tx.wakes_workers, tx.runs) = (true, Some(Runs::Ended(lease.operation)));
    Ok(record)
}

/// What it brings back has to find its target free; the event counter is taken before that is looked at, as
/// [`enqueue`] does.
async fn administer<A>(
    tx: &mut Tx,
    id: OperationId,
    arguments: &A,
    change: Change<A>,
) -> Result<OperationRecord, Stop<AdminError>> {
    let Some(Locked { mut record, now }) = tx.lock_operation(id).await? else {
        return Err(AdminError::NotFound(id).into());
    };
    let events = change(&mut record, arguments, now)?;
    if let Some(target) = record.operation.claim() {
        tx.lock_stream().await?;
        if let Some(other) = tx.holder_of_target(&record.operation.kind, id, target).await? {
            return Err(AdminError::TargetTaken { target: target.clone(), by: other.operation.id }.into());
        }
    }
    tx.save(&record).await?;
    tx.emit(&events, now).await?;
    tx.wakes_workers = true;
    Ok(record)
}

async fn pause(tx: &mut Tx, why: &str) -> Result<(), Stop<StoreError>> {
    tx.make_rows().await?;
    let now = tx.lock_agent().await?.map_or(Timestamp::EPOCH, |agent| agent.now);
    tx.set_pause(Some((why, now))).await?;
    Ok(tx.emit(&[NewEvent::paused(why)], now).await?)
}

async fn resume(tx: &mut Tx) -> Result<(), Stop<StoreError>> {
    tx.lock_agent().await?;
    tx.set_pause(None).await?;
    tx.wakes_workers = true;
    Ok(())
}
