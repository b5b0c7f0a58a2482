//! Agents and operations, locked, loaded and saved.

use std::mem;

use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, OperationId, OperationKind, Target};
use archibald_core::operation::OperationState;
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::record::OperationRecord;
use archibald_core::time::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::codec::{At, from_json, printable, to_i64, to_json, to_u64};
use crate::tx::{Tx, TxError};

/// The agent's lease row, locked until the transaction ends.
#[derive(Clone)]
pub(crate) struct AgentRow {
    pub(crate) token: u64,
    pub(crate) operation: Option<OperationId>,
    /// When the lease ends; also counts what was renewed while the row was locked.
    pub(crate) ends: Option<Timestamp>,
    pub(crate) paused: Option<String>,
    /// Kinds that are paused, and why; the one without a name is everything.
    pub(crate) paused_kinds: Vec<(String, String)>,
    /// After any wait for the lock.
    pub(crate) now: Timestamp,
}

/// An operation, locked until the transaction ends.
pub(crate) struct Locked {
    pub(crate) record: OperationRecord,
    /// After any wait for the lock.
    pub(crate) now: Timestamp,
}

impl AgentRow {
    /// A pause that is about an operation of this kind.
    pub(crate) fn pause_of(
        &self,
        agent: &AgentId,
        kind: Option<&OperationKind>,
    ) -> Option<(PauseScope, String)> {
        let of_agent = self.paused.clone().map(|why| (agent.clone().into(), why));
        let is_about = |name: &str| name.is_empty() || kind.is_some_and(|kind| kind.as_str() == name);
        let of_kind = self.paused_kinds.iter().find(|(name, _)| is_about(name)).map(|(name, why)| {
            let of_kind = kind.filter(|_| !name.is_empty()).cloned();
            (of_kind.map_or(PauseScope::Everything, PauseScope::from), why.clone())
        });
        of_agent.or(of_kind)
    }
}

impl Tx<'_> {
    /// Locks the agent's lease row. `None` where it has none yet.
    pub(crate) async fn lock_agent(&mut self) -> Result<Option<AgentRow>, TxError> {
        let query = self.sql.agent_lock.query().bind(self.agent.to_string());
        let Some(row) = query.fetch_optional(self.connection()).await? else { return Ok(None) };
        let mut agent = agent_row(&row)?;
        if agent.ends.is_some_and(|ends| ends <= agent.now) {
            agent.ends = agent.ends.max(self.renewed_until(agent.token).await?);
        }
        Ok(Some(agent))
    }

    async fn renewed_until(&mut self, token: u64) -> Result<Option<Timestamp>, TxError> {
        let query = self.sql.renewed_until.query_scalar::<Option<At>>();
        let query = query.bind(self.agent.to_string()).bind(to_i64(token));
        let latest: Option<At> = query.fetch_one(self.connection()).await?;
        Ok(latest.map(|at| at.0))
    }

    /// Sees to it that the agent has its two rows, in the order of locks: who has a counter has a lease row.
    pub(crate) async fn make_rows(&mut self) -> Result<(), TxError> {
        let sql = self.sql.clone();
        for statement in [&sql.agent_make, &sql.stream_make] {
            let query = statement.query().bind(vec![self.agent.to_string()]);
            query.execute(self.connection()).await?;
        }
        Ok(())
    }

    /// Nobody holds the agent any more.
    pub(crate) async fn free_agent(&mut self) -> Result<(), TxError> {
        let query = self.sql.agent_free.query().bind(self.agent.to_string());
        query.execute(self.connection()).await?;
        Ok(())
    }

    /// The agent's pause; whoever goes by it has locked the agent.
    pub(crate) async fn pause(&mut self) -> Result<Option<Pause>, TxError> {
        let query = self.sql.agent_paused.query_as().bind(self.agent.to_string());
        let row: Option<(String, bool, At)> = query.fetch_optional(self.connection()).await?;
        let scope = PauseScope::from(self.agent.clone());
        Ok(row.map(|(why, drains, since)| Pause { scope, why, drains, since: since.0 }))
    }

    /// Pauses the agent, or ends that.
    pub(crate) async fn set_pause(&mut self, pause: Option<&Pause>) -> Result<(), TxError> {
        let query = self
            .sql
            .agent_pause
            .query()
            .bind(self.agent.to_string())
            .bind(pause.map(|pause| printable(&pause.why)))
            .bind(pause.map(|pause| At(pause.since)))
            .bind(pause.is_some_and(|pause| pause.drains));
        query.execute(self.connection()).await?;
        Ok(())
    }

    /// Locks the agent's event counter. For those who take no other lock after it. Returns the time after any
    /// wait.
    pub(crate) async fn lock_stream(&mut self) -> Result<Timestamp, TxError> {
        if let Some(now) = self.try_lock_stream().await? {
            return Ok(now);
        }
        self.make_rows().await?;
        let missing = || StoreError::Damaged { what: "the event counter".into(), cause: None };
        self.try_lock_stream().await?.ok_or_else(|| missing().into())
    }

    async fn try_lock_stream(&mut self) -> Result<Option<Timestamp>, TxError> {
        let query = self.sql.stream_lock.query().bind(self.agent.to_string());
        let Some(row) = query.fetch_optional(self.connection()).await? else { return Ok(None) };
        Ok(Some(row.try_get::<At, _>("now")?.0))
    }

    /// Locks an operation of the agent. `None` where there is no such.
    pub(crate) async fn lock_operation(&mut self, id: OperationId) -> Result<Option<Locked>, TxError> {
        let query = self.sql.operation_lock.query().bind(id.0).bind(self.agent.to_string());
        let Some(row) = query.fetch_optional(self.connection()).await? else { return Ok(None) };
        let now = row.try_get::<At, _>("now")?.0;
        Ok(Some(Locked { record: decode(&row)?, now }))
    }

    /// Writes back what became of an operation.
    pub(crate) async fn save(&mut self, record: &OperationRecord) -> Result<(), TxError> {
        let (columns, _) = Columns::of(record.clone())?;
        let query = self
            .sql
            .operation_save
            .query_scalar::<i64>()
            .bind(record.operation.id.0)
            .bind(columns.state)
            .bind(columns.finished_at)
            .bind(columns.record)
            .bind(columns.ticket)
            .bind(columns.is_queued);
        self.queued += query.fetch_one(self.connection()).await?;
        Ok(())
    }

    /// Who has the target that an operation wants for itself, live or completed; the operation itself aside.
    pub(crate) async fn holder_of_target(
        &mut self,
        kind: &OperationKind,
        id: OperationId,
        target: &Target,
    ) -> Result<Option<OperationRecord>, TxError> {
        let query = self
            .sql
            .operation_holder
            .query()
            .bind(self.agent.to_string())
            .bind(target.to_string())
            .bind(kind.to_string())
            .bind(id.0);
        query.fetch_optional(self.connection()).await?.as_ref().map(decode).transpose()
    }
}

