use std::ops::Bound;
use std::time::Duration;

use archibald_core::effect::{Intent, IntentRequest, Receipt, Released};
use archibald_core::error::{EnqueueError, FenceError, StoreError};
use archibald_core::event::NewEvent;
use archibald_core::id::{AgentId, EffectName, OperationId, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, IllegalChange, NewOperation};
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::port::{
    AdminError, Enqueued, HandedOn, LeaseError, LeaseRequest, OperationFilter, OperationPage, OperationStore,
    RowPage, RowQuery, Survey, SurveyRequest, TakenUp,
};
use archibald_core::record::{Evidence, LocalRow, OperationRecord, Resolution, Settlement};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use serde_json::Value;

use super::lock::lease;
use super::{Agent, MemoryStore, State};

#[async_trait]
impl OperationStore for MemoryStore {
    async fn enqueue(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        self.write(|state, now| enqueue(state, new, false, now))
    }

    async fn enqueue_and_lease(
        &self,
        new: NewOperation,
        worker: &WorkerId,
        ttl: Duration,
    ) -> Result<TakenUp, EnqueueError> {
        self.write(|state, now| {
            let agent = state.agent(&new.agent);
            let is_first = agent.held.is_none() && agent.waiting.is_empty();
            let enqueued = accept(state, new, false, now)?;
            let operation = &enqueued.record.operation;
            let (agent, worker) = (operation.agent.clone(), worker.clone());
            let request = LeaseRequest { agent, operation: operation.id, worker, ttl };
            let may = is_first && !enqueued.replayed;
            let leased = may.then(|| lease(state, &request, now).ok()).flatten();
            if leased.is_none() {
                wake_for(state, &enqueued);
            }
            Ok(TakenUp { enqueued, leased })
        })
    }

    async fn get(&self, agent: &AgentId, id: OperationId) -> Result<Option<OperationRecord>, StoreError> {
        Ok(self.lock().agent(agent).by_id(id).cloned())
    }

