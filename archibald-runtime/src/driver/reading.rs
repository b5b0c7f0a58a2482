//! Reads what waits, of agents of whom something was heard: beside the loop, several together, and of each no
//! more than is needed to go on.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::mem;
use std::sync::Arc;

use archibald_core::id::{AgentId, OperationId};
use archibald_core::operation::Class;
use archibald_core::scheduler::{Input, Ticket};
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

/// Whom to read, while one read goes on.
#[derive(Default)]
pub(super) struct Reading {
    /// First come, first read.
    stale: VecDeque<AgentId>,
    how: BTreeMap<AgentId, How>,
    /// Whom the read that goes on is of; empty while none does.
    read: Vec<AgentId>,
    /// What ended since the read began: it may have been seen waiting before it ran.
    ended: HashSet<OperationId>,
    /// Of whom something was heard that is not read yet.
    news: HashSet<AgentId>,
}

/// How much of an agent is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// To the first that may go before all others.
    Front,
    /// Everything: those in front wait for something else.
    Whole,
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

    fn add(&mut self, agent: AgentId, how: How) {
        match self.how.get_mut(&agent) {
            Some(known) => *known = how.max(*known),
            None => {
                self.how.insert(agent.clone(), how);
                self.stale.push_back(agent);
            }
        }
    }

    /// Whom to read now; nobody while a read goes on.
    fn next(&mut self) -> Vec<(AgentId, How)> {
        if !self.read.is_empty() {
            return vec![];
        }
        let count = self.stale.len().min(TOGETHER);
        self.read = self.stale.drain(..count).collect();
        let read = self.read.iter();
        read.map(|agent| (agent.clone(), self.how.remove(agent).unwrap_or(How::Whole))).collect()
    }

    /// What was read and still counts: what was settled meanwhile has told itself whether it waits again.
    fn answered(&mut self, tickets: Vec<Ticket>) -> Vec<Ticket> {
        for agent in mem::take(&mut self.read) {
            if !self.how.contains_key(&agent) {
                self.news.remove(&agent);
            }
        }
        let ended = mem::take(&mut self.ended);
        tickets.into_iter().filter(|ticket| !ended.contains(&ticket.operation)).collect()
    }
}

impl Driver {
    /// Something of the agent may have become available.
    pub(super) fn heard_of(&mut self, agent: AgentId, how: How) {
        self.reading.news.insert(agent.clone());
        self.read_again(agent, how);
    }

    pub(super) fn read_again(&mut self, agent: AgentId, how: How) {
        self.reading.add(agent, how);
        self.read_more();
    }

    /// An answer came.
    pub(super) fn read(&mut self, tickets: Vec<Ticket>) {
        for ticket in self.reading.answered(tickets) {
            self.input(Input::Waiting(ticket));
        }
        self.read_more();
    }

    fn read_more(&mut self) {
        let agents = self.reading.next();
        if agents.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let read = join_all(agents.into_iter().map(|(agent, how)| waiting(&shared, agent, how))).await;
            let _ = shared.inbox.send(Message::Read(read.into_iter().flatten().collect()));
        });
    }
}

/// What of the agent waits, in order.
async fn waiting(shared: &Arc<Shared>, agent: AgentId, how: How) -> Vec<Ticket> {
    let mut found = vec![];
    let mut limit = if how == How::Front { FIRST } else { MORE };
    loop {
        let after = found.last().map(|ticket: &Ticket| ticket.position);
        let waiting = shared.store.waiting(Some(agent.clone()), after, limit);
        let page = match calm("reading what waits", waiting).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%agent, %error, "what waits could not be read; the next sweep tries again");
                return found;
            }
        };
        let now = shared.clock.now();
        let is_first = |ticket: &Ticket| ticket.class == Class::Interactive && ticket.at <= now;
        let is_all = page.len() < limit as usize;
        let is_enough = is_all || (how == How::Front && page.iter().any(is_first));
        found.extend(page);
        if is_enough {
            return found;
        }
        limit = MORE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use archibald_core::operation::Step;
    use archibald_core::time::Timestamp;
    use uuid::Uuid;

    fn ticket(operation: u128) -> Ticket {
        Ticket {
            operation: OperationId(Uuid::from_u128(operation)),
            agent: AgentId::new("nancy").unwrap(),
            class: Class::Interactive,
            position: 1,
            at: Timestamp::EPOCH,
            step: Step::Act,
            target: None,
            preemptions: 0,
        }
    }

    #[test]
    fn what_was_settled_while_it_was_read_is_not_asked_for_again() {
        let mut reading = Reading::default();
        let nancy = ticket(1).agent;
        reading.settled(ticket(1).operation);
        reading.add(nancy.clone(), How::Front);
        assert_eq!(reading.next(), [(nancy.clone(), How::Front)]);
        reading.add(nancy.clone(), How::Whole);
        reading.add(nancy.clone(), How::Front);
        assert!(reading.next().is_empty(), "one read at a time");
        reading.settled(ticket(2).operation);
        let all = || vec![ticket(1), ticket(2), ticket(3)];
        assert_eq!(reading.answered(all()), [ticket(1), ticket(3)]);
        assert_eq!(reading.next(), [(nancy, How::Whole)], "and what was heard meanwhile");
        assert_eq!(reading.answered(all()), all());
    }

    #[test]
    fn who_is_heard_of_first_is_read_first() {
        let mut reading = Reading::default();
        let agents = |from: u32| (from..from + 40).map(|n| AgentId::new(format!("a{:03}", 999 - n)).unwrap());
        agents(0).chain(agents(40)).for_each(|agent| reading.add(agent, How::Front));
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
            reading.add(nancy.clone(), How::Front);
            reading.next();
            if asked {
                assert!(reading.take_news(&nancy));
            }
            reading.answered(vec![]);
            assert!(!reading.take_news(&nancy));
        }
    }
}
