//! Store, lock and event bus in memory: for tests, the simulation and the quickstart.
//!
//! It keeps every promise of the ports but one: nothing outlives the value. It passes the same
//! [`conformance`](crate::conformance) stories as the stores on disk, so what holds here holds there.

mod agents;
mod bus;
mod lock;
mod operations;
mod pending_orders;
mod state;
mod wakes;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use archibald_core::port::Clock;
use archibald_core::time::Timestamp;

use self::state::{Agent, State, Wake};
use self::wakes::Wakes;
use crate::clock::SystemClock;

/// All store ports in one value. Clones share what they hold.
///
/// ```
/// use std::sync::Arc;
/// use archibald_core::port::{AgentLock, EventBus, OperationStore};
/// use archibald_testing::memory::MemoryStore;
///
/// let memory = Arc::new(MemoryStore::default());
/// let store: Arc<dyn OperationStore> = memory.clone();
/// let lock: Arc<dyn AgentLock> = memory.clone();
/// let bus: Arc<dyn EventBus> = memory;
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    wakes: Arc<Wakes>,
}

/// Empty, by the machine's clock.
impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl MemoryStore {
    /// Empty, by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default(), wakes: Arc::default() }
    }

    /// One transaction: it changes the state only where it returns `Ok`, then wakes whom it concerns.
    fn write<T, E>(&self, change: impl FnOnce(&mut State, Timestamp) -> Result<T, E>) -> Result<T, E> {
        let (answer, (effects, survey)) = {
            let mut state = self.lock();
            let answer = change(&mut state, self.clock.now());
            (answer, state.take_wakes())
        };
        for (agent, wake) in effects {
            self.wakes.tell(&agent, wake);
        }
        if survey {
            self.wakes.tell_of_survey();
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
