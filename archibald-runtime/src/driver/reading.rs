//! Reads what waits, of agents of whom something was heard: beside the loop, several together, and of each no
//! more than is needed to go on.
//!
//! Of each agent the scheduler knows what goes first, as far as the first ticket that could start. What is behind
//! stays in the store until that is done.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::mem;
use std::sync::Arc;

use archibald_core::id::{AgentId, OperationId, OperationKind};
use archibald_core::operation::Class;
use archibald_core::scheduler::{Input, Ticket};
use archibald_core::time::Timestamp;
use futures::future::join_all;

use super::{Driver, Message, Shared};
use crate::calm::calm;

/// Agents that are read together at most.
const TOGETHER: usize = 64;
/// Tickets of an agent that are read at first. One operation of it runs at a time, and its end is heard of
/// again: a long queue costs no more than a short one.
const FIRST: u32 = 20;
/// And where these are not enough, in one go.
const MORE: u32 = 1_000;
/// Tickets that the scheduler is told of beforehand, so that they wait for its memory together.
const FEW: usize = 32;

/// Whom to read, while one read goes on.
#[derive(Default)]
pub(super) struct Reading {
    /// First come, first read.
    stale: VecDeque<AgentId>,
    /// For how many blocked targets something else is looked for.
    past: BTreeMap<AgentId, usize>,
    /// Whom the read that goes on is of; empty while none does.
    read: Vec<AgentId>,
    /// What ended since the read began: it may have been seen waiting before it ran.
    ended: HashSet<OperationId>,
    /// Of whom something was heard that is not read yet.
    news: HashSet<AgentId>,
    /// Of whom more waits than was read: the place up to which all is known.
    known_to: HashMap<AgentId, (Class, u64)>,
}

/// What of an agent goes first.
pub(crate) struct Front {
    agent: AgentId,
    tickets: Vec<Ticket>,
    /// Nothing is behind it.
    is_all: bool,
}

impl Reading {
    /// An attempt was settled, which told whether it waits again.
    pub(super) fn settled(&mut self, operation: OperationId) {
        if !self.read.is_empty() {
            self.ended.insert(operation);
        }
    }

    /// Whether something was heard of an agent that an answer of the store may be older than. Said once.
    pub(super) fn take_news(&mut self, agent: &AgentId) -> bool {
        self.news.remove(agent)
    }

    /// A look beside the reads ended at this place. One that is known of is lower where it is the newer one.
    pub(super) fn is_known_to(&mut self, agent: &AgentId, place: (Class, u64)) {
        let known = self.known_to.entry(agent.clone()).or_insert(place);
        *known = place.min(*known);
    }

    /// Of whom more waits than is known.
    pub(super) fn cut_off(&self) -> Vec<AgentId> {
        self.known_to.keys().cloned().collect()
    }

    fn add(&mut self, agent: AgentId, past: usize) {
        match self.past.get_mut(&agent) {
            Some(known) => *known = past.max(*known),
            None => {
                self.past.insert(agent.clone(), past);
                self.stale.push_back(agent);
            }
        }
    }

    /// Whom to read now; nobody while a read goes on.
    fn next(&mut self) -> Vec<(AgentId, usize)> {
        if !self.read.is_empty() {
            return vec![];
        }
        let count = self.stale.len().min(TOGETHER);
        self.read = self.stale.drain(..count).collect();
        let read = self.read.iter();
        read.map(|agent| (agent.clone(), self.past.remove(agent).unwrap_or_default())).collect()
    }

    /// What was read and still counts: what was settled meanwhile has told itself whether it waits again.
    fn answered(&mut self, fronts: Vec<Front>) -> Vec<Ticket> {
        for agent in mem::take(&mut self.read) {
            if !self.past.contains_key(&agent) {
                self.news.remove(&agent);
            }
        }
        for Front { agent, tickets, is_all } in &fronts {
            match tickets.last().filter(|_| !is_all) {
                Some(last) => drop(self.known_to.insert(agent.clone(), last.place())),
                None if *is_all => drop(self.known_to.remove(agent)),
                None => {}
            }
        }
        let ended = mem::take(&mut self.ended);
        let tickets = fronts.into_iter().flat_map(|front| front.tickets);
        tickets.filter(|ticket| !ended.contains(&ticket.operation)).collect()
    }
}

