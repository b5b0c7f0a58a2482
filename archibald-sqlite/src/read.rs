//! Everything that only reads, on connections that cannot write.

use std::path::Path;
use std::sync::Arc;

use archibald_core::error::StoreError;
use archibald_core::event::{Cursor, Event};
use archibald_core::id::{AgentId, OperationId, OperationKind, PendingOrderId, Target};
use archibald_core::operation::Class;
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::pending_order::PendingOrder;
use archibald_core::port::{
    Clock, EventRead, Head, OperationFilter, OperationPage, PendingOrderPage, ResetReason, RowPage, RowQuery,
    Snapshot, Survey, SurveyRequest,
};
use archibald_core::record::{Evidence, OperationRecord};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::code::{column, column_time, column_u64, doc, failed, from_json, name_of, parsed, to_i64};
use crate::{pending_orders, sql};

/// Reads on connections of its own. What was committed before a call is seen by it.
pub(crate) struct Reader {
    pool: SqlitePool,
    clock: Arc<dyn Clock>,
}

impl Reader {
    pub(crate) fn new(pool: SqlitePool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn copy_to(&self, path: &Path) -> Result<(), sqlx::Error> {
        let path = path.to_string_lossy();
        sqlx::query(sql::COPY).bind(path.as_ref()).execute(&self.pool).await.map(drop)
    }

    pub(crate) async fn operation(
        &self,
        agent: &AgentId,
        id: OperationId,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let query = sqlx::query(sql::OPERATION).bind(id.to_string()).bind(agent.as_str());
        query.fetch_optional(&self.pool).await.map_err(failed)?.map(|row| doc(&row)).transpose()
    }

    pub(crate) async fn list(
        &self,
        agent: &AgentId,
        filter: &OperationFilter,
    ) -> Result<OperationPage, StoreError> {
        let limit = page_size(filter.limit);
        let statement = if filter.target.is_some() { sql::LIST_OF_TARGET } else { sql::LIST };
        let mut query = sqlx::query(statement)
            .bind(agent.as_str())
            .bind(to_i64(filter.before.unwrap_or(u64::MAX)))
            .bind(filter.state.as_deref())
            .bind(filter.kind.as_ref().map(|kind| kind.as_str()))
            .bind(limit + 1);
        if let Some(target) = &filter.target {
            query = query.bind(target.as_str());
        }
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        let mut records: Vec<OperationRecord> = rows.iter().map(doc).collect::<Result<_, _>>()?;
        let next = cut(&mut records, limit, |record| record.operation.position);
        Ok(OperationPage { records, next })
    }

    pub(crate) async fn waiting(
        &self,
        agent: &AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError> {
        let (class, position) = after.unwrap_or((Class::Interactive, 0));
        let query = sqlx::query(sql::WAITING)
            .bind(agent.as_str())
            .bind(name_of(&class)?)
            .bind(to_i64(position))
            .bind(limit.max(1));
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(ticket).collect()
    }

    /// All of one moment, but for who works.
    pub(crate) async fn survey(&self, request: &SurveyRequest) -> Result<Survey, StoreError> {
        let mut moment = self.pool.begin().await.map_err(failed)?;
        let now = self.clock.now();
        let is_over = sqlx::query(sql::IS_LEASE_OVER).bind(now.as_micros());
        let is_over = is_over.fetch_one(&mut *moment).await.map_err(failed)?;
        let paused = paused(&mut moment).await?;
        let limit = request.agents.max(1);
        let query = sqlx::query(sql::BUSY_AGENTS)
            .bind(request.after.as_ref().map_or("", AgentId::as_str))
            .bind(limit.saturating_add(1));
        let rows = query.fetch_all(&mut *moment).await.map_err(failed)?;
        let mut agents: Vec<String> = rows.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
        let next = cut(&mut agents, limit, String::clone);
        let mut fronts = vec![];
        for agent in agents {
            let front = sqlx::query(sql::FRONT).bind(agent).bind(request.each.max(1));
            let rows = front.fetch_all(&mut *moment).await.map_err(failed)?;
            fronts.extend(rows.iter().map(ticket).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Survey {
            now,
            has_ended_leases: column(&is_over, 0)?,
            paused,
            workers: vec![],
            fronts,
            next: next.map(parsed).transpose()?,
        })
    }

    pub(crate) async fn evidence(
        &self,
        agent: &AgentId,
        id: OperationId,
        n: u32,
    ) -> Result<Option<Evidence>, StoreError> {
        let query = sqlx::query(sql::EVIDENCE).bind(id.to_string()).bind(n).bind(agent.as_str());
        let Some(row) = query.fetch_optional(&self.pool).await.map_err(failed)? else { return Ok(None) };
        let (name, media_type, bytes) = (column(&row, 0)?, column(&row, 1)?, column(&row, 2)?);
        Ok(Some(Evidence { name, media_type, bytes }))
    }

    pub(crate) async fn rows(&self, agent: &AgentId, asked: &RowQuery) -> Result<RowPage, StoreError> {
        let limit = page_size(asked.limit);
        let search = asked.search.as_ref().filter(|text| !text.is_empty()).map(|text| text.to_lowercase());
        let query = sqlx::query(sql::ROWS)
            .bind(agent.as_str())
            .bind(asked.collection.as_str())
            .bind(asked.after.as_deref().unwrap_or_default())
            .bind(search)
            .bind(limit + 1);
        let found = query.fetch_all(&self.pool).await.map_err(failed)?;
        let read = |row| Ok((column(row, 0)?, from_json(column(row, 1)?)?, column_time(row, 2)?));
        let mut rows: Vec<_> = found.iter().map(read).collect::<Result<_, StoreError>>()?;
        let next = cut(&mut rows, limit, |(id, ..): &(String, _, _)| id.clone());
        Ok(RowPage { rows, next })
    }

    pub(crate) async fn pending_order(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
    ) -> Result<Option<PendingOrder>, StoreError> {
        let mut conn = self.pool.acquire().await.map_err(failed)?;
        pending_orders::one(&mut conn, agent, id).await
    }

    pub(crate) async fn pending_orders(
        &self,
        agent: &AgentId,
        before: Option<PendingOrderId>,
        limit: u32,
    ) -> Result<PendingOrderPage, StoreError> {
        let limit = page_size(limit);
        let mut conn = self.pool.acquire().await.map_err(failed)?;
        let mut orders = pending_orders::some_before(&mut conn, agent, before, limit + 1).await?;
        let next = cut(&mut orders, limit, |order| order.id);
        Ok(PendingOrderPage { orders, next })
    }

    pub(crate) async fn paused(&self) -> Result<Vec<Pause>, StoreError> {
        let mut conn = self.pool.acquire().await.map_err(failed)?;
        paused(&mut conn).await
    }

    pub(crate) async fn head(&self, agent: &AgentId) -> Result<Head, StoreError> {
        let mut conn = self.pool.acquire().await.map_err(failed)?;
        head(&mut conn, agent).await
    }

    /// Head and events of one moment: no pruning and no new epoch comes between them.
    pub(crate) async fn events(
        &self,
        agent: &AgentId,
        after: Cursor,
        limit: u32,
    ) -> Result<EventRead, StoreError> {
        let mut moment = self.pool.begin().await.map_err(failed)?;
        let head = head(&mut moment, agent).await?;
        if let Some(why) = refusal(head, after) {
            return Ok(EventRead::Reset(why));
        }
        let query =
            sqlx::query(sql::EVENTS_AFTER).bind(agent.as_str()).bind(to_i64(after.seq)).bind(limit.max(1));
        let rows = query.fetch_all(&mut *moment).await.map_err(failed)?;
        let events: Vec<Event> = rows.iter().map(event).collect::<Result<_, _>>()?;
        let seq = events.last().map_or(after.seq, |last| last.seq);
        Ok(EventRead::Batch { from: after, to: Cursor { seq, ..after }, events })
    }

    pub(crate) async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError> {
        let query = sqlx::query(sql::PRUNABLE).bind(before.as_micros()).bind(to_i64(most)).bind(agents);
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(|row| Ok((parsed(column(row, 0)?)?, column_u64(row, 1)?))).collect()
    }

    pub(crate) async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        let mut moment = self.pool.begin().await.map_err(failed)?;
        let head = head(&mut moment, agent).await?;
        let unfinished = sqlx::query(sql::ALL_UNFINISHED).bind(agent.as_str());
        let mut rows = unfinished.fetch_all(&mut *moment).await.map_err(failed)?;
        let last = sqlx::query(sql::LAST_FINISHED).bind(agent.as_str()).bind(finished);
        rows.extend(last.fetch_all(&mut *moment).await.map_err(failed)?);
        let pending_orders = pending_orders::shown(&mut moment, agent, finished).await?;
        drop(moment);
        let mut operations: Vec<OperationRecord> = rows.iter().map(doc).collect::<Result<_, _>>()?;
        operations.sort_by_key(|record| std::cmp::Reverse(record.operation.position));
        let cursor = Cursor { epoch: head.epoch, seq: head.head };
        Ok(Snapshot { cursor, operations, pending_orders })
    }
}

async fn paused(conn: &mut SqliteConnection) -> Result<Vec<Pause>, StoreError> {
    let rows = sqlx::query(sql::PAUSED).fetch_all(conn).await.map_err(failed)?;
    rows.iter().map(pause).collect()
}

fn pause(row: &SqliteRow) -> Result<Pause, StoreError> {
    let (is_agent, name): (bool, String) = (column(row, 0)?, column(row, 1)?);
    let scope = match is_agent {
        true => parsed::<AgentId>(name)?.into(),
        false => pause_scope(name)?,
    };
    Ok(Pause { scope, why: column(row, 2)?, drains: column(row, 3)?, since: column_time(row, 4)? })
}

/// The scope of a row in `pauses`, by its name.
pub(crate) fn pause_scope(kind: String) -> Result<PauseScope, StoreError> {
    match kind.is_empty() {
        true => Ok(PauseScope::Everything),
        false => Ok(parsed::<OperationKind>(kind)?.into()),
    }
}

async fn head(conn: &mut SqliteConnection, agent: &AgentId) -> Result<Head, StoreError> {
    let query = sqlx::query(sql::HEAD).bind(agent.as_str());
    let row = query.fetch_one(conn).await.map_err(failed)?;
    Ok(Head { epoch: parsed(column(&row, 0)?)?, head: column_u64(&row, 1)?, floor: column_u64(&row, 2)? })
}

fn refusal(head: Head, after: Cursor) -> Option<ResetReason> {
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

fn event(row: &SqliteRow) -> Result<Event, StoreError> {
    let (seq, at) = (column_u64(row, 0)?, column_time(row, 1)?);
    Ok(Event { seq, at, event: from_json(column(row, 2)?)? })
}

fn ticket(row: &SqliteRow) -> Result<Ticket, StoreError> {
    let target: Option<String> = column(row, 4)?;
    Ok(Ticket {
        position: column_u64(row, 0)?,
        operation: parsed(column(row, 1)?)?,
        agent: parsed(column(row, 2)?)?,
        kind: parsed(column(row, 8)?)?,
        class: named(column(row, 3)?)?,
        target: target.map(parsed::<Target>).transpose()?,
        at: column_time(row, 5)?,
        step: named(column(row, 6)?)?,
        preemptions: column(row, 7)?,
    })
}

/// A unit variant by its name on the wire.
fn named<T: serde::de::DeserializeOwned>(name: String) -> Result<T, StoreError> {
    let value = serde_json::Value::String(name);
    serde_json::from_value(value).map_err(|error| StoreError::damaged("a stored name", error))
}

fn page_size(limit: u32) -> u32 {
    limit.clamp(1, 500)
}

/// Cuts what was read beyond the page; if there was any, the page's last place is where the next begins.
fn cut<T, P>(items: &mut Vec<T>, limit: u32, place: impl Fn(&T) -> P) -> Option<P> {
    if items.len() <= limit as usize {
        return None;
    }
    items.truncate(limit as usize);
    items.last().map(place)
}
