//! What a request may do within the writer's transaction.

use std::collections::{BTreeMap, BTreeSet};

use archibald_core::error::StoreError;
use archibald_core::event::NewEvent;
use archibald_core::id::{AgentId, OperationId, OperationKind, Target};
use archibald_core::operation::OperationState;
use archibald_core::pause::PauseScope;
use archibald_core::record::{Evidence, LocalRow, OperationRecord};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use serde_json::Value;
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::code::{column, column_time, column_u64, failed, name_of, optional_doc, parsed, to_i64, written};
use crate::place::Place;
use crate::read::pause_scope;
use crate::sql;

/// The writer's transaction, and what it brings about if it commits.
pub(crate) struct Tx {
    pub(crate) conn: SqliteConnection,
    /// The store's time, one for the whole transaction.
    pub(crate) now: Timestamp,
    last_position: u64,
    effects: Effects,
}

/// Whom a commit concerns, and what it adds to the log.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Devices of these agents have something to read.
    pub(crate) devices: BTreeSet<AgentId>,
    /// Something of these agents may run now.
    pub(crate) workers: BTreeSet<AgentId>,
    /// Operations that run from now on, with their agent, or no longer.
    pub(crate) running: BTreeMap<OperationId, Option<AgentId>>,
    /// Events written.
    pub(crate) events: u64,
    /// What a survey tells of all changed.
    pub(crate) survey: bool,
    /// A new history began.
    pub(crate) new_epoch: Option<Uuid>,
}

impl Effects {
    pub(crate) fn add(&mut self, more: Self) {
        self.devices.extend(more.devices);
        self.workers.extend(more.workers);
        self.survey |= more.survey;
        self.running.extend(more.running);
        if more.new_epoch.is_some() {
            self.new_epoch = more.new_epoch;
            self.events = 0;
        }
        self.events += more.events;
    }
}

/// The agent's lock, fence and pause.
pub(crate) struct AgentRow {
    pub(crate) held: Option<(OperationId, Timestamp)>,
    pub(crate) token: u64,
    pub(crate) paused: Option<String>,
}

impl AgentRow {
    /// When its lease ends, if it has one.
    pub(crate) fn lease_ends(&self) -> Timestamp {
        self.held.map_or(Timestamp::EPOCH, |(_, ends)| ends)
    }
}

impl Tx {
    pub(crate) fn new(conn: SqliteConnection, now: Timestamp) -> Self {
        Self { conn, now, last_position: 0, effects: Effects::default() }
    }

    pub(crate) async fn statement(&mut self, sql: &'static str) -> Result<(), StoreError> {
        sqlx::query(sql).execute(&mut self.conn).await.map(drop).map_err(failed)
    }

    /// Positions go on after the last one that was ever given.
    pub(crate) async fn load_last_position(&mut self) -> Result<(), StoreError> {
        let row = sqlx::query(sql::LAST_POSITION).fetch_one(&mut self.conn).await.map_err(failed)?;
        self.last_position = column_u64(&row, 0)?;
        Ok(())
    }

    /// How far the log has got; `None` in a file that is new.
    pub(crate) async fn place(&mut self) -> Result<Option<Place>, StoreError> {
        let epoch = sqlx::query(sql::EPOCH).fetch_optional(&mut self.conn).await.map_err(failed)?;
        let Some(epoch) = epoch else { return Ok(None) };
        let events = sqlx::query(sql::EVENTS_WRITTEN).fetch_one(&mut self.conn).await.map_err(failed)?;
        Ok(Some(Place { epoch: parsed(column(&epoch, 0)?)?, events: column_u64(&events, 0)? }))
    }

    pub(crate) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn wake_workers(&mut self, agent: &AgentId) {
        self.effects.workers.insert(agent.clone());
    }

    pub(crate) async fn operation(
        &mut self,
        agent: &AgentId,
        id: OperationId,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let query = sqlx::query(sql::OPERATION).bind(id.to_string()).bind(agent.as_str());
        optional_doc(query.fetch_optional(&mut self.conn).await)
    }

    pub(crate) async fn by_key(
        &mut self,
        agent: &AgentId,
        key: &str,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let query = sqlx::query(sql::BY_KEY).bind(agent.as_str()).bind(key);
        optional_doc(query.fetch_optional(&mut self.conn).await)
    }

