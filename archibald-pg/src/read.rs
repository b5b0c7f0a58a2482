//! What one statement, or one reading transaction, does on a connection of the pool.

use archibald_core::error::StoreError;
use archibald_core::event::Cursor;
use archibald_core::id::{AgentId, OperationId, OperationKind, WorkerId};
use archibald_core::operation::Class;
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::port::{
    Head, OperationFilter, OperationPage, RowPage, RowQuery, Snapshot, Survey, SurveyRequest,
};
use archibald_core::record::{Evidence, OperationRecord};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use archibald_core::worker::LiveWorker;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use crate::codec::{At, from_json, printable, to_i64, to_u64};
use crate::pending_orders;
use crate::records::{decode, decode_all};
use crate::sql::Sql;
use crate::tx::Stop;

pub(crate) type Read<T> = Result<T, Stop<StoreError>>;

/// One operation of an agent.
pub(crate) async fn operation(
    conn: &mut PgConnection,
    sql: &Sql,
    agent: &str,
    id: OperationId,
) -> Read<Option<OperationRecord>> {
    let query = sql.operation_get.query().bind(id.0).bind(agent);
    let row = query.fetch_optional(conn).await?;
    Ok(row.as_ref().map(decode).transpose()?)
}

/// A page of an agent's operations, newest first.
pub(crate) async fn operations(
    conn: &mut PgConnection,
    sql: &Sql,
    agent: &str,
    filter: &OperationFilter,
) -> Read<OperationPage> {
    let limit = page_size(filter.limit);
    let of_target = filter.target.as_ref();
    let statement = if of_target.is_some() { &sql.operations_of_target } else { &sql.operations_list };
    let mut query = statement
        .query()
        .bind(agent)
        .bind(to_i64(filter.before.unwrap_or(u64::MAX)))
        .bind(filter.state.as_deref().map(printable))
        .bind(filter.kind.as_ref().map(|kind| kind.to_string()))
        .bind(beyond(limit));
    if let Some(target) = of_target {
        query = query.bind(target.to_string());
    }
    let mut records = decode_all(&query.fetch_all(conn).await?)?;
    let next = cut(&mut records, limit, |record| record.operation.position);
    Ok(OperationPage { records, next })
}

/// What waits of one agent, in order.
pub(crate) async fn waiting(
    conn: &mut PgConnection,
    sql: &Sql,
    agent: &AgentId,
    after: Option<(Class, u64)>,
    limit: u32,
) -> Read<Vec<Ticket>> {
    let (is_background, position) = place_after(after);
    let query = sql
        .tickets_of_agent
        .query_scalar()
        .bind(agent.to_string())
        .bind(is_background)
        .bind(position)
        .bind(i64::from(limit.max(1)));
    Ok(tickets(query.fetch_all(conn).await?)?)
}

/// The columns of a place in the order of an agent's tickets.
pub(crate) fn place_after(after: Option<(Class, u64)>) -> (bool, i64) {
    let (class, position) = after.unwrap_or((Class::Interactive, 0));
    (class == Class::Background, to_i64(position))
}

fn tickets(texts: Vec<String>) -> Result<Vec<Ticket>, StoreError> {
    texts.iter().map(|text| from_json("a ticket", text)).collect()
}

