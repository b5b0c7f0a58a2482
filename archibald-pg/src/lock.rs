use std::collections::BTreeSet;

use archibald_core::error::{FenceError, StoreError};
use archibald_core::event::NewEvent;
use archibald_core::id::{AgentId, FencingToken};
use archibald_core::lease::Lease;
use archibald_core::operation::OperationState;
use archibald_core::port::{AgentLock, LeaseError, LeaseRequest, Leased, Reaped};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use futures::FutureExt;
use sqlx::{PgConnection, Row};

use crate::call::{Ask, Needs};
use crate::codec::{At, to_i64, to_u64};
use crate::records::{AgentRow, Locked};
use crate::sql::Sql;
use crate::store::{PgStore, UNANSWERED};
use crate::tx::{How, Reads, Runs, Stop, Tx, Wait};
use crate::writes::{Candidate, Found, Holder, Writes};

/// No lease is longer: a hundred years.
const LONGEST_MICROS: u64 = 100 * 366 * 24 * 3600 * 1_000_000;

#[async_trait]
impl AgentLock for PgStore {
    async fn lease(&self, request: &LeaseRequest) -> Result<Leased, LeaseError> {
        loop {
            let ask = Ask {
                arguments: request.clone(),
                needs: |request| Needs {
                    agent: true,
                    operation: Some(request.operation),
                    blocker: true,
                    stream: true,
                    ..Needs::default()
                },
                decide: lease,
            };
            match self.call(How::once("leasing an operation"), &request.agent, ask).await {
                Ok(leased) => return Ok(leased),
                Err(NoLease::Refused(error)) => return Err(error),
                // In a transaction of its own, which stands whatever becomes of the lease.
                Err(NoLease::OneIsOver) => self.expire(&request.agent, Wait::Bounded).await?,
            };
        }
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<(AgentId, FencingToken)>, StoreError> {
        if leases.is_empty() {
            return Ok(vec![]);
        }
        let asked = leases.to_vec();
        let Renewed { mut kept, noted } = self
            .read_as(Reads::within(UNANSWERED), "renewing leases", asked, |conn, sql, leases| {
                renew(conn, sql, leases).boxed()
            })
            .await?;
        if !noted.agents.is_empty() {
            // In a transaction of its own: what was noted has to be committed before anybody else's look at it.
            let still_held =
                self.read_as(Reads::within(UNANSWERED), "renewing leases", noted, |conn, sql, noted| {
                    renew_noted(conn, sql, noted).boxed()
                });
            kept.extend(still_held.await?);
        }
        let kept: BTreeSet<_> = kept.into_iter().collect();
        let (kept, lost): (Vec<_>, Vec<_>) =
            leases.iter().partition(|lease| kept.contains(&(lease.agent.to_string(), lease.token)));
        lost.iter().for_each(|lease| self.inner.hub.ended(&lease.agent, lease.operation));
        Ok(kept.into_iter().map(|lease| (lease.agent.clone(), lease.token)).collect())
    }

    async fn hand_back(&self, lease: &Lease) -> Result<(), FenceError> {
        let ask = Ask {
            arguments: lease.clone(),
            needs: |lease| Needs { stream: true, ..Needs::of(lease) },
            decide: hand_back,
        };
        self.call(How::once("handing back a lease"), &lease.agent, ask).await
    }

    async fn revoke(&self, agent: &AgentId) -> Result<Option<Ticket>, StoreError> {
        self.write(How::repeatable("taking a lease away"), agent, (), |tx, ()| end_lease(tx, false).boxed())
            .await
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        let (now, ended) = self
            .read_as(Reads::within(UNANSWERED), "looking for ended leases", (), |conn, sql, ()| {
                ended(conn, sql).boxed()
            })
            .await?;
        let mut tickets = vec![];
        for agent in ended {
            match self.expire(&agent, Wait::No).await {
                Ok(ticket) => tickets.extend(ticket),
                // One agent's trouble is not another's: the next sweep looks at it again.
                Err(error) => tracing::warn!(%agent, %error, "an ended lease could not be taken back"),
            }
        }
        Ok(Reaped { tickets, now })
    }
}

/// Why there is no lease yet.
enum NoLease {
    Refused(LeaseError),
    /// A lease of the agent has ended and has to be taken back first.
    OneIsOver,
}

impl From<StoreError> for NoLease {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<LeaseError> for NoLease {
    fn from(error: LeaseError) -> Self {
        Self::Refused(error)
    }
}

impl PgStore {
    /// Ends the agent's lease if its time is over. Returns what became available by it.
    async fn expire(&self, agent: &AgentId, wait: Wait) -> Result<Option<Ticket>, StoreError> {
        let how = How::repeatable("taking back a lease").waiting(wait);
        self.write(how, agent, (), |tx, ()| end_lease(tx, true).boxed()).await
    }
}

fn lease(request: &LeaseRequest, found: Found) -> Result<(Leased, Writes), NoLease> {
    let agent = found.agent.ok_or(LeaseError::NotAvailable { due: None })?;
    match agent.ends.filter(|_| agent.operation.is_some() && agent.paused.is_none()) {
        Some(until) if until > found.now => return Err(LeaseError::Held { until }.into()),
        Some(_) => return Err(NoLease::OneIsOver),
        None => {}
    }
    let (leased, events) = grant(request, agent, found.operation, found.now)?;
    let writes = Writes {
        next: Some(leased.record.clone()),
        agent: Some(Holder::Is(leased.lease.clone())),
        runs: Some(Runs::Started(request.operation)),
        events,
        ..Writes::default()
    };
    Ok((leased, writes))
}

/// The lease of a free agent, if nothing stands in the way of the operation.
pub(crate) fn grant(
    request: &LeaseRequest,
    agent: AgentRow,
    wanted: Option<Candidate>,
    now: Timestamp,
) -> Result<(Leased, Vec<NewEvent>), LeaseError> {
    let unknown = || LeaseError::NotAvailable { due: None };
    let kind = wanted.as_ref().map(|wanted| &wanted.record.operation.kind);
    if let Some((scope, why)) = agent.pause_of(&request.agent, kind) {
        return Err(LeaseError::Paused { scope, why });
    }
    let Candidate { mut record, blocker } = wanted.ok_or_else(unknown)?;
    if !record.is_due(now) {
        return Err(LeaseError::NotAvailable { due: due(&record.operation.state) });
    }
    if let Some(by) = blocker {
        return Err(LeaseError::TargetBusy { by });
    }
    let lease = Lease {
        agent: request.agent.clone(),
        operation: request.operation,
        token: FencingToken(agent.token + 1),
        worker: request.worker.clone(),
        expires_at: now + request.ttl,
        ttl: request.ttl,
    };
    let events = record.lease(&lease, now).map_err(|_| unknown())?;
    Ok((Leased { lease, record, now }, events))
}

fn due(state: &OperationState) -> Option<Timestamp> {
    match state {
        OperationState::Available { at, .. } => Some(*at),
        _ => None,
    }
}

fn hand_back(lease: &Lease, mut found: Found) -> Result<((), Writes), FenceError> {
    let (mut record, _) = found.held(lease)?;
    let events = record.hand_back(lease, found.now)?;
    let writes = Writes {
        saved: Some(record),
        agent: Some(Holder::Nobody),
        runs: Some(Runs::Ended(lease.operation)),
        wakes_workers: true,
        events,
        ..Writes::default()
    };
    Ok(((), writes))
}

async fn end_lease(tx: &mut Tx<'_>, only_if_over: bool) -> Result<Option<Ticket>, Stop<StoreError>> {
    let Some(agent) = tx.lock_agent().await? else { return Ok(None) };
    let (Some(operation), Some(ends)) = (agent.operation, agent.ends) else { return Ok(None) };
    if only_if_over && ends > agent.now {
        return Ok(None);
    }
    tx.free_agent().await?;
    (tx.wakes_workers, tx.runs) = (true, Some(Runs::Ended(operation)));
    let Some(Locked { mut record, now }) = tx.lock_operation(operation).await? else { return Ok(None) };
    let events = record.expire(now).map_err(|error| StoreError::damaged("what a held agent runs", error))?;
    tx.save(&record).await?;
    tx.emit(&events, now).await?;
    Ok(record.ticket())
}

/// Leases that go on, and those of which that is not certain yet because their row was locked.
#[derive(Default)]
struct Renewed {
    kept: Vec<(String, FencingToken)>,
    noted: Noted,
}

#[derive(Default)]
struct Noted {
    agents: Vec<String>,
    tokens: Vec<i64>,
    before: Vec<At>,
}

/// See `sql/renew.sql`. Renewing twice is fine, and so this may be tried again.
async fn renew(conn: &mut PgConnection, sql: &Sql, leases: &[Lease]) -> Result<Renewed, Stop<StoreError>> {
    let micros = |lease: &Lease| to_i64((lease.ttl.as_micros().min(LONGEST_MICROS.into())) as u64);
    let query = sql
        .renew
        .query()
        .bind(leases.iter().map(|lease| lease.agent.to_string()).collect::<Vec<_>>())
        .bind(leases.iter().map(|lease| lease.operation.0).collect::<Vec<_>>())
        .bind(leases.iter().map(|lease| to_i64(lease.token.0)).collect::<Vec<_>>())
        .bind(leases.iter().map(micros).collect::<Vec<_>>());
    let mut renewed = Renewed::default();
    for row in query.fetch_all(conn).await? {
        let (agent, token): (String, i64) = (row.try_get("agent")?, row.try_get("token")?);
        match row.try_get::<Option<At>, _>("before")? {
            None => renewed.kept.push((agent, FencingToken(to_u64(token)))),
            Some(before) => {
                renewed.noted.agents.push(agent);
                renewed.noted.tokens.push(token);
                renewed.noted.before.push(before);
            }
        }
    }
    Ok(renewed)
}

/// Those of the noted that nobody has taken meanwhile: see `sql/renew_noted.sql`.
async fn renew_noted(
    conn: &mut PgConnection,
    sql: &Sql,
    noted: &Noted,
) -> Result<Vec<(String, FencingToken)>, Stop<StoreError>> {
    let query = sql.renew_noted.query_as().bind(&noted.agents).bind(&noted.tokens).bind(&noted.before);
    let held: Vec<(String, i64)> = query.fetch_all(conn).await?;
    Ok(held.into_iter().map(|(agent, token)| (agent, FencingToken(to_u64(token)))).collect())
}

async fn ended(conn: &mut PgConnection, sql: &Sql) -> Result<(Timestamp, Vec<AgentId>), Stop<StoreError>> {
    let (now, agents): (At, Vec<String>) = sql.ended.query_as().fetch_one(conn).await?;
    let named = |agent| AgentId::new(agent).map_err(|error| StoreError::damaged("a held agent", error));
    Ok((now.0, agents.into_iter().map(named).collect::<Result<_, StoreError>>()?))
}
