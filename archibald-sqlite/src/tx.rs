//! What a request may do within the writer's transaction.

use archibald_core::error::StoreError;
use archibald_core::event::NewEvent;
use archibald_core::id::{AgentId, OperationId, OperationKind, Target};
use archibald_core::operation::{OperationState, Step};
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::record::{Evidence, LocalRow, OperationRecord};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use rusqlite::{Connection, params};
use serde_json::Value;
use uuid::Uuid;

use crate::code::{
    all, column, column_text, column_time, column_u64, doc, execute, name_of, optional, parsed, parsed_text,
    required, to_i64, written,
};
use crate::effects::Effects;
use crate::place::Place;
use crate::read::pause_scope;
use crate::sql;

/// The writer's transaction, and what it brings about if it commits.
pub(crate) struct Tx {
    pub(crate) conn: Connection,
    /// The store's time, one for the whole transaction.
    pub(crate) now: Timestamp,
    last_position: u64,
    effects: Effects,
    /// What the request that runs has still to tell, in order: numbered and written together at its end.
    told: Vec<(AgentId, NewEvent)>,
    /// What the operations that it loaded have in columns.
    loaded: Vec<(OperationId, Mirror)>,
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
    pub(crate) fn new(conn: Connection, now: Timestamp) -> Self {
        Self { conn, now, last_position: 0, effects: Effects::default(), told: vec![], loaded: vec![] }
    }

    pub(crate) fn statement(&mut self, sql: &'static str) -> Result<(), StoreError> {
        execute(&self.conn, sql, []).map(drop)
    }

    /// Positions go on after the last one that was ever given.
    pub(crate) fn load_last_position(&mut self) -> Result<(), StoreError> {
        self.last_position = required(&self.conn, sql::LAST_POSITION, [], |row| column_u64(row, 0))?;
        Ok(())
    }

    /// How far the log has got; `None` in a file that is new.
    pub(crate) fn place(&mut self) -> Result<Option<Place>, StoreError> {
        let epoch = optional(&self.conn, sql::EPOCH, [], |row| parsed(row, 0))?;
        let Some(epoch) = epoch else { return Ok(None) };
        let events = required(&self.conn, sql::EVENTS_WRITTEN, [], |row| column_u64(row, 0))?;
        Ok(Some(Place { epoch, events }))
    }