/// A page of a survey, all in one statement; `told` is what it notifies of on which channel.
pub(crate) async fn survey(
    conn: &mut PgConnection,
    sql: &Sql,
    request: &SurveyRequest,
    told: Option<&(String, String)>,
) -> Read<Survey> {
    let beat = request.beat.as_ref();
    let lasts = beat.map_or(0, |beat| beat.lasts.as_micros());
    let microseconds = i64::try_from(lasts).unwrap_or(i64::MAX);
    let query = sql
        .survey
        .query()
        .bind(request.after.as_ref().map_or(String::new(), AgentId::to_string))
        .bind(i64::from(request.agents.max(1)))
        .bind(i64::from(request.each.max(1)))
        .bind(beat.map(|beat| beat.worker.to_string()))
        .bind(beat.map_or(0, |beat| i32::try_from(beat.slots).unwrap_or(i32::MAX)))
        .bind(beat.is_some_and(|beat| beat.drains))
        .bind(PgInterval { months: 0, days: 0, microseconds })
        .bind(told.map(|(channel, _)| channel))
        .bind(told.map(|(_, payload)| payload));
    let row = query.fetch_one(conn).await?;
    let (names, are_agents): (Vec<String>, Vec<bool>) =
        (row.try_get("paused")?, row.try_get("paused_is_agent")?);
    let (why, drains): (Vec<String>, Vec<bool>) = (row.try_get("paused_why")?, row.try_get("paused_drains")?);
    let since: Vec<At> = row.try_get("paused_since")?;
    let paused = names.into_iter().zip(are_agents).zip(why).zip(drains).zip(since);
    let paused =
        paused.map(|((((name, is_agent), why), drains), since)| pause((name, is_agent, why, drains, since)));
    let next: Option<String> = row.try_get("next")?;
    Ok(Survey {
        now: row.try_get::<At, _>("now")?.0,
        has_ended_leases: row.try_get("has_ended_leases")?,
        paused: paused.collect::<Result<_, StoreError>>()?,
        workers: workers(&row)?,
        fronts: tickets(row.try_get("fronts")?)?,
        next: next.map(|agent| named("an agent", agent)).transpose()?,
    })
}

fn workers(row: &PgRow) -> Read<Vec<LiveWorker>> {
    let (names, slots): (Vec<String>, Vec<i32>) = (row.try_get("workers")?, row.try_get("workers_slots")?);
    let drains: Vec<bool> = row.try_get("workers_drain")?;
    let (since, until): (Vec<At>, Vec<At>) = (row.try_get("workers_since")?, row.try_get("workers_until")?);
    let mut workers = vec![];
    for ((((name, slots), drains), since), until) in
        names.into_iter().zip(slots).zip(drains).zip(since).zip(until)
    {
        let worker = WorkerId::new(name).map_err(|error| StoreError::damaged("a worker", error))?;
        let slots = slots.unsigned_abs();
        workers.push(LiveWorker { worker, slots, drains, since: since.0, until: until.0 });
    }
    Ok(workers)
}

/// The columns of `sql/paused.sql`.
type PauseRow = (String, bool, String, bool, At);

fn pause((name, is_agent, why, drains, since): PauseRow) -> Result<Pause, StoreError> {
    let damaged = |error| StoreError::damaged("a pause", error);
    let scope = match is_agent {
        true => named("a paused agent", name)?.into(),
        false if name.is_empty() => PauseScope::Everything,
        false => OperationKind::new(name).map_err(damaged)?.into(),
    };
    Ok(Pause { scope, why, drains, since: since.0 })
}

fn named(what: &str, agent: String) -> Result<AgentId, StoreError> {
    AgentId::new(agent).map_err(|error| StoreError::damaged(what, error))
}

/// Evidence, by its number.
pub(crate) async fn evidence(
    conn: &mut PgConnection,
    sql: &Sql,
    agent: &str,
    id: OperationId,
    n: u32,
) -> Read<Option<Evidence>> {
    let query = sql.evidence_get.query_as().bind(id.0).bind(i64::from(n)).bind(agent);
    let row: Option<(String, String, Vec<u8>)> = query.fetch_optional(conn).await?;
    Ok(row.map(|(name, media_type, bytes)| Evidence { name, media_type, bytes }))
}

