use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use archibald_core::id::{AgentId, FencingToken, OperationId};
use archibald_core::lease::Lease;
use tokio::time::Instant;

/// What the world outside has seen: it takes whatever comes, and has no keys.
#[derive(Default)]
pub struct Ledger(Mutex<State>);

#[derive(Default)]
struct State {
    effects: HashMap<OperationId, u32>,
    last: HashMap<AgentId, FencingToken>,
    holders: HashMap<AgentId, Holder>,
    broken: Vec<String>,
}

/// Who believes to hold an agent, and until when.
struct Holder {
    token: FencingToken,
    until: Instant,
}

impl Ledger {
    /// The change at the ERP.
    pub fn act(&self, lease: &Lease) {
        let mut state = self.state();
        let times = state.effects.entry(lease.operation).or_default();
        *times += 1;
        if *times > 1 {
            let twice = format!("{} acted {times} times", lease.operation);
            state.broken.push(twice);
        }
        let last = state.last.insert(lease.agent.clone(), lease.token);
        if last.is_some_and(|last| last >= lease.token) {
            state.broken.push(format!("{} acted under {} after {last:?}", lease.agent, lease.token.0));
        }
    }

    pub fn has(&self, operation: OperationId) -> bool {
        self.state().effects.contains_key(&operation)
    }

    /// A lease was granted, and its holder believes in it until then: nobody else may do so.
    pub fn begin(&self, lease: &Lease, until: Instant) {
        let mut state = self.state();
        let other = state.holders.insert(lease.agent.clone(), Holder { token: lease.token, until });
        if let Some(other) = other.filter(|other| other.until > Instant::now()) {
            let token = lease.token.0;
            state.broken.push(format!("{}: {token} began while {} held on", lease.agent, other.token.0));
        }
    }

    /// The store renewed it.
    pub fn extend(&self, lease: &Lease, until: Instant) {
        let mut state = self.state();
        if let Some(holder) = state.holders.get_mut(&lease.agent).filter(|held| held.token == lease.token) {
            holder.until = until.max(holder.until);
        }
    }

    /// Its holder does nothing more under it: from right before it settles on.
    pub fn end(&self, lease: &Lease) {
        let mut state = self.state();
        if state.holders.get(&lease.agent).is_some_and(|held| held.token == lease.token) {
            state.holders.remove(&lease.agent);
        }
    }

    /// Whether its holder may believe in it.
    pub fn is_held(&self, lease: &Lease) -> bool {
        let state = self.state();
        state
            .holders
            .get(&lease.agent)
            .is_some_and(|held| held.token == lease.token && held.until > Instant::now())
    }

    pub fn times(&self, operation: OperationId) -> u32 {
        self.state().effects.get(&operation).copied().unwrap_or(0)
    }

    /// What must never happen and did.
    pub fn broken(&self) -> Vec<String> {
        self.state().broken.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
