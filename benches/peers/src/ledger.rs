//! The proof that each operation ran once, in order and alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use archibald_benches::wait::Waits;
use archibald_benches::work::Broken;
use tokio::sync::watch;

use crate::Failure;

/// What was seen of the operations while they ran.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
    ended: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<usize, usize>,
    last: HashMap<usize, usize>,
    starts: HashMap<usize, (usize, Instant)>,
    broken: Broken,
}

impl Ledger {
    /// An operation of an agent starts; numbers grow in the order in which they were asked for.
    pub fn start(&self, agent: usize, number: usize) {
        let mut state = self.state();
        if state.running.insert(agent, number).is_some() {
            state.broken.overlaps += 1;
        }
        if state.last.insert(agent, number).is_some_and(|last| last > number) {
            state.broken.order_breaks += 1;
        }
        if state.starts.insert(number, (agent, Instant::now())).is_some() {
            state.broken.double_starts += 1;
        }
    }

    /// The agent's operation has ended.
    pub fn end(&self, agent: usize) {
        self.state().running.remove(&agent);
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Waits until so many have ended.
    ///
    /// # Errors
    /// When the time is over before.
    pub async fn until(&self, count: usize, limit: Duration) -> Result<(), Failure> {
        let mut ended = self.ended.subscribe();
        let enough = tokio::time::timeout(limit, ended.wait_for(|ended| *ended >= count)).await;
        if enough.is_err() {
            let so_far = *self.ended.borrow();
            return Err(format!("{so_far} of {count} operations ended within {limit:?}").into());
        }
        Ok(())
    }

    /// From a moment to the start of each operation whose agent is asked for.
    #[must_use]
    pub fn waits(&self, since: Instant, is_asked_for: impl Fn(usize) -> bool) -> Waits {
        let state = self.state();
        let starts = state.starts.values().filter(|(agent, _)| is_asked_for(*agent));
        Waits::of(starts.map(|(_, at)| at.duration_since(since)))
    }

    /// When an operation was first started.
    #[must_use]
    pub fn started(&self, number: usize) -> Option<Instant> {
        self.state().starts.get(&number).map(|(_, at)| *at)
    }

    /// Which promises were broken.
    #[must_use]
    pub fn broken(&self) -> Broken {
        self.state().broken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_promise_is_counted() {
        let ledger = Ledger::default();
        ledger.start(1, 1);
        ledger.end(1);
        ledger.start(2, 2);
        ledger.start(1, 4);
        ledger.end(1);
        assert_eq!(ledger.broken(), Broken::default());
        ledger.start(1, 3);
        ledger.start(1, 4);
        assert_eq!(ledger.broken(), Broken { overlaps: 1, order_breaks: 1, double_starts: 1 });
        assert!(ledger.broken().check().is_err());
    }
}
