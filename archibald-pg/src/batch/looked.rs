//! Calls that are decided from what was only looked at, and written if it is still so: statements that are transactions
//! by themselves, two or, where something is accepted, three; who locks first has as many and the beginning and the end
//! of a transaction besides.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::time::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{Batch, Locks, Seen, named};
use crate::call::{Job, Needs};
use crate::codec::At;
use crate::columns::GroupWrite;
use crate::records::{agent_row, decode_of};
use crate::sql::Sql;
use crate::tx::{Effects, Stop, TxError, unless_refused};
use crate::writes::{Candidate, Encoded, LogPlace};

/// Whether a call can be decided from a look: what else there is takes statements of its own.
pub(crate) fn fits(needs: &Needs<'_>) -> bool {
    needs.rows.is_empty() && needs.pending_order.is_none() && needs.creates.is_none()
}

/// What calls come to, by what was looked at.
pub(crate) struct Looked {
    decided: Vec<Option<Effects>>,
    writes: GroupWrite,
}

impl Looked {
    /// Decides calls, of one agent each, that fit. An error is of all of them, and nothing has happened.
    pub(crate) async fn at(
        sql: &Sql,
        connection: &mut PgConnection,
        jobs: &mut [Box<dyn Job>],
    ) -> Result<Self, Stop<StoreError>> {
        let mut batch = Batch { tx: connection, sql, locks: Locks::Free, now: Timestamp::EPOCH };
        let (mut seen, versions) = batch.look(jobs).await?;
        let (mut decided, mut writes) = (vec![], GroupWrite::default());
        for job in jobs {
            let encoded = decide(job.as_mut(), &mut seen, batch.now);
            decided.push(encoded.map(|encoded| {
                let effects = Effects::of(&encoded);
                versions.expect(job.as_ref(), encoded.agent.is_some(), &mut writes);
                writes.add(job.agent(), encoded);
                effects
            }));
        }
        Ok(Self { decided, writes })
    }

    /// Writes it, all or nothing. `None` of those calls that have to lock what they need: somebody else changes it or has
    /// changed it since, it is not there yet, or the rules refuse the call, which only what is locked may decide. An
    /// error is of all of them.
    pub(crate) async fn write(
        self,
        sql: &Sql,
        connection: &mut PgConnection,
    ) -> Result<Vec<Option<Effects>>, Stop<StoreError>> {
        let Self { decided, writes } = self;
        if decided.iter().all(Option::is_none) {
            return Ok(decided);
        }
        let written = writes.bind(&sql.group_write).fetch_one(connection).await.map_err(unless_refused)?;
        if written.try_get(0).map_err(Stop::Unknown)? {
            return Ok(decided);
        }
        Ok(decided.into_iter().map(|_| None).collect())
    }
}

fn decide(job: &mut dyn Job, seen: &mut Seen, now: Timestamp) -> Option<Encoded> {
    let needs = job.needs();
    let is_over =
        seen.agents.get(job.agent()).is_some_and(|agent| agent.ends.is_some_and(|ends| ends <= now));
    if is_over || seen.pending_order(job.agent(), &needs).is_some() {
        return None;
    }
    let found = seen.found(job, Locks::Free, now, false)?;
    // A bug in the rules of one call: it is that call's alone, which meets it again by itself.
    let encoded = catch_unwind(AssertUnwindSafe(|| job.decide(found))).ok()??;
    let is_more =
        !encoded.rows_written.is_empty() || !encoded.rows_removed.is_empty() || !encoded.evidence.is_empty();
    (!is_more && encoded.pending_order.is_none()).then_some(encoded)
}

/// Which versions of rows were looked at.
#[derive(Default)]
struct Versions {
    agents: HashMap<AgentId, String>,
    operations: HashMap<OperationId, String>,
    streams: HashMap<AgentId, String>,
}

impl Versions {
    /// Has what is written depend on all that its call needed, and on the agent's lease row where that is written.
    fn expect(&self, job: &dyn Job, takes_agent: bool, writes: &mut GroupWrite) {
        let (agent, needs) = (job.agent(), job.needs());
        let of_agent = self.agents.get(agent).filter(|_| needs.agent || takes_agent);
        writes.agents_seen.extend(of_agent.map(|version| (agent.to_string(), version.clone())));
        let operations = needs.operation.into_iter().chain(needs.next);
        let operations = operations.filter_map(|id| Some((id.0, self.operations.get(&id)?.clone())));
        writes.operations_seen.extend(operations);
        let of_stream = self.streams.get(agent).filter(|_| needs.stream);
        writes.streams_seen.extend(of_stream.map(|version| (agent.to_string(), version.clone())));
    }
}

impl Batch<'_> {
    /// Everything that the calls need, all as it was at one moment; what may stand in the way of a new operation is
    /// looked at a moment later, and changes only together with its agent's counter.
    async fn look(&mut self, jobs: &[Box<dyn Job>]) -> Result<(Seen, Versions), TxError> {
        let (mut seen, mut versions) = (Seen::default(), Versions::default());
        let all: Vec<_> = jobs.iter().map(|job| (job.agent().clone(), job.needs())).collect();
        let id = |id: Option<OperationId>| id.map(|id| id.0);
        let query = self
            .sql
            .group_look
            .query()
            .bind(all.iter().map(|(agent, _)| agent.to_string()).collect::<Vec<_>>())
            .bind(all.iter().map(|(_, needs)| id(needs.operation)).collect::<Vec<_>>())
            .bind(all.iter().map(|(_, needs)| needs.blocker).collect::<Vec<_>>())
            .bind(all.iter().map(|(_, needs)| id(needs.next)).collect::<Vec<_>>());
        for row in query.fetch_all(&mut *self.tx).await? {
            self.now = self.now.max(row.try_get::<At, _>("now")?.0);
            seen.add(&row, &mut versions)?;
        }
        let all = self.still_open(all, |agent, needs| seen.has(agent, needs));
        self.look_for_standing(&all, &mut seen).await?;
        Ok((seen, versions))
    }
}

impl Seen {
    fn add(&mut self, row: &PgRow, versions: &mut Versions) -> Result<(), TxError> {
        let agent = named(row.try_get("agent")?)?;
        if let Some(version) = row.try_get("agent_version")? {
            versions.agents.insert(agent.clone(), version);
            self.agents.insert(agent.clone(), agent_row(row)?);
        }
        let this = ["this_version", "this_payload", "this_record", "this_blocker"];
        let next = ["next_version", "next_payload", "next_record", "next_blocker"];
        for [version, payload, record, blocker] in [this, next] {
            let Some(version) = row.try_get::<Option<String>, _>(version)? else { continue };
            let Some(record) = decode_of(row, payload, record)? else { continue };
            let blocker = row.try_get::<Option<Uuid>, _>(blocker)?.map(OperationId);
            versions.operations.insert(record.operation.id, version);
            self.operations.insert((agent.clone(), record.operation.id), Candidate { record, blocker });
        }
        if let Some(version) = row.try_get("stream_version")? {
            versions.streams.insert(agent.clone(), version);
            self.streams.insert(agent, LogPlace::of(row)?);
        }
        Ok(())
    }
}
