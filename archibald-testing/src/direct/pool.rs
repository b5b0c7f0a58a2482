//! The pool: one set of cookies an agent, kept warm between leases.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::port::{
    AcquireError, AcquireRequest, BrowserPool, ClientError, CredentialProvider, Credentials, Guard,
    LoginError, PoolOccupancy, SessionLease,
};
use async_trait::async_trait;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::login::{log_in, unusable};
use super::session::DirectSession;
use super::tab::{Site, Tab};
use super::wire::Jar;

/// How a [`DirectPool`] is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectOptions {
    /// Sessions that may exist together, in use and idle; the least recently used idle one goes first.
    pub capacity: usize,
    /// How long a request that only reads may take. A save has its intent's budget.
    pub request_limit: Duration,
}

/// Ten sessions, half a minute a request.
impl Default for DirectOptions {
    fn default() -> Self {
        Self { capacity: 10, request_limit: Duration::from_secs(30) }
    }
}

/// A pool that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectError {
    /// The base is no plain HTTP address of a host.
    #[error("ERP address {0:?} is not like http://127.0.0.1:8090")]
    Address(String),
    /// A pool without room serves nobody.
    #[error("capacity must be at least 1")]
    Capacity,
}

/// Sessions at the simulated ERP over plain HTTP, behind the ports of the browser pool.
///
/// An agent has one session at a time: a second lease waits until the first is given back. Who waits for a
/// free session is served in order of coming, whatever the class: the scheduler decides who asks. No browser
/// ever runs, so the occupancy counts none.
pub struct DirectPool {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    site: Arc<Site>,
    credentials: Arc<dyn CredentialProvider>,
    capacity: usize,
    slots: Arc<Semaphore>,
    draining: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who holds an agent's session, or logs it in.
    turns: HashMap<AgentId, Arc<tokio::sync::Mutex<()>>>,
    /// The least recently used first.
    idle: VecDeque<Idle>,
    logins: u64,
    evictions: u64,
}

/// An agent's cookies, and what it logged in with.
struct Idle {
    agent: AgentId,
    who: Credentials,
    jar: Arc<Jar>,
}

/// An agent's cookies while somebody holds them; dropped, they are idle again, or gone.
pub(super) struct Warm {
    pool: Arc<Inner>,
    agent: AgentId,
    who: Credentials,
    jar: Arc<Jar>,
    /// Whether the session is fit to be used again.
    pub(super) keep: bool,
    _turn: OwnedMutexGuard<()>,
}

