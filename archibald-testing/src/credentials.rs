//! Credentials that are given, not looked up.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use archibald_core::id::AgentId;
use archibald_core::port::{CredentialProvider, Credentials};

/// Agents with their user names and passwords, kept in memory; they can come, go and change.
#[derive(Debug, Default)]
pub struct FixedCredentials(RwLock<BTreeMap<AgentId, Credentials>>);

impl FixedCredentials {
    /// Knows nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one agent more.
    #[must_use]
    pub fn with(self, agent: AgentId, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.set(agent, user, password);
        self
    }

    /// Adds an agent, or changes how it logs in.
    pub fn set(&self, agent: AgentId, user: impl Into<String>, password: impl Into<String>) {
        let credentials = Credentials { user: user.into(), password: password.into() };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(agent, credentials);
    }

    /// Forgets an agent.
    pub fn remove(&self, agent: &AgentId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(agent);
    }
}

impl CredentialProvider for FixedCredentials {
    fn credentials(&self, agent: &AgentId) -> Option<Credentials> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(agent).cloned()
    }

    fn agents(&self) -> Vec<AgentId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}
