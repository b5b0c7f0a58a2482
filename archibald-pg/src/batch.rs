//! One transaction for the calls of several agents: lock, load, decide, write, commit.

mod looked;
#[cfg(test)]
mod looked_tests;
mod pending_orders;

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, Collection, OperationId};
use archibald_core::operation::{Class, NewOperation};
use archibald_core::pending_order::PendingOrder;
use archibald_core::record::LocalRow;
use archibald_core::time::Timestamp;
use serde_json::Value;
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

pub(crate) use self::looked::{Looked, fits};
use crate::call::{Job, Needs};
use crate::codec::{At, from_json, printable, to_i64, to_u64};
use crate::columns::GroupWrite;
use crate::records::{AgentRow, agent_row, decode, decode_of};
use crate::sql::{Sql, Statement};
use crate::store::Inner;
use crate::tx::{Effects, Stop, TxError, unless_refused};
use crate::writes::{Candidate, Encoded, Found, LogPlace, Place, Standing};

/// What becomes of a row that somebody else has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locks {
    /// Its call is left out.
    Free,
    /// It is waited for.
    Waited,
}

/// What became of a call.
pub(crate) enum Outcome {
    /// It has its answer, and this is to be told.
    Decided(Effects),
    /// Nothing: somebody else has locked what it needs.
    Blocked,
}

/// Carries out calls, of one agent each, in one transaction. An error is of all of them.
pub(crate) async fn transact(
    inner: &Inner,
    connection: &mut PgConnection,
    locks: Locks,
    jobs: &mut [Box<dyn Job>],
    maybe_done_before: bool,
) -> Result<Vec<Outcome>, Stop<StoreError>> {
    let begin = match locks {
        Locks::Free => inner.begin_in_passing.clone(),
        Locks::Waited => inner.begin.clone(),
    };
    let mut tx = connection.begin_with(begin).await?;
    let outcomes = carry_out(&inner.sql, &mut tx, locks, jobs, maybe_done_before).await?;
    tx.commit().await.map_err(unless_refused)?;
    Ok(outcomes)
}

/// The same in a transaction that somebody else began and ends.
pub(crate) async fn carry_out(
    sql: &Sql,
    tx: &mut PgConnection,
    locks: Locks,
    jobs: &mut [Box<dyn Job>],
    maybe_done_before: bool,
) -> Result<Vec<Outcome>, Stop<StoreError>> {
    let mut batch = Batch { tx, sql, locks, now: Timestamp::EPOCH };
    let mut seen = batch.see(jobs).await?;
    let (mut outcomes, mut writes) = (vec![], vec![]);
    for job in jobs {
        let Some(found) = seen.found(job.as_ref(), locks, batch.now, maybe_done_before) else {
            outcomes.push(Outcome::Blocked);
            continue;
        };
        // A bug in the rules of one call: alone, it is that call's alone.
        let decided = catch_unwind(AssertUnwindSafe(|| job.decide(found)));
        let decided = match decided {
            Ok(decided) => decided,
            Err(_) if locks == Locks::Free => {
                outcomes.push(Outcome::Blocked);
                continue;
            }
            Err(panic) => resume_unwind(panic),
        };
        outcomes.push(Outcome::Decided(decided.as_ref().map(Effects::of).unwrap_or_default()));
        writes.extend(decided.map(|encoded| (job.agent().clone(), encoded)));
    }
    batch.write(writes).await?;
    Ok(outcomes)
}

struct Batch<'a> {
    tx: &'a mut PgConnection,
    sql: &'a Sql,
    locks: Locks,
    /// The latest that the database said after a lock.
    now: Timestamp,
}

/// What is locked and loaded, by agent.
#[derive(Default)]
struct Seen {
    agents: HashMap<AgentId, AgentRow>,
    /// Of their own agents alone, whoever asks.
    operations: HashMap<(AgentId, OperationId), Candidate>,
    streams: HashMap<AgentId, LogPlace>,
    standing: HashMap<AgentId, Standing>,
    rows: HashMap<AgentId, BTreeMap<Place, Value>>,
    pending_orders: HashMap<AgentId, PendingOrder>,
    open_pending_orders: HashMap<AgentId, u64>,
}

impl Seen {
    /// Whether a call has all that it needs of those things that are locked; what is not there is not locked
    /// either, which is only known of what was waited for.
    fn has(&self, agent: &AgentId, needs: &Needs<'_>) -> bool {
        (!needs.agent || self.agents.contains_key(agent))
            && self.has_operation(agent, needs)
            && (!needs.stream || self.streams.contains_key(agent))
    }