impl Driver {
    /// Something of the agent may have become available.
    pub(super) fn heard_of(&mut self, agent: AgentId) {
        self.reading.news.insert(agent.clone());
        let blocked = self.free_targets(&agent);
        self.reading.add(agent, blocked);
        self.read_more();
    }

    pub(super) fn read_again(&mut self, agent: AgentId) {
        let blocked = self.blocked(&agent);
        self.reading.add(agent, blocked);
        self.read_more();
    }

    /// Reads on where what is known of an agent comes to its end, and not all is known.
    pub(super) fn look_further(&mut self, agent: AgentId) {
        let Some(known_to) = self.reading.known_to.get(&agent) else { return };
        let next = self.scheduler.goes_next(self.now(), &agent);
        if next.is_none_or(|place| place > *known_to) {
            self.read_again(agent);
        }
    }

    /// Whether something that goes before this operation may wait in the store alone.
    pub(super) fn is_beyond_what_is_known(&self, agent: &AgentId, operation: OperationId) -> bool {
        let known_to = self.reading.known_to.get(agent);
        known_to
            .is_some_and(|known| self.scheduler.place(agent, operation).is_some_and(|place| place > *known))
    }

    /// An answer came.
    pub(super) fn read(&mut self, fronts: Vec<Front>) {
        let mut tickets = self.reading.answered(fronts);
        while !tickets.is_empty() {
            let few: Vec<_> = tickets.drain(..tickets.len().min(FEW)).collect();
            self.scheduler.expect(&few);
            for ticket in few {
                let ticket = self.after_its_owner(ticket);
                self.input(Input::Waiting(ticket));
            }
        }
        self.read_more();
    }

    fn read_more(&mut self) {
        let agents = self.reading.next();
        if agents.is_empty() {
            return;
        }
        let (shared, paused) = (self.shared.clone(), self.paused_kinds());
        tokio::spawn(async move {
            let read = agents.into_iter().map(|(agent, past)| front(&shared, agent, past, &paused));
            let _ = shared.inbox.send(Message::Read(join_all(read).await));
        });
    }
}

/// Whether one of these could start, which are what goes first of an agent, though so many of their targets are
/// blocked by something else and these kinds are paused.
pub(super) fn could_start(
    front: &[Ticket],
    now: Timestamp,
    blocked: usize,
    paused: &HashSet<OperationKind>,
) -> bool {
    let mut targets = HashSet::new();
    let firsts = front.iter().filter(|&ticket| match &ticket.target {
        Some(target) => targets.insert(target),
        None => true,
    });
    let may = firsts.filter(|ticket| ticket.at <= now && !paused.contains(&ticket.kind));
    may.take(blocked + 1).count() > blocked
}

