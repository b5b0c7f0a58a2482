use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use archibald_core::id::AgentId;
use tokio::sync::OwnedMutexGuard;

use crate::sync::{Mutex, MutexGuard};

/// Lets one write of an agent at a time to the database.
///
/// Two would wait for each other there anyway, each with a connection in its hand; so an agent whose rows
/// somebody keeps locked could take every connection and hold up all the others.
#[derive(Default)]
pub(crate) struct Gates(Mutex<HashMap<AgentId, Arc<tokio::sync::Mutex<()>>>>);

/// The turn of one write; it ends with the value.
pub(crate) struct Turn<'a> {
    gates: &'a Gates,
    agent: AgentId,
    held: Option<OwnedMutexGuard<()>>,
}

impl Gates {
    /// Waits for the agent's turn, first come first served. Cancel safe.
    pub(crate) async fn enter(&self, agent: &AgentId) -> Turn<'_> {
        let gate = self.all().entry(agent.clone()).or_default().clone();
        let mut turn = Turn { gates: self, agent: agent.clone(), held: None };
        turn.held = Some(gate.lock_owned().await);
        turn
    }

    /// Whether somebody of the agent has the turn, or waits for it.
    pub(crate) fn is_taken(&self, agent: &AgentId) -> bool {
        self.all().contains_key(agent)
    }

    /// Whether nobody has a turn or waits for one.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<AgentId, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut all = self.gates.all();
        if all.get(&self.agent).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            all.remove(&self.agent);
        }
    }
}
