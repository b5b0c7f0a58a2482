use std::fmt;

use crate::id::AgentId;

/// How an agent logs in at the ERP. Prints without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name at the ERP.
    pub user: String,
    /// The password. Never logged.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Knows the agents and how they log in.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait CredentialProvider: Send + Sync {
    /// The agent's credentials; `None` when there is no such agent.
    fn credentials(&self, agent: &AgentId) -> Option<Credentials>;

    /// All agents, in no particular order.
    fn agents(&self) -> Vec<AgentId>;
}