/// What goes first of the agent, to one that could start.
async fn front(
    shared: &Arc<Shared>,
    agent: AgentId,
    blocked: usize,
    paused: &HashSet<OperationKind>,
) -> Front {
    let (mut tickets, mut limit) = (vec![], FIRST);
    loop {
        let after = tickets.last().map(Ticket::place);
        let waiting = shared.store.waiting(&agent, after, limit);
        let page = match calm("reading what waits", waiting).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%agent, %error, "what waits could not be read; the next sweep tries again");
                return Front { agent, tickets, is_all: false };
            }
        };
        let is_all = page.len() < limit as usize;
        tickets.extend(page);
        if is_all || could_start(&tickets, shared.clock.now(), blocked, paused) {
            return Front { agent, tickets, is_all };
        }
        limit = MORE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use archibald_core::id::Target;
    use archibald_core::operation::Step;
    use uuid::Uuid;

    fn ticket(operation: u128) -> Ticket {
        Ticket {
            operation: OperationId(Uuid::from_u128(operation)),
            agent: AgentId::new("nancy").unwrap(),
            kind: OperationKind::new("submit-order").unwrap(),
            class: Class::Interactive,
            position: 1,
            at: Timestamp::EPOCH,
            step: Step::Act,
            target: None,
            preemptions: 0,
        }
    }

    fn front(tickets: Vec<Ticket>, is_all: bool) -> Front {
        Front { agent: ticket(1).agent, tickets, is_all }
    }

    #[test]
    fn what_was_settled_while_it_was_read_is_not_asked_for_again() {
        let mut reading = Reading::default();
        let nancy = ticket(1).agent;
        reading.settled(ticket(1).operation);
        reading.add(nancy.clone(), 0);
        assert_eq!(reading.next(), [(nancy.clone(), 0)]);
        reading.add(nancy.clone(), 2);
        reading.add(nancy.clone(), 0);
        assert!(reading.next().is_empty(), "one read at a time");
        reading.settled(ticket(2).operation);
        let all = || vec![ticket(1), ticket(2), ticket(3)];
        let front = || vec![front(all(), true)];
        assert_eq!(reading.answered(front()), [ticket(1), ticket(3)]);
        assert_eq!(reading.next(), [(nancy, 2)], "and what was heard meanwhile");
        assert_eq!(reading.answered(front()), all());
    }

    #[test]
    fn who_is_heard_of_first_is_read_first() {
        let mut reading = Reading::default();
        let agents = |from: u32| (from..from + 40).map(|n| AgentId::new(format!("a{:03}", 999 - n)).unwrap());
        agents(0).chain(agents(40)).for_each(|agent| reading.add(agent, 0));
        let read: Vec<_> = reading.next().into_iter().map(|(agent, _)| agent).collect();
        assert_eq!(read, agents(0).chain(agents(40)).take(TOGETHER).collect::<Vec<_>>());
    }

    /// News are older than an answer until they are read, and are believed once.
    #[test]
    fn news_count_until_they_are_read() {
        let mut reading = Reading::default();
        let nancy = ticket(1).agent;
        for asked in [true, false] {
            reading.news.insert(nancy.clone());
            reading.add(nancy.clone(), 0);
            reading.next();
            if asked {
                assert!(reading.take_news(&nancy));
            }
            reading.answered(vec![]);
            assert!(!reading.take_news(&nancy));
        }
    }

    #[test]
    fn how_much_is_known_is_what_the_last_read_says_and_at_most_what_a_sweep_does() {
        let mut reading = Reading::default();
        let nancy = ticket(1).agent;
        let at = |position| Ticket { position, ..ticket(position.into()) };
        let known = |reading: &Reading| reading.known_to.get(&nancy).map(|place| place.1);
        reading.answered(vec![front(vec![at(5), at(9)], false)]);
        assert_eq!(known(&reading), Some(9));
        reading.is_known_to(&nancy, (Class::Interactive, 7));
        reading.is_known_to(&nancy, (Class::Background, 3));
        assert_eq!(known(&reading), Some(7));
        reading.answered(vec![front(vec![], false)]);
        assert_eq!(known(&reading), Some(7), "it could not be read");
        reading.answered(vec![front(vec![at(20)], false)]);
        assert_eq!(known(&reading), Some(20));
        reading.answered(vec![front(vec![at(20)], true)]);
        assert_eq!(known(&reading), None, "all of it");
    }

    #[test]
    fn something_could_start_if_it_is_due_and_first_of_a_target_that_is_free() {
        let now = Timestamp::EPOCH;
        let later = now + std::time::Duration::from_secs(1);
        let on = |target: &str| Some(Target::new(target).unwrap());
        let ticket = |target, at| Ticket { target, at, ..ticket(1) };
        for (front, blocked, could) in [
            (vec![], 0, false),
            (vec![ticket(None, later)], 0, false),
            (vec![ticket(None, later), ticket(None, now)], 0, true),
            (vec![ticket(on("a"), now)], 0, true),
            (vec![ticket(on("a"), now), ticket(on("a"), now)], 1, false),
            (vec![ticket(on("a"), now), ticket(on("b"), now)], 1, true),
            (vec![ticket(on("a"), now), ticket(None, now)], 1, true),
            (vec![ticket(on("a"), later), ticket(on("a"), now)], 0, false),
            (vec![ticket(on("a"), now), ticket(on("b"), now)], 2, false),
        ] {
            assert_eq!(could_start(&front, now, blocked, &HashSet::new()), could, "{front:?} past {blocked}");
            let paused = HashSet::from([ticket(None, now).kind]);
            assert!(!could_start(&front, now, blocked, &paused), "its kind is paused");
        }
    }
}
