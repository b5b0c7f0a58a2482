//! Agents that come, go and change while the service runs.

use std::sync::Arc;

use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use archibald_core::pause::PauseScope;
use archibald_core::port::{
    AgentAdmin, CredentialError, CredentialStore, Credentials, ListedAgent, LoginError, OperationFilter,
    Operations,
};
use async_trait::async_trait;

use crate::handle::Archibald;

/// States that an operation leaves again.
const NOT_FINAL: [&str; 3] = ["running", "available", "in_doubt"];

/// The door to agents of a process that has a place for them.
pub(crate) struct Administered {
    pub(crate) archibald: Archibald,
    pub(crate) store: Arc<dyn CredentialStore>,
}

#[async_trait]
impl AgentAdmin for Administered {
    async fn list(&self) -> Result<Vec<ListedAgent>, CredentialError> {
        Ok(self.store.list().await?)
    }

    async fn add(&self, agent: &AgentId, credentials: &Credentials) -> Result<(), CredentialError> {
        self.store.add(agent, credentials).await?;
        Ok(self.end_lockout(agent).await?)
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), CredentialError> {
        match self.store.find(agent).await? {
            None => return Err(CredentialError::Unknown(agent.clone())),
            Some(known) if !known.kept => return Err(CredentialError::Fixed(agent.clone())),
            Some(_) => {}
        }
        for state in NOT_FINAL {
            let filter =
                OperationFilter { state: Some(state.to_owned()), limit: 1, ..OperationFilter::default() };
            let found = self.archibald.list(agent, &filter).await?.records.pop();
            if let Some(record) = found {
                let operation = record.operation.id;
                return Err(CredentialError::Busy { agent: agent.clone(), operation, state });
            }
        }
        self.store.remove(agent).await
    }

    async fn change_password(&self, agent: &AgentId, password: &str) -> Result<(), CredentialError> {
        self.store.change_password(agent, password).await?;
        Ok(self.end_lockout(agent).await?)
    }

    async fn unlock(&self, agent: &AgentId) -> Result<(), CredentialError> {
        match self.store.find(agent).await? {
            None => return Err(CredentialError::Unknown(agent.clone())),
            Some(known) if known.user.is_none() => return Err(CredentialError::Unreadable(agent.clone())),
            Some(_) => {}
        }
        Ok(self.end_lockout(agent).await?)
    }
}

impl Administered {
    /// Ends the agent's pause, if a login that was refused made it.
    async fn end_lockout(&self, agent: &AgentId) -> Result<(), StoreError> {
        let scope = PauseScope::from(agent.clone());
        let paused = self.archibald.shared().store.paused().await?;
        if paused.iter().any(|pause| pause.scope == scope && LoginError::is_lockout(&pause.why)) {
            self.archibald.resume(&scope).await?;
        }
        Ok(())
    }
}