    /// What the request brought about, which is over.
    pub(crate) fn take_effects(&mut self) -> Effects {
        self.told.clear();
        self.loaded.clear();
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn wake_workers(&mut self, agent: &AgentId) {
        self.effects.workers.insert(agent.clone());
    }

    pub(crate) fn operation(
        &mut self,
        agent: &AgentId,
        id: OperationId,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let wanted = (id.to_string(), agent.as_str());
        let record: Option<OperationRecord> = optional(&self.conn, sql::OPERATION, wanted, doc)?;
        self.loaded.extend(record.as_ref().map(|record| (id, Mirror::of(record))));
        Ok(record)
    }

    pub(crate) fn by_key(
        &mut self,
        agent: &AgentId,
        key: &str,
    ) -> Result<Option<OperationRecord>, StoreError> {
        optional(&self.conn, sql::BY_KEY, (agent.as_str(), key), doc)
    }

    pub(crate) fn waiting_of_kind(
        &mut self,
        agent: &AgentId,
        kind: &str,
    ) -> Result<Option<OperationRecord>, StoreError> {
        optional(&self.conn, sql::WAITING_OF_KIND, (agent.as_str(), kind), doc)
    }

    /// Who has the target that an operation wants for itself, live or completed; the operation itself aside.
    pub(crate) fn holder_of_target(
        &mut self,
        (agent, kind, id): (&AgentId, &OperationKind, OperationId),
        target: &Target,
    ) -> Result<Option<OperationRecord>, StoreError> {
        let wanted = (agent.as_str(), target.as_str(), kind.as_str(), id.to_string());
        optional(&self.conn, sql::HOLDER_OF_TARGET, wanted, doc)
    }

    /// Forgets old operations, each with its key, its journal, its evidence and the pending order that it was.
    pub(crate) fn forget_finished(&mut self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let old: Vec<String> =
            all(&self.conn, sql::OLD_OPERATIONS, (before.as_micros(), limit), |row| column(row, 0))?;
        for id in &old {
            for statement in [sql::FORGET_EVIDENCE, sql::FORGET_PENDING_ORDER, sql::FORGET_OPERATION] {
                execute(&self.conn, statement, [id])?;
            }
        }
        Ok(old.len() as u64)
    }

    /// How many operations of the agent are unfinished, counted up to a limit.
    pub(crate) fn unfinished(&mut self, agent: &AgentId, limit: u64) -> Result<u64, StoreError> {
        required(&self.conn, sql::UNFINISHED, (agent.as_str(), to_i64(limit)), |row| column_u64(row, 0))
    }

    /// The first unfinished operation on the record's target that came before it.
    pub(crate) fn earlier_on_target(
        &mut self,
        record: &OperationRecord,
    ) -> Result<Option<OperationId>, StoreError> {
        let operation = &record.operation;
        let Some(target) = &operation.target else { return Ok(None) };
        let of = (operation.agent.as_str(), target.as_str(), to_i64(operation.position));
        optional(&self.conn, sql::EARLIER_ON_TARGET, of, |row| parsed(row, 0))
    }

    /// The place for the next operation. One that is not used in the end leaves a gap.
    pub(crate) fn next_position(&mut self) -> u64 {
        self.last_position += 1;
        self.last_position
    }

    pub(crate) fn insert(
        &mut self,
        record: &OperationRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError> {
        let (operation, state) = (&record.operation, Mirror::of(record));
        let inserted = params![
            to_i64(operation.position),
            operation.id.to_string(),
            operation.agent.as_str(),
            operation.key.as_str(),
            operation.kind.as_str(),
            name_of(&operation.class)?,
            operation.target.as_ref().map(|target| target.as_str()),
            state.name,
            state.unfinished,
            state.at,
            state.step.map(|step| name_of(&step)).transpose()?,
            state.preemptions,
            state.finished_at,
            written(record)?,
        ];
        execute(&self.conn, sql::INSERT_OPERATION, inserted)?;
        self.append(&operation.agent, events);
        Ok(())
    }

    /// Writes a record that exists, with the events that tell of the change. Columns that stay as they are
    /// are not written: SQLite would write each of their indexes anew.
    pub(crate) fn update(
        &mut self,
        record: &OperationRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError> {
        let (operation, state) = (&record.operation, Mirror::of(record));
        let (position, doc) = (to_i64(operation.position), written(record)?);
        let step = state.step.map(|step| name_of(&step)).transpose()?;
        match self.loaded.iter().rfind(|(id, _)| *id == operation.id).map(|(_, before)| before) {
            Some(before) if *before == state => execute(&self.conn, sql::UPDATE_DOC, (position, doc))?,
            Some(before) if before.end() == state.end() => {
                let changed = (position, state.name, state.at, step, state.preemptions, doc);
                execute(&self.conn, sql::UPDATE_STATE, changed)?
            }
            _ => {
                let Mirror { name, unfinished, at, preemptions, finished_at, .. } = state;
                let changed = (position, name, unfinished, at, step, preemptions, finished_at, doc);
                execute(&self.conn, sql::UPDATE_OPERATION, changed)?
            }
        };
        self.loaded.push((operation.id, state));
        let runs = matches!(operation.state, OperationState::Running { .. });
        self.effects.running.insert(operation.id, runs.then(|| operation.agent.clone()));
        self.append(&operation.agent, events);
        Ok(())
    }

    /// Adds events to the agent's log, when the request ends.
    pub(crate) fn append(&mut self, agent: &AgentId, events: Vec<NewEvent>) {
        self.told.extend(events.into_iter().map(|event| (agent.clone(), event)));
    }

    /// Writes what was added to logs. The counter is taken in the same transaction, so the numbers are dense
    /// and in the order of commits.
    pub(crate) fn write_events(&mut self) -> Result<(), StoreError> {
        let told = std::mem::take(&mut self.told);
        for told in told.chunk_by(|(agent, _), (next, _)| agent == next) {
            let Some((agent, _)) = told.first() else { continue };
            let count = told.len() as u64;
            let counted = (agent.as_str(), to_i64(count));
            let head = required(&self.conn, sql::COUNT_EVENTS, counted, |row| column_u64(row, 0))?;
            for (seq, (agent, event)) in (head + 1 - count..).zip(told) {
                let row = (agent.as_str(), to_i64(seq), self.now.as_micros(), written(event)?);
                execute(&self.conn, sql::WRITE_EVENT, row)?;
            }
            self.effects.events += count;
            self.effects.devices.insert(agent.clone());
        }
        Ok(())
    }

    /// Writes local rows and returns the events of those that did change.
    pub(crate) fn write_rows(
        &mut self,
        record: &OperationRecord,
        rows: Vec<LocalRow>,
    ) -> Result<Vec<NewEvent>, StoreError> {
        let mut events = vec![];
        for row in rows {
            if self.write_row(&record.operation.agent, &row)? {
                events.extend(row.told(&record.operation));
            }
        }
        Ok(events)
    }

    /// Whether the row did change.
    fn write_row(&mut self, agent: &AgentId, row: &LocalRow) -> Result<bool, StoreError> {
        let (agent, collection, id) = (agent.as_str(), row.collection.as_str(), row.id.as_str());
        let before: Option<Value> = optional(&self.conn, sql::ROW, (agent, collection, id), doc)?;
        let now = self.now.as_micros();
        match &row.doc {
            Some(doc) if before.as_ref() == Some(doc) => {
                execute(&self.conn, sql::SEE_ROW, (agent, collection, id, now))?
            }
            Some(doc) => {
                let text = LocalRow::searchable(&row.id, doc);
                execute(&self.conn, sql::WRITE_ROW, (agent, collection, id, written(doc)?, text, now))?
            }
            None => execute(&self.conn, sql::REMOVE_ROW, (agent, collection, id))?,
        };
        Ok(before != row.doc)
    }

    pub(crate) fn write_evidence(
        &mut self,
        record: &OperationRecord,
        first: u32,
        evidence: Vec<Evidence>,
    ) -> Result<(), StoreError> {
        for (n, evidence) in (first..).zip(evidence) {
            let operation = &record.operation;
            let Evidence { name, media_type, bytes } = evidence;
            let kept = (operation.id.to_string(), n, operation.agent.as_str(), name, media_type, bytes);
            execute(&self.conn, sql::WRITE_EVIDENCE, kept)?;
        }
        Ok(())
    }

    /// A pause of this kind, or of everything.
    pub(crate) fn pause_of_kind(
        &mut self,
        kind: &OperationKind,
    ) -> Result<Option<(PauseScope, String)>, StoreError> {
        optional(&self.conn, sql::PAUSE_OF_KIND, [kind.as_str()], |row| {
            Ok((pause_scope(column_text(row, 0)?)?, column(row, 1)?))
        })
    }

    /// Pauses something, from now on.
    pub(crate) fn pause(&mut self, scope: &PauseScope, why: &str, drains: bool) -> Result<(), StoreError> {
        let pause = Pause { scope: scope.clone(), why: why.to_owned(), drains, since: self.now };
        let (statement, name, pause) = match scope {
            PauseScope::Agent { agent } => (sql::PAUSE, agent.as_str(), pause.over(self.pause_of(agent)?)),
            PauseScope::Kind { kind } => (sql::PAUSE_KIND, kind.as_str(), pause),
            PauseScope::Everything => (sql::PAUSE_KIND, "", pause),
        };
        execute(&self.conn, statement, (name, pause.why, pause.drains, pause.since.as_micros()))?;
        self.effects.survey = true;
        Ok(())
    }

    fn pause_of(&mut self, agent: &AgentId) -> Result<Option<Pause>, StoreError> {
        optional(&self.conn, sql::PAUSE_OF_AGENT, [agent.as_str()], |row| {
            let (why, drains, since) = (column(row, 0)?, column(row, 1)?, column_time(row, 2)?);
            Ok(Pause { scope: agent.clone().into(), why, drains, since })
        })
    }

    /// Ends what is a lock-out of the agent's pause; whether nothing is left of it.
    pub(crate) fn unlock(&mut self, agent: &AgentId) -> Result<bool, StoreError> {
        let Some(Pause { why, drains, since, .. }) = self.pause_of(agent)?.and_then(Pause::unlocked) else {
            self.resume(&agent.clone().into())?;
            return Ok(true);
        };
        execute(&self.conn, sql::PAUSE, (agent.as_str(), why, drains, since.as_micros()))?;
        self.effects.survey = true;
        self.wake_workers(agent);
        Ok(false)
    }

    /// Ends a pause.
    pub(crate) fn resume(&mut self, scope: &PauseScope) -> Result<(), StoreError> {
        let (statement, name) = match scope {
            PauseScope::Agent { agent } => (sql::RESUME, agent.as_str()),
            PauseScope::Kind { kind } => (sql::RESUME_KIND, kind.as_str()),
            PauseScope::Everything => (sql::RESUME_KIND, ""),
        };
        execute(&self.conn, statement, [name])?;
        self.effects.survey = true;
        if let PauseScope::Agent { agent } = scope {
            self.wake_workers(agent);
        }
        Ok(())
    }

    pub(crate) fn agent(&mut self, agent: &AgentId) -> Result<Option<AgentRow>, StoreError> {
        optional(&self.conn, sql::AGENT, [agent.as_str()], |row| {
            let held: Option<String> = column(row, 0)?;
            let held =
                held.map(|operation| Ok((parsed_text(&operation)?, column_time(row, 1)?))).transpose()?;
            Ok(AgentRow { held, token: column_u64(row, 2)?, paused: column(row, 3)? })
        })
    }

    /// Frees the agent.
    pub(crate) fn end_lease(&mut self, agent: &AgentId) -> Result<(), StoreError> {
        execute(&self.conn, sql::END_LEASE, [agent.as_str()])?;
        self.wake_workers(agent);
        Ok(())
    }

    /// Ends a lease without a word of its holder; what it ran goes on where its journal says.
    pub(crate) fn expire(
        &mut self,
        agent: &AgentId,
        operation: OperationId,
    ) -> Result<Option<Ticket>, StoreError> {
        self.end_lease(agent)?;
        let Some(mut record) = self.operation(agent, operation)? else { return Ok(None) };
        let now = self.now;
        let events = record.expire(now).map_err(|error| {
            StoreError::damaged(format!("operation {operation}, held by its agent"), error)
        })?;
        self.update(&record, events)?;
        Ok(record.ticket())
    }

    /// The agents whose lease ends at `until` or before, with what they run.
    pub(crate) fn leases_over(&mut self, until: i64) -> Result<Vec<(AgentId, OperationId)>, StoreError> {
        all(&self.conn, sql::LEASES_OVER, [until], |row| Ok((parsed(row, 0)?, parsed(row, 1)?)))
    }

    /// Begins a new history: all events are forgotten and every cursor is reset.
    pub(crate) fn new_epoch(&mut self) -> Result<Uuid, StoreError> {
        let epoch = Uuid::now_v7();
        execute(&self.conn, sql::SET_EPOCH, [epoch.to_string()])?;
        execute(&self.conn, sql::FORGET_EVENTS, [])?;
        execute(&self.conn, sql::FORGET_HEADS, [])?;
        self.told.clear();
        self.effects.new_epoch = Some(epoch);
        self.effects.events = 0;
        Ok(epoch)
    }
}

/// What of a record stands in columns, and may change.
#[derive(PartialEq)]
struct Mirror {
    name: &'static str,
    unfinished: bool,
    at: Option<i64>,
    step: Option<Step>,
    preemptions: u32,
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
            preemptions: operation.preemptions,
            finished_at: operation.finished_at.map(Timestamp::as_micros),
        }
    }

    /// Whether it has ended, and when.
    fn end(&self) -> (bool, Option<i64>) {
        (self.unfinished, self.finished_at)
    }
}
