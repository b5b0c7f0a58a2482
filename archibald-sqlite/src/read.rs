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
    Sealed, Snapshot, Survey, SurveyRequest,
};
use archibald_core::record::{Evidence, OperationRecord};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::de::value::BorrowedStrDeserializer;

use crate::code::{
    all, column, column_text, column_time, column_u64, doc, execute, from_json, name_of, optional, parsed,
    parsed_text, required, to_i64,
};
use crate::readers::Readers;
use crate::{pending_orders, sql};

/// Reads on connections of its own. What was committed before a call is seen by it.
pub(crate) struct Reader {
    readers: Readers,
    clock: Arc<dyn Clock>,
}

impl Reader {
    pub(crate) fn new(readers: Readers, clock: Arc<dyn Clock>) -> Self {
        Self { readers, clock }
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
    }

    pub(crate) async fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_string_lossy().into_owned();
        self.readers.ask(move |conn| execute(conn, sql::COPY, [path]).map(drop)).await
    }

    pub(crate) async fn operation(
        &self,
        agent: &AgentId,
        id: OperationId,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let agent = agent.clone();
        let question =
            move |conn: &Connection| optional(conn, sql::OPERATION, (id.to_string(), agent.as_str()), doc);
        self.readers.ask(question).await
    }

    pub(crate) async fn list(
        &self,
        agent: &AgentId,
        filter: &OperationFilter,
    ) -> Result<OperationPage, StoreError> {
        let (agent, filter) = (agent.clone(), filter.clone());
        self.readers.ask(move |conn| list(conn, &agent, &filter)).await
    }

    pub(crate) async fn waiting(
        &self,
        agent: &AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Result<Vec<Ticket>, StoreError> {
        let agent = agent.clone();
        let after = after.unwrap_or((Class::Interactive, 0));
        self.readers
            .ask(move |conn| at_one_moment(conn, |conn| waiting(conn, &agent, after, limit.max(1))))
            .await
    }

    /// All of one moment, but for who works.
    pub(crate) async fn survey(&self, request: &SurveyRequest) -> Result<Survey, StoreError> {
        let (request, clock) = (request.clone(), self.clock.clone());
        self.readers.ask(move |conn| at_one_moment(conn, |conn| survey(conn, &request, clock.now()))).await
    }

    pub(crate) async fn evidence(
        &self,
        agent: &AgentId,
        id: OperationId,
        n: u32,
    ) -> Result<Option<Evidence>, StoreError> {
        let agent = agent.clone();
        let read = |row: &Row<'_>| {
            Ok(Evidence { name: column(row, 0)?, media_type: column(row, 1)?, bytes: column(row, 2)? })
        };
        let question =
            move |conn: &Connection| optional(conn, sql::EVIDENCE, (id.to_string(), n, agent.as_str()), read);
        self.readers.ask(question).await
    }

    pub(crate) async fn rows(&self, agent: &AgentId, asked: &RowQuery) -> Result<RowPage, StoreError> {
        let (agent, asked) = (agent.clone(), asked.clone());
        self.readers.ask(move |conn| rows(conn, &agent, &asked)).await
    }

    pub(crate) async fn pending_order(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
    ) -> Result<Option<PendingOrder>, StoreError> {
        let agent = agent.clone();
        self.readers.ask(move |conn| pending_orders::one(conn, &agent, id)).await
    }

    pub(crate) async fn pending_orders(
        &self,
        agent: &AgentId,
        before: Option<PendingOrderId>,
        limit: u32,
    ) -> Result<PendingOrderPage, StoreError> {
        let (agent, limit) = (agent.clone(), page_size(limit));
        let question = move |conn: &Connection| pending_orders::some_before(conn, &agent, before, limit + 1);
        let mut orders = self.readers.ask(question).await?;
        let next = cut(&mut orders, limit, |order| order.id);
        Ok(PendingOrderPage { orders, next })
    }

    pub(crate) async fn kept_agents(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(AgentId, Sealed)>, StoreError> {
        let after = after.to_owned();
        let kept = |row: &Row<'_>| Ok((parsed(row, 0)?, Sealed(column(row, 1)?)));
        self.readers.ask(move |conn| all(conn, sql::KEPT_AGENTS, (after, limit), kept)).await
    }

    pub(crate) async fn kept_agent(&self, agent: &AgentId) -> Result<Option<Sealed>, StoreError> {
        let agent = agent.clone();
        let sealed = |row: &Row<'_>| Ok(Sealed(column(row, 0)?));
        self.readers.ask(move |conn| optional(conn, sql::KEPT_AGENT, [agent.as_str()], sealed)).await
    }

    pub(crate) async fn paused(&self) -> Result<Vec<Pause>, StoreError> {
        self.readers.ask(paused).await
    }

    pub(crate) async fn head(&self, agent: &AgentId) -> Result<Head, StoreError> {
        let agent = agent.clone();
        self.readers.ask(move |conn| head(conn, &agent)).await
    }

    /// Head and events of one moment: no pruning and no new epoch comes between them.
    pub(crate) async fn events(
        &self,
        agent: &AgentId,
        after: Cursor,
        limit: u32,
    ) -> Result<EventRead, StoreError> {
        let agent = agent.clone();
        self.readers.ask(move |conn| at_one_moment(conn, |conn| events(conn, &agent, after, limit))).await
    }

    pub(crate) async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError> {
        let question = move |conn: &Connection| {
            let asked = (before.as_micros(), to_i64(most), agents);
            all(conn, sql::PRUNABLE, asked, |row| Ok((parsed(row, 0)?, column_u64(row, 1)?)))
        };
        self.readers.ask(question).await
    }

    pub(crate) async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        let agent = agent.clone();
        self.readers.ask(move |conn| at_one_moment(conn, |conn| snapshot(conn, &agent, finished))).await
    }
}

