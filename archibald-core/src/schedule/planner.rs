use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Missed, Schedule};
use crate::id::{AgentId, OperationKey};
use crate::time::Timestamp;

/// How late an occurrence may be noticed and still count as on time: a worker that starts again, or another that
/// takes over, needs some seconds.
pub const PUNCTUAL: Duration = Duration::from_secs(60);

/// An occurrence of an agent that is to be enqueued now.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Of this schedule.
    pub schedule: Arc<Schedule>,
    /// Whose.
    pub agent: AgentId,
    /// The nominal time.
    pub nominal: Timestamp,
    /// When it was due: the nominal time and the agent's offset.
    pub at: Timestamp,
    /// Whether it was missed: it is made up for, unless somebody did that, or a sync began since it was due.
    pub is_missed: bool,
}

impl Due {
    /// Its operation's key.
    #[must_use]
    pub fn key(&self) -> OperationKey {
        self.schedule.key(self.nominal)
    }
}

/// Says which occurrences are due, and when to look again. The same questions give the same answers.
///
/// As long as its clock does not go back it says each occurrence at most once, those of an agent and a schedule in
/// their order, and all of them that it is asked for in time.
#[derive(Debug)]
pub struct Planner {
    tables: Vec<Table>,
    agents: BTreeSet<AgentId>,
    places: BTreeSet<Place>,
    now: Timestamp,
}

/// A schedule, and the times around which it was last asked for.
#[derive(Debug)]
struct Table {
    schedule: Arc<Schedule>,
    around: Option<Around>,
}

/// Two times of a schedule that follow each other.
#[derive(Debug, Clone, Copy)]
struct Around {
    last: Option<Timestamp>,
    next: Option<Timestamp>,
}

/// When an agent is looked at for a schedule: each has one place for what comes next and, before that, at most one
/// for what is made up for or tried again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: Timestamp,
    table: usize,
    agent: AgentId,
    /// The nominal time that comes again; `None` for what comes next.
    again: Option<Timestamp>,
}

impl Planner {
    /// Knows no agents yet.
    #[must_use]
    pub fn new(schedules: impl IntoIterator<Item = Arc<Schedule>>) -> Self {
        let tables = schedules.into_iter().map(|schedule| Table { schedule, around: None }).collect();
        Self { tables, agents: BTreeSet::new(), places: BTreeSet::new(), now: Timestamp::EPOCH }
    }

    /// What is to be enqueued now, for the agents that there are. An agent that is new has missed what it had not
    /// had.
    pub fn poll(&mut self, now: Timestamp, agents: BTreeSet<AgentId>) -> Vec<Due> {
        if now + PUNCTUAL < self.now {
            self.go_back(now);
        }
        self.now = now;
        let mut due = self.meet(now, agents);
        while let Some(place) = self.places.pop_first() {
            if place.at > now {
                self.places.insert(place);
                break;
            }
            due.extend(self.look(now, place));
        }
        due
    }

    /// When to ask again, if nothing changes before.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        self.places.first().map(|place| place.at)
    }

    /// It could not be enqueued: it is due again after a while, unless it is too old by then or the next one comes.
    pub fn try_again(&mut self, due: &Due, at: Timestamp) {
        let table = self.tables.iter().position(|table| table.schedule.name == due.schedule.name);
        let Some(table) = table.filter(|_| self.agents.contains(&due.agent)) else { return };
        self.again(table, &due.agent, due.nominal, at);
    }

    /// What came already comes again with the same keys, when its time comes; nothing of it is missed.
    fn go_back(&mut self, now: Timestamp) {
        self.places.clear();
        self.tables.iter_mut().for_each(|table| table.around = None);
        for agent in self.agents.clone() {
            for table in 0..self.tables.len() {
                self.place_next(now, table, &agent);
            }
        }
    }

    fn meet(&mut self, now: Timestamp, agents: BTreeSet<AgentId>) -> Vec<Due> {
        if agents == self.agents {
            return vec![];
        }
        self.places.retain(|place| agents.contains(&place.agent));
        let fresh: Vec<_> = agents.difference(&self.agents).cloned().collect();
        self.agents = agents;
        let each = fresh.iter().flat_map(|agent| (0..self.tables.len()).map(move |table| (table, agent)));
        let each: Vec<_> = each.collect();
        each.into_iter().filter_map(|(table, agent)| self.latest(now, table, agent)).collect()
    }

    fn look(&mut self, now: Timestamp, place: Place) -> Option<Due> {
        let Place { at, table, agent, again } = place;
        let Some(nominal) = again else { return self.latest(now, table, &agent) };
        let around = self.around(now, table, &agent);
        if around.last.is_some_and(|last| last > nominal) {
            // The next one is due as well, and has a place of its own.
            return None;
        }
        if now > at + PUNCTUAL {
            // Nobody looked for long: everybody's offset is needed once more.
            let at = now + self.tables[table].schedule.offset(&agent);
            self.again(table, &agent, nominal, at);
            return None;
        }
        Some(self.due(now, table, agent, nominal))
    }

    /// The latest occurrence, if it is on time; if it was missed it is given its place.
    fn latest(&mut self, now: Timestamp, table: usize, agent: &AgentId) -> Option<Due> {
        if !self.tables[table].schedule.is_for(agent) {
            return None;
        }
        self.place_next(now, table, agent);
        let nominal = self.around(now, table, agent).last?;
        let due = self.due(now, table, agent.clone(), nominal);
        if !due.is_missed {
            return Some(due);
        }
        if due.schedule.missed != Missed::Skip {
            let at = now + due.schedule.offset(agent);
            self.again(table, agent, nominal, at);
        }
        None
    }

    fn place_next(&mut self, now: Timestamp, table: usize, agent: &AgentId) {
        let schedule = self.tables[table].schedule.clone();
        if schedule.is_for(agent)
            && let Some(next) = self.around(now, table, agent).next
        {
            let at = next + schedule.offset(agent);
            self.places.insert(Place { at, table, agent: agent.clone(), again: None });
        }
    }

    /// Unless the next one comes before, or it is too old by then.
    fn again(&mut self, table: usize, agent: &AgentId, nominal: Timestamp, at: Timestamp) {
        let schedule = self.tables[table].schedule.clone();
        let offset = schedule.offset(agent);
        let comes_first = schedule.times.next_after(nominal).is_none_or(|next| at < next + offset);
        if comes_first && at.since(nominal + offset) <= schedule.patience() {
            self.places.insert(Place { at, table, agent: agent.clone(), again: Some(nominal) });
        }
    }

    fn due(&self, now: Timestamp, table: usize, agent: AgentId, nominal: Timestamp) -> Due {
        let schedule = self.tables[table].schedule.clone();
        let at = nominal + schedule.offset(&agent);
        Due { is_missed: now > at + PUNCTUAL, schedule, agent, nominal, at }
    }

    /// The nominal times before and after the one that would be the agent's now.
    fn around(&mut self, now: Timestamp, table: usize, agent: &AgentId) -> Around {
        let Table { schedule, around } = &mut self.tables[table];
        let time = now - schedule.offset(agent);
        // Most agents ask about the same two.
        if let Some(Around { last: Some(last), next: Some(next) }) = *around
            && (last..next).contains(&time)
            && time.since(last) <= schedule.patience()
        {
            return Around { last: Some(last), next: Some(next) };
        }
        let within = schedule.patience() + Duration::from_micros(1);
        let found =
            Around { last: schedule.times.last_until(time, within), next: schedule.times.next_after(time) };
        *around = Some(found);
        found
    }
}