/// What of a record changes, as the table has it.
pub(crate) struct Columns {
    pub(crate) state: &'static str,
    /// Neither running nor finished.
    pub(crate) is_queued: bool,
    pub(crate) finished_at: Option<At>,
    pub(crate) ticket: Option<String>,
    pub(crate) record: String,
}

impl Columns {
    /// With the payload, which is kept apart.
    pub(crate) fn of(mut record: OperationRecord) -> Result<(Self, Value), StoreError> {
        let payload = mem::take(&mut record.operation.payload);
        let operation = &record.operation;
        let columns = Self {
            state: operation.state.name(),
            is_queued: is_queued(&operation.state),
            finished_at: operation.finished_at.map(At),
            ticket: record.ticket().map(|ticket| to_json("a ticket", &ticket)).transpose()?,
            record: to_json("an operation", &record)?,
        };
        Ok((columns, payload))
    }
}

fn is_queued(state: &OperationState) -> bool {
    !state.is_final() && !matches!(state, OperationState::Running { .. })
}

/// A lease row, from the columns that `sql/agent_lock.sql` has.
pub(crate) fn agent_row(row: &PgRow) -> Result<AgentRow, TxError> {
    let kinds: Vec<String> = row.try_get("paused_kinds")?;
    let why: Vec<String> = row.try_get("paused_kinds_why")?;
    Ok(AgentRow {
        token: to_u64(row.try_get("token")?),
        operation: row.try_get::<Option<Uuid>, _>("operation")?.map(OperationId),
        ends: row.try_get::<Option<At>, _>("ends")?.map(|at| at.0),
        paused: row.try_get("paused_why")?,
        paused_kinds: kinds.into_iter().zip(why).collect(),
        now: row.try_get::<At, _>("now")?.0,
    })
}

/// From the columns `payload` and `record`.
pub(crate) fn decode(row: &PgRow) -> Result<OperationRecord, TxError> {
    let missing = || StoreError::Damaged { what: "an operation without a record".into(), cause: None };
    decode_of(row, "payload", "record")?.ok_or_else(|| missing().into())
}

/// From two columns, where there is something in them.
pub(crate) fn decode_of(
    row: &PgRow,
    payload: &str,
    record: &str,
) -> Result<Option<OperationRecord>, TxError> {
    let Some(record) = row.try_get::<Option<&str>, _>(record)? else { return Ok(None) };
    let mut record: OperationRecord = from_json("an operation", record)?;
    record.operation.payload = from_json("a payload", row.try_get(payload)?)?;
    Ok(Some(record))
}

/// Several of [`decode`].
pub(crate) fn decode_all(rows: &[PgRow]) -> Result<Vec<OperationRecord>, TxError> {
    rows.iter().map(decode).collect()
}
