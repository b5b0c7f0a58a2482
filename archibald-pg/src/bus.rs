use archibald_core::error::StoreError;
use archibald_core::event::{Cursor, Event, Progress};
use archibald_core::id::AgentId;
use archibald_core::port::{EventBus, EventRead, Head, ResetReason, Snapshot, Wakeups, WorkerWakeups};
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use futures::FutureExt;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use crate::codec::{At, from_json, to_i64, to_u64};
use crate::read;
use crate::sql::Sql;
use crate::store::PgStore;
use crate::tx::{How, Reads, Stop, Tx, TxError};

/// Old events that are looked at, and so pruned, of an agent in one go.
const IN_ONE_GO: i64 = 1_000;

/// Progress stays within the process that runs the operation: devices that are connected to another one see
/// its steps, which are events, and not what is between them.
#[async_trait]
impl EventBus for PgStore {
    async fn head(&self, agent: &AgentId) -> Result<Head, StoreError> {
        self.read("reading the end of a log", agent.to_string(), |conn, sql, agent| {
            read::head(conn, sql, agent).boxed()
        })
        .await
    }

    async fn read(&self, agent: &AgentId, after: Cursor, limit: u32) -> Result<EventRead, StoreError> {
        let asked = (agent.to_string(), after, limit);
        PgStore::read(self, "reading a log", asked, |conn, sql, (agent, after, limit)| {
            events(conn, sql, agent, *after, *limit).boxed()
        })
        .await
    }

    async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        let asked = (agent.to_string(), finished);
        self.read_as(Reads::in_transaction(), "reading a snapshot", asked, |conn, sql, (agent, finished)| {
            read::snapshot(conn, sql, agent, *finished).boxed()
        })
        .await
    }

    async fn prune(&self, agent: &AgentId, up_to: u64) -> Result<Head, StoreError> {
        self.write(How::repeatable("pruning a log"), agent, up_to, |tx, up_to| prune(tx, *up_to).boxed())
            .await
    }

    async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError> {
        let asked = (before, most, agents);
        PgStore::read(self, "looking for what may be pruned", asked, |conn, sql, (before, most, agents)| {
            prunable(conn, sql, *before, *most, *agents).boxed()
        })
        .await
    }

    async fn new_epoch(&self) -> Result<(), StoreError> {
        self.read_as(Reads::in_transaction(), "beginning a new epoch", Uuid::now_v7(), |conn, sql, epoch| {
            new_epoch(conn, sql, *epoch).boxed()
        })
        .await?;
        self.inner.hub.committed_everything();
        Ok(())
    }

    fn subscribe(&self, agent: &AgentId) -> Box<dyn Wakeups> {
        Box::new(self.inner.hub.device(agent))
    }

    fn subscribe_worker(&self) -> Box<dyn WorkerWakeups> {
        Box::new(self.inner.hub.worker())
    }

    fn publish_progress(&self, progress: Progress) {
        self.inner.hub.publish(progress);
    }

    fn progress(&self, agent: &AgentId) -> Vec<Progress> {
        self.inner.hub.progress(agent)
    }
}

async fn events(
    conn: &mut PgConnection,
    sql: &Sql,
    agent: &str,
    after: Cursor,
    limit: u32,
) -> Result<EventRead, Stop<StoreError>> {
    let query = sql.events.query().bind(agent).bind(to_i64(after.seq)).bind(i64::from(limit.max(1)));
    let rows = query.fetch_all(conn).await?;
    let Some(first) = rows.first() else {
        return Err(StoreError::Damaged { what: "the table store is empty".into(), cause: None }.into());
    };
    let head = read::head_of(first)?;
    if let Some(why) = refused(head, after) {
        return Ok(EventRead::Reset(why));
    }
    let events: Vec<Event> =
        rows.iter().filter_map(|row| event(row).transpose()).collect::<Result<_, _>>()?;
    let seq = events.last().map_or(after.seq, |last| last.seq);
    Ok(EventRead::Batch { from: after, to: Cursor { epoch: head.epoch, seq }, events })
}

/// Why a place is not served.
fn refused(head: Head, after: Cursor) -> Option<ResetReason> {
    if after.epoch != head.epoch {
        Some(ResetReason::Epoch)
    } else if after.seq < head.floor {
        Some(ResetReason::Pruned)
    } else if after.seq > head.head {
        Some(ResetReason::Ahead)
    } else {
        None
    }
}

/// `None` where nothing follows: the row then only has the ends of the log.
fn event(row: &PgRow) -> Result<Option<Event>, TxError> {
    let Some(seq) = row.try_get::<Option<i64>, _>("seq")? else { return Ok(None) };
    let event = from_json("an event", row.try_get("event")?)?;
    Ok(Some(Event { seq: to_u64(seq), at: row.try_get::<At, _>("at")?.0, event }))
}

async fn prunable(
    conn: &mut PgConnection,
    sql: &Sql,
    before: Timestamp,
    most: u64,
    agents: u32,
) -> Result<Vec<(AgentId, u64)>, Stop<StoreError>> {
    let query = sql
        .events_prunable
        .query_as()
        .bind(At(before))
        .bind(to_i64(most))
        .bind(i64::from(agents))
        .bind(IN_ONE_GO);
    let found: Vec<(String, i64)> = query.fetch_all(conn).await?;
    let named = |(agent, up_to)| {
        let agent = AgentId::new(agent).map_err(|error| StoreError::damaged("the agent of a log", error))?;
        Ok((agent, to_u64(up_to)))
    };
    Ok(found.into_iter().map(named).collect::<Result<_, StoreError>>()?)
}

async fn prune(tx: &mut Tx<'_>, up_to: u64) -> Result<Head, Stop<StoreError>> {
    tx.lock_stream().await?;
    let query = tx.sql.events_prune.query().bind(tx.agent.to_string()).bind(to_i64(up_to));
    let row = query.fetch_one(tx.connection()).await?;
    Ok(read::head_of(&row)?)
}

/// Trying again is fine: the epoch is the same.
async fn new_epoch(conn: &mut PgConnection, sql: &Sql, epoch: Uuid) -> Result<(), Stop<StoreError>> {
    let mut tx = conn.begin().await?;
    sql.epoch_lock.query().execute(&mut *tx).await?;
    sql.epoch_set.query().bind(epoch).execute(&mut *tx).await?;
    sql.epoch_streams.query().bind(epoch).execute(&mut *tx).await?;
    sql.epoch_events.query().bind(epoch).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}