    pub(crate) async fn waiting_of_kind(
        &mut self,
        agent: &AgentId,
        kind: &str,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let query = sqlx::query(sql::WAITING_OF_KIND).bind(agent.as_str()).bind(kind);
        optional_doc(query.fetch_optional(&mut self.conn).await)
    }

    /// Who has the target that an operation wants for itself, live or completed; the operation itself aside.
    pub(crate) async fn holder_of_target(
        &mut self,
        (agent, kind, id): (&AgentId, &OperationKind, OperationId),
        target: &Target,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let query = sqlx::query(sql::HOLDER_OF_TARGET)
            .bind(agent.as_str())
            .bind(target.as_str())
            .bind(kind.as_str())
            .bind(id.to_string());
        optional_doc(query.fetch_optional(&mut self.conn).await)
    }

    /// Forgets old operations, each with its key, its journal, its evidence and the pending order that it was.
    pub(crate) async fn forget_finished(&mut self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(sql::OLD_OPERATIONS).bind(before.as_micros()).bind(limit);
        let old = query.fetch_all(&mut self.conn).await.map_err(failed)?;
        for row in &old {
            let id: String = column(row, 0)?;
            for statement in [sql::FORGET_EVIDENCE, sql::FORGET_PENDING_ORDER, sql::FORGET_OPERATION] {
                sqlx::query(statement).bind(&id).execute(&mut self.conn).await.map_err(failed)?;
            }
        }
        Ok(old.len() as u64)
    }

    /// How many operations of the agent are unfinished, counted up to a limit.
    pub(crate) async fn unfinished(&mut self, agent: &AgentId, limit: u64) -> Result<u64, StoreError> {
        let query = sqlx::query(sql::UNFINISHED).bind(agent.as_str()).bind(to_i64(limit));
        let row = query.fetch_one(&mut self.conn).await.map_err(failed)?;
        column_u64(&row, 0)
    }

    /// The first unfinished operation on the record's target that came before it.
    pub(crate) async fn earlier_on_target(
        &mut self,
        record: &OperationRecord,
    ) -> Result<Option<OperationId>, StoreError> {
        let operation = &record.operation;
        let Some(target) = &operation.target else { return Ok(None) };
        let query = sqlx::query(sql::EARLIER_ON_TARGET)
            .bind(operation.agent.as_str())
            .bind(target.as_str())
            .bind(to_i64(operation.position));
        let row = query.fetch_optional(&mut self.conn).await.map_err(failed)?;
        row.map(|row| parsed(column(&row, 0)?)).transpose()
    }

    /// The place for the next operation. One that is not used in the end leaves a gap.
    pub(crate) fn next_position(&mut self) -> u64 {
        self.last_position += 1;
        self.last_position
    }