/// Answers that belong together: nothing is committed between them.
fn at_one_moment<T>(
    conn: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let moment = Moment::begin(conn)?;
    read(moment.0)
}

struct Moment<'c>(&'c Connection);

impl<'c> Moment<'c> {
    fn begin(conn: &'c Connection) -> Result<Self, StoreError> {
        execute(conn, sql::BEGIN_MOMENT, [])?;
        Ok(Self(conn))
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        // What only read leaves nothing to commit; a moment that did not end would be told by the next.
        execute(self.0, sql::COMMIT, []).ok();
    }
}

fn waiting(
    conn: &Connection,
    agent: &AgentId,
    (class, position): (Class, u64),
    limit: u32,
) -> Result<Vec<Ticket>, StoreError> {
    let (agent, class) = (agent.as_str(), name_of(&class)?);
    let of_class = (agent, class.as_str(), to_i64(position), limit);
    let mut tickets = all(conn, sql::WAITING_OF_CLASS, of_class, ticket)?;
    let left = limit.saturating_sub(u32::try_from(tickets.len()).unwrap_or(u32::MAX));
    if left > 0 {
        tickets.extend(all(conn, sql::WAITING_BEHIND_CLASS, (agent, class.as_str(), left), ticket)?);
    }
    Ok(tickets)
}

fn list(conn: &Connection, agent: &AgentId, filter: &OperationFilter) -> Result<OperationPage, StoreError> {
    let limit = page_size(filter.limit);
    let before = to_i64(filter.before.unwrap_or(u64::MAX));
    let (agent, state) = (agent.as_str(), filter.state.as_deref());
    let kind = filter.kind.as_ref().map(|kind| kind.as_str());
    let mut records: Vec<OperationRecord> = match &filter.target {
        None => all(conn, sql::LIST, params![agent, before, state, kind, limit + 1], doc)?,
        Some(target) => {
            let asked = params![agent, before, state, kind, limit + 1, target.as_str()];
            all(conn, sql::LIST_OF_TARGET, asked, doc)?
        }
    };
    let next = cut(&mut records, limit, |record| record.operation.position);
    Ok(OperationPage { records, next })
}

fn survey(conn: &Connection, request: &SurveyRequest, now: Timestamp) -> Result<Survey, StoreError> {
    let has_ended_leases = required(conn, sql::IS_LEASE_OVER, [now.as_micros()], |row| column(row, 0))?;
    let paused = paused(conn)?;
    let limit = request.agents.max(1);
    let after = request.after.as_ref().map_or("", AgentId::as_str);
    let mut agents: Vec<AgentId> =
        all(conn, sql::BUSY_AGENTS, (after, limit.saturating_add(1)), |row| parsed(row, 0))?;
    let next = cut(&mut agents, limit, AgentId::clone);
    let mut fronts = vec![];
    for agent in agents {
        fronts.extend(all(conn, sql::FRONT, (agent.as_str(), request.each.max(1)), ticket)?);
    }
    Ok(Survey { now, has_ended_leases, paused, workers: vec![], fronts, next })
}

