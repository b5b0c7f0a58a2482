use std::fmt;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::id::AgentId;

/// An agent's credentials, encrypted: a store keeps them and cannot read them. Prints its length alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Where the agents are kept that were added while the service ran: beside the operations, so that all processes
/// have the same.
///
/// No two values of [`Sealed`] are alike, even of the same credentials: so a write that is made again after its
/// answer was lost is known by its value.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait AgentStore: Send + Sync {
    /// Those whose id comes after this text, which may be empty, by id, and at most so many.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn kept_agents(&self, after: &str, limit: u32) -> Result<Vec<(AgentId, Sealed)>, StoreError>;

    /// One of them, as it is now.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn kept_agent(&self, agent: &AgentId) -> Result<Option<Sealed>, StoreError>;

    /// Keeps a new one, durably. `false`: there is one, which stays as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// A dropped call may have kept it; the same value again says `true` then.
    async fn keep_agent(&self, agent: &AgentId, sealed: &Sealed) -> Result<bool, StoreError>;

    /// Puts a value in place of the one that is there, durably. `false`: that one is not there any more, and
    /// nothing was changed.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// A dropped call may have replaced it; the same values again say `true` then.
    async fn replace_agent(
        &self,
        agent: &AgentId,
        was: &Sealed,
        becomes: &Sealed,
    ) -> Result<bool, StoreError>;

    /// Forgets one. `false`: there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// A dropped call may have forgotten it, and then there is none.
    async fn drop_agent(&self, agent: &AgentId) -> Result<bool, StoreError>;
}
