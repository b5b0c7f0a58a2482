use std::mem;
use std::time::Duration;

use archibald_core::effect::{Intent, IntentRequest, Receipt, Released};
use archibald_core::error::{EnqueueError, FenceError, FieldError, StoreError};
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
use archibald_core::worker::Roster;
use async_trait::async_trait;
use futures::FutureExt;
use serde_json::Value;

use crate::call::{Ask, Needs};
use crate::codec::unstorable;
use crate::decide::{
    Checkpoint, Decide, enqueue, enqueue_and_lease, hand_on, settle, step, write_checkpoint,
};
use crate::read;
use crate::records::Locked;
use crate::store::{PgStore, UNANSWERED};
use crate::tx::{How, Reads, Stop, Tx};
use crate::wake::of_heartbeat;

#[async_trait]
impl OperationStore for PgStore {
    async fn enqueue(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        let agent = new.agent.clone();
        self.call(How::repeatable("accepting an operation"), &agent, enqueuing(new, false)?).await
    }

    async fn enqueue_and_lease(
        &self,
        new: NewOperation,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<TakenUp, EnqueueError> {
        let agent = new.agent.clone();
        let ask = enqueuing_and_leasing(new, worker.clone(), ttl)?;
        self.call(How::repeatable("accepting an operation"), &agent, ask).await
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
        agent: &AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError> {
        if let Some(tickets) = self.inner.tickets.of(&self.inner, agent.clone(), after, limit).await {
            return Ok(tickets);
        }
        let asked = (agent.clone(), after, limit);
        self.read("reading what waits", asked, |conn, sql, (agent, after, limit)| {
            read::waiting(conn, sql, agent, *after, *limit).boxed()
        })
        .await
    }

    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, StoreError> {
        let told =
            request.beat.as_ref().and_then(|_| of_heartbeat(&self.inner.hub, &self.inner.options.schema));
        let (how, asked) = (Reads::within(UNANSWERED), (request.clone(), told));
        let read = self.read_as(how, "a survey", asked, |conn, sql, (request, told)| {
            read::survey(conn, sql, request, told.as_ref()).boxed()
        });
        let mut survey = read.await?;
        let mut roster: Roster = mem::take(&mut survey.workers).into_iter().collect();
        let (workers, is_news) = roster.hear(request.beat.as_ref(), survey.now);
        if is_news {
            self.inner.hub.committed_survey();
        }
        Ok(Survey { workers, ..survey })
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
        let ask = Ask {
            arguments: point,
            needs: |point| Needs { rows: &point.rows, stream: true, ..Needs::of(&point.lease) },
            decide: write_checkpoint,
        };
        self.call(How::repeatable("keeping a checkpoint"), &lease.agent, ask).await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<OperationRecord, FenceError> {
        let ask = settling(lease.clone(), settlement);
        self.call(How::once("settling an attempt"), &lease.agent, ask).await
    }

    async fn hand_on(
        &self,
        lease: &Lease,
        settlement: Settlement,
        next: OperationId,
    ) -> Result<HandedOn, FenceError> {
        let ask = Ask {
            arguments: ((lease.clone(), settlement), next),
            needs: |((lease, settlement), next)| Needs {
                rows: &settlement.rows,
                stream: true,
                follows: true,
                next: Some(*next),
                ..Needs::of(lease)
            },
            decide: hand_on,
        };
        self.call(How::once("settling an attempt"), &lease.agent, ask).await
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

    async fn pause(&self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError> {
        let asked = (scope.kind().cloned(), why.to_owned(), drains);
        let done = match scope {
            PauseScope::Agent { agent } => {
                self.write(How::once("pausing an agent"), agent, asked, |tx, (_, why, drains)| {
                    pause(tx, why, *drains).boxed()
                })
                .await
            }
            PauseScope::Kind { .. } | PauseScope::Everything => {
                self.read("pausing a kind", asked, |conn, sql, (kind, why, drains)| {
                    read::pause_kind(conn, sql, kind.as_ref(), why, *drains).boxed()
                })
                .await
            }
        };
        self.inner.hub.committed_survey();
        done
    }

    async fn resume(&self, scope: &PauseScope) -> Result<(), StoreError> {
        let done = match scope {
            PauseScope::Agent { agent } => {
                let how = How::repeatable("resuming an agent");
                self.write(how, agent, (), |tx, ()| resume(tx).boxed()).await
            }
            PauseScope::Kind { .. } | PauseScope::Everything => {
                self.read("resuming a kind", scope.kind().cloned(), |conn, sql, kind| {
                    read::resume_kind(conn, sql, kind.as_ref()).boxed()
                })
                .await
            }
        };
        self.inner.hub.committed_survey();
        done
    }

    async fn unlock(&self, agent: &AgentId) -> Result<bool, StoreError> {
        let how = How::repeatable("unlocking an agent");
        let done = self.write(how, agent, (), |tx, ()| unlock(tx).boxed()).await;
        self.inner.hub.committed_survey();
        done
    }

    async fn forget(&self, finished_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let asked = (finished_before, limit);
        self.read("forgetting old operations", asked, |conn, sql, (before, limit)| {
            read::forget(conn, sql, *before, *limit).boxed()
        })
        .await
    }

    async fn paused(&self) -> Result<Vec<Pause>, StoreError> {
        self.read("reading what is paused", (), |conn, sql, ()| read::paused(conn, sql).boxed()).await
    }
}

/// Where a pending order is submitted that one may have to be there.
pub(crate) fn enqueuing(
    new: NewOperation,
    needs_pending_order: bool,
) -> Result<Ask<(NewOperation, bool), Enqueued, EnqueueError>, EnqueueError> {
    check(&new)?;
    Ok(Ask {
        arguments: (new, needs_pending_order),
        needs: |(new, _)| Needs::to_accept(new),
        decide: enqueue,
    })
}

fn enqueuing_and_leasing(
    new: NewOperation,
    worker: WorkerId,
    ttl: Duration,
) -> Result<Ask<(NewOperation, LeaseRequest), TakenUp, EnqueueError>, EnqueueError> {
    check(&new)?;
    let request = LeaseRequest { agent: new.agent.clone(), operation: new.id, worker, ttl };
    Ok(Ask {
        arguments: (new, request),
        needs: |(new, _)| Needs { leases_new: true, ..Needs::to_accept(new) },
        decide: enqueue_and_lease,
    })
}

fn check(new: &NewOperation) -> Result<(), EnqueueError> {
    let Some((pointer, detail)) = unstorable(&new.payload) else { return Ok(()) };
    Err(EnqueueError::Invalid(vec![FieldError::new(pointer, detail)]))
}

pub(crate) fn settling(
    lease: Lease,
    settlement: Settlement,
) -> Ask<(Lease, Settlement), OperationRecord, FenceError> {
    Ask {
        arguments: (lease, settlement),
        needs: |(lease, settlement)| Needs {
            rows: &settlement.rows,
            stream: true,
            follows: true,
            ..Needs::of(lease)
        },
        decide: settle,
    }
}

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
        T: Send + Sync + 'static,
    {
        let ask = Ask {
            arguments: (lease.clone(), arguments, decide),
            needs: |(lease, ..)| Needs::of(lease),
            decide: step,
        };
        self.call(how, &lease.agent, ask).await
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

/// What it brings back has to find its target free; the event counter is taken before that is looked at, as
/// [`enqueue`] does.
async fn administer<A>(
    tx: &mut Tx<'_>,
    id: OperationId,
    arguments: &A,
    change: Change<A>,
) -> Result<OperationRecord, Stop<AdminError>> {
    let Some(Locked { mut record, now }) = tx.lock_operation(id).await? else {
        return Err(AdminError::NotFound(id).into());
    };
    let mut events = change(&mut record, arguments, now)?;
    if let Some(target) = record.operation.claim() {
        tx.lock_stream().await?;
        if let Some(other) = tx.holder_of_target(&record.operation.kind, id, target).await? {
            return Err(AdminError::TargetTaken { target: target.clone(), by: other.operation.id }.into());
        }
    }
    events.extend(tx.follow(&record, now).await?);
    tx.save(&record).await?;
    tx.emit(&events, now).await?;
    tx.wakes_workers = true;
    Ok(record)
}

async fn pause(tx: &mut Tx<'_>, why: &str, drains: bool) -> Result<(), Stop<StoreError>> {
    tx.make_rows().await?;
    let since = tx.lock_agent().await?.map_or(Timestamp::EPOCH, |agent| agent.now);
    let pause = Pause { scope: tx.agent.clone().into(), why: why.to_owned(), drains, since };
    let pause = pause.over(tx.pause().await?);
    tx.set_pause(Some(&pause)).await?;
    Ok(tx.emit(&[NewEvent::paused(why)], since).await?)
}

async fn unlock(tx: &mut Tx<'_>) -> Result<bool, Stop<StoreError>> {
    tx.lock_agent().await?;
    let stays = tx.pause().await?.and_then(Pause::unlocked);
    tx.set_pause(stays.as_ref()).await?;
    tx.wakes_workers = true;
    Ok(stays.is_none())
}

async fn resume(tx: &mut Tx<'_>) -> Result<(), Stop<StoreError>> {
    tx.lock_agent().await?;
    tx.set_pause(None).await?;
    tx.wakes_workers = true;
    Ok(())
}
