use std::fmt;

use async_trait::async_trait;

use crate::error::{FieldError, StoreError};
use crate::id::{AgentId, OperationId};

/// The longest user name and the longest password, in characters.
const LONGEST: usize = 200;

/// How an agent logs in at the ERP. Prints without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name at the ERP.
    pub user: String,
    /// The password. Never logged.
    pub password: String,
}

impl Credentials {
    /// What cannot be typed into a login page: `/user` and `/password` must have 1 to 200 characters, none of
    /// them a control character. A complaint never repeats what was given.
    #[must_use]
    pub fn complaints(&self) -> Vec<FieldError> {
        let fields = [("/user", &self.user), ("/password", &self.password)];
        fields.into_iter().filter(|(_, text)| !can_be_typed(text)).map(|(at, _)| complaint(at)).collect()
    }

    /// For whoever is to keep them.
    ///
    /// # Errors
    /// [`CredentialError::Invalid`] with the [complaints](Self::complaints), if there are any.
    pub fn check(&self) -> Result<(), CredentialError> {
        let complaints = self.complaints();
        if complaints.is_empty() { Ok(()) } else { Err(CredentialError::Invalid(complaints)) }
    }
}

fn can_be_typed(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control)
}

fn complaint(pointer: &str) -> FieldError {
    FieldError::new(pointer, format!("must have 1 to {LONGEST} characters and no control characters"))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Knows the agents and how they log in.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait CredentialProvider: Send + Sync {
    /// The agent's credentials, as this process knows them; `None` when there is no such agent.
    fn credentials(&self, agent: &AgentId) -> Option<Credentials>;

    /// Whether there is such an agent, as this process knows: asked at each request.
    fn knows(&self, agent: &AgentId) -> bool {
        self.credentials(agent).is_some()
    }

    /// All agents that this process knows, in no particular order.
    fn agents(&self) -> Vec<AgentId>;

    /// The agent's credentials as they hold now, in every process. A pool asks for them each time that it
    /// lends a session or logs in: a session of other credentials is not lent any more, and no password is tried
    /// that was replaced.
    ///
    /// # Errors
    /// [`StoreError`], where they are kept elsewhere and that cannot be asked; then nobody logs in.
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn current(&self, agent: &AgentId) -> Result<Option<Credentials>, StoreError> {
        Ok(self.credentials(agent))
    }
}

/// An agent as operators see it: everything but its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAgent {
    /// Which agent.
    pub agent: AgentId,
    /// Its user name at the ERP; `None` where what is kept of it cannot be read with this process's key. Such a one
    /// does not log in, and can only be removed.
    pub user: Option<String>,
    /// Whether it was added while the service ran, and so can be changed and removed. The others stand in
    /// what the service was started with.
    pub kept: bool,
}

/// Why an agent was not added, changed or removed; then nothing was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// There is such an agent: change its password, or remove it first.
    #[error("there is an agent {0} already")]
    Exists(AgentId),
    /// There is no such agent.
    #[error("there is no agent {0}")]
    Unknown(AgentId),
    /// It stands in what the service was started with: change it there and start again.
    #[error(
        "agent {0} stands in the agents file, which is not changed from here; change it there and start again"
    )]
    Fixed(AgentId),
    /// What is kept of it does not open with this process's key: remove it, and add it again.
    #[error(
        "what is kept of agent {0} cannot be read with the key that this process has; remove it and add it again"
    )]
    Unreadable(AgentId),
    /// Operations of it are not final: wait for them, cancel them, or decide what is in doubt.
    #[error("operation {operation} of agent {agent} is {state}, and not final")]
    Busy {
        /// Whose.
        agent: AgentId,
        /// One of them.
        operation: OperationId,
        /// Its state's name on the wire.
        state: &'static str,
    },
    /// As many agents as can be kept are.
    #[error("{limit} agents were added, which is the limit")]
    Full {
        /// How many may be kept.
        limit: usize,
    },
    /// Fields that cannot be accepted.
    #[error("the credentials cannot be accepted: {}", .0.iter().map(|it| format!("{} {}", it.pointer, it.detail)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps agents that come, go and change while the service runs, beside those that it was started with.
