use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use archibald_core::port::{AgentStore, Sealed};
use async_trait::async_trait;
use futures::FutureExt;

use crate::PgStore;

/// Every call is one statement, which may be made again.
#[async_trait]
impl AgentStore for PgStore {
    async fn kept_agents(&self, after: &str, limit: u32) -> Result<Vec<(AgentId, Sealed)>, StoreError> {
        let asked = (after.to_owned(), i64::from(limit));
        self.read("listing kept agents", asked, |conn, sql, (after, limit)| {
            async move {
                let query = sql.kept_agents_list.query_as().bind(after.clone()).bind(*limit);
                let rows: Vec<(String, Vec<u8>)> = query.fetch_all(conn).await?;
                let kept = rows.into_iter().map(|(agent, sealed)| Ok((named(&agent)?, Sealed(sealed))));
                Ok(kept.collect::<Result<_, StoreError>>()?)
            }
            .boxed()
        })
        .await
    }

    async fn kept_agent(&self, agent: &AgentId) -> Result<Option<Sealed>, StoreError> {
        self.read("reading a kept agent", agent.to_string(), |conn, sql, agent| {
            async move {
                let query = sql.kept_agent_get.query_scalar().bind(agent.clone());
                Ok(query.fetch_optional(conn).await?.map(Sealed))
            }
            .boxed()
        })
        .await
    }

    async fn keep_agent(&self, agent: &AgentId, sealed: &Sealed) -> Result<bool, StoreError> {
        let asked = (agent.to_string(), sealed.clone());
        self.read("keeping an agent", asked, |conn, sql, (agent, sealed)| {
            async move {
                let query = sql.kept_agent_keep.query_scalar().bind(agent.clone()).bind(sealed.0.clone());
                Ok(query.fetch_one(conn).await?)
            }
            .boxed()
        })
        .await
    }

    async fn replace_agent(
        &self,
        agent: &AgentId,
        was: &Sealed,
        becomes: &Sealed,
    ) -> Result<bool, StoreError> {
        let asked = (agent.to_string(), was.clone(), becomes.clone());
        self.read("replacing a kept agent", asked, |conn, sql, (agent, was, becomes)| {
            async move {
                let query = sql.kept_agent_replace.query().bind(agent.clone());
                let query = query.bind(was.0.clone()).bind(becomes.0.clone());
                Ok(query.execute(conn).await?.rows_affected() > 0)
            }
            .boxed()
        })
        .await
    }

    /// Where the answer of the first try was lost the second says that there is none.
    async fn drop_agent(&self, agent: &AgentId) -> Result<bool, StoreError> {
        self.read("dropping a kept agent", agent.to_string(), |conn, sql, agent| {
            async move {
                let query = sql.kept_agent_drop.query().bind(agent.clone());
                Ok(query.execute(conn).await?.rows_affected() > 0)
            }
            .boxed()
        })
        .await
    }
}

fn named(agent: &str) -> Result<AgentId, StoreError> {
    AgentId::new(agent).map_err(|error| StoreError::damaged("a kept agent", error))
}
