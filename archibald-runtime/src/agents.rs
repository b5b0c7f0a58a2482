//! Agents that come, go and change while the service runs.

use std::sync::Arc;

use archibald_core::id::AgentId;
use archibald_core::port::{AgentAdmin, CredentialError, CredentialStore, Credentials, ListedAgent};
use async_trait::async_trait;

use crate::handle::Archibald;

/// The door to agents of a process that has a place for them.
pub(crate) struct Administered {
    pub(crate) archibald: Archibald,
    pub(crate) store: Arc<dyn CredentialStore>,
}

#[async_trait]
impl AgentAdmin for Administered {
    async fn list(&self, after: &str, limit: u32) -> Result<Vec<ListedAgent>, CredentialError> {
        Ok(self.store.list(after, limit).await?)
    }

    async fn find(&self, agent: &AgentId) -> Result<Option<ListedAgent>, CredentialError> {
        Ok(self.store.find(agent).await?)
    }

    async fn add(&self, agent: &AgentId, credentials: &Credentials) -> Result<(), CredentialError> {
        self.store.add(agent, credentials).await?;
        Ok(self.archibald.shared().unlock(agent).await?)
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), CredentialError> {
        match self.store.find(agent).await? {
            None => {
                self.archibald.shared().pool.end(agent).await;
                return Err(CredentialError::Unknown(agent.clone()));
            }
            Some(known) if !known.kept => return Err(CredentialError::Fixed(agent.clone())),
            Some(_) => {}
        }
        self.refuse_busy(agent).await?;
        // There are none of one whose password cannot be read; of that one nothing runs either.
        let who = self.archibald.shared().credentials.current(agent).await?;
        self.store.remove(agent).await?;
        let busy = self.refuse_busy(agent).await;
        if let (Err(_), Some(who)) = (&busy, who) {
            self.store.add(agent, &who).await?;
        }
        if busy.is_ok() {
            self.archibald.shared().pool.end(agent).await;
        }
        busy
    }

    async fn change_password(&self, agent: &AgentId, password: &str) -> Result<(), CredentialError> {
        self.store.change_password(agent, password).await?;
        Ok(self.archibald.shared().unlock(agent).await?)
    }

    async fn unlock(&self, agent: &AgentId) -> Result<(), CredentialError> {
        match self.store.find(agent).await? {
            None => return Err(CredentialError::Unknown(agent.clone())),
            Some(known) if known.user.is_none() => return Err(CredentialError::Unreadable(agent.clone())),
            Some(_) => {}
        }
        Ok(self.archibald.shared().unlock(agent).await?)
    }
}

impl Administered {
    /// All of the agent is read at one moment: what goes from one state to the next is in one of them.
    async fn refuse_busy(&self, agent: &AgentId) -> Result<(), CredentialError> {
        let snapshot = self.archibald.shared().bus.snapshot(agent, 0).await?;
        let open = snapshot.operations.into_iter().find(|record| !record.operation.is_final());
        open.map_or(Ok(()), |record| {
            let (operation, state) = (record.operation.id, record.operation.state.name());
            Err(CredentialError::Busy { agent: agent.clone(), operation, state })
        })
    }
}
