use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::ops::RangeBounds;

use archibald_core::event::{Event, NewEvent, Progress};
use archibald_core::id::{
    AgentId, Collection, OperationId, OperationKey, OperationKind, PendingOrderId, Target,
};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, IllegalChange, OperationState};
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::pending_order::PendingOrder;
use archibald_core::port::{Head, Sealed};
use archibald_core::record::{Evidence, LocalRow, OperationRecord};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use archibald_core::worker::Roster;
use serde_json::Value;
use uuid::Uuid;

/// Who is woken after a change: the agent's devices always, workers where something may run now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wake {
    pub(super) workers: bool,
}

pub(super) struct State {
    pub(super) epoch: Uuid,
    last_position: u64,
    pub(super) agents: BTreeMap<AgentId, Agent>,
    pub(super) pauses: BTreeMap<PauseScope, Pause>,
    pub(super) roster: Roster,
    pub(super) kept_agents: BTreeMap<AgentId, Sealed>,
    wakes_for_survey: bool,
    wakes: BTreeMap<AgentId, Wake>,
}

/// Everything of one agent, so that nothing of another can be reached by mistake.
#[derive(Default)]
pub(super) struct Agent {
    pub(super) token: u64,
    pub(super) held: Option<Lease>,
    pub(super) operations: BTreeMap<u64, OperationRecord>,
    positions: HashMap<OperationId, u64>,
    keys: HashMap<OperationKey, u64>,
    /// In the order in which it goes.
    pub(super) waiting: BTreeSet<(Class, u64)>,
    pub(super) unfinished: BTreeSet<u64>,
    pub(super) events: BTreeMap<u64, Event>,
    pub(super) head: u64,
    pub(super) floor: u64,
    pub(super) rows: BTreeMap<(Collection, String), (Value, Timestamp)>,
    pub(super) evidence: HashMap<(OperationId, u32), Evidence>,
    pub(super) progress: BTreeMap<OperationId, Progress>,
    pub(super) pending_orders: BTreeMap<PendingOrderId, PendingOrder>,
}

impl Default for State {
    fn default() -> Self {
        let (agents, pauses, roster, kept_agents, wakes) = Default::default();
        Self {
            epoch: Uuid::now_v7(),
            last_position: 0,
            agents,
            pauses,
            roster,
            kept_agents,
            wakes_for_survey: false,
            wakes,
        }
    }
}

impl State {
    /// The agent, known from its first write on.
    pub(super) fn agent(&mut self, id: &AgentId) -> &mut Agent {
        self.agents.entry(id.clone()).or_default()
    }

    pub(super) fn next_position(&mut self) -> u64 {
        self.last_position += 1;
        self.last_position
    }

    pub(super) fn paused(&self) -> Vec<Pause> {
        self.pauses.values().cloned().collect()
    }

    /// A pause that is about an operation of this agent and kind.
    pub(super) fn pause_of(&self, agent: &AgentId, kind: &OperationKind) -> Option<&Pause> {
        let scopes = [PauseScope::Everything, agent.clone().into(), kind.clone().into()];
        scopes.iter().find_map(|scope| self.pauses.get(scope))
    }

    pub(super) fn survey_changed(&mut self) {
        self.wakes_for_survey = true;
    }

    pub(super) fn wake_devices(&mut self, agent: &AgentId) {
        self.wakes.entry(agent.clone()).or_default();
    }

    pub(super) fn wake_workers(&mut self, agent: &AgentId) {
        self.wakes.entry(agent.clone()).or_default().workers = true;
    }

    /// Whom to wake, and whether what a survey tells of all changed.
    pub(super) fn take_wakes(&mut self) -> (BTreeMap<AgentId, Wake>, bool) {
        (mem::take(&mut self.wakes), mem::take(&mut self.wakes_for_survey))
    }

    /// Writes a record with its events.
    pub(super) fn write(&mut self, record: OperationRecord, events: Vec<NewEvent>, now: Timestamp) {
        let id = record.operation.agent.clone();
        let agent = self.agent(&id);
        agent.put(record);
        agent.append(events, now);
        self.wake_devices(&id);
    }

