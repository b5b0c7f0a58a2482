//! Who asks, and what they reach.
//!
//! [`Authenticator`] turns a bearer token into a [`Principal`]; the layer in `middleware` asks it for every
//! route under `/v1`. What a principal reaches is decided in one place, [`AgentAccess`] and
//! [`OperatorAccess`]: handlers get the agent from there, and the same extractors guard the routers, so
//! that a handler that forgot them would be guarded still.

mod access;
mod jwt;
mod origin;
mod session;
mod tokens;

use std::time::SystemTime;

use archibald_core::error::Cause;
use archibald_core::id::AgentId;
use async_trait::async_trait;

pub(crate) use self::access::{AgentAccess, OperatorAccess};
pub use self::jwt::{InvalidKey, JwtKey, NotSigned};
pub(crate) use self::origin::same_origin;
pub(crate) use self::session::{COOKIE, SessionKey, Sessions, cookie_of};
pub use self::tokens::{InvalidToken, TokenEntry, TokenScope, TokenSet};

/// What somebody reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The paths of this agent and nothing else; all else is 404 for them.
    Agent(AgentId),
    /// Everything.
    Operator,
}

/// Somebody who was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What audits call them.
    pub name: String,
    /// What they reach.
    pub scope: Scope,
    /// When their token ends, if it does: then their streams end too.
    pub expires_at: Option<SystemTime>,
}

impl Principal {
    /// An agent, under its own name and without an end.
    #[must_use]
    pub fn agent(agent: AgentId) -> Self {
        Self { name: agent.to_string(), scope: Scope::Agent(agent), expires_at: None }
    }

    /// An operator, without an end.
    #[must_use]
    pub fn operator(name: impl Into<String>) -> Self {
        Self { name: name.into(), scope: Scope::Operator, expires_at: None }
    }

    /// Whether it is the same holder, whatever the end of their token.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.scope == other.scope
    }

    /// Whether paths of this agent are theirs.
    #[must_use]
    pub fn reaches(&self, agent: &AgentId) -> bool {
        match &self.scope {
            Scope::Agent(own) => own == agent,
            Scope::Operator => true,
        }
    }
}

/// Why nobody was recognised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The token is unknown, damaged or over. Answered with 401, which does not say which of these.
    #[error("the token is refused")]
    Refused,
    /// Whoever knows cannot be asked now. Answered with 503.
    #[error("tokens cannot be checked now")]
    Unavailable(#[source] Cause),
}

/// Recognises bearer tokens.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who holds this token. It must take equally long for every token that it refuses.
    ///
    /// # Errors
    /// [`AuthError`].
    ///
    /// # Cancel safety
    /// Must be cancel safe: it is dropped when the client goes away.
    async fn authenticate(&self, token: &str) -> Result<Principal, AuthError>;
}

/// The first that recognises the token; one that is unavailable ends the search.
#[async_trait]
impl<A: Authenticator> Authenticator for Vec<A> {
    async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
        for authenticator in self {
            match authenticator.authenticate(token).await {
                Err(AuthError::Refused) => {}
                decided => return decided,
            }
        }
        Err(AuthError::Refused)
    }
}

#[async_trait]
impl<A: Authenticator + ?Sized> Authenticator for std::sync::Arc<A> {
    async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
        (**self).authenticate(token).await
    }
}