    fn has_operation(&self, agent: &AgentId, needs: &Needs<'_>) -> bool {
        needs.operation.is_none_or(|id| self.operations.contains_key(&(agent.clone(), id)))
    }

    /// What is unfinished of the agent is counted where there may be too much for a new one, or nothing beside one that
    /// is to be leased: what runs is not in the queue.
    fn count_up_to(&self, new: &NewOperation, leases_new: bool) -> Option<i64> {
        let queued = self.streams.get(&new.agent).map_or(0, |place| place.queued);
        let may_be_none = leases_new && queued == 0;
        (may_be_none || queued + 1 >= new.queue_limit).then(|| to_i64(new.queue_limit))
    }

    /// Everything of one call; `None` where it is left out.
    fn found(
        &mut self,
        job: &dyn Job,
        locks: Locks,
        now: Timestamp,
        maybe_done_before: bool,
    ) -> Option<Found> {
        let (agent, needs) = (job.agent(), job.needs());
        if locks == Locks::Free && !self.has(agent, &needs) {
            return None;
        }
        Some(Found {
            agent: self.agents.remove(agent),
            operation: needs.operation.and_then(|id| self.operations.remove(&(agent.clone(), id))),
            next: needs.next.and_then(|id| self.operations.remove(&(agent.clone(), id))),
            standing: self.standing.remove(agent).unwrap_or_default(),
            rows: self.rows.remove(agent).unwrap_or_default(),
            pending_order: self.pending_orders.remove(agent),
            open_pending_orders: self.open_pending_orders.remove(agent).unwrap_or_default(),
            place: self.streams.remove(agent),
            now,
            maybe_done_before,
        })
    }
}