    /// Ends the lease of an agent and gives what it ran back to those who wait.
    pub(super) fn expire(&mut self, id: &AgentId, now: Timestamp) -> Result<Option<Ticket>, IllegalChange> {
        let agent = self.agent(id);
        let Some(mut record) = agent.held.as_ref().and_then(|held| agent.by_id(held.operation)).cloned()
        else {
            agent.held = None;
            return Ok(None);
        };
        let events = record.expire(now)?;
        agent.held = None;
        let ticket = record.ticket();
        self.write(record, events, now);
        self.wake_workers(id);
        Ok(ticket)
    }
}

impl Agent {
    pub(super) fn by_id(&self, id: OperationId) -> Option<&OperationRecord> {
        self.operations.get(self.positions.get(&id)?)
    }

    pub(super) fn by_key(&self, key: &OperationKey) -> Option<&OperationRecord> {
        self.operations.get(self.keys.get(key)?)
    }

    /// Who has the target that an operation wants for itself, live or completed; the operation itself aside.
    pub(super) fn holder_of_target(
        &self,
        kind: &OperationKind,
        but: OperationId,
        target: &Target,
    ) -> Option<&OperationRecord> {
        self.operations.values().find(|record| {
            let other = &record.operation;
            other.id != but
                && other.kind == *kind
                && other.target.as_ref() == Some(target)
                && other.state.holds_target()
        })
    }

    /// Forgets an operation with its key, its journal and its evidence.
    pub(super) fn forget(&mut self, id: OperationId) {
        let Some(position) = self.positions.remove(&id) else { return };
        if let Some(record) = self.operations.remove(&position) {
            self.keys.remove(&record.operation.key);
        }
        self.evidence.retain(|(operation, _), _| *operation != id);
        self.forget_pending_order(id);
    }

    /// What waits, in order.
    pub(super) fn records_waiting(&self) -> impl Iterator<Item = &OperationRecord> {
        self.waiting.iter().filter_map(|(_, position)| self.operations.get(position))
    }

    /// What waits at these places.
    pub(super) fn tickets(&self, places: impl RangeBounds<(Class, u64)>) -> impl Iterator<Item = Ticket> {
        self.waiting.range(places).filter_map(|(_, position)| self.operations.get(position)?.ticket())
    }

    /// When the agent's lease ends, if it has one.
    pub(super) fn lease_ends(&self) -> Timestamp {
        self.held.as_ref().map_or(Timestamp::EPOCH, |held| held.expires_at)
    }

    /// Whether it has a lease whose time is over.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.held.as_ref().is_some_and(|held| held.expires_at <= now)
    }

    pub(super) fn holds(&self, lease: &Lease, now: Timestamp) -> bool {
        self.held.as_ref().is_some_and(|held| {
            held.token == lease.token && held.operation == lease.operation && held.expires_at > now
        })
    }

    pub(super) fn head(&self, epoch: Uuid) -> Head {
        Head { epoch, head: self.head, floor: self.floor }
    }

    /// Writes local rows and returns the events of those that did change.
    pub(super) fn write_rows(
        &mut self,
        record: &OperationRecord,
        rows: Vec<LocalRow>,
        now: Timestamp,
    ) -> Vec<NewEvent> {
        let mut events = vec![];
        for row in rows {
            let key = (row.collection.clone(), row.id.clone());
            let told = row.told(&record.operation);
            let before = match row.doc.clone() {
                Some(doc) => self.rows.insert(key, (doc, now)),
                None => self.rows.remove(&key),
            };
            if before.map(|(doc, _)| doc) != row.doc {
                events.extend(told);
            }
        }
        events
    }

    pub(super) fn put(&mut self, record: OperationRecord) {
        let operation = &record.operation;
        let position = operation.position;
        self.positions.insert(operation.id, position);
        self.keys.insert(operation.key.clone(), position);
        let waits = matches!(operation.state, OperationState::Available { .. });
        set(&mut self.waiting, (operation.class, position), waits);
        set(&mut self.unfinished, position, !operation.is_final());
        if !matches!(operation.state, OperationState::Running { .. }) {
            self.progress.remove(&operation.id);
        }
        self.operations.insert(position, record);
    }

    pub(super) fn append(&mut self, events: Vec<NewEvent>, now: Timestamp) {
        for event in events {
            self.head += 1;
            self.events.insert(self.head, Event { seq: self.head, at: now, event });
        }
    }
}

fn set<P: Ord>(places: &mut BTreeSet<P>, place: P, member: bool) {
    if member {
        places.insert(place);
    } else {
        places.remove(&place);
    }
}