    async fn list(&self, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError> {
        let mut state = self.lock();
        let wanted = |record: &&OperationRecord| {
            filter.state.as_ref().is_none_or(|state| record.operation.state.name() == state)
                && filter.kind.as_ref().is_none_or(|kind| record.operation.kind == *kind)
                && filter
                    .target
                    .as_ref()
                    .is_none_or(|target| record.operation.target.as_ref() == Some(target))
        };
        let older = state.agent(agent).operations.range(..filter.before.unwrap_or(u64::MAX));
        let limit = page_size(filter.limit);
        let mut records: Vec<_> =
            older.rev().map(|(_, record)| record).filter(wanted).take(limit + 1).cloned().collect();
        let next = cut(&mut records, limit, |record| record.operation.position);
        Ok(OperationPage { records, next })
    }

    async fn waiting(
        &self,
        agent: &AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError> {
        let state = self.lock();
        let from = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let asked = state.agents.get(agent).into_iter();
        Ok(asked.flat_map(|agent| agent.tickets(from)).take(limit.max(1) as usize).collect())
    }

    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, StoreError> {
        let beat = request.beat.as_ref();
        let workers = self.write(|state, now| {
            let (workers, is_news) = state.roster.hear(beat, now);
            if is_news {
                state.survey_changed();
            }
            Ok::<_, StoreError>(workers)
        })?;
        let (state, now) = (self.lock(), self.clock.now());
        let after = request.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let after = state.agents.range::<AgentId, _>((after, Bound::Unbounded));
        let mut busy = after.filter(|(_, agent)| !agent.waiting.is_empty());
        let mut page: Vec<_> = busy.by_ref().take(request.agents.max(1) as usize).collect();
        let last = page.last().map(|(id, _)| (*id).clone());
        let front = |agent: &Agent| agent.tickets(..).take(request.each.max(1) as usize).collect::<Vec<_>>();
        Ok(Survey {
            now,
            has_ended_leases: state.agents.values().any(|agent| agent.is_over(now)),
            paused: state.paused(),
            workers,
            fronts: page.drain(..).flat_map(|(_, agent)| front(agent)).collect(),
            next: last.filter(|_| busy.next().is_some()),
        })
    }

    async fn intend(&self, lease: &Lease, request: &IntentRequest) -> Result<Intent, FenceError> {
        self.write_under(lease, |record, ends, now| record.intend(lease, ends, request, now))
    }

    async fn release(&self, intent: &Intent) -> Result<Released, FenceError> {
        self.write_under(intent.lease(), |record, ends, now| record.release(&intent.release(), ends, now))
    }

    async fn answered(
        &self,
        lease: &Lease,
        effect: &EffectName,
        differences: &[String],
    ) -> Result<(), FenceError> {
        self.write_under(lease, |record, _, now| record.answered(lease, effect, differences, now))
    }

    async fn record(&self, lease: &Lease, effect: &EffectName, receipt: &Receipt) -> Result<(), FenceError> {
        self.write_under(lease, |record, _, _| record.record(lease, effect, receipt))
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        step: &str,
        checkpoint: Option<Value>,
        rows: Vec<LocalRow>,
    ) -> Result<(), FenceError> {
        self.write(|state, now| {
            let agent = state.agent(&lease.agent);
            let mut record = agent.by_id(lease.operation).cloned().ok_or(FenceError::Superseded)?;
            let told = record.checkpoint(lease, step, checkpoint)?;
            let mut events = agent.write_rows(&record, rows, now);
            events.extend(told);
            state.write(record, events, now);
            Ok(())
        })
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<OperationRecord, FenceError> {
        self.write(|state, now| {
            let record = settle(state, lease, settlement, now)?;
            state.wake_workers(&lease.agent);
            Ok(record)
        })
    }

    async fn hand_on(
        &self,
        held: &Lease,
        settlement: Settlement,
        next: OperationId,
    ) -> Result<HandedOn, FenceError> {
        self.write(|state, now| {
            let record = settle(state, held, settlement, now)?;
            let next = match lease(state, &LeaseRequest::after(held, next), now) {
                Ok(leased) => Some(leased),
                Err(LeaseError::Store(error)) => return Err(error.into()),
                Err(_) => None,
            };
            if next.is_none() {
                state.wake_workers(&held.agent);
            }
            Ok(HandedOn { record, next })
        })
    }

    async fn cancel(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        self.administer(agent, id, |record, now| record.cancel(by, now))
    }

    async fn redrive(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
    ) -> Result<OperationRecord, AdminError> {
        self.administer(agent, id, |record, now| record.redrive(by, now))
    }

    async fn resolve(
        &self,
        agent: &AgentId,
        id: OperationId,
        by: &str,
        how: &Resolution,
    ) -> Result<OperationRecord, AdminError> {
        self.administer(agent, id, |record, now| record.resolve(by, how, now))
    }

    async fn evidence(
        &self,
        agent: &AgentId,
        id: OperationId,
        n: u32,
    ) -> Result<Option<Evidence>, StoreError> {
        Ok(self.lock().agent(agent).evidence.get(&(id, n)).cloned())
    }

    async fn rows(&self, agent: &AgentId, query: &RowQuery) -> Result<RowPage, StoreError> {
        let search = query.search.as_ref().map(|text| text.to_lowercase());
        let mut state = self.lock();
        let mut rows: Vec<_> = state
            .agent(agent)
            .rows
            .iter()
            .filter(|((collection, id), _)| {
                *collection == query.collection && query.after.as_ref().is_none_or(|after| id > after)
            })
            .filter(|((_, id), (doc, _))| {
                search.as_ref().is_none_or(|text| LocalRow::searchable(id, doc).contains(text))
            })
            .map(|((_, id), (doc, at))| (id.clone(), doc.clone(), *at))
            .take(page_size(query.limit) + 1)
            .collect();
        let next = cut(&mut rows, page_size(query.limit), |(id, ..)| id.clone());
        Ok(RowPage { rows, next })
    }

    async fn pause(&self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError> {
        self.write(|state, since| {
            let pause = Pause { scope: scope.clone(), why: why.to_owned(), drains, since };
            let pause = pause.over(state.pauses.remove(scope));
            state.pauses.insert(scope.clone(), pause);
            state.survey_changed();
            if let PauseScope::Agent { agent } = scope {
                state.agent(agent).append(vec![NewEvent::paused(why)], since);
                state.wake_devices(agent);
            }
            Ok(())
        })
    }

    async fn resume(&self, scope: &PauseScope) -> Result<(), StoreError> {
        self.write(|state, _| {
            state.pauses.remove(scope);
            state.survey_changed();
            if let PauseScope::Agent { agent } = scope {
                state.wake_workers(agent);
            }
            Ok(())
        })
    }

    async fn unlock(&self, agent: &AgentId) -> Result<bool, StoreError> {
        self.write(|state, _| {
            let scope = PauseScope::from(agent.clone());
            let stays = state.pauses.remove(&scope).and_then(Pause::unlocked);
            let is_free = stays.is_none();
            state.pauses.extend(stays.map(|pause| (scope, pause)));
            state.survey_changed();
            state.wake_workers(agent);
            Ok(is_free)
        })
    }

    async fn forget(&self, finished_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write(|state, _| {
            let finished = |record: &OperationRecord| {
                record.operation.finished_at.filter(|at| record.operation.is_final() && *at < finished_before)
            };
            let every = state.agents.values().flat_map(|agent| agent.operations.values());
            let mut old: Vec<_> = every
                .filter_map(|record| {
                    Some((finished(record)?, record.operation.agent.clone(), record.operation.id))
                })
                .collect();
            old.sort();
            old.truncate(limit as usize);
            for (_, agent, operation) in &old {
                state.agent(agent).forget(*operation);
            }
            Ok(old.len() as u64)
        })
    }

    async fn paused(&self) -> Result<Vec<Pause>, StoreError> {
        Ok(self.lock().paused())
    }
}

/// What is refused changes nothing. Where a pending order is submitted that one may have to be there.
pub(super) fn enqueue(
    state: &mut State,
    new: NewOperation,
    needs_pending_order: bool,
    now: Timestamp,
) -> Result<Enqueued, EnqueueError> {
    let enqueued = accept(state, new, needs_pending_order, now)?;
    wake_for(state, &enqueued);
    Ok(enqueued)
}

/// What is new may run.
fn wake_for(state: &mut State, enqueued: &Enqueued) {
    if !enqueued.replayed {
        state.wake_workers(&enqueued.record.operation.agent);
    }
}

fn accept(
    state: &mut State,
    new: NewOperation,
    needs_pending_order: bool,
    now: Timestamp,
) -> Result<Enqueued, EnqueueError> {
    if let Some(record) = existing(state.agent(&new.agent), &new)? {
        return Ok(Enqueued { record, replayed: true });
    }
    let agent = new.agent.clone();
    let taken = state.agent(&agent).take_pending_order(&new, needs_pending_order, now)?;
    let (record, mut events) = OperationRecord::accept(new, state.next_position(), now);
    events.extend(taken);
    state.write(record.clone(), events, now);
    Ok(Enqueued { record, replayed: false })
}

/// The end of the attempt, and the agent free.
fn settle(
    state: &mut State,
    lease: &Lease,
    settlement: Settlement,
    now: Timestamp,
) -> Result<OperationRecord, FenceError> {
    let agent = state.agent(&lease.agent);
    let mut record = agent.by_id(lease.operation).cloned().ok_or(FenceError::Superseded)?;
    let told = record.settle(lease, &settlement.disposition, now)?;
    let first = record.list_evidence(&settlement.evidence, now);
    let numbered = (first..).map(|n| (lease.operation, n)).zip(settlement.evidence);
    agent.evidence.extend(numbered);
    let mut events = agent.write_rows(&record, settlement.rows, now);
    events.extend(told);
    // An attempt that ends never asks for what was given back.
    events.extend(agent.follow(&record.operation, now).unwrap_or_default());
    agent.held = None;
    state.write(record.clone(), events, now);
    Ok(record)
}

impl MemoryStore {
    /// A step of the journal: it tells no device.
    fn write_under<T>(
        &self,
        lease: &Lease,
        step: impl FnOnce(&mut OperationRecord, Timestamp, Timestamp) -> Result<T, FenceError>,
    ) -> Result<T, FenceError> {
        self.write(|state: &mut State, now| {
            let agent = state.agent(&lease.agent);
            let mut record = agent.by_id(lease.operation).cloned().ok_or(FenceError::Superseded)?;
            let done = step(&mut record, agent.lease_ends(), now)?;
            agent.put(record);
            Ok(done)
        })
    }

    /// What a person does to an operation that nobody runs. What it brings back has to find its target free.
    fn administer(
        &self,
        agent: &AgentId,
        id: OperationId,
        change: impl FnOnce(&mut OperationRecord, Timestamp) -> Result<Vec<NewEvent>, IllegalChange>,
    ) -> Result<OperationRecord, AdminError> {
        self.write(|state, now| {
            let found = state.agent(agent).by_id(id).cloned();
            let mut record = found.ok_or(AdminError::NotFound(id))?;
            let mut events = change(&mut record, now)?;
            let operation = &record.operation;
            if let Some(target) = operation.claim()
                && let Some(other) = state.agent(agent).holder_of_target(&operation.kind, id, target)
            {
                return Err(AdminError::TargetTaken { target: target.clone(), by: other.operation.id });
            }
            events.extend(state.agent(agent).follow(operation, now)?);
            state.write(record.clone(), events, now);
            state.wake_workers(agent);
            Ok(record)
        })
    }
}

/// The operation that answers the request already; an error where it can be neither answered nor accepted.
fn existing(agent: &Agent, new: &NewOperation) -> Result<Option<OperationRecord>, EnqueueError> {
    if let Some(record) = agent.by_key(&new.key) {
        if record.is_same_request(new) {
            return Ok(Some(record.clone()));
        }
        return Err(EnqueueError::KeyReused { key: new.key.to_string(), operation: record.operation.id });
    }
    if let Some(target) = new.claim()
        && let Some(record) = agent.holder_of_target(&new.kind, new.id, target)
    {
        if record.is_same_request(new) {
            return Ok(Some(record.clone()));
        }
        return Err(EnqueueError::TargetTaken { target: target.clone(), operation: record.operation.id });
    }
    if new.class == Class::Background
        && let Some(record) = agent.records_waiting().find(|record| record.is_same_request(new))
    {
        return Ok(Some(record.clone()));
    }
    if agent.unfinished.len() as u64 >= new.queue_limit {
        return Err(EnqueueError::QueueFull { agent: new.agent.clone(), limit: new.queue_limit });
    }
    Ok(None)
}

pub(super) fn page_size(limit: u32) -> usize {
    limit.clamp(1, 500) as usize
}

/// Cuts what was read beyond the page; if there was any, the page's last place is where the next begins.
pub(super) fn cut<T, P>(items: &mut Vec<T>, limit: usize, place: impl Fn(&T) -> P) -> Option<P> {
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(place)
}
