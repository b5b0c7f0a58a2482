//! Agents and operations, locked, loaded and saved.

use archibald_core::error::{FenceError, StoreError};
use archibald_core::id::{OperationId, OperationKey, OperationKind, Target};
use archibald_core::lease::Lease;
use archibald_core::operation::Operation;
use archibald_core::record::OperationRecord;
use archibald_core::time::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::codec::{At, from_json, printable, to_i64, to_json, to_u64};
use crate::tx::{Stop, Tx, TxError};

/// The agent's lease row, locked until the transaction ends.
pub(crate) struct AgentRow {
    pub(crate) token: u64,
    pub(crate) operation: Option<OperationId>,
    /// When the lease ends; also counts what was renewed while the row was locked.
    pub(crate) ends: Option<Timestamp>,
    pub(crate) paused: Option<String>,
    /// After any wait for the lock.
    pub(crate) now: Timestamp,
}

/// An operation, locked until the transaction ends.
pub(crate) struct Locked {
    pub(crate) record: OperationRecord,
    /// After any wait for the lock.
    pub(crate) now: Timestamp,
}

impl Tx {
    /// Locks the agent's lease row. `None` where it has none yet.
    pub(crate) async fn lock_agent(&mut self) -> Result<Option<AgentRow>, TxError> {
        let query = sqlx::query(self.sql.agent_lock.clone()).bind(self.agent.to_string());
        let Some(row) = query.fetch_optional(self.connection()).await? else { return Ok(None) };
        let mut agent = AgentRow {
            token: to_u64(row.try_get("token")?),
            operation: row.try_get::<Option<Uuid>, _>("operation")?.map(OperationId),
            ends: row.try_get::<Option<At>, _>("ends")?.map(|at| at.0),
            paused: row.try_get("paused_why")?,
            now: row.try_get::<At, _>("now")?.0,
        };
        if agent.ends.is_some_and(|ends| ends <= agent.now) {
            agent.ends = agent.ends.max(self.renewed_until(agent.token).await?);
        }
        Ok(Some(agent))
    }

    async fn renewed_until(&mut self, token: u64) -> Result<Option<Timestamp>, TxError> {
        let query = sqlx::query_scalar(self.sql.renewed_until.clone());
        let query = query.bind(self.agent.to_string()).bind(to_i64(token));
        let latest: Option<At> = query.fetch_one(self.connection()).await?;
        Ok(latest.map(|at| at.0))
    }

    /// Sees to it that the agent has its two rows, in the order of locks: who has a counter has a lease row.
    pub(crate) async fn make_rows(&mut self) -> Result<(), TxError> {
        for statement in [self.sql.agent_make.clone(), self.sql.stream_make.clone()] {
            let query = sqlx::query(statement).bind(self.agent.to_string());
            query.execute(self.connection()).await?;
        }
        Ok(())
    }

    /// Nobody holds the agent any more.
    pub(crate) async fn free_agent(&mut self) -> Result<(), TxError> {
        let query = sqlx::query(self.sql.agent_free.clone()).bind(self.agent.to_string());
        query.execute(self.connection()).await?;
        Ok(())
    }

    /// Pauses the agent, or ends that.
    pub(crate) async fn set_pause(&mut self, pause: Option<(&str, Timestamp)>) -> Result<(), TxError> {
        let query = sqlx::query(self.sql.agent_pause.clone())
            .bind(self.agent.to_string())
            .bind(pause.map(|(why, _)| printable(why)))
            .bind(pause.map(|(_, since)| At(since)));
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
        let query = sqlx::query(self.sql.stream_lock.clone()).bind(self.agent.to_string());
        let Some(row) = query.fetch_optional(self.connection()).await? else { return Ok(None) };
        Ok(Some(row.try_get::<At, _>("now")?.0))
    }

    /// Locks agent and operation of a lease that is still held.
    pub(crate) async fn lock_held(&mut self, lease: &Lease) -> Result<(AgentRow, Locked), Stop<FenceError>> {
        let agent = self.lock_agent().await?;
        let is_holder =
            |agent: &AgentRow| agent.token == lease.token.0 && agent.operation == Some(lease.operation);
        let agent = agent.filter(is_holder).ok_or(FenceError::Superseded)?;
        let operation = self.lock_operation(lease.operation).await?;
        Ok((agent, operation.ok_or(FenceError::Superseded)?))
    }

    /// Locks an operation of the agent. `None` where there is no such.
    pub(crate) async fn lock_operation(&mut self, id: OperationId) -> Result<Option<Locked>, TxError> {
        let query = sqlx::query(self.sql.operation_lock.clone()).bind(id.0).bind(self.agent.to_string());
        let Some(row) = query.fetch_optional(self.connection()).await? else { return Ok(None) };
        let now = row.try_get::<At, _>("now")?.0;
        Ok(Some(Locked { record: decode(&row)?, now }))
    }

    /// Writes back what became of an operation.
    pub(crate) async fn save(&mut self, record: &OperationRecord) -> Result<(), TxError> {
        let columns = Columns::of(record)?;
        let query = sqlx::query(self.sql.operation_save.clone())
            .bind(record.operation.id.0)
            .bind(columns.state)
            .bind(columns.is_final)
            .bind(columns.finished_at)
            .bind(columns.ticket)
            .bind(columns.record);
        query.execute(self.connection()).await?;
        Ok(())
    }

