use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use archibald_core::id::AgentId;
use tokio_util::sync::CancellationToken;

/// The streams that are open, by agent; one too many ends the oldest.
pub(crate) struct StreamRegistry {
    limit: usize,
    next: AtomicU64,
    seats: Mutex<HashMap<AgentId, VecDeque<(u64, CancellationToken)>>>,
}

/// A place in the registry; given back when it is dropped.
pub(crate) struct StreamSeat {
    registry: Arc<StreamRegistry>,
    agent: AgentId,
    number: u64,
    replaced: CancellationToken,
}

impl StreamRegistry {
    /// At most `limit` streams an agent, and at least one.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), next: AtomicU64::new(0), seats: Mutex::default() }
    }

    /// A place for one more stream of the agent; the oldest makes room.
    pub(crate) fn enter(self: &Arc<Self>, agent: &AgentId) -> StreamSeat {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let replaced = CancellationToken::new();
        let mut seats = self.lock();
        let of_agent = seats.entry(agent.clone()).or_default();
        while of_agent.len() >= self.limit {
            if let Some((_, oldest)) = of_agent.pop_front() {
                oldest.cancel();
            }
        }
        of_agent.push_back((number, replaced.clone()));
        StreamSeat { registry: Arc::clone(self), agent: agent.clone(), number, replaced }
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.lock().values().map(VecDeque::len).sum()
    }

    /// What it guards is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, VecDeque<(u64, CancellationToken)>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamSeat {
    /// Returns once the place went to a newer stream.
    pub(crate) async fn replaced(&self) {
        self.replaced.cancelled().await;
    }
}

impl Drop for StreamSeat {
    fn drop(&mut self) {
        let mut seats = self.registry.lock();
        if let Some(of_agent) = seats.get_mut(&self.agent) {
            of_agent.retain(|(number, _)| *number != self.number);
            if of_agent.is_empty() {
                seats.remove(&self.agent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_ends_the_oldest_of_that_agent_and_places_are_given_back() {
        let registry = Arc::new(StreamRegistry::new(2));
        let (nancy, janet) = (AgentId::new("nancy").unwrap(), AgentId::new("janet").unwrap());
        let other = registry.enter(&janet);
        let seats: Vec<_> = (0..3).map(|_| registry.enter(&nancy)).collect();
        let ended: Vec<_> = seats.iter().map(|seat| seat.replaced.is_cancelled()).collect();
        assert_eq!(ended, [true, false, false]);
        assert!(!other.replaced.is_cancelled());
        assert_eq!(registry.open(), 3);
        drop((seats, other));
        assert_eq!(registry.open(), 0);
        assert!(registry.lock().is_empty());
    }
}
