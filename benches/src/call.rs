//! Calls of a store one by one, timed; what it promises is checked on the way.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, Target, WorkerId};
use archibald_core::operation::Class;
use archibald_core::port::{LeaseError, LeaseRequest, Leased};
use archibald_core::record::Disposition;
use archibald_core::scheduler::Ticket;
use serde_json::json;

use crate::Failure;
use crate::store::Three;
use crate::work::{Broken, operation};

/// Tickets of an agent that a worker reads at first.
const FRONT: u32 = 20;
/// As long as a worker's.
const LEASE: Duration = Duration::from_secs(60);

/// Calls a store as a worker and as those do who ask for something.
pub struct Caller {
    ports: Three,
    worker: WorkerId,
    /// Begins the keys of what is asked for.
    prefix: &'static str,
    asked: usize,
    last: HashMap<AgentId, u64>,
    taken: HashSet<OperationId>,
    broken: Broken,
}

impl Caller {
    /// Of this store.
    ///
    /// # Errors
    /// Never: the name is a good one.
    pub fn of(ports: &Three) -> Result<Self, Failure> {
        Ok(Self {
            ports: ports.clone(),
            worker: WorkerId::new("caller")?,
            prefix: "asked",
            asked: 0,
            last: HashMap::new(),
            taken: HashSet::new(),
            broken: Broken::default(),
        })
    }

    /// With keys of its own, for a store of which another caller asked before.
    #[must_use]
    pub fn prefixed(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }

    /// What of the agent waits in front, and how long it took to learn.
    ///
    /// # Errors
    /// What the store says.
    pub async fn front(&self, agent: &AgentId) -> Result<(Duration, Vec<Ticket>), Failure> {
        let began = Instant::now();
        let waiting = self.ports.store.waiting(agent, None, FRONT).await?;
        Ok((began.elapsed(), waiting))
    }

    /// Leases and settles what of the agent goes first; `None` where nothing waits. The two calls are timed.
    ///
    /// # Errors
    /// What the store says.
    pub async fn turn(&mut self, agent: &AgentId) -> Result<Option<Duration>, Failure> {
        let (_, front) = self.front(agent).await?;
        let Some(first) = front.first() else { return Ok(None) };
        let began = Instant::now();
        let leased = self.lease(first).await?;
        let mut took = began.elapsed();
        self.note(&leased);
        if self.taken.len() == 1 {
            self.check_alone(first, front.get(1)).await?;
        }
        let began = Instant::now();
        let done = Disposition::Complete { result: json!({}) };
        self.ports.store.settle(&leased.lease, done.into()).await?;
        took += began.elapsed();
        if self.taken.len() == 1 && self.lease(first).await.is_ok() {
            self.broken.double_starts += 1;
        }
        Ok(Some(took))
    }

    /// Asks for one more operation, which nothing else is like.
    ///
    /// # Errors
    /// What the store says.
    pub async fn ask(
        &mut self,
        agent: &AgentId,
        class: Class,
        target: Option<Target>,
    ) -> Result<Duration, Failure> {
        self.asked += 1;
        let mut new = operation(agent.clone(), 0, Duration::ZERO)?;
        new.key = OperationKey::new(format!("{}-{}", self.prefix, self.asked))?;
        (new.class, new.target) = (class, target);
        if class == Class::Background {
            // One of a kind waits at most.
            new.kind = OperationKind::new(format!("bench-{}-{}", self.prefix, self.asked))?;
        }
        let began = Instant::now();
        let enqueued = self.ports.store.enqueue(new).await?;
        let took = began.elapsed();
        if enqueued.replayed { Err("a new operation was taken for an old one".into()) } else { Ok(took) }
    }

    /// Which promises were broken.
    #[must_use]
    pub fn broken(&self) -> Broken {
        self.broken
    }

    async fn lease(&self, ticket: &Ticket) -> Result<Leased, LeaseError> {
        let request = LeaseRequest {
            agent: ticket.agent.clone(),
            operation: ticket.operation,
            worker: self.worker.clone(),
            ttl: LEASE,
        };
        self.ports.lock.lease(&request).await
    }

    fn note(&mut self, leased: &Leased) {
        let operation = &leased.record.operation;
        if !self.taken.insert(operation.id) {
            self.broken.double_starts += 1;
        }
        let last = self.last.insert(operation.agent.clone(), operation.position);
        if last.is_some_and(|last| last > operation.position) {
            self.broken.order_breaks += 1;
        }
    }

    /// While one of the agent runs, neither it nor another may be had.
    async fn check_alone(&mut self, first: &Ticket, second: Option<&Ticket>) -> Result<(), Failure> {
        for ticket in [Some(first), second].into_iter().flatten() {
            match self.lease(ticket).await {
                Ok(_) => self.broken.overlaps += 1,
                Err(LeaseError::Store(error)) => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Place;
    use crate::work::agent;

    #[tokio::test]
    async fn each_agent_has_its_turns_in_order() {
        let opened = Place::find("memory").unwrap().open().await.unwrap();
        let mut caller = Caller::of(&opened.ports).unwrap();
        let nancy = agent(1).unwrap();
        assert_eq!(caller.turn(&nancy).await.unwrap(), None);
        for class in [Class::Interactive, Class::Interactive, Class::Background] {
            caller.ask(&nancy, class, None).await.unwrap();
        }
        assert_eq!(caller.front(&nancy).await.unwrap().1.len(), 3);
        for _ in 0..3 {
            assert!(caller.turn(&nancy).await.unwrap().is_some());
        }
        assert_eq!(caller.turn(&nancy).await.unwrap(), None);
        assert_eq!(caller.broken(), Broken::default());
    }
}
