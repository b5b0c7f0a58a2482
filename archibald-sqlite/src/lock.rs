use archibald_core::error::{FenceError, StoreError};
use archibald_core::id::{AgentId, FencingToken};
use archibald_core::lease::Lease;
use archibald_core::operation::OperationState;
use archibald_core::port::{AgentLock, LeaseError, LeaseRequest, Leased, Reaped};
use archibald_core::record::OperationRecord;
use archibald_core::scheduler::Ticket;
use async_trait::async_trait;

use crate::SqliteStore;
use crate::code::{failed, to_i64};
use crate::sql;
use crate::tx::Tx;

#[async_trait]
impl AgentLock for SqliteStore {
    async fn lease(&self, request: &LeaseRequest) -> Result<Leased, LeaseError> {
        let request = request.clone();
        self.write(move |tx| Box::pin(lease(tx, request))).await
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<(AgentId, FencingToken)>, StoreError> {
        if leases.is_empty() {
            return Ok(vec![]);
        }
        let leases = leases.to_vec();
        self.write(move |tx| Box::pin(renew(tx, leases))).await
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), FenceError> {
        let lease = lease.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let mut record = held(tx, &lease).await?;
                let events = record.hand_back(&lease, tx.now)?;
                tx.update(&record, events).await?;
                Ok(tx.end_lease(&lease.agent).await?)
            })
        })
        .await
    }

    async fn revoke(&self, agent: &AgentId) -> Result<Option<Ticket>, StoreError> {
        let agent = agent.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let held = tx.agent(&agent).await?.and_then(|row| row.held);
                match held {
                    Some((operation, _)) => {
                        tx.wake_workers(&agent);
                        tx.expire(&agent, operation).await
                    }
                    None => Ok(None),
                }
            })
        })
        .await
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        self.write(|tx| {
            Box::pin(async move {
                let mut tickets = vec![];
                for (agent, operation) in tx.leases_over(tx.now.as_micros()).await? {
                    tickets.extend(tx.expire(&agent, operation).await?);
                }
                Ok(Reaped { tickets, now: tx.now })
            })
        })
        .await
    }
}

/// The record that a lease is about, whoever holds it by now: the record itself knows.
pub(crate) async fn held(tx: &mut Tx, lease: &Lease) -> Result<OperationRecord, FenceError> {
    let record = tx.operation(&lease.agent, lease.operation).await?;
    record.ok_or(FenceError::Superseded)
}

pub(crate) async fn lease(tx: &mut Tx, request: LeaseRequest) -> Result<Leased, LeaseError> {
    let (mut record, last_token) = grantable(tx, &request).await?;
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
    let query = sqlx::query(sql::TAKE_LEASE)
        .bind(lease.agent.as_str())
        .bind(to_i64(lease.token.0))
        .bind(lease.operation.to_string())
        .bind(lease.expires_at.as_micros());
    query.execute(&mut tx.conn).await.map_err(failed)?;
    tx.update(&record, events).await?;
    Ok(Leased { lease, record, now })
}

/// The operation and the agent's last token, if nothing stands in the way.
async fn grantable(tx: &mut Tx, request: &LeaseRequest) -> Result<(OperationRecord, u64), LeaseError> {
    let Some(agent) = tx.agent(&request.agent).await? else {
        return Err(LeaseError::NotAvailable { due: None });
    };
    if let Some(why) = agent.paused {
        return Err(LeaseError::Paused { scope: request.agent.clone().into(), why });
    }
    match agent.held {
        Some((_, until)) if until > tx.now => return Err(LeaseError::Held { until }),
        Some((operation, _)) => drop(tx.expire(&request.agent, operation).await?),
        None => {}
    }
    let record = tx.operation(&request.agent, request.operation).await?;
    let record = record.ok_or(LeaseError::NotAvailable { due: None })?;
    if !record.is_due(tx.now) {
        let due = match record.operation.state {
            OperationState::Available { at, .. } => Some(at),
            _ => None,
        };
        return Err(LeaseError::NotAvailable { due });
    }
    if let Some((scope, why)) = tx.pause_of_kind(&record.operation.kind).await? {
        return Err(LeaseError::Paused { scope, why });
    }
    match tx.earlier_on_target(&record).await? {
        Some(by) => Err(LeaseError::TargetBusy { by }),
        None => Ok((record, agent.token)),
    }
}

async fn renew(tx: &mut Tx, leases: Vec<Lease>) -> Result<Vec<(AgentId, FencingToken)>, StoreError> {
    let mut kept = vec![];
    for lease in leases {
        let query = sqlx::query(sql::RENEW_LEASE)
            .bind(lease.agent.as_str())
            .bind(to_i64(lease.token.0))
            .bind(lease.operation.to_string())
            .bind((tx.now + lease.ttl).as_micros())
            .bind(tx.now.as_micros());
        if query.execute(&mut tx.conn).await.map_err(failed)?.rows_affected() == 1 {
            kept.push((lease.agent, lease.token));
        }
    }
    Ok(kept)
}
