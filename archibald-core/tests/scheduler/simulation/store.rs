//! One store for all workers: the records with their real rules, leases, pauses, and the events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use archibald_core::effect::{Intent, IntentRequest, Receipt, ReleaseRequest};
use archibald_core::error::FenceError;
use archibald_core::event::{Event, NewEvent};
use archibald_core::id::{AgentId, EffectName, FencingToken, OperationId, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::operation::{NewOperation, OperationState};
use archibald_core::pause::PauseScope;
use archibald_core::port::LeaseRequest;
use archibald_core::record::{Disposition, OperationRecord, Resolution};
use archibald_core::scheduler::{Refusal, Ticket};
use archibald_core::time::Timestamp;

use super::Mutant;

pub(crate) struct Store {
    pub(crate) records: BTreeMap<OperationId, OperationRecord>,
    agents: BTreeMap<AgentId, Row>,
    paused: BTreeSet<PauseScope>,
    position: u64,
    /// A canary: writes are taken from whoever makes them, and whoever settles frees the agent.
    pub(crate) ignores_tokens: bool,
    mutant: Option<Mutant>,
}

#[derive(Default)]
struct Row {
    token: u64,
    lease: Option<Lease>,
    /// The lease came with the end of the one before.
    handed_on: bool,
    events: Vec<Event>,
}

impl Store {
    pub(crate) fn new(mutant: Option<Mutant>) -> Self {
        let ignores_tokens = mutant == Some(Mutant::IgnoreTokens);
        let (records, agents, paused) = Default::default();
        Self { records, agents, paused, position: 0, ignores_tokens, mutant }
    }

    /// The same one again changes nothing.
    pub(crate) fn enqueue(&mut self, new: NewOperation, now: Timestamp) -> Option<Ticket> {
        if self.records.contains_key(&new.id) {
            return None;
        }
        self.position += 1;
        let (agent, id) = (new.agent.clone(), new.id);
        let (record, events) = OperationRecord::accept(new, self.position, now);
        let ticket = record.ticket();
        self.records.insert(id, record);
        self.write(&agent, events, now);
        ticket
    }

    pub(crate) fn lease(
        &mut self,
        request: &LeaseRequest,
        now: Timestamp,
    ) -> Result<(Lease, OperationRecord), Refusal> {
        let pause = self.pause_of(&request.agent, request.operation);
        match pause.filter(|_| self.mutant != Some(Mutant::LeaseWhatIsPaused)) {
            Some(scope) => Err(Refusal::Paused { scope, why: "by hand".into() }),
            None => self.grant(request, now),
        }
    }

    /// The next operation of an agent whose lease just ended, in the same transaction.
    pub(crate) fn hand_on(
        &mut self,
        ended: &Lease,
        next: OperationId,
        now: Timestamp,
    ) -> Result<(Lease, OperationRecord), Refusal> {
        let request = LeaseRequest::after(ended, next);
        let next = match self.mutant {
            Some(Mutant::HandOnWhatIsPaused) => self.grant(&request, now),
            _ => self.lease(&request, now),
        };
        if next.is_ok() {
            self.agents.entry(ended.agent.clone()).or_default().handed_on = true;
        }
        next
    }

    /// What was just accepted, where nothing else of the agent is unfinished.
    pub(crate) fn take_up(
        &mut self,
        request: &LeaseRequest,
        now: Timestamp,
    ) -> Option<(Lease, OperationRecord)> {
        let waits = |record: &OperationRecord| {
            record.operation.agent == request.agent
                && record.operation.id != request.operation
                && matches!(record.operation.state, OperationState::Available { .. })
        };
        let is_alone = !self.records.values().any(waits) || self.mutant == Some(Mutant::TakeUpBeforeOthers);
        is_alone.then(|| self.lease(request, now).ok()).flatten()
    }

    /// A lease comes back before anything was attempted.
    pub(crate) fn hand_back(&mut self, lease: &Lease, now: Timestamp) -> Result<(), FenceError> {
        let (lease, _) = self.as_seen(lease);
        let events = self.record_mut(&lease).hand_back(&lease, now)?;
        self.agents.entry(lease.agent.clone()).or_default().lease = None;
        self.write(&lease.agent, events, now);
        Ok(())
    }

    /// The lease under which a worker runs an operation.
    pub(crate) fn held_by(&self, worker: &WorkerId, operation: OperationId) -> Option<Lease> {
        let record = self.records.get(&operation)?;
        let OperationState::Running { token, .. } = record.operation.state else { return None };
        let lease = self.lease_of(&record.operation.agent)?;
        (lease.token == token && lease.worker == *worker).then(|| lease.clone())
    }

    /// Whether the agent's lease came with the end of the one before.
    pub(crate) fn was_handed_on(&self, agent: &AgentId) -> bool {
        self.agents.get(agent).is_some_and(|row| row.handed_on)
    }

    fn pause_of(&self, agent: &AgentId, operation: OperationId) -> Option<PauseScope> {
        let kind = self.records.get(&operation)?.operation.kind.clone();
        let pauses = [PauseScope::Everything, agent.clone().into(), kind.into()];
        pauses.into_iter().find(|scope| self.paused.contains(scope))
    }

    fn grant(&mut self, request: &LeaseRequest, now: Timestamp) -> Result<(Lease, OperationRecord), Refusal> {
        let LeaseRequest { agent, operation, worker, ttl } = request.clone();
        let busy = self.blocker(operation);
        let row = self.agents.entry(agent.clone()).or_default();
        let record = self.records.get_mut(&operation).ok_or(Refusal::Gone)?;
        let breaks = |rule| self.mutant == Some(rule);
        let OperationState::Available { at, .. } = record.operation.state else { return Err(Refusal::Gone) };
        if let Some(held) = row.lease.as_ref().filter(|_| !breaks(Mutant::LeaseHeldAgents)) {
            return Err(Refusal::AgentHeld { until: held.expires_at });
        }
        if at > now && !breaks(Mutant::LeaseWhatIsNotDue) {
            return Err(Refusal::NotDue { at });
        }
        if let Some(by) = busy.filter(|_| !breaks(Mutant::LeaseBlockedTargets)) {
            return Err(Refusal::TargetBusy { by });
        }
        row.token += u64::from(row.token == 0 || !breaks(Mutant::KeepTokens));
        let lease = Lease {
            agent: agent.clone(),
            operation,
            token: FencingToken(row.token),
            worker,
            expires_at: now + ttl,
            ttl,
        };
        let events = record.lease(&lease, now).map_err(|_| Refusal::Gone)?;
        (row.lease, row.handed_on) = (Some(lease.clone()), false);
        let record = record.clone();
        self.write(&agent, events, now);
        Ok((lease, record))
    }

    /// What holds for a start, said once more: no pause is about it, and it is due.
    pub(crate) fn may_start(&self, agent: &AgentId, id: OperationId, now: Timestamp) -> Result<(), String> {
        let record = self.records.get(&id);
        let kind = record.map(|record| &record.operation.kind);
        let paused = kind.is_some_and(|kind| self.paused.iter().any(|scope| scope.is_about(agent, kind)));
        let state = record.map(|record| &record.operation.state);
        match state {
            Some(OperationState::Available { at, .. }) if *at <= now && !paused => Ok(()),
            state => Err(format!("{id} of {agent} was started; paused: {paused}, {state:?}")),
        }
    }

    /// Moves the ends of the leases that are still this worker's, and says which.
    pub(crate) fn renew(&mut self, leases: &[Lease], now: Timestamp) -> Vec<FencingToken> {
        let mut survivors = vec![];
        for lease in leases {
            let row = self.agents.entry(lease.agent.clone()).or_default();
            let held = row.lease.as_mut().filter(|held| held.token == lease.token);
            if let Some(held) = held.filter(|held| held.expires_at > now) {
                held.expires_at = now + held.ttl;
                survivors.push(held.token);
            }
        }
        survivors
    }

    /// Ends the leases whose time is over.
    pub(crate) fn reap(&mut self, now: Timestamp) -> Vec<Ticket> {
        let early = match self.mutant {
            Some(Mutant::ReapEarly) => Duration::from_secs(6),
            Some(Mutant::NeverReap) => return vec![],
            _ => Duration::ZERO,
        };
        let over = |row: &mut Row| row.lease.take_if(|lease| lease.expires_at <= now + early);
        let over: Vec<Lease> = self.agents.values_mut().filter_map(over).collect();
        let mut tickets = vec![];
        for lease in over {
            let Some(record) = self.records.get_mut(&lease.operation) else { continue };
            if let Ok(events) = record.expire(now) {
                tickets.extend(record.ticket());
                self.write(&lease.agent, events, now);
            }
        }
        tickets
    }

    pub(crate) fn intend(
        &mut self,
        lease: &Lease,
        request: &IntentRequest,
        now: Timestamp,
    ) -> Result<Intent, FenceError> {
        let (lease, ends) = self.as_seen(lease);
        self.record_mut(&lease).intend(&lease, ends, request, now)
    }

    pub(crate) fn release(&mut self, intent: &Intent, now: Timestamp) -> Result<(), FenceError> {
        let (lease, ends) = self.as_seen(intent.lease());
        if self.mutant == Some(Mutant::OpenTheGateForAll) {
            return Ok(());
        }
        let request = ReleaseRequest { lease: lease.clone(), ..intent.release() };
        self.record_mut(&lease).release(&request, ends, now).map(drop)
    }

    pub(crate) fn answered(
        &mut self,
        lease: &Lease,
        effect: &EffectName,
        now: Timestamp,
    ) -> Result<(), FenceError> {
        let (lease, _) = self.as_seen(lease);
        self.record_mut(&lease).answered(&lease, effect, &[], now)
    }

    pub(crate) fn keep(
        &mut self,
        lease: &Lease,
        effect: &EffectName,
        receipt: &Receipt,
    ) -> Result<(), FenceError> {
        let (lease, _) = self.as_seen(lease);
        self.record_mut(&lease).record(&lease, effect, receipt)
    }

    pub(crate) fn checkpoint(&mut self, lease: &Lease, page: u64, now: Timestamp) -> Result<(), FenceError> {
        let (lease, _) = self.as_seen(lease);
        let step = format!("page {page}");
        let events = self.record_mut(&lease).checkpoint(&lease, &step, Some(page.into()))?;
        self.write(&lease.agent, events, now);
        Ok(())
    }

    pub(crate) fn settle(
        &mut self,
        lease: &Lease,
        disposition: &Disposition,
        now: Timestamp,
    ) -> Result<OperationRecord, FenceError> {
        let (lease, _) = self.as_seen(lease);
        if self.ignores_tokens {
            self.agents.entry(lease.agent.clone()).or_default().lease = None;
        }
        let record = self.record_mut(&lease);
        let events = record.settle(&lease, disposition, now)?;
        let record = record.clone();
        self.agents.entry(lease.agent.clone()).or_default().lease = None;
        self.write(&lease.agent, events, now);
        Ok(record)
    }

    pub(crate) fn cancel(&mut self, id: OperationId, now: Timestamp) -> Option<OperationRecord> {
        let record = self.records.get_mut(&id)?;
        let events = record.cancel("a person", now).ok()?;
        let record = record.clone();
        self.write(&record.operation.agent, events, now);
        Some(record)
    }

    pub(crate) fn resolve(
        &mut self,
        id: OperationId,
        how: &Resolution,
        now: Timestamp,
    ) -> Option<OperationRecord> {
        let record = self.records.get_mut(&id)?;
        let events = record.resolve("a person", how, now).ok()?;
        let record = record.clone();
        self.write(&record.operation.agent, events, now);
        Some(record)
    }

    pub(crate) fn pause(&mut self, scope: &PauseScope) {
        self.paused.insert(scope.clone());
    }

    pub(crate) fn resume(&mut self, scope: &PauseScope) {
        self.paused.remove(scope);
    }

    pub(crate) fn paused(&self) -> Vec<PauseScope> {
        self.paused.iter().cloned().collect()
    }

    /// What waits, of one agent or of all.
    pub(crate) fn waiting(&self, agent: Option<&AgentId>) -> Vec<Ticket> {
        let tickets = self.records.values().filter_map(OperationRecord::ticket);
        tickets.filter(|ticket| agent.is_none_or(|agent| ticket.agent == *agent)).collect()
    }

    pub(crate) fn lease_of(&self, agent: &AgentId) -> Option<&Lease> {
        self.agents.get(agent)?.lease.as_ref()
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = (&AgentId, &[Event])> {
        self.agents.iter().map(|(agent, row)| (agent, row.events.as_slice()))
    }

    /// The earliest unfinished operation of the same agent and target, if it is another one.
    pub(crate) fn blocker(&self, id: OperationId) -> Option<OperationId> {
        let own = &self.records.get(&id)?.operation;
        own.target.as_ref()?;
        let others = self.records.values().map(|record| &record.operation).filter(|other| {
            !other.is_final()
                && other.agent == own.agent
                && other.target == own.target
                && other.position < own.position
        });
        others.min_by_key(|other| other.position).map(|other| other.id)
    }

    /// Events get their place in the transaction that writes them.
    fn write(&mut self, agent: &AgentId, events: Vec<NewEvent>, now: Timestamp) {
        let log = &mut self.agents.entry(agent.clone()).or_default().events;
        for event in events {
            log.push(Event { seq: log.len() as u64 + 1, at: now, event });
        }
    }

    /// The lease as the writer has it, and when the agent's lease ends; the canary believes any writer.
    fn as_seen(&self, lease: &Lease) -> (Lease, Timestamp) {
        let held = self.lease_of(&lease.agent);
        let ends = held.map_or(Timestamp::EPOCH, |held| held.expires_at);
        match held.filter(|held| self.ignores_tokens && held.operation == lease.operation) {
            Some(held) => (held.clone(), ends),
            None => (lease.clone(), ends),
        }
    }

    fn record_mut(&mut self, lease: &Lease) -> &mut OperationRecord {
        self.records.get_mut(&lease.operation).expect("leases are given for records that exist")
    }
}
