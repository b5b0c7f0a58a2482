use std::collections::{BTreeSet, VecDeque};
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

/// Places that are looked at in one go, so that no question takes long however many agents there are.
const AT_ONCE: usize = 1_000;

/// A schedule, and what was found of its times lately: nearly all agents ask for the same few.
#[derive(Debug)]
struct Table {
    schedule: Arc<Schedule>,
    found: VecDeque<Around>,
}

/// What is kept of it.
const KEPT: usize = 4;

/// The times of a schedule before and after any time from one up to another.
#[derive(Debug, Clone, Copy)]
struct Around {
    from: Timestamp,
    until: Timestamp,
    last: Option<Timestamp>,
    next: Option<Timestamp>,
}

/// When an agent is looked at for a schedule: each has one place for what comes next and, before that, at most one
/// for what is made up for or tried again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: Timestamp,
    whose: Whose,
    /// The nominal time that comes again; `None` for what comes next.
    again: Option<Timestamp>,
}

/// A schedule of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Whose {
    table: usize,
    agent: AgentId,
    offset: Duration,
}

impl Planner {
    /// Knows no agents yet.
    #[must_use]
    pub fn new(schedules: impl IntoIterator<Item = Arc<Schedule>>) -> Self {
        let table = |schedule| Table { schedule, found: VecDeque::new() };
        let tables = schedules.into_iter().map(table).collect();
        Self { tables, agents: BTreeSet::new(), places: BTreeSet::new(), now: Timestamp::EPOCH }
    }

    /// The agents that there are from now on. One that is new has missed what it had not had.
    pub fn meet(&mut self, now: Timestamp, agents: BTreeSet<AgentId>) {
        if agents == self.agents {
            return;
        }
        self.places.retain(|place| agents.contains(&place.whose.agent));
        for agent in agents.difference(&self.agents) {
            let places = (0..self.tables.len()).filter_map(|table| self.whose(table, agent));
            self.places.extend(places.map(|whose| Place { at: now, whose, again: None }).collect::<Vec<_>>());
        }
        self.agents = agents;
    }

    /// What is to be enqueued now, or a good part of it; never more than `most`. Whatever is left keeps its place,
    /// and whether it was missed or is too old is decided when it is taken: so who asks takes no more than he can
    /// enqueue at once.
    pub fn poll(&mut self, now: Timestamp, most: usize) -> Vec<Due> {
        if now + PUNCTUAL < self.now {
            self.go_back(now);
        }
        self.now = now;
        let mut due = vec![];
        for _ in 0..AT_ONCE {
            if due.len() == most {
                break;
            }
            let Some(place) = self.places.pop_first() else { break };
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

    /// It could not be enqueued: it is due again then, unless it is too old by then or the next one comes.
    pub fn try_again(&mut self, due: &Due, at: Timestamp) {
        let table = self.tables.iter().position(|table| table.schedule.name == due.schedule.name);
        let Some(table) = table.filter(|_| self.agents.contains(&due.agent)) else { return };
        if let Some(whose) = self.whose(table, &due.agent) {
            self.again(whose, due.nominal, at);
        }
    }

    /// What came already comes again with the same keys, when its time comes; nothing of it is missed. What was to
    /// be tried again or made up for has as long to wait as before, unless its time comes anyway.
    fn go_back(&mut self, now: Timestamp) {
        for Place { at, whose, again } in std::mem::take(&mut self.places) {
            match again {
                None => self.place_next(now, &whose),
                Some(nominal) if nominal + whose.offset <= now => {
                    let at = now + at.since(self.now);
                    self.places.insert(Place { at, whose, again });
                }
                Some(_) => {}
            }
        }
    }

    fn look(&mut self, now: Timestamp, place: Place) -> Option<Due> {
        let Place { at, whose, again } = place;
        let Some(nominal) = again else { return self.latest(now, whose) };
        if self.around(now, &whose).last.is_some_and(|last| last > nominal) {
            // The next one is due as well, and has a place of its own.
            return None;
        }
        if now > at + PUNCTUAL {
            // Nobody looked for long: everybody's offset is needed once more.
            let at = now + whose.offset;
            self.again(whose, nominal, at);
            return None;
        }
        self.is_young(now, &whose, nominal).then(|| self.due(now, whose, nominal))
    }

    /// The latest occurrence, if it is on time; if it was missed it is given its place.
    fn latest(&mut self, now: Timestamp, whose: Whose) -> Option<Due> {
        self.place_next(now, &whose);
        let nominal = self.around(now, &whose).last?;
        let due = self.due(now, whose.clone(), nominal);
        if !due.is_missed {
            return Some(due);
        }
        if due.schedule.missed != Missed::Skip {
            let at = now + whose.offset;
            self.again(whose, nominal, at);
        }
        None
    }

    fn place_next(&mut self, now: Timestamp, whose: &Whose) {
        if let Some(next) = self.around(now, whose).next {
            self.places.insert(Place { at: next + whose.offset, whose: whose.clone(), again: None });
        }
    }

    /// Unless the next one comes before, or it is too old by then.
    fn again(&mut self, whose: Whose, nominal: Timestamp, at: Timestamp) {
        let times = &self.tables[whose.table].schedule.times;
        let comes_first = || times.next_after(nominal).is_none_or(|next| at < next + whose.offset);
        if self.is_young(at, &whose, nominal) && comes_first() {
            self.places.insert(Place { at, whose, again: Some(nominal) });
        }
    }

    /// Whether it may be enqueued at this time.
    fn is_young(&self, at: Timestamp, whose: &Whose, nominal: Timestamp) -> bool {
        at.since(nominal + whose.offset) <= self.tables[whose.table].schedule.patience()
    }

    /// The agent's part of a schedule, if it has any.
    fn whose(&self, table: usize, agent: &AgentId) -> Option<Whose> {
        let schedule = &self.tables[table].schedule;
        let whose = || Whose { table, agent: agent.clone(), offset: schedule.offset(agent) };
        schedule.is_for(agent).then(whose)
    }

    fn due(&self, now: Timestamp, whose: Whose, nominal: Timestamp) -> Due {
        let schedule = self.tables[whose.table].schedule.clone();
        let at = nominal + whose.offset;
        Due { is_missed: now > at + PUNCTUAL, schedule, agent: whose.agent, nominal, at }
    }

    /// The nominal times before and after the one that would be the agent's now.
    fn around(&mut self, now: Timestamp, whose: &Whose) -> Around {
        self.tables[whose.table].around(now - whose.offset)
    }
}

impl Table {
    fn around(&mut self, time: Timestamp) -> Around {
        if let Some(found) = self.found.iter().find(|found| (found.from..found.until).contains(&time)) {
            return *found;
        }
        let within = self.schedule.patience() + Duration::from_micros(1);
        let last = self.schedule.times.last_until(time, within);
        let next = self.schedule.times.next_after(time);
        // Until the next, or until the last is too old. Where there is none, nothing is known of earlier times.
        let too_old = last.map_or(Timestamp::MAX, |last| last + within);
        let (from, until) = (last.unwrap_or(time), next.unwrap_or(Timestamp::MAX).min(too_old));
        let around = Around { from, until, last, next };
        self.found.truncate(KEPT - 1);
        self.found.push_front(around);
        around
    }
}