impl DirectPool {
    /// For the ERP at `base`, for example `http://127.0.0.1:8090`. Nothing is asked yet.
    ///
    /// # Errors
    /// [`DirectError`] names what cannot be.
    pub fn new(
        base: &str,
        credentials: Arc<dyn CredentialProvider>,
        options: DirectOptions,
    ) -> Result<Self, DirectError> {
        let url = Url::parse(base).ok().filter(|url| url.scheme() == "http" && url.has_host());
        let base = url.ok_or_else(|| DirectError::Address(base.to_owned()))?;
        if options.capacity == 0 {
            return Err(DirectError::Capacity);
        }
        let site = Site {
            base,
            request_limit: options.request_limit,
            open: TaskTracker::new(),
            closed: CancellationToken::new(),
        };
        let inner = Inner {
            site: Arc::new(site),
            credentials,
            capacity: options.capacity,
            slots: Arc::new(Semaphore::new(options.capacity)),
            draining: CancellationToken::new(),
            state: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

#[async_trait]
impl BrowserPool for DirectPool {
    async fn acquire(&self, request: AcquireRequest) -> Result<Box<dyn SessionLease>, AcquireError> {
        let draining = self.inner.draining.clone();
        let acquired = draining.run_until_cancelled(Arc::clone(&self.inner).acquire(request)).await;
        Ok(Box::new(acquired.unwrap_or(Err(AcquireError::Draining))?))
    }

    fn capacity(&self) -> usize {
        self.inner.capacity
    }

    fn occupancy(&self) -> PoolOccupancy {
        let state = self.inner.state();
        PoolOccupancy {
            capacity: self.inner.capacity,
            in_use: self.inner.in_use(),
            idle: state.idle.len(),
            logins: state.logins,
            evictions: state.evictions,
            ..PoolOccupancy::default()
        }
    }

    async fn end(&self, agent: &AgentId) {
        drop(self.inner.take_idle(agent));
    }

    /// Also waits as long for released requests. What is in use after that finds its page lost, except for
    /// the answer of a released request.
    async fn shutdown(&self, grace: Duration) {
        self.inner.draining.cancel();
        self.inner.site.open.close();
        let _ = timeout(grace, self.inner.site.open.wait()).await;
        self.inner.site.closed.cancel();
        self.inner.state().idle.clear();
    }
}

impl Inner {
    async fn acquire(self: Arc<Self>, request: AcquireRequest) -> Result<DirectSession, AcquireError> {
        let AcquireRequest { agent, guard, wait, .. } = request;
        let until = Instant::now() + wait;
        guard.check()?;
        let in_use = || AcquireError::Unusable(format!("agent {agent} has its session in use elsewhere"));
        let turn = timeout_at(until, self.turn(&agent).lock_owned()).await.map_err(|_| in_use())?;
        let saturated = |_| AcquireError::Saturated { in_use: self.in_use() };
        let slot = timeout_at(until, Arc::clone(&self.slots).acquire_owned()).await.map_err(saturated)?;
        let slot = slot.map_err(|_| AcquireError::Draining)?;
        guard.check()?;
        // In a task, so that a login that was begun is not cut off when the caller leaves.
        let ready = self.site.open.spawn(Arc::clone(&self).make_ready(agent, Arc::clone(&guard), turn));
        match timeout_at(until, ready).await {
            Ok(Ok(ready)) => ready.map(|(tab, warm)| DirectSession::new(tab, slot, warm)),
            Ok(Err(error)) => Err(AcquireError::Unusable(format!("the task that makes it ready: {error}"))),
            Err(_) => {
                guard.check()?;
                Err(AcquireError::Unusable(format!("it was not ready within {wait:?}")))
            }
        }
    }

    /// The agent's session, valid: the warm one where it still is, else a new one.
    async fn make_ready(
        self: Arc<Self>,
        agent: AgentId,
        guard: Arc<dyn Guard>,
        turn: OwnedMutexGuard<()>,
    ) -> Result<(Tab, Warm), AcquireError> {
        let idle = self.take_idle(&agent);
        let who = self.current(&agent).await?;
        let (pool, jar) = (Arc::clone(&self), Arc::default());
        let mut warm = Warm { pool, agent: agent.clone(), who: who.clone(), jar, keep: false, _turn: turn };
        if let Some(idle) = idle.filter(|idle| idle.who == who) {
            warm.jar = idle.jar;
            if let Some(tab) = warm.take_up(&guard, &who).await? {
                return Ok((tab, warm));
            }
        }
        match warm.log_in(guard, &who).await {
            Ok(tab) => Ok((tab, warm)),
            // A refusal counts only of what holds: the next try is with what was given meanwhile.
            Err(AcquireError::Login(LoginError::Refused { .. }))
                if self.current(&agent).await.is_ok_and(|now| now != who) =>
            {
                Err(AcquireError::Unusable("its credentials were changed meanwhile".into()))
            }
            Err(error) => Err(error),
        }
    }

    /// The credentials that hold now, asked for where they are kept.
    async fn current(&self, agent: &AgentId) -> Result<Credentials, AcquireError> {
        match self.credentials.current(agent).await {
            Ok(Some(who)) => Ok(who),
            Ok(None) => Err(LoginError::NoCredentials(agent.clone()).into()),
            Err(error) => {
                Err(AcquireError::Unusable(format!("the agent's credentials cannot be read: {error}")))
            }
        }
    }

    fn turn(&self, agent: &AgentId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.state().turns.entry(agent.clone()).or_default())
    }

    fn take_idle(&self, agent: &AgentId) -> Option<Idle> {
        let mut state = self.state();
        let place = state.idle.iter().position(|idle| idle.agent == *agent);
        let idle = place.and_then(|place| state.idle.remove(place));
        self.make_room(&mut state);
        idle
    }

    fn put_back(&self, idle: Idle) {
        let mut state = self.state();
        if !self.draining.is_cancelled() {
            state.idle.push_back(idle);
            self.make_room(&mut state);
        }
    }

    fn make_room(&self, state: &mut State) {
        while !state.idle.is_empty() && self.in_use() + state.idle.len() > self.capacity {
            state.idle.pop_front();
            state.evictions += 1;
        }
    }

    fn in_use(&self) -> usize {
        self.capacity - self.slots.available_permits()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Warm {
    /// The session of before, if it is still this user's.
    async fn take_up(
        &mut self,
        guard: &Arc<dyn Guard>,
        credentials: &Credentials,
    ) -> Result<Option<Tab>, AcquireError> {
        self.keep = true;
        let tab = self.tab(Arc::clone(guard), credentials);
        match tab.check_user().await {
            Ok(()) => Ok(Some(tab)),
            Err(
                error @ (ClientError::Unavailable(_)
                | ClientError::TimedOut { .. }
                | ClientError::LeaseLost(_)),
            ) => Err(unusable(error)),
            // It ended, is another's or shows what it should not: not to be used again.
            Err(_) => Ok(None),
        }
    }

    /// A new session.
    async fn log_in(
        &mut self,
        guard: Arc<dyn Guard>,
        credentials: &Credentials,
    ) -> Result<Tab, AcquireError> {
        self.keep = false;
        self.jar = Arc::default();
        let tab = self.tab(guard, credentials);
        log_in(&tab, credentials).await?;
        self.pool.state().logins += 1;
        self.keep = true;
        Ok(tab)
    }

    fn tab(&self, guard: Arc<dyn Guard>, credentials: &Credentials) -> Tab {
        Tab::new(Arc::clone(&self.pool.site), Arc::clone(&self.jar), guard, &credentials.user)
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        if self.keep {
            let (agent, who, jar) = (self.agent.clone(), self.who.clone(), Arc::clone(&self.jar));
            self.pool.put_back(Idle { agent, who, jar });
        }
    }
}
