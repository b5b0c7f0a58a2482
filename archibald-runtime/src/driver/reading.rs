//! Reads what waits, of agents of whom something was heard: beside the loop, several together, and of each no
//! more than is needed to go on.

use std::collections::{BTreeSet, HashSet};
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
/// Tickets of an agent that are read in one go. One operation of it runs at a time, and its end is heard of
/// again: a long queue costs no more than a short one.
const PAGE: u32 = 20;

/// Whom to read, while one read goes on.
#[derive(Default)]
pub(super) struct Reading {
    stale: BTreeSet<AgentId>,
    goes_on: bool,
    /// What ended since the read began: it may have been seen waiting before it ran.
    ended: HashSet<OperationId>,
}

impl Reading {
    pub(super) fn ended(&mut self, operation: OperationId) {
        if self.goes_on {
            self.ended.insert(operation);
        }
    }

    /// Whom to read now; nobody while a read goes on.
    fn next(&mut self) -> Vec<AgentId> {
        if self.goes_on {
            return vec![];
        }
        let agents: Vec<_> = (0..TOGETHER).map_while(|_| self.stale.pop_first()).collect();
        self.goes_on = !agents.is_empty();
        agents
    }

    /// What was read and still counts: what ended meanwhile has told itself whether it waits again.
    fn answered(&mut self, tickets: Vec<Ticket>) -> Vec<Ticket> {
        self.goes_on = false;
        let ended = mem::take(&mut self.ended);
        tickets.into_iter().filter(|ticket| !ended.contains(&ticket.operation)).collect()
    }
}

impl Driver {
    /// Something of the agent may have become available.
    pub(super) fn heard_of(&mut self, agent: AgentId) {
        self.reading.stale.insert(agent);
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
            let read = join_all(agents.into_iter().map(|agent| waiting(&shared, agent))).await;
            let _ = shared.inbox.send(Message::Read(read.into_iter().flatten().collect()));
        });
    }
}

/// What of the agent waits, in order, at least as far as to the first that may go before all others.
async fn waiting(shared: &Arc<Shared>, agent: AgentId) -> Vec<Ticket> {
    let mut found = vec![];
    loop {
        let after = found.last().map(|ticket: &Ticket| ticket.position);
        let waiting = shared.store.waiting(Some(agent.clone()), after, PAGE);
        let page = match calm("reading what waits", waiting).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%agent, %error, "what waits could not be read; the next sweep tries again");
                return found;
            }
        };
        let now = shared.clock.now();
        let is_first = |ticket: &Ticket| ticket.class == Class::Interactive && ticket.at <= now;
        let is_enough = page.len() < PAGE as usize || page.iter().any(is_first);
        found.extend(page);
        if is_enough {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

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
    fn what_ended_while_it_was_read_is_not_asked_for_again() {
        let mut reading = Reading::default();
        let nancy = ticket(1).agent;
        reading.ended(ticket(1).operation);
        reading.stale.insert(nancy.clone());
        assert_eq!(reading.next(), slice::from_ref(&nancy));
        reading.stale.insert(nancy.clone());
        assert!(reading.next().is_empty(), "one read at a time");
        reading.ended(ticket(2).operation);
        let all = || vec![ticket(1), ticket(2), ticket(3)];
        assert_eq!(reading.answered(all()), [ticket(1), ticket(3)]);
        assert_eq!(reading.next(), [nancy], "and what was heard meanwhile");
        assert_eq!(reading.answered(all()), all());
    }
}
