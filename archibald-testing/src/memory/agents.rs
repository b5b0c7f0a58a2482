use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use archibald_core::port::{AgentStore, Sealed};
use async_trait::async_trait;

use super::MemoryStore;

#[async_trait]
impl AgentStore for MemoryStore {
    async fn kept_agents(&self, after: &str, limit: u32) -> Result<Vec<(AgentId, Sealed)>, StoreError> {
        let state = self.lock();
        let page = state.kept_agents.iter().filter(|(agent, _)| agent.as_str() > after);
        Ok(page.take(limit as usize).map(|(agent, sealed)| (agent.clone(), sealed.clone())).collect())
    }

    async fn kept_agent(&self, agent: &AgentId) -> Result<Option<Sealed>, StoreError> {
        Ok(self.lock().kept_agents.get(agent).cloned())
    }

    async fn keep_agent(&self, agent: &AgentId, sealed: &Sealed) -> Result<bool, StoreError> {
        self.write(|state, _| {
            let kept = state.kept_agents.entry(agent.clone()).or_insert_with(|| sealed.clone());
            Ok(kept == sealed)
        })
    }

    async fn replace_agent(
        &self,
        agent: &AgentId,
        was: &Sealed,
        becomes: &Sealed,
    ) -> Result<bool, StoreError> {
        self.write(|state, _| match state.kept_agents.get_mut(agent) {
            Some(kept) if kept == was || kept == becomes => {
                *kept = becomes.clone();
                Ok(true)
            }
            _ => Ok(false),
        })
    }

    async fn drop_agent(&self, agent: &AgentId) -> Result<bool, StoreError> {
        self.write(|state, _| Ok(state.kept_agents.remove(agent).is_some()))
    }
}
