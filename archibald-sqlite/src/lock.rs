use archibald_core::error::{FenceError, StoreError};
use archibald_core::id::{AgentId, FencingToken};
use archibald_core::lease::Lease;
use archibald_core::operation::OperationState;
use archibald_core::port::{AgentLock, LeaseError, LeaseRequest, Leased, Reaped};
use archibald_core::record::OperationRecord;
use archibald_core::scheduler::Ticket;
use async_trait::async_trait;
use rusqlite::params;

use crate::SqliteStore;
use crate::code::{execute, to_i64};
use crate::sql;
use crate::tx::{AgentRow, Tx};

#[async_trait]
impl AgentLock for SqliteStore {
    async fn lease(&self, request: &LeaseRequest) -> Result<Leased, LeaseError> {
        let request = request.clone();
        self.write(move |tx| lease(tx, request)).await
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<(AgentId, FencingToken)>, StoreError> {
        if leases.is_empty() {
            return Ok(vec![]);
        }
        let leases = leases.to_vec();
        self.write(move |tx| renew(tx, leases)).await
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), FenceError> {
        let lease = lease.clone();
        self.write(move |tx| {
            let mut record = held(tx, &lease)?;
            let events = record.hand_back(&lease, tx.now)?;
            tx.update(&record, events)?;
            Ok(tx.end_lease(&lease.agent)?)
        })
        .await
    }

    async fn revoke(&self, agent: &AgentId) -> Result<Option<Ticket>, StoreError> {
        let agent = agent.clone();
        self.write(move |tx| {
            let held = tx.agent(&agent)?.and_then(|row| row.held);
            match held {
                Some((operation, _)) => {
                    tx.wake_workers(&agent);
                    tx.expire(&agent, operation)
                }
                None => Ok(None),
            }
        })
        .await
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        self.write(|tx| {
            let mut tickets = vec![];
            for (agent, operation) in tx.leases_over(tx.now.as_micros())? {
                tickets.extend(tx.expire(&agent, operation)?);
            }
            Ok(Reaped { tickets, now: tx.now })
        })
        .await
    }
}

/// The record that a lease is about, whoever holds it by now: the record itself knows.
pub(crate) fn held(tx: &mut Tx, lease: &Lease) -> Result<OperationRecord, FenceError> {
    let record = tx.operation(&lease.agent, lease.operation)?;
    record.ok_or(FenceError::Superseded)
}

pub(crate) fn lease(tx: &mut Tx, request: LeaseRequest) -> Result<Leased, LeaseError> {
    let agent = tx.agent(&request.agent)?;
    grant(tx, request, agent)
}

/// For a holder whose own operation is over: the agent counts as free, and one lease takes the place of the
/// other.
pub(crate) fn lease_next(tx: &mut Tx, request: LeaseRequest) -> Result<Leased, LeaseError> {
    let agent = tx.agent(&request.agent)?.map(|agent| AgentRow { held: None, ..agent });
    grant(tx, request, agent)
}

/// The lease, if it was granted: a refusal is no error of what it is part of.
pub(crate) fn granted(lease: Result<Leased, LeaseError>) -> Result<Option<Leased>, StoreError> {
    match lease {
        Ok(leased) => Ok(Some(leased)),
        Err(LeaseError::Store(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

fn grant(tx: &mut Tx, request: LeaseRequest, agent: Option<AgentRow>) -> Result<Leased, LeaseError> {
    let (mut record, last_token) = grantable(tx, &request, agent)?;
    let now = tx.now;
    let lease = Lease {
        agent: request.agent,
        operation: request.operation,
        token: FencingToken(last_token + 1),
        worker: request.worker,
        expires_at: now + request.ttl,
        ttl: request.ttl,
    };
    let events = record.lease(&lease, now).map_err(|_| LeaseError::NotAvailable { due: None })?;
    let taken = params![
        lease.agent.as_str(),
        to_i64(lease.token.0),
        lease.operation.to_string(),
        lease.expires_at.as_micros(),
    ];
    execute(&tx.conn, sql::TAKE_LEASE, taken)?;
    tx.update(&record, events)?;
    Ok(Leased { lease, record, now })
}

/// The operation and the agent's last token, if nothing stands in the way.
fn grantable(
    tx: &mut Tx,
    request: &LeaseRequest,
    agent: Option<AgentRow>,
) -> Result<(OperationRecord, u64), LeaseError> {
    let Some(agent) = agent else {
        return Err(LeaseError::NotAvailable { due: None });
    };
    if let Some(why) = agent.paused {
        return Err(LeaseError::Paused { scope: request.agent.clone().into(), why });
    }
    match agent.held {
        Some((_, until)) if until > tx.now => return Err(LeaseError::Held { until }),
        Some((operation, _)) => drop(tx.expire(&request.agent, operation)?),
        None => {}
    }
    let record = tx.operation(&request.agent, request.operation)?;
    let record = record.ok_or(LeaseError::NotAvailable { due: None })?;
    if !record.is_due(tx.now) {
        let due = match record.operation.state {
            OperationState::Available { at, .. } => Some(at),
            _ => None,
        };
        return Err(LeaseError::NotAvailable { due });
    }
    if let Some((scope, why)) = tx.pause_of_kind(&record.operation.kind)? {
        return Err(LeaseError::Paused { scope, why });
    }
    match tx.earlier_on_target(&record)? {
        Some(by) => Err(LeaseError::TargetBusy { by }),
        None => Ok((record, agent.token)),
    }
}

fn renew(tx: &mut Tx, leases: Vec<Lease>) -> Result<Vec<(AgentId, FencingToken)>, StoreError> {
    let mut kept = vec![];
    for lease in leases {
        let renewed = params![
            lease.agent.as_str(),
            to_i64(lease.token.0),
            lease.operation.to_string(),
            (tx.now + lease.ttl).as_micros(),
            tx.now.as_micros(),
        ];
        if execute(&tx.conn, sql::RENEW_LEASE, renewed)? == 1 {
            kept.push((lease.agent, lease.token));
        }
    }
    Ok(kept)
}