    pub(crate) async fn insert(
        &mut self,
        record: &OperationRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError> {
        let (operation, state) = (&record.operation, Mirror::of(record));
        let query = sqlx::query(sql::INSERT_OPERATION)
            .bind(to_i64(operation.position))
            .bind(operation.id.to_string())
            .bind(operation.agent.as_str())
            .bind(operation.key.as_str())
            .bind(operation.kind.as_str())
            .bind(name_of(&operation.class)?)
            .bind(operation.target.as_ref().map(|target| target.as_str()))
            .bind(state.name)
            .bind(state.unfinished)
            .bind(state.at)
            .bind(state.step.map(|step| name_of(&step)).transpose()?)
            .bind(operation.preemptions)
            .bind(state.finished_at)
            .bind(written(record)?);
        query.execute(&mut self.conn).await.map_err(failed)?;
        self.append(&operation.agent, events).await
    }

    /// Writes a record that exists, with the events that tell of the change.
    pub(crate) async fn update(
        &mut self,
        record: &OperationRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError> {
        let (operation, state) = (&record.operation, Mirror::of(record));
        let query = sqlx::query(sql::UPDATE_OPERATION)
            .bind(to_i64(operation.position))
            .bind(state.name)
            .bind(state.unfinished)
            .bind(state.at)
            .bind(state.step.map(|step| name_of(&step)).transpose()?)
            .bind(operation.preemptions)
            .bind(state.finished_at)
            .bind(written(record)?);
        query.execute(&mut self.conn).await.map_err(failed)?;
        let runs = matches!(operation.state, OperationState::Running { .. });
        self.effects.running.insert(operation.id, runs.then(|| operation.agent.clone()));
        self.append(&operation.agent, events).await
    }

    /// Adds events to the agent's log. The counter is taken in the same transaction, so the numbers are
    /// dense and in the order of commits.
    pub(crate) async fn append(&mut self, agent: &AgentId, events: Vec<NewEvent>) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let count = events.len() as u64;
        let query = sqlx::query(sql::COUNT_EVENTS).bind(agent.as_str()).bind(to_i64(count));
        let row = query.fetch_one(&mut self.conn).await.map_err(failed)?;
        let first = column_u64(&row, 0)? + 1 - count;
        for (seq, event) in (first..).zip(&events) {
            let query = sqlx::query(sql::WRITE_EVENT)
                .bind(agent.as_str())
                .bind(to_i64(seq))
                .bind(self.now.as_micros())
                .bind(written(event)?);
            query.execute(&mut self.conn).await.map_err(failed)?;
        }
        self.effects.events += count;
        self.effects.devices.insert(agent.clone());
        Ok(())
    }

    /// Writes local rows and returns the events of those that did change.
    pub(crate) async fn write_rows(
        &mut self,
        record: &OperationRecord,
        rows: Vec<LocalRow>,
    ) -> Result<Vec<NewEvent>, StoreError> {
        let mut events = vec![];
        for row in rows {
            if self.write_row(&record.operation.agent, &row).await? {
                events.extend(row.told(&record.operation));
            }
        }
        Ok(events)
    }

    /// Whether the row did change.
    async fn write_row(&mut self, agent: &AgentId, row: &LocalRow) -> Result<bool, StoreError> {
        let place =
            |sql| sqlx::query(sql).bind(agent.as_str()).bind(row.collection.as_str()).bind(row.id.as_str());
        let before: Option<Value> = optional_doc(place(sql::ROW).fetch_optional(&mut self.conn).await)?;
        let now = self.now.as_micros();
        let query = match &row.doc {
            Some(doc) if before.as_ref() == Some(doc) => place(sql::SEE_ROW).bind(now),
            Some(doc) => {
                place(sql::WRITE_ROW).bind(written(doc)?).bind(LocalRow::searchable(&row.id, doc)).bind(now)
            }
            None => place(sql::REMOVE_ROW),
        };
        query.execute(&mut self.conn).await.map_err(failed)?;
        Ok(before != row.doc)
    }

    pub(crate) async fn write_evidence(
        &mut self,
        record: &OperationRecord,
        first: u32,
        evidence: Vec<Evidence>,
    ) -> Result<(), StoreError> {
        for (n, evidence) in (first..).zip(evidence) {
            let query = sqlx::query(sql::WRITE_EVIDENCE)
                .bind(record.operation.id.to_string())
                .bind(n)
                .bind(record.operation.agent.as_str())
                .bind(evidence.name)
                .bind(evidence.media_type)
                .bind(evidence.bytes);
            query.execute(&mut self.conn).await.map_err(failed)?;
        }
        Ok(())
    }

    /// A pause of this kind, or of everything.
    pub(crate) async fn pause_of_kind(
        &mut self,
        kind: &OperationKind,
    ) -> Result<Option<(PauseScope, String)>, StoreError> {
        let query = sqlx::query(sql::PAUSE_OF_KIND).bind(kind.as_str());
        let row = query.fetch_optional(&mut self.conn).await.map_err(failed)?;
        row.map(|row| Ok((pause_scope(column(&row, 0)?)?, column(&row, 1)?))).transpose()
    }

    /// Pauses something, from now on.
    pub(crate) async fn pause(
        &mut self,
        scope: &PauseScope,
        why: &str,
        drains: bool,
    ) -> Result<(), StoreError> {
        let (statement, name) = match scope {
            PauseScope::Agent { agent } => (sql::PAUSE, agent.as_str()),
            PauseScope::Kind { kind } => (sql::PAUSE_KIND, kind.as_str()),
            PauseScope::Everything => (sql::PAUSE_KIND, ""),
        };
        let query = sqlx::query(statement).bind(name).bind(why).bind(drains).bind(self.now.as_micros());
        query.execute(&mut self.conn).await.map_err(failed)?;
        self.effects.survey = true;
        Ok(())
    }

    /// Ends a pause.
    pub(crate) async fn resume(&mut self, scope: &PauseScope) -> Result<(), StoreError> {
        let (statement, name) = match scope {
            PauseScope::Agent { agent } => (sql::RESUME, agent.as_str()),
            PauseScope::Kind { kind } => (sql::RESUME_KIND, kind.as_str()),
            PauseScope::Everything => (sql::RESUME_KIND, ""),
        };
        sqlx::query(statement).bind(name).execute(&mut self.conn).await.map_err(failed)?;
        self.effects.survey = true;
        if let PauseScope::Agent { agent } = scope {
            self.wake_workers(agent);
        }
        Ok(())
    }

    pub(crate) async fn agent(&mut self, agent: &AgentId) -> Result<Option<AgentRow>, StoreError> {
        let query = sqlx::query(sql::AGENT).bind(agent.as_str());
        let Some(row) = query.fetch_optional(&mut self.conn).await.map_err(failed)? else {
            return Ok(None);
        };
        let operation: Option<String> = column(&row, 0)?;
        let held = match operation {
            Some(operation) => Some((parsed(operation)?, column_time(&row, 1)?)),
            None => None,
        };
        Ok(Some(AgentRow { held, token: column_u64(&row, 2)?, paused: column(&row, 3)? }))
    }

    /// Frees the agent.
    pub(crate) async fn end_lease(&mut self, agent: &AgentId) -> Result<(), StoreError> {
        self.free_agent(agent).await?;
        self.wake_workers(agent);
        Ok(())
    }

    /// Nobody holds the agent any more, and nobody is told.
    pub(crate) async fn free_agent(&mut self, agent: &AgentId) -> Result<(), StoreError> {
        let query = sqlx::query(sql::END_LEASE).bind(agent.as_str());
        query.execute(&mut self.conn).await.map_err(failed)?;
        Ok(())
    }

    /// Ends a lease without a word of its holder; what it ran goes on where its journal says.
    pub(crate) async fn expire(
        &mut self,
        agent: &AgentId,
        operation: OperationId,
    ) -> Result<Option<Ticket>, StoreError> {
        self.end_lease(agent).await?;
        let Some(mut record) = self.operation(agent, operation).await? else { return Ok(None) };
        let now = self.now;
        let events = record.expire(now).map_err(|error| {
            StoreError::damaged(format!("operation {operation}, held by its agent"), error)
        })?;
        self.update(&record, events).await?;
        Ok(record.ticket())
    }

    /// The agents whose lease ends at `until` or before, with what they run.
    pub(crate) async fn leases_over(
        &mut self,
        until: i64,
    ) -> Result<Vec<(AgentId, OperationId)>, StoreError> {
        let query = sqlx::query(sql::LEASES_OVER).bind(until);
        let rows = query.fetch_all(&mut self.conn).await.map_err(failed)?;
        rows.iter().map(|row| Ok((parsed(column(row, 0)?)?, parsed(column(row, 1)?)?))).collect()
    }

    /// Begins a new history: all events are forgotten and every cursor is reset.
    pub(crate) async fn new_epoch(&mut self) -> Result<Uuid, StoreError> {
        let epoch = Uuid::now_v7();
        let statements = [
            sqlx::query(sql::SET_EPOCH).bind(epoch.to_string()),
            sqlx::query(sql::FORGET_EVENTS),
            sqlx::query(sql::FORGET_HEADS),
        ];
        for statement in statements {
            statement.execute(&mut self.conn).await.map_err(failed)?;
        }
        self.effects.new_epoch = Some(epoch);
        self.effects.events = 0;
        Ok(epoch)
    }
}

/// What of a record stands in columns.
struct Mirror {
    name: &'static str,
    unfinished: bool,
    at: Option<i64>,
    step: Option<archibald_core::operation::Step>,
    finished_at: Option<i64>,
}

impl Mirror {
    fn of(record: &OperationRecord) -> Self {
        let operation = &record.operation;
        let due = match operation.state {
            OperationState::Available { at, step } => Some((at, step)),
            _ => None,
        };
        Self {
            name: operation.state.name(),
            unfinished: !operation.is_final(),
            at: due.map(|(at, _)| at.as_micros()),
            step: due.map(|(_, step)| step),
            finished_at: operation.finished_at.map(Timestamp::as_micros),
        }
    }
}
