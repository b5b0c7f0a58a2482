use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{ArchibaldClient, Credentials};
use crate::error::Cause;
use crate::id::{AgentId, FencingToken};
use crate::operation::Class;
use crate::pause::PauseReasons;

/// The lease is no longer ours, or ends now by the holder's own monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease is lost")]
pub struct LeaseLost;

/// Asked before every command to the page: the fence reaches the thing that acts. And told how far it is.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Guard: Send + Sync {
    /// For how much longer the page may be used.
    ///
    /// # Errors
    /// [`LeaseLost`]: send nothing more, close the page.
    fn check(&self) -> Result<Duration, LeaseLost>;

    /// Whether the work under this lease is asked to give way. A read that loads many pages asks between two
    /// of them, where nothing is half done; nothing that changes the ERP ever asks.
    fn should_yield(&self) -> bool {
        false
    }

    /// Line `line`, the first is 1, of the `of` lines that an order shall have is about to be filled in. Told
    /// by whoever types it, before each line that it types; lines that are there already are left out. For
    /// those who watch: nothing is stored, and nothing waits for it.
    fn filling_line(&self, line: usize, of: usize) {
        let _ = (line, of);
    }

    /// All `lines` lines of an order are filled in, and what is left is to look at them once more and to save. As
    /// with [`Guard::filling_line`], for those who watch.
    fn filled_in(&self, lines: usize) {
        let _ = lines;
    }
}

/// Asks for the agent's session.
#[derive(Clone)]
pub struct AcquireRequest {
    /// Whose.
    pub agent: AgentId,
    /// The token of the lease under which it will be used.
    pub token: FencingToken,
    /// Interactive requests go first.
    pub class: Class,
    /// Asked before every command to the page.
    pub guard: Arc<dyn Guard>,
    /// How long to wait for a free context, a browser and the login together.
    pub wait: Duration,
    /// Whether the trace of what is done in the session is to have pictures, which makes each step slower.
    pub trace: bool,
}

/// Why a login did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The ERP refused user or password. Not to be tried again until somebody says so.
    #[error("the ERP refused the login of user {user:?}: {text}")]
    Refused {
        /// The user name.
        user: String,
        /// The ERP's own words.
        text: String,
        /// What was tried, where the pool says so: the refusal is about nothing else. Not part of the message.
        tried: Option<Credentials>,
    },
    /// There are no credentials for this agent.
    #[error("no credentials for agent {0}")]
    NoCredentials(AgentId),
    /// The ERP did not serve its login page.
    #[error("the login page cannot be used: {0}")]
    Unavailable(String),
}

impl LoginError {
    /// How the message begins of an error that the agent's credentials are to blame for.
    pub(crate) const LOCKOUTS: [&str; 2] =
        ["the ERP refused the login of user ", "no credentials for agent "];

    /// Whether such an error that the agent's credentials are to blame for is among the [reasons](PauseReasons) of
    /// its pause: new ones, or the same once the ERP takes them again, are the end of it.
    #[must_use]
    pub fn is_lockout(why: &str) -> bool {
        PauseReasons::read(why).lockout.is_some()
    }
}

/// Why there is no session now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Every context is in use, and none came free in time.
    #[error("all {in_use} contexts are in use")]
    Saturated {
        /// How many.
        in_use: usize,
    },
    /// The agent could not be logged in.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// No browser can be started.
    #[error("no browser can be started: {what}")]
    Launch {
        /// What failed, and what to install if that helps.
        what: String,
        /// The cause.
        #[source]
        cause: Option<Cause>,
    },
    /// The session could not be made usable in time.
    #[error("no usable session: {0}")]
    Unusable(String),
    /// The lease ended while waiting.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// The pool shuts down.
    #[error("the browser pool shuts down")]
    Draining,
}

/// In which state a session is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The page is at rest: the session may be used again.
    Clean,
    /// Something went wrong or was cut off: the page is destroyed before the agent is served again.
    Dirty,
}

/// A logged-in session of one agent. Dropping it without [`finish`](SessionLease::finish) is
/// [`Finish::Dirty`].
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait SessionLease: Send + Sync {
    /// What drives the ERP through this session.
    fn client(&self) -> &dyn ArchibaldClient;

    /// Gives it back; returns when the pool has taken note. Never fails: what cannot be reused is replaced.
    ///
    /// # Cancel safety
    /// A dropped call counts as [`Finish::Dirty`].
    async fn finish(self: Box<Self>, how: Finish);
}

/// How full the pool is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolOccupancy {
    /// Browsers that run.
    pub browsers: usize,
    /// Contexts that may exist together.
    pub capacity: usize,
    /// Contexts in use now.
    pub in_use: usize,
    /// Logged-in contexts that wait for their agent.
    pub idle: usize,
    /// Logins since the start.
    pub logins: u64,
    /// Idle contexts evicted since the start.
    pub evictions: u64,
    /// Browsers that died since the start.
    pub crashes: u64,
}

/// Browsers and contexts, one context per agent with its own cookies.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait BrowserPool: Send + Sync {
    /// The agent's session, logged in and valid, warm where it can be.
    ///
    /// # Errors
    /// [`AcquireError`] says what is missing.
    ///
    /// # Cancel safety
    /// A dropped call gives up its place; a launch or a login that was begun goes on in the pool, and its
    /// result becomes an idle session.
    async fn acquire(&self, request: AcquireRequest) -> Result<Box<dyn SessionLease>, AcquireError>;

    /// How many sessions can be in use together.
    fn capacity(&self) -> usize;

    /// How full it is.
    fn occupancy(&self) -> PoolOccupancy;

    /// A small picture, as JPEG, of what the agent's session shows that is in use, for an operator who looks on:
    /// taken now or, where that was a moment ago or cannot be had, the last one of this use. `None` where no
    /// session of the agent's is in use here, where it must not be shown, or where there are no pictures.
    /// Whoever uses the session neither waits for it nor notices.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn picture(&self, agent: &AgentId) -> Option<Arc<[u8]>> {
        let _ = agent;
        None
    }

    /// Whether there are pictures at all: with [`BrowserPool::picture`] this is to be implemented too. Where there
    /// are none, nobody need ask for one.
    fn has_pictures(&self) -> bool {
        false
    }

    /// Ends the agent's session if it is idle, and forgets what is kept of it: there is no such agent any more. One
    /// in use ends when it is asked for again, or once the pool notices by itself that its agent is gone. A pool whose
    /// sessions nobody could use then need not implement it.
    ///
    /// # Cancel safety
    /// A dropped call may have ended it; calling again is fine.
    async fn end(&self, agent: &AgentId) {
        let _ = agent;
    }

    /// Ends all browsers and removes their profiles; waits for sessions in use as long as `grace`.
    ///
    /// # Cancel safety
    /// A dropped call leaves the rest to the next one; calling it again is fine.
    async fn shutdown(&self, grace: Duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_for_want_of_credentials_is_told_from_others() {
        let text = "unknown user or wrong password".to_owned();
        let refused = LoginError::Refused { user: "nancy".into(), text, tried: None };
        let unknown = LoginError::NoCredentials(AgentId::new("nancy").unwrap());
        let unavailable = LoginError::Unavailable("503".into());
        let pauses = [refused, unknown, unavailable].map(|error| LoginError::is_lockout(&error.to_string()));
        assert_eq!(pauses, [true, true, false]);
        assert!(!LoginError::is_lockout("paused by an operator"));
    }
}