/// A page of an agent's rows, by id.
pub(crate) async fn rows(conn: &mut PgConnection, sql: &Sql, agent: &str, query: &RowQuery) -> Read<RowPage> {
    let limit = page_size(query.limit);
    let found = sql
        .rows_list
        .query()
        .bind(agent)
        .bind(query.collection.as_str())
        .bind(query.after.as_deref().map(printable))
        .bind(query.search.as_ref().map(|text| printable(&text.to_lowercase())))
        .bind(beyond(limit))
        .fetch_all(conn)
        .await?;
    let mut rows: Vec<(String, _, _)> = vec![];
    for row in found {
        let doc = from_json("a row", row.try_get("doc")?)?;
        rows.push((row.try_get("id")?, doc, row.try_get::<At, _>("written_at")?.0));
    }
    let next = cut(&mut rows, limit, |(id, ..)| id.clone());
    Ok(RowPage { rows, next })
}

/// What is paused.
pub(crate) async fn paused(conn: &mut PgConnection, sql: &Sql) -> Read<Vec<Pause>> {
    let rows: Vec<PauseRow> = sql.paused.query_as().fetch_all(conn).await?;
    Ok(rows.into_iter().map(pause).collect::<Result<_, StoreError>>()?)
}

/// Pauses a kind, or everything: `None`. Like [`resume_kind`] one statement, which may be made again.
pub(crate) async fn pause_kind(
    conn: &mut PgConnection,
    sql: &Sql,
    kind: Option<&OperationKind>,
    why: &str,
    drains: bool,
) -> Read<()> {
    let kind = kind.map_or("", OperationKind::as_str);
    let query = sql.kind_pause.query().bind(kind).bind(printable(why)).bind(drains);
    query.execute(conn).await?;
    Ok(())
}

pub(crate) async fn resume_kind(
    conn: &mut PgConnection,
    sql: &Sql,
    kind: Option<&OperationKind>,
) -> Read<()> {
    let query = sql.kind_resume.query().bind(kind.map_or("", OperationKind::as_str));
    query.execute(conn).await?;
    Ok(())
}

/// Forgets old operations in one statement, which may be made again.
pub(crate) async fn forget(conn: &mut PgConnection, sql: &Sql, before: Timestamp, limit: u32) -> Read<u64> {
    let query = sql.operations_forget.query().bind(At(before)).bind(i64::from(limit));
    Ok(query.execute(conn).await?.rows_affected())
}

/// The ends of an agent's log.
pub(crate) async fn head(conn: &mut PgConnection, sql: &Sql, agent: &str) -> Read<Head> {
    let row = sql.head.query().bind(agent).fetch_one(conn).await?;
    Ok(head_of(&row)?)
}

/// The ends of a log, from the columns `epoch`, `head` and `floor`.
pub(crate) fn head_of(row: &PgRow) -> Result<Head, sqlx::Error> {
    let epoch: Uuid = row.try_get("epoch")?;
    Ok(Head { epoch, head: to_u64(row.try_get("head")?), floor: to_u64(row.try_get("floor")?) })
}

/// State and place as of one moment.
pub(crate) async fn snapshot(
    conn: &mut PgConnection,
    sql: &Sql,
    agent: &str,
    finished: u32,
) -> Read<Snapshot> {
    let mut tx = conn.begin_with("begin isolation level repeatable read read only").await?;
    let head = head(&mut tx, sql, agent).await?;
    let shown = sql.operations_shown.query().bind(agent).bind(i64::from(finished));
    let operations = decode_all(&shown.fetch_all(&mut *tx).await?)?;
    let pending_orders = pending_orders::shown(&mut tx, sql, agent, finished).await?;
    tx.commit().await?;
    Ok(Snapshot { cursor: Cursor { epoch: head.epoch, seq: head.head }, operations, pending_orders })
}

pub(crate) fn page_size(limit: u32) -> usize {
    limit.clamp(1, 500) as usize
}

/// One more than the page tells whether there is a next one.
pub(crate) fn beyond(limit: usize) -> i64 {
    to_i64(limit as u64 + 1)
}

/// Cuts what was read beyond the page; if there was any, the page's last place is where the next begins.
pub(crate) fn cut<T, P>(items: &mut Vec<T>, limit: usize, place: impl Fn(&T) -> P) -> Option<P> {
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(place)
}