/// In the order of locks; who is left out by one is not asked for in the next.
impl Batch<'_> {
    async fn see(&mut self, jobs: &[Box<dyn Job>]) -> Result<Seen, TxError> {
        let mut seen = Seen::default();
        let all: Vec<_> = jobs.iter().map(|job| (job.agent().clone(), job.needs())).collect();
        self.lock_agents(&all, &mut seen).await?;
        let all = self.still_open(all, |agent, needs| !needs.agent || seen.agents.contains_key(agent));
        self.lock_operations(&all, &mut seen).await?;
        let all = self.still_open(all, |agent, needs| seen.has_operation(agent, needs));
        self.lock_streams(&all, &mut seen).await?;
        let all = self.still_open(all, |agent, needs| !needs.stream || seen.streams.contains_key(agent));
        self.look_for_standing(&all, &mut seen).await?;
        self.read_rows(&all, &mut seen).await?;
        self.read_pending_orders(&all, &mut seen).await?;
        self.look_for_keys(&all, &mut seen).await?;
        Ok(seen)
    }

    fn still_open<'n>(
        &self,
        mut all: Vec<(AgentId, Needs<'n>)>,
        is_open: impl Fn(&AgentId, &Needs<'n>) -> bool,
    ) -> Vec<(AgentId, Needs<'n>)> {
        all.retain(|(agent, needs)| self.locks == Locks::Waited || is_open(agent, needs));
        all
    }

    async fn lock_agents(&mut self, all: &[(AgentId, Needs<'_>)], seen: &mut Seen) -> Result<(), TxError> {
        let needed = names(all.iter().filter(|(_, needs)| needs.agent));
        let text = self.choose(&self.sql.group_agents, &self.sql.group_agents_waited);
        self.lock_agents_by(text, needed, seen).await?;
        let wanted = names(all.iter().filter(|(_, needs)| needs.leases_new));
        self.lock_agents_by(&self.sql.group_agents, wanted, seen).await
    }

    async fn lock_agents_by(
        &mut self,
        text: &Statement,
        agents: Vec<String>,
        seen: &mut Seen,
    ) -> Result<(), TxError> {
        if agents.is_empty() {
            return Ok(());
        }
        for row in text.query().bind(agents).fetch_all(&mut *self.tx).await? {
            let (name, mut agent) = (named(row.try_get("agent")?)?, agent_row(&row)?);
            if agent.ends.is_some_and(|ends| ends <= agent.now) {
                let renewed = self.sql.renewed_until.query_scalar();
                let renewed = renewed.bind(name.to_string()).bind(to_i64(agent.token));
                let latest: Option<At> = renewed.fetch_one(&mut *self.tx).await?;
                agent.ends = agent.ends.max(latest.map(|at| at.0));
            }
            self.now = self.now.max(agent.now);
            seen.agents.insert(name, agent);
        }
        Ok(())
    }

    async fn lock_operations(
        &mut self,
        all: &[(AgentId, Needs<'_>)],
        seen: &mut Seen,
    ) -> Result<(), TxError> {
        let (mut ids, mut agents, mut ask) = (vec![], vec![], vec![]);
        for (agent, needs) in all {
            let this = needs.operation.map(|id| (id, needs.blocker));
            let next = needs.next.map(|id| (id, true));
            for (id, asks) in this.into_iter().chain(next) {
                ids.push(id.0);
                agents.push(agent.to_string());
                ask.push(asks);
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        let text = self.choose(&self.sql.group_operations, &self.sql.group_operations_waited);
        let query = text.query().bind(ids).bind(agents).bind(ask);
        for row in query.fetch_all(&mut *self.tx).await? {
            let blocker = row.try_get::<Option<Uuid>, _>("blocker")?.map(OperationId);
            self.now = self.now.max(row.try_get::<At, _>("now")?.0);
            let record = decode(&row)?;
            let whose = (record.operation.agent.clone(), record.operation.id);
            seen.operations.insert(whose, Candidate { record, blocker });
        }
        Ok(())
    }

    async fn lock_streams(&mut self, all: &[(AgentId, Needs<'_>)], seen: &mut Seen) -> Result<(), TxError> {
        let agents = names(all.iter().filter(|(_, needs)| needs.stream));
        if agents.is_empty() {
            return Ok(());
        }
        self.try_lock_streams(&agents, seen).await?;
        let is_new = |needs: &Needs<'_>| needs.accept.is_some() || needs.creates.is_some();
        let new = all.iter().filter(|(agent, needs)| is_new(needs) && !seen.streams.contains_key(agent));
        let (new, leased): (Vec<_>, Vec<_>) =
            new.map(|(agent, needs)| (agent.to_string(), needs.leases_new)).unzip();
        if new.is_empty() {
            return Ok(());
        }
        // In the order of locks: who has a counter has a lease row.
        self.sql.agent_make.query().bind(&new).execute(&mut *self.tx).await?;
        let wanted = new.iter().zip(leased).filter(|(_, leased)| *leased).map(|(agent, _)| agent.clone());
        self.lock_agents_by(&self.sql.group_agents, wanted.collect(), seen).await?;
        self.sql.stream_make.query().bind(&new).execute(&mut *self.tx).await?;
        self.try_lock_streams(&new, seen).await
    }

    async fn try_lock_streams(&mut self, agents: &[String], seen: &mut Seen) -> Result<(), TxError> {
        let text = self.choose(&self.sql.group_streams, &self.sql.group_streams_waited);
        for row in text.query().bind(agents).fetch_all(&mut *self.tx).await? {
            self.now = self.now.max(row.try_get::<At, _>("now")?.0);
            seen.streams.insert(named(row.try_get("agent")?)?, LogPlace::of(&row)?);
        }
        Ok(())
    }

    async fn look_for_standing(
        &mut self,
        all: &[(AgentId, Needs<'_>)],
        seen: &mut Seen,
    ) -> Result<(), TxError> {
        let new: Vec<_> =
            all.iter().filter_map(|(_, needs)| Some((needs.accept?, needs.leases_new))).collect();
        if new.is_empty() {
            return Ok(());
        }
        let counted = new.iter().map(|(new, leases_new)| seen.count_up_to(new, *leases_new));
        let new: Vec<_> = new.iter().map(|(new, _)| new).collect();
        let query = self
            .sql
            .group_standing
            .query()
            .bind(new.iter().map(|new| new.agent.to_string()).collect::<Vec<_>>())
            .bind(new.iter().map(|new| new.key.to_string()).collect::<Vec<_>>())
            .bind(new.iter().map(|new| new.id.0).collect::<Vec<_>>())
            .bind(new.iter().map(|new| new.kind.to_string()).collect::<Vec<_>>())
            .bind(new.iter().map(|new| new.claim().map(ToString::to_string)).collect::<Vec<_>>())
            .bind(new.iter().map(|new| new.class == Class::Background).collect::<Vec<_>>())
            .bind(counted.collect::<Vec<_>>());
        for row in query.fetch_all(&mut *self.tx).await? {
            let standing = Standing {
                of_key: decode_of(&row, "key_payload", "key_record")?,
                of_target: decode_of(&row, "target_payload", "target_record")?,
                of_kind: decode_of(&row, "kind_payload", "kind_record")?,
                unfinished: row.try_get::<Option<i64>, _>("unfinished")?.map(to_u64),
                position: to_u64(row.try_get("position")?),
            };
            self.now = self.now.max(row.try_get::<At, _>("now")?.0);
            seen.standing.insert(named(row.try_get("agent")?)?, standing);
        }
        Ok(())
    }

    async fn read_rows(&mut self, all: &[(AgentId, Needs<'_>)], seen: &mut Seen) -> Result<(), TxError> {
        let rows = all.iter().flat_map(|(agent, needs)| needs.rows.iter().map(move |row| (agent, row)));
        // One with U+0000 is refused when it is decided, and could not even be asked for.
        let rows: Vec<_> = rows.filter(|(_, row): &(_, &LocalRow)| !row.id.contains('\0')).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let query = self
            .sql
            .rows_get
            .query()
            .bind(rows.iter().map(|(agent, _)| agent.to_string()).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, row)| row.collection.to_string()).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, row)| row.id.clone()).collect::<Vec<_>>());
        for row in query.fetch_all(&mut *self.tx).await? {
            let collection = Collection::new(row.try_get::<String, _>("collection")?)
                .map_err(|error| StoreError::damaged("the collection of a row", error))?;
            let present = seen.rows.entry(named(row.try_get("agent")?)?).or_default();
            present.insert((collection, row.try_get("id")?), from_json("a row", row.try_get("doc")?)?);
        }
        Ok(())
    }

    async fn write(&mut self, all: Vec<(AgentId, Encoded)>) -> Result<(), TxError> {
        if all.is_empty() {
            return Ok(());
        }
        self.write_rows(&all).await?;
        self.write_evidence(&all).await?;
        self.write_pending_orders(&all).await?;
        let mut rest = GroupWrite::default();
        all.into_iter().for_each(|(agent, writes)| rest.add(&agent, writes));
        rest.bind(&self.sql.group_write).execute(&mut *self.tx).await?;
        Ok(())
    }

    async fn write_rows(&mut self, all: &[(AgentId, Encoded)]) -> Result<(), TxError> {
        let written: Vec<_> = all
            .iter()
            .flat_map(|(agent, writes)| writes.rows_written.iter().map(move |row| (agent, writes.now, row)))
            .collect();
        if !written.is_empty() {
            let column = |n: usize| written.iter().map(|(.., row)| row[n].clone()).collect::<Vec<_>>();
            let query = self
                .sql
                .rows_write
                .query()
                .bind(written.iter().map(|(agent, ..)| agent.to_string()).collect::<Vec<_>>())
                .bind(written.iter().map(|(_, now, _)| At(*now)).collect::<Vec<_>>());
            (0..4).fold(query, |query, n| query.bind(column(n))).execute(&mut *self.tx).await?;
        }
        let removed: Vec<_> = all
            .iter()
            .flat_map(|(agent, writes)| writes.rows_removed.iter().map(move |row| (agent, row)))
            .collect();
        if !removed.is_empty() {
            let column = |n: usize| removed.iter().map(|(_, row)| row[n].clone()).collect::<Vec<_>>();
            let query = self
                .sql
                .rows_delete
                .query()
                .bind(removed.iter().map(|(agent, _)| agent.to_string()).collect::<Vec<_>>());
            (0..2).fold(query, |query, n| query.bind(column(n))).execute(&mut *self.tx).await?;
        }
        Ok(())
    }

    async fn write_evidence(&mut self, all: &[(AgentId, Encoded)]) -> Result<(), TxError> {
        let kept: Vec<_> = all
            .iter()
            .flat_map(|(agent, writes)| writes.evidence.iter().map(move |evidence| (agent, evidence)))
            .collect();
        if kept.is_empty() {
            return Ok(());
        }
        let query = self
            .sql
            .evidence_insert
            .query()
            .bind(kept.iter().map(|(_, (operation, ..))| *operation).collect::<Vec<_>>())
            .bind(kept.iter().map(|(agent, _)| agent.to_string()).collect::<Vec<_>>())
            .bind(kept.iter().map(|(_, (_, n, _))| *n).collect::<Vec<_>>())
            .bind(kept.iter().map(|(_, (.., evidence))| printable(&evidence.name)).collect::<Vec<_>>())
            .bind(kept.iter().map(|(_, (.., evidence))| printable(&evidence.media_type)).collect::<Vec<_>>())
            .bind(kept.iter().map(|(_, (.., evidence))| evidence.bytes.clone()).collect::<Vec<_>>());
        query.execute(&mut *self.tx).await?;
        Ok(())
    }

    fn choose<'s>(&self, free: &'s Statement, waited: &'s Statement) -> &'s Statement {
        match self.locks {
            Locks::Free => free,
            Locks::Waited => waited,
        }
    }
}

fn names<'a>(all: impl Iterator<Item = &'a (AgentId, Needs<'a>)>) -> Vec<String> {
    all.map(|(agent, _)| agent.to_string()).collect()
}

fn named(agent: String) -> Result<AgentId, StoreError> {
    AgentId::new(agent).map_err(|error| StoreError::damaged("the name of an agent", error))
}
