use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use archibald_core::port::{AgentStore, Sealed};
use async_trait::async_trait;

use crate::code::{column, execute, optional};
use crate::{SqliteStore, sql};

#[async_trait]
impl AgentStore for SqliteStore {
    async fn kept_agents(&self, after: &str, limit: u32) -> Result<Vec<(AgentId, Sealed)>, StoreError> {
        self.reader.kept_agents(after, limit).await
    }

    async fn kept_agent(&self, agent: &AgentId) -> Result<Option<Sealed>, StoreError> {
        self.reader.kept_agent(agent).await
    }

    async fn keep_agent(&self, agent: &AgentId, sealed: &Sealed) -> Result<bool, StoreError> {
        let (agent, sealed) = (agent.clone(), sealed.clone());
        self.write(move |tx| {
            execute(&tx.conn, sql::KEEP_AGENT, (agent.as_str(), &sealed.0))?;
            let there = optional(&tx.conn, sql::KEPT_AGENT, [agent.as_str()], |row| column(row, 0))?;
            Ok(there == Some(sealed.0))
        })
        .await
    }

    async fn replace_agent(
        &self,
        agent: &AgentId,
        was: &Sealed,
        becomes: &Sealed,
    ) -> Result<bool, StoreError> {
        let (agent, was, becomes) = (agent.clone(), was.clone(), becomes.clone());
        self.write(move |tx| {
            Ok(execute(&tx.conn, sql::REPLACE_AGENT, (agent.as_str(), was.0, becomes.0))? > 0)
        })
        .await
    }

    async fn drop_agent(&self, agent: &AgentId) -> Result<bool, StoreError> {
        let agent = agent.clone();
        self.write(move |tx| Ok(execute(&tx.conn, sql::DROP_AGENT, [agent.as_str()])? > 0)).await
    }
}