    /// The agent's operation of this key.
    pub(crate) async fn operation_by_key(
        &mut self,
        key: &OperationKey,
    ) -> Result<Option<OperationRecord>, TxError> {
        let query = sqlx::query(self.sql.operation_by_key.clone());
        let query = query.bind(self.agent.to_string()).bind(key.to_string());
        query.fetch_optional(self.connection()).await?.as_ref().map(decode).transpose()
    }

    /// The agent's first operation of this kind that waits.
    pub(crate) async fn waiting_of_kind(
        &mut self,
        kind: &OperationKind,
    ) -> Result<Option<OperationRecord>, TxError> {
        let query = sqlx::query(self.sql.operation_waiting_of_kind.clone());
        let query = query.bind(self.agent.to_string()).bind(kind.to_string());
        query.fetch_optional(self.connection()).await?.as_ref().map(decode).transpose()
    }

    /// The agent's first unfinished operation before this one that has the same target.
    pub(crate) async fn before_on_target(
        &mut self,
        operation: &Operation,
    ) -> Result<Option<OperationId>, TxError> {
        let Some(target) = &operation.target else { return Ok(None) };
        let query = sqlx::query_scalar(self.sql.operation_before.clone())
            .bind(self.agent.to_string())
            .bind(target.to_string())
            .bind(to_i64(operation.position));
        let id: Option<Uuid> = query.fetch_optional(self.connection()).await?;
        Ok(id.map(OperationId))
    }

    /// Who has the target that an operation wants for itself, live or completed; the operation itself aside.
    pub(crate) async fn holder_of_target(
        &mut self,
        kind: &OperationKind,
        id: OperationId,
        target: &Target,
    ) -> Result<Option<OperationRecord>, TxError> {
        let query = sqlx::query(self.sql.operation_holder.clone())
            .bind(self.agent.to_string())
            .bind(target.to_string())
            .bind(kind.to_string())
            .bind(id.0);
        query.fetch_optional(self.connection()).await?.as_ref().map(decode).transpose()
    }

    /// How many operations of the agent are unfinished; counts no further than to `limit`.
    pub(crate) async fn unfinished(&mut self, limit: u64) -> Result<u64, TxError> {
        let query = sqlx::query_scalar(self.sql.operations_unfinished.clone());
        let query = query.bind(self.agent.to_string()).bind(to_i64(limit));
        let count: i64 = query.fetch_one(self.connection()).await?;
        Ok(to_u64(count))
    }

    /// The next place in the order of all operations, and the time.
    pub(crate) async fn next_position(&mut self) -> Result<(u64, Timestamp), TxError> {
        let query = sqlx::query_as(self.sql.position_next.clone());
        let (position, now): (i64, At) = query.fetch_one(self.connection()).await?;
        Ok((to_u64(position), now.0))
    }

    /// Writes a new operation.
    pub(crate) async fn insert(&mut self, record: &OperationRecord) -> Result<(), TxError> {
        let columns = Columns::of(record)?;
        let operation = &record.operation;
        let query = sqlx::query(self.sql.operation_insert.clone())
            .bind(operation.id.0)
            .bind(operation.agent.as_str())
            .bind(operation.key.as_str())
            .bind(operation.kind.as_str())
            .bind(to_json("a class", &operation.class)?.trim_matches('"').to_owned())
            .bind(operation.target.as_ref().map(|target| target.to_string()))
            .bind(to_i64(operation.position))
            .bind(At(operation.created_at))
            .bind(columns.state)
            .bind(columns.is_final)
            .bind(columns.finished_at)
            .bind(columns.ticket)
            .bind(to_json("a payload", &operation.payload)?)
            .bind(columns.record);
        query.execute(self.connection()).await?;
        Ok(())
    }
}

/// What of a record changes, as the table has it.
struct Columns {
    state: &'static str,
    is_final: bool,
    finished_at: Option<At>,
    ticket: Option<String>,
    record: String,
}

impl Columns {
    fn of(record: &OperationRecord) -> Result<Self, StoreError> {
        let operation = &record.operation;
        Ok(Self {
            state: operation.state.name(),
            is_final: operation.is_final(),
            finished_at: operation.finished_at.map(At),
            ticket: record.ticket().map(|ticket| to_json("a ticket", &ticket)).transpose()?,
            record: without_payload(record)?,
        })
    }
}

fn without_payload(record: &OperationRecord) -> Result<String, StoreError> {
    let mut record = record.clone();
    record.operation.payload = Value::Null;
    to_json("an operation", &record)
}

/// From the columns `payload` and `record`.
pub(crate) fn decode(row: &PgRow) -> Result<OperationRecord, TxError> {
    let mut record: OperationRecord = from_json("an operation", row.try_get("record")?)?;
    record.operation.payload = from_json("a payload", row.try_get("payload")?)?;
    Ok(record)
}

/// Several of [`decode`].
pub(crate) fn decode_all(rows: &[PgRow]) -> Result<Vec<OperationRecord>, TxError> {
    rows.iter().map(decode).collect()
}
