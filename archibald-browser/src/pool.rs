//! The pool: browsers × contexts, one context per agent.
//!
//! `plan` decides, purely; `task` executes; here is what others see of them.

mod lease;
mod logins;
mod plan;
mod prepare;
mod task;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::port::{
    AcquireError, AcquireRequest, BrowserPool, ClientError, CredentialProvider, Credentials, LoginError,
    PoolOccupancy, SessionLease,
};
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use self::lease::{Grant, Lease, Leaving};
use self::plan::{How, Input, Refusal, WaiterId};
use self::task::{Message, Task};
use crate::erp::Site;
use crate::gate::{RuleError, TlsError};
use crate::launch::{LaunchError, LaunchOptions, sweep};
use crate::session::{OpenError, Session, Working};
use crate::vault::SessionVault;

/// How often a session may turn out to be over before its caller is told.
const VALIDATIONS: u32 = 3;

/// How the pool is set up.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Browsers that may run together (default 3). They are started when they are needed.
    pub browsers: usize,
    /// Contexts in each (default 5). With the browsers, how many agents can be logged in together.
    pub contexts: usize,
    /// How browsers are started.
    pub launch: LaunchOptions,
    /// What a context, its page and the login may take together (default 2 min).
    pub login_within: Duration,
    /// A session that was idle for longer is asked for its user's name before it is lent (default 30 s).
    /// Each flow looks at that again on every page.
    pub trust_for: Duration,
    /// A session that was idle for longer is parked without its page (default 5 min).
    pub park_after: Duration,
    /// A browser that is older is replaced as soon as nobody uses it, one at a time (default 12 h): what leaks in
    /// a Chromium leaks slowly.
    pub retire_after: Duration,
    /// Sessions after which a browser is replaced, likewise (default 500).
    pub retire_sessions: u32,
    /// When the ERP ended some sessions of an agent in a row soon after their login, as it does when a person
    /// logs in as the same user, the next login waits this long, then twice as long each time, 15 times this
    /// at the most (default 1 min).
    pub login_pause: Duration,
    /// Keeps sessions over restarts; without one every start logs every agent in again (default).
    pub vault: Option<SessionVault>,
    /// For an ERP at an https address: a PEM file of certificate authorities that its certificate may come from,
    /// besides those that the system trusts (default none).
    pub erp_ca: Option<PathBuf>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            browsers: 3,
            contexts: 5,
            launch: LaunchOptions::default(),
            login_within: Duration::from_secs(120),
            trust_for: Duration::from_secs(30),
            park_after: Duration::from_secs(300),
            retire_after: Duration::from_secs(12 * 3600),
            retire_sessions: 500,
            login_pause: Duration::from_secs(60),
            vault: None,
            erp_ca: None,
        }
    }
}

/// Why a pool cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// An option that must not be 0.
    #[error("the pool's {what} must be at least 1, got 0")]
    Empty {
        /// Which option.
        what: &'static str,
    },
    /// There is no Chromium.
    #[error(transparent)]
    Engine(#[from] LaunchError),
    /// The gate cannot go by the page map, or not at this address.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// TLS cannot be spoken to the ERP.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Headless Chromium for many agents. Dropping it kills its browsers; [`BrowserPool::shutdown`] ends them
/// in good order.
pub struct ChromiumPool {
    inputs: mpsc::UnboundedSender<Message>,
    occupancy: watch::Receiver<PoolOccupancy>,
    capacity: usize,
    trust_for: Duration,
    credentials: Arc<dyn CredentialProvider>,
    waiters: AtomicU64,
}

impl fmt::Debug for ChromiumPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let occupancy = &*self.occupancy.borrow();
        f.debug_struct("ChromiumPool").field("occupancy", occupancy).finish_non_exhaustive()
    }
}

impl ChromiumPool {
    /// Starts the pool's task; removes what killed processes left. No browser runs until one is needed, but
    /// there must be one that can.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`PoolError`] says what is missing.
    pub fn start(
        mut options: PoolOptions,
        site: Site,
        credentials: Arc<dyn CredentialProvider>,
    ) -> Result<Self, PoolError> {
        for (what, count) in [("browsers", options.browsers), ("contexts", options.contexts)] {
            if count == 0 {
                return Err(PoolError::Empty { what });
            }
        }
        let (launch, rules) = options.prepared(&site)?;
        options.launch = launch;
        let rules = Arc::new(rules);
        let profiles = options.launch.profiles.clone();
        tokio::task::spawn_blocking(move || {
            let swept = sweep(&profiles);
            tracing::info!(removed = swept.removed, ended = swept.ended, "swept old browser profiles");
        });
        let trust_for = options.trust_for;
        let (inputs, receiver) = mpsc::unbounded_channel();
        let task = Task::new(options, site, rules, Arc::clone(&credentials), inputs.downgrade());
        let occupancy = task.occupancy();
        let capacity = occupancy.borrow().capacity;
        tokio::spawn(task.run(receiver));
        Ok(Self { inputs, occupancy, capacity, trust_for, credentials, waiters: AtomicU64::new(0) })
    }