fn rows(conn: &Connection, agent: &AgentId, asked: &RowQuery) -> Result<RowPage, StoreError> {
    let limit = page_size(asked.limit);
    let search = asked.search.as_ref().filter(|text| !text.is_empty()).map(|text| text.to_lowercase());
    let after = asked.after.as_deref().unwrap_or_default();
    let values = params![agent.as_str(), asked.collection.as_str(), after, search, limit + 1];
    let read = |row: &Row<'_>| Ok((column(row, 0)?, from_json(column_text(row, 1)?)?, column_time(row, 2)?));
    let mut rows = all(conn, sql::ROWS, values, read)?;
    let next = cut(&mut rows, limit, |(id, ..): &(String, _, _)| id.clone());
    Ok(RowPage { rows, next })
}

fn events(conn: &Connection, agent: &AgentId, after: Cursor, limit: u32) -> Result<EventRead, StoreError> {
    let head = head(conn, agent)?;
    if let Some(why) = refusal(head, after) {
        return Ok(EventRead::Reset(why));
    }
    let asked = (agent.as_str(), to_i64(after.seq), limit.max(1));
    let events: Vec<Event> = all(conn, sql::EVENTS_AFTER, asked, event)?;
    let seq = events.last().map_or(after.seq, |last| last.seq);
    Ok(EventRead::Batch { from: after, to: Cursor { seq, ..after }, events })
}

fn snapshot(conn: &Connection, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
    let head = head(conn, agent)?;
    let mut operations: Vec<OperationRecord> = all(conn, sql::ALL_UNFINISHED, [agent.as_str()], doc)?;
    operations.extend(all(conn, sql::LAST_FINISHED, (agent.as_str(), finished), doc::<OperationRecord>)?);
    let pending_orders = pending_orders::shown(conn, agent, finished)?;
    operations.sort_by_key(|record| std::cmp::Reverse(record.operation.position));
    let cursor = Cursor { epoch: head.epoch, seq: head.head };
    Ok(Snapshot { cursor, operations, pending_orders })
}

fn paused(conn: &Connection) -> Result<Vec<Pause>, StoreError> {
    all(conn, sql::PAUSED, [], pause)
}

fn pause(row: &Row<'_>) -> Result<Pause, StoreError> {
    let scope = match column(row, 0)? {
        true => parsed::<AgentId>(row, 1)?.into(),
        false => pause_scope(column_text(row, 1)?)?,
    };
    Ok(Pause { scope, why: column(row, 2)?, drains: column(row, 3)?, since: column_time(row, 4)? })
}

/// The scope of a row in `pauses`, by its name.
pub(crate) fn pause_scope(kind: &str) -> Result<PauseScope, StoreError> {
    match kind.is_empty() {
        true => Ok(PauseScope::Everything),
        false => Ok(parsed_text::<OperationKind>(kind)?.into()),
    }
}

fn head(conn: &Connection, agent: &AgentId) -> Result<Head, StoreError> {
    required(conn, sql::HEAD, [agent.as_str()], |row| {
        Ok(Head { epoch: parsed(row, 0)?, head: column_u64(row, 1)?, floor: column_u64(row, 2)? })
    })
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

fn event(row: &Row<'_>) -> Result<Event, StoreError> {
    let (seq, at) = (column_u64(row, 0)?, column_time(row, 1)?);
    Ok(Event { seq, at, event: from_json(column_text(row, 2)?)? })
}

fn ticket(row: &Row<'_>) -> Result<Ticket, StoreError> {
    let target: Option<String> = column(row, 4)?;
    Ok(Ticket {
        position: column_u64(row, 0)?,
        operation: parsed(row, 1)?,
        agent: parsed(row, 2)?,
        kind: parsed(row, 8)?,
        class: named(row, 3)?,
        target: target.as_deref().map(parsed_text::<Target>).transpose()?,
        at: column_time(row, 5)?,
        step: named(row, 6)?,
        preemptions: column(row, 7)?,
    })
}

/// A unit variant by its name on the wire.
fn named<T: serde::de::DeserializeOwned>(row: &Row<'_>, n: usize) -> Result<T, StoreError> {
    let name = BorrowedStrDeserializer::<serde_json::Error>::new(column_text(row, n)?);
    T::deserialize(name).map_err(|error| StoreError::damaged("a stored name", error))
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
