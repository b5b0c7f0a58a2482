use archibald_core::error::{FenceError, StoreError};
use archibald_core::id::{AgentId, FencingToken};
use archibald_core::lease::Lease;
use archibald_core::operation::OperationState;
use archibald_core::pause::Pause;
use archibald_core::port::{AgentLock, LeaseError, LeaseRequest, Leased, Reaped};
use archibald_core::record::OperationRecord;
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use async_trait::async_trait;

use super::{Agent, MemoryStore, State};

#[async_trait]
impl AgentLock for MemoryStore {
    async fn lease(&self, request: &LeaseRequest) -> Result<Leased, LeaseError> {
        self.write(|state, now| lease(state, request, now))
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<(AgentId, FencingToken)>, StoreError> {
        self.write(|state, now| {
            let mut kept = vec![];
            for lease in leases {
                let Some(agent) = state.agents.get_mut(&lease.agent) else { continue };
                if !agent.holds(lease, now) {
                    continue;
                }
                if let Some(held) = agent.held.as_mut() {
                    held.expires_at = now + lease.ttl;
                    kept.push((lease.agent.clone(), lease.token));
                }
            }
            Ok(kept)
        })
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), FenceError> {
        self.write(|state, now| {
            let agent = state.agent(&lease.agent);
            let mut record = agent.by_id(lease.operation).cloned().ok_or(FenceError::Superseded)?;
            let events = record.hand_back(lease, now)?;
            agent.held = None;
            state.write(record, events, now);
            state.wake_workers(&lease.agent);
            Ok(())
        })
    }

    async fn revoke(&self, agent: &AgentId) -> Result<Option<Ticket>, StoreError> {
        self.write(|state, now| {
            state.expire(agent, now).map_err(|error| StoreError::damaged("a held agent", error))
        })
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        self.write(|state, now| {
            let over = state.agents.iter().filter(|(_, agent)| agent.is_over(now));
            let agents: Vec<_> = over.map(|(id, _)| id.clone()).collect();
            let mut tickets = vec![];
            for agent in agents {
                let ticket = state.expire(&agent, now);
                tickets.extend(ticket.map_err(|error| StoreError::damaged("a held agent", error))?);
            }
            Ok(Reaped { tickets, now })
        })
    }
}

pub(super) fn lease(state: &mut State, request: &LeaseRequest, now: Timestamp) -> Result<Leased, LeaseError> {
    let mut record = grantable(state, request, now)?;
    let agent = state.agent(&request.agent);
    let lease = Lease {
        agent: request.agent.clone(),
        operation: request.operation,
        token: FencingToken(agent.token + 1),
        worker: request.worker.clone(),
        expires_at: now + request.ttl,
        ttl: request.ttl,
    };
    let events = record.lease(&lease, now).map_err(|_| LeaseError::NotAvailable { due: None })?;
    agent.token = lease.token.0;
    agent.held = Some(lease.clone());
    state.write(record.clone(), events, now);
    Ok(Leased { lease, record, now })
}

/// The operation, if nothing stands in its way.
fn grantable(
    state: &mut State,
    request: &LeaseRequest,
    now: Timestamp,
) -> Result<OperationRecord, LeaseError> {
    let agent = state.agent(&request.agent);
    let kind = agent.by_id(request.operation).map(|record| record.operation.kind.clone());
    if let Some(Pause { scope, why, .. }) = kind.and_then(|kind| state.pause_of(&request.agent, &kind)) {
        return Err(LeaseError::Paused { scope: scope.clone(), why: why.clone() });
    }
    let agent = state.agent(&request.agent);
    match &agent.held {
        Some(held) if held.expires_at > now => {
            return Err(LeaseError::Held { until: held.expires_at });
        }
        Some(_) => {
            let ended = state.expire(&request.agent, now);
            ended.map_err(|error| StoreError::damaged("a held agent", error))?;
        }
        None => {}
    }
    let agent = state.agent(&request.agent);
    let record = agent.by_id(request.operation).ok_or(LeaseError::NotAvailable { due: None })?;
    if !record.is_due(now) {
        let due = match record.operation.state {
            OperationState::Available { at, .. } => Some(at),
            _ => None,
        };
        return Err(LeaseError::NotAvailable { due });
    }
    match earlier_with_same_target(agent, record) {
        Some(first) => Err(LeaseError::TargetBusy { by: first.operation.id }),
        None => Ok(record.clone()),
    }
}

fn earlier_with_same_target<'a>(agent: &'a Agent, record: &OperationRecord) -> Option<&'a OperationRecord> {
    let earlier = agent.unfinished.range(..record.operation.position);
    let mut earlier = earlier.filter_map(|position| agent.operations.get(position));
    earlier.find(|other| other.goes_before(record))
}