///
/// Passwords go in and are never listed. What is kept outlives the process, and is encrypted where it rests.
/// What a call did holds in every process from the next [`CredentialProvider::current`] on.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait CredentialStore: Send + Sync {
    /// The agents whose id comes after this text, which may be empty, by id, and at most so many.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn list(&self, after: &str, limit: u32) -> Result<Vec<ListedAgent>, StoreError>;

    /// One agent.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn find(&self, agent: &AgentId) -> Result<Option<ListedAgent>, StoreError>;

    /// Adds an agent. One that is kept with the same user and password was added.
    ///
    /// # Errors
    /// [`CredentialError::Exists`], [`CredentialError::Full`], [`CredentialError::Invalid`] with the pointers of
    /// [`Credentials::complaints`], or [`CredentialError::Store`].
    ///
    /// # Cancel safety
    /// A dropped call may have added it; calling again is fine.
    async fn add(&self, agent: &AgentId, credentials: &Credentials) -> Result<(), CredentialError>;

    /// Forgets an agent that was added, and its password, whether that can be read or not.
    ///
    /// # Errors
    /// [`CredentialError::Unknown`], [`CredentialError::Fixed`] or [`CredentialError::Store`].
    ///
    /// # Cancel safety
    /// A dropped call may have removed it; removing it again then says that there is none.
    async fn remove(&self, agent: &AgentId) -> Result<(), CredentialError>;

    /// Replaces the password of an agent that was added.
    ///
    /// # Errors
    /// [`CredentialError::Unknown`], [`CredentialError::Fixed`], [`CredentialError::Unreadable`],
    /// [`CredentialError::Invalid`] at `/password`, or [`CredentialError::Store`].
    ///
    /// # Cancel safety
    /// A dropped call may have replaced it; calling again is fine.
    async fn change_password(&self, agent: &AgentId, password: &str) -> Result<(), CredentialError>;
}

/// The door to agents for those who run the service: what HTTP and embedders use.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait AgentAdmin: Send + Sync {
    /// The agents whose id comes after this text, which may be empty, by id, and at most so many.
    ///
    /// # Errors
    /// [`CredentialError::Store`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn list(&self, after: &str, limit: u32) -> Result<Vec<ListedAgent>, CredentialError>;

    /// One agent.
    ///
    /// # Errors
    /// [`CredentialError::Store`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn find(&self, agent: &AgentId) -> Result<Option<ListedAgent>, CredentialError>;

    /// Adds an agent; one that was paused for want of credentials goes on.
    ///
    /// # Errors
    /// See [`CredentialStore::add`].
    ///
    /// # Cancel safety
    /// See [`CredentialStore::add`].
    async fn add(&self, agent: &AgentId, credentials: &Credentials) -> Result<(), CredentialError>;

    /// Removes an agent of whom every operation is final. What it did stays until it is forgotten by age. Where an
    /// operation was accepted in the same moment the agent stays, or is there again. Its session in this process ends,
    /// also where the agent is gone already.
    ///
    /// # Errors
    /// [`CredentialError::Busy`], or as [`CredentialStore::remove`].
    ///
    /// # Cancel safety
    /// See [`CredentialStore::remove`].
    async fn remove(&self, agent: &AgentId) -> Result<(), CredentialError>;

    /// Replaces an agent's password, and then [unlocks](Self::unlock) it: its next login is with the new one.
    ///
    /// # Errors
    /// See [`CredentialStore::change_password`].
    ///
    /// # Cancel safety
    /// A dropped call may have replaced it and left the agent locked out; calling again is fine.
    async fn change_password(&self, agent: &AgentId, password: &str) -> Result<(), CredentialError>;

    /// Ends the pause that a refused login made: the same credentials are tried once more. A pause that a person
    /// made stays, and who is not locked out is left as it is.
    ///
    /// # Errors
    /// [`CredentialError::Unknown`], [`CredentialError::Unreadable`] or [`CredentialError::Store`].
    ///
    /// # Cancel safety
    /// Cancel safe; calling again is fine.
    async fn unlock(&self, agent: &AgentId) -> Result<(), CredentialError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_the_field_and_never_what_was_given() {
        let long = "s3cret".repeat(40);
        for (user, password, expected) in [
            ("nancy", "s3cret", &[][..]),
            ("nancy", "Straße 1 '\"<", &[]),
            ("", "s3cret", &["/user"]),
            ("nancy", "", &["/password"]),
            ("nan\ncy", "s3cret\t", &["/user", "/password"]),
            ("nancy", long.as_str(), &["/password"]),
        ] {
            let credentials = Credentials { user: user.into(), password: password.into() };
            let complaints = credentials.complaints();
            let told = format!("{credentials:?} {}", CredentialError::Invalid(complaints.clone()));
            assert!(!told.contains("s3cret"), "{told}");
            let pointers: Vec<_> = complaints.into_iter().map(|it| it.pointer).collect();
            assert_eq!(pointers, expected);
        }
    }
}
