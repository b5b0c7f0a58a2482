//! Credentials that are given, not looked up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use archibald_core::port::{CredentialError, CredentialProvider, CredentialStore, Credentials, ListedAgent};
use async_trait::async_trait;

/// Agents with their user names and passwords, kept in memory; they can come, go and change, all of them.
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

#[async_trait]
impl CredentialProvider for FixedCredentials {
    fn credentials(&self, agent: &AgentId) -> Option<Credentials> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(agent).cloned()
    }

    fn knows(&self, agent: &AgentId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(agent)
    }

    fn agents(&self) -> Vec<AgentId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

#[async_trait]
impl CredentialStore for FixedCredentials {
    async fn list(&self, after: &str, limit: u32) -> Result<Vec<ListedAgent>, StoreError> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let page = known.iter().filter(|(agent, _)| agent.as_str() > after);
        Ok(page.take(limit as usize).map(|(agent, who)| listed(agent, who)).collect())
    }

    async fn find(&self, agent: &AgentId) -> Result<Option<ListedAgent>, StoreError> {
        Ok(self.credentials(agent).map(|who| listed(agent, &who)))
    }

    async fn add(&self, agent: &AgentId, credentials: &Credentials) -> Result<(), CredentialError> {
        credentials.check()?;
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match known.get(agent) {
            Some(who) if who == credentials => return Ok(()),
            Some(_) => return Err(CredentialError::Exists(agent.clone())),
            None => drop(known.insert(agent.clone(), credentials.clone())),
        }
        Ok(())
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), CredentialError> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(agent).map(drop).ok_or_else(|| CredentialError::Unknown(agent.clone()))
    }

    async fn change_password(&self, agent: &AgentId, password: &str) -> Result<(), CredentialError> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let who = known.get_mut(agent).ok_or_else(|| CredentialError::Unknown(agent.clone()))?;
        let changed = Credentials { password: password.to_owned(), ..who.clone() };
        changed.check()?;
        *who = changed;
        Ok(())
    }
}

/// Credentials whose password is wrong when it is first asked for, and right from then on, as long as they can be read:
/// as of an operator who corrects it while it is being tried.
#[derive(Debug)]
pub struct CorrectedCredentials {
    right: FixedCredentials,
    asked: AtomicBool,
    unreadable: AtomicBool,
}

impl CorrectedCredentials {
    /// Those that are right in the end.
    #[must_use]
    pub fn new(right: FixedCredentials) -> Self {
        Self { right, asked: AtomicBool::new(false), unreadable: AtomicBool::new(false) }
    }

    /// From now on they cannot be read, or can be again.
    pub fn unreadable(&self, unreadable: bool) {
        self.unreadable.store(unreadable, Ordering::SeqCst);
    }
}

#[async_trait]
impl CredentialProvider for CorrectedCredentials {
    fn credentials(&self, agent: &AgentId) -> Option<Credentials> {
        self.right.credentials(agent)
    }

    fn agents(&self) -> Vec<AgentId> {
        self.right.agents()
    }

    async fn current(&self, agent: &AgentId) -> Result<Option<Credentials>, StoreError> {
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("reading an agent", "the disk is gone"));
        }
        let wrong = |who: Credentials| Credentials { password: "wrong".into(), ..who };
        let who = self.right.credentials(agent);
        Ok(if self.asked.swap(true, Ordering::SeqCst) { who } else { who.map(wrong) })
    }
}

fn listed(agent: &AgentId, who: &Credentials) -> ListedAgent {
    ListedAgent { agent: agent.clone(), user: Some(who.user.clone()), kept: true }
}
