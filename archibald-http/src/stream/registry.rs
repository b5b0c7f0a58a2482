use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use archibald_core::id::AgentId;
use tokio::sync::oneshot;

use crate::auth::{Principal, SessionKey};

/// Whose news a stream brings: an agent's, or with `None` those that operators follow.
pub(crate) type Whose = Option<AgentId>;

/// The streams that are open, by whose news they bring; one too many ends the oldest.
pub(crate) struct StreamRegistry {
    limit: usize,
    next: AtomicU64,
    seats: Mutex<HashMap<Whose, VecDeque<Taken>>>,
}

/// Who follows.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) principal: Principal,
    pub(crate) session: Option<SessionKey>,
}

struct Taken {
    number: u64,
    holder: Holder,
    end: oneshot::Sender<&'static str>,
}

/// A place in the registry; given back when it is dropped.
pub(crate) struct StreamSeat {
    registry: Arc<StreamRegistry>,
    whose: Whose,
    number: u64,
    ended: oneshot::Receiver<&'static str>,
}

impl StreamRegistry {
    /// At most `limit` streams each, and at least one.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), next: AtomicU64::new(0), seats: Mutex::default() }
    }

    /// A place for one more stream; the oldest makes room.
    pub(crate) fn enter(self: &Arc<Self>, whose: Whose, holder: Holder) -> StreamSeat {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (end, ended) = oneshot::channel();
        let mut seats = self.lock();
        let of_one = seats.entry(whose.clone()).or_default();
        while of_one.len() >= self.limit {
            if let Some(oldest) = of_one.pop_front() {
                let _ = oldest.end.send("replaced");
            }
        }
        of_one.push_back(Taken { number, holder, end });
        StreamSeat { registry: Arc::clone(self), whose, number, ended }
    }

    /// Ends the streams of these people with `bye` and this reason; how many there were.
    pub(crate) fn end(&self, whom: impl Fn(&Holder) -> bool, reason: &'static str) -> usize {
        let mut seats = self.lock();
        let mut ended = 0;
        for of_one in seats.values_mut() {
            let all = std::mem::take(of_one).into_iter();
            let (go, stay): (VecDeque<_>, VecDeque<_>) = all.partition(|taken| whom(&taken.holder));
            ended += go.len();
            for taken in go {
                let _ = taken.end.send(reason);
            }
            *of_one = stay;
        }
        seats.retain(|_, of_one| !of_one.is_empty());
        ended
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.lock().values().map(VecDeque::len).sum()
    }

    /// How many streams of the agent are open.
    pub(crate) fn open_of(&self, agent: &AgentId) -> usize {
        self.lock().get(&Some(agent.clone())).map_or(0, VecDeque::len)
    }

    /// What it guards is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, VecDeque<Taken>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamSeat {
    /// Returns once the place is lost, with the reason.
    pub(crate) async fn ended(mut self) -> &'static str {
        match (&mut self.ended).await {
            Ok(reason) => reason,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for StreamSeat {
    fn drop(&mut self) {
        let mut seats = self.registry.lock();
        if let Some(of_one) = seats.get_mut(&self.whose) {
            of_one.retain(|taken| taken.number != self.number);
            if of_one.is_empty() {
                seats.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> AgentId {
        AgentId::new(name).unwrap()
    }

    fn holder(name: &str) -> Holder {
        Holder { principal: Principal::operator(name), session: None }
    }

    fn reason(seat: &mut StreamSeat) -> Option<&'static str> {
        seat.ended.try_recv().ok()
    }

    #[test]
    fn one_too_many_ends_the_oldest_of_that_agent_and_places_are_given_back() {
        let registry = Arc::new(StreamRegistry::new(2));
        let mut other = registry.enter(Some(agent("janet")), holder("a"));
        let mut seats: Vec<_> = (0..3).map(|_| registry.enter(Some(agent("nancy")), holder("a"))).collect();
        let ended: Vec<_> = seats.iter_mut().map(reason).collect();
        assert_eq!(ended, [Some("replaced"), None, None]);
        assert_eq!(reason(&mut other), None);
        assert_eq!((registry.open(), registry.open_of(&agent("nancy"))), (3, 2));
        drop((seats, other));
        assert_eq!(registry.open(), 0);
        assert!(registry.lock().is_empty());
    }

    #[test]
    fn the_streams_of_somebody_are_ended_wherever_they_are() {
        let registry = Arc::new(StreamRegistry::new(2));
        let places = [(Some(agent("nancy")), "a"), (None, "a"), (None, "b")];
        let mut seats = places.map(|(whose, name)| registry.enter(whose, holder(name)));
        assert_eq!(registry.end(|holder| holder.principal.name == "a", "revoked"), 2);
        assert_eq!(seats.each_mut().map(reason), [Some("revoked"), Some("revoked"), None]);
        assert_eq!(registry.open(), 1);
    }
}
