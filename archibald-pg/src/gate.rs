use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use archibald_core::id::AgentId;
use tokio::sync::OwnedMutexGuard;

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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_left() {
        let gates = Gates::default();
        let (nancy, andrew) = (AgentId::new("nancy").unwrap(), AgentId::new("andrew").unwrap());
        let turn = gates.enter(&nancy).await;
        assert!(gates.enter(&nancy).now_or_never().is_none(), "and one that gave up waiting");
        assert!(gates.enter(&andrew).now_or_never().is_some());
        drop(turn);
        drop(gates.enter(&nancy).now_or_never().unwrap());
        assert!(gates.all().is_empty());
    }
}
