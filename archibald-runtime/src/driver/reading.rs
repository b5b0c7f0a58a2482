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
const PAGE: u32 = 100;

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
}

impl Driver {
    /// Something of the agent may have become available.
    pub(super) fn heard_of(&mut self, agent: AgentId) {
        self.reading.stale.insert(agent);
        self.read_more();
    }

    /// An answer came. What ended meanwhile has told itself whether it waits again.
    pub(super) fn read(&mut self, tickets: Vec<Ticket>) {
        self.reading.goes_on = false;
        let ended = mem::take(&mut self.reading.ended);
        for ticket in tickets.into_iter().filter(|ticket| !ended.contains(&ticket.operation)) {
            self.input(Input::Waiting(ticket));
        }
        self.read_more();
    }

    fn read_more(&mut self) {
        if self.reading.goes_on || self.reading.stale.is_empty() {
            return;
        }
        self.reading.goes_on = true;
        let agents: Vec<_> = (0..TOGETHER).map_while(|_| self.reading.stale.pop_first()).collect();
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