    /// Waits for a grant until then.
    async fn granted(&self, request: &AcquireRequest, until: Instant) -> Result<Grant, AcquireError> {
        let waiter = WaiterId(self.waiters.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let input = Input::Asked { waiter, agent: request.agent.clone(), class: request.class };
        let asked = Message::Ask(input, waiter, reply);
        self.inputs.send(asked).map_err(|_| AcquireError::Draining)?;
        let _leaving = Leaving { inputs: &self.inputs, waiter };
        match timeout_at(until, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(AcquireError::Draining),
            Err(_) => Err(self.too_late(request)),
        }
    }

    /// Whether the session was made with the credentials that hold now, in every process.
    async fn is_current(&self, session: &Session, agent: &AgentId) -> Result<bool, AcquireError> {
        match current(&*self.credentials, agent).await {
            Ok(who) => Ok(session.is_of(&who)),
            // There is no such agent any more: nothing is kept of its session.
            Err(OpenError::Login(LoginError::NoCredentials(_))) => Ok(false),
            Err(error) => Err(Refusal::Open(error).into()),
        }
    }

    /// The session, seen to be its user's, with a page; and the lease still holds.
    async fn ready(&self, session: &Arc<Session>, request: &AcquireRequest) -> Result<Working, ClientError> {
        request.guard.check()?;
        session.validate(&request.guard, self.trust_for).await?;
        let client = session.client(Arc::clone(&request.guard), request.trace).await?;
        request.guard.check()?;
        Ok(client)
    }

    fn too_late(&self, request: &AcquireRequest) -> AcquireError {
        let PoolOccupancy { in_use, capacity, .. } = *self.occupancy.borrow();
        if in_use >= capacity {
            return AcquireError::Saturated { in_use };
        }
        AcquireError::Unusable(format!("no browser and login within {:?}", request.wait))
    }
}

#[async_trait]
impl BrowserPool for ChromiumPool {
    async fn acquire(&self, request: AcquireRequest) -> Result<Box<dyn SessionLease>, AcquireError> {
        let until = Instant::now() + request.wait;
        for _ in 0..VALIDATIONS {
            let Grant { session, mut back } = self.granted(&request, until).await?;
            match timeout_at(until, self.is_current(&session, &request.agent)).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    session.over().await;
                    back.how = How::Outdated;
                    continue;
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.too_late(&request)),
            }
            // From here on it counts as used, however this ends.
            back.how = How::Dirty;
            let ready = self.ready(&session, &request);
            match timeout_at(until, ready).await {
                Ok(Ok(client)) => return Ok(Box::new(Lease { client, back })),
                Ok(Err(ClientError::SessionExpired)) => {
                    session.over().await;
                    back.how = How::Expired;
                }
                Ok(Err(error @ ClientError::WrongUser { .. })) => {
                    tracing::warn!(agent = %request.agent, %error, "a session was another user's");
                    session.over().await;
                    back.how = How::Expired;
                }
                // The browser may have died while the session was idle: the next one is asked for.
                Ok(Err(ClientError::PageLost(_))) => {}
                Ok(Err(ClientError::LeaseLost(lost))) => return Err(lost.into()),
                Ok(Err(error)) => return Err(AcquireError::Unusable(error.to_string())),
                Err(_) => return Err(self.too_late(&request)),
            }
        }
        Err(AcquireError::Unusable("it is over as soon as it is logged in".into()))
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn occupancy(&self) -> PoolOccupancy {
        self.occupancy.borrow().clone()
    }

    /// After one second at the most: a page that does not answer by then is left alone for ten seconds, and the last
    /// picture of this use, if there is one, is the answer.
    async fn picture(&self, agent: &AgentId) -> Option<Arc<[u8]>> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Message::Look(agent.clone(), reply)).ok()?;
        let glances = answer.await.ok()?;
        glances.picture().await
    }

    fn has_pictures(&self) -> bool {
        true
    }

    /// Where the agent's session is in use it ends within five seconds of coming back.
    async fn end(&self, agent: &AgentId) {
        let (reply, ended) = oneshot::channel();
        if self.inputs.send(Message::End(agent.clone(), reply)).is_ok() {
            let _ = ended.await;
        }
    }

    async fn shutdown(&self, grace: Duration) {
        let mut occupancy = self.occupancy.clone();
        if self.inputs.send(Message::Input(Input::Drain)).is_err() {
            return;
        }
        let _ = timeout(grace, occupancy.wait_for(|it| it.in_use == 0)).await;
        let (done, ended) = oneshot::channel();
        if self.inputs.send(Message::Stop(done)).is_ok() {
            let _ = ended.await;
        }
    }
}

/// The credentials that hold now, asked for where they are kept.
async fn current(credentials: &dyn CredentialProvider, agent: &AgentId) -> Result<Credentials, OpenError> {
    match credentials.current(agent).await {
        Ok(Some(who)) => Ok(who),
        Ok(None) => Err(OpenError::Login(LoginError::NoCredentials(agent.clone()))),
        Err(error) => Err(OpenError::Lost(format!("the agent's credentials cannot be read: {error}"))),
    }
}

impl From<Refusal> for AcquireError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Open(OpenError::Login(error)) => Self::Login(error),
            Refusal::Open(OpenError::Lost(why)) => Self::Unusable(why),
            Refusal::Launch(what) => Self::Launch { what, cause: None },
            Refusal::Draining => Self::Draining,
        }
    }
}
