//! Agents are spread over the workers that are alive, so that each finds its warm session where it was. A worker
//! leaves another's agents to it for a moment, and takes what still waits then: that one is busy, or gone. The lease
//! keeps it safe, not the spread.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use archibald_core::id::{AgentId, WorkerId};
use archibald_core::scheduler::Ticket;
use archibald_core::worker::{LiveWorker, owner_of};
use tokio::time::Instant;

use super::Driver;

/// Who works, and whom this worker looks at a little later.
#[derive(Default)]
pub(super) struct Spread {
    workers: Vec<LiveWorker>,
    /// In the order in which they are due: all wait equally long.
    later: VecDeque<(Instant, AgentId)>,
    waits: HashSet<AgentId>,
}

impl Spread {
    pub(super) fn learn(&mut self, workers: Vec<LiveWorker>) {
        self.workers = workers;
    }

    /// Whether the agent is this worker's, as far as anybody's.
    pub(super) fn is_own(&self, agent: &AgentId, worker: &WorkerId) -> bool {
        owner_of(agent, &self.workers).is_none_or(|owner| owner == worker)
    }

    /// Looks at the agent after this time; it does already, perhaps.
    fn defer(&mut self, agent: AgentId, wait: Duration, now: Instant) {
        if self.waits.insert(agent.clone()) {
            self.later.push_back((now + wait, agent));
        }
    }

    /// When somebody is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.later.front().map(|(at, _)| *at)
    }

    fn due(&mut self, now: Instant) -> Option<AgentId> {
        let (_, agent) = self.later.pop_front_if(|(at, _)| *at <= now)?;
        self.waits.remove(&agent);
        Some(agent)
    }
}

impl Driver {
    /// Whether the agent is left to somebody else for now; then it is looked at later.
    pub(super) fn leaves(&mut self, agent: &AgentId) -> bool {
        let config = &self.shared.config;
        if self.spread.is_own(agent, &config.worker) || self.scheduler.has_taken(agent) {
            return false;
        }
        self.spread.defer(agent.clone(), config.leave_to_owner, Instant::now());
        true
    }

    /// What comes due later is left to its owner then, too.
    pub(super) fn after_its_owner(&self, ticket: Ticket) -> Ticket {
        let config = &self.shared.config;
        let waits = ticket.at > self.now() && !self.spread.is_own(&ticket.agent, &config.worker);
        let more = if waits { config.leave_to_owner } else { Duration::ZERO };
        Ticket { at: ticket.at + more, ..ticket }
    }

    /// Those whose owner had its time.
    pub(super) fn look_at_others(&mut self) {
        let now = Instant::now();
        while let Some(agent) = self.spread.due(now) {
            self.heard_of(agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_heard_of_again_is_looked_at_once_in_the_order_of_the_first_time() {
        let mut spread = Spread::default();
        let (start, wait) = (Instant::now(), Duration::from_millis(100));
        let agents = ["nancy", "andrew"].map(|name| AgentId::new(name).unwrap());
        for (n, agent) in (0..).zip(agents.iter().chain(&agents)) {
            spread.defer(agent.clone(), wait, start + Duration::from_millis(n));
        }
        assert_eq!(spread.due(start + wait - Duration::from_millis(1)), None);
        assert_eq!(spread.due(start + wait).as_ref(), Some(&agents[0]));
        assert_eq!(spread.due(start + wait), None);
        spread.defer(agents[0].clone(), wait, start + wait);
        assert_eq!(spread.due(start + wait * 2).as_ref(), Some(&agents[1]));
        assert_eq!(spread.due(start + wait * 2).as_ref(), Some(&agents[0]));
        assert_eq!(spread.next(), None);
    }
}
