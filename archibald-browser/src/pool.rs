//! The pool: browsers × contexts, one context per agent.
//!
//! [`plan`](self) decides, purely; the task here executes: each command that takes time runs in a task of
//! its own with a deadline of its own, and its end comes back as an input. So nothing that was begun depends
//! on whether its caller still waits.

mod logins;
mod plan;
mod prepare;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::port::{
    AcquireError, AcquireRequest, ArchibaldClient, BrowserPool, ClientError, CredentialProvider, Credentials,
    Finish, LoginError, PoolOccupancy, SessionLease,
};
use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout, timeout_at};

use self::logins::Logins;
use self::plan::{BrowserId, Command, How, Input, Plan, Refusal, Ticket, WaiterId};
use crate::driver::Browser;
use crate::erp::Site;
use crate::gate::{GateRules, RuleError, TlsError};
use crate::glance::Glances;
use crate::launch::{LaunchError, LaunchOptions, sweep};
use crate::session::{Came, OpenError, Opening, Session, Working};
use crate::vault::SessionVault;

/// How often a session may turn out to be over before its caller is told.
const VALIDATIONS: u32 = 3;
/// What a browser gets to end by itself.
const CLOSING: Duration = Duration::from_secs(5);
/// Between two looks for pages to park and sessions whose agent is gone.
const SHORTEST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(5);

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
        let plan = Plan::new(options.browsers, options.contexts);
        let capacity = plan.occupancy().capacity;
        let (status, occupancy) = watch::channel(plan.occupancy());
        let (inputs, receiver) = mpsc::unbounded_channel();
        let trust_for = options.trust_for;
        let task = Task {
            plan,
            logins: Logins::new(options.login_pause),
            options,
            site: Arc::new(site),
            rules,
            credentials: Arc::clone(&credentials),
            inputs: inputs.downgrade(),
            status,
            browsers: HashMap::new(),
            ending: JoinSet::new(),
            sessions: HashMap::new(),
            waiters: HashMap::new(),
        };
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

/// A session in use. The page goes back into the session before the session goes back into the pool, so the
/// order of the fields counts.
struct Lease {
    client: Working,
    back: Back,
}

#[async_trait]
impl SessionLease for Lease {
    fn client(&self) -> &dyn ArchibaldClient {
        &*self.client
    }

    async fn finish(mut self: Box<Self>, how: Finish) {
        self.back.how = match how {
            Finish::Clean => {
                self.client.session().was_fine();
                self.client.session().keep().await;
                How::Clean
            }
            Finish::Dirty => How::Dirty,
        };
    }
}

/// A session on its way to whoever asked for it.
struct Grant {
    session: Arc<Session>,
    back: Back,
}

/// Gives the session back when it is dropped, wherever that happens.
struct Back {
    inputs: mpsc::UnboundedSender<Message>,
    agent: AgentId,
    ticket: Ticket,
    how: How,
}

impl Drop for Back {
    fn drop(&mut self) {
        let returned = Input::Returned(self.agent.clone(), self.ticket, self.how);
        let _ = self.inputs.send(Message::Input(returned));
    }
}

/// Gives up the place in the queue when it is dropped.
struct Leaving<'a> {
    inputs: &'a mpsc::UnboundedSender<Message>,
    waiter: WaiterId,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let _ = self.inputs.send(Message::Input(Input::GaveUp(self.waiter)));
    }
}

type Reply = oneshot::Sender<Result<Grant, AcquireError>>;

/// What comes to the pool's task.
enum Message {
    Ask(Input, WaiterId, Reply),
    Input(Input),
    BrowserUp(BrowserId, Browser),
    Opened(AgentId, Ticket, Session, Came),
    Look(AgentId, oneshot::Sender<Arc<Glances>>),
    End(AgentId, oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message")
    }
}

/// A browser at work.
struct Running {
    browser: Arc<Browser>,
    since: Instant,
    /// Opened in it so far.
    sessions: u32,
}

struct Task {
    plan: Plan,
    logins: Logins,
    options: PoolOptions,
    site: Arc<Site>,
    rules: Arc<GateRules>,
    credentials: Arc<dyn CredentialProvider>,
    /// Weak, so that the task ends when nobody can ask it any more.
    inputs: mpsc::WeakUnboundedSender<Message>,
    status: watch::Sender<PoolOccupancy>,
    browsers: HashMap<BrowserId, Running>,
    /// Browsers that retired and are not gone yet.
    ending: JoinSet<()>,
    sessions: HashMap<AgentId, Arc<Session>>,
    waiters: HashMap<WaiterId, Reply>,
}

impl Task {
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        let mut looking = interval((self.options.park_after / 2).clamp(SHORTEST_LOOK, LONGEST_LOOK));
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                _ = looking.tick() => {
                    self.sessions.values().for_each(|session| session.park(self.options.park_after));
                    self.retire();
                    self.end_strangers();
                    continue;
                }
            };
            let Some(message) = message else { return };
            let input = match message {
                Message::Stop(done) => {
                    self.close_all().await;
                    let _ = done.send(());
                    return;
                }
                Message::Look(agent, reply) => {
                    if let Some(session) = self.sessions.get(&agent) {
                        let _ = reply.send(session.glances());
                    }
                    continue;
                }
                Message::End(agent, reply) => {
                    self.take(Input::Over(agent.clone()));
                    let vault = self.options.vault.clone();
                    tokio::task::spawn_blocking(move || {
                        if let Some(vault) = vault {
                            vault.forget(&agent);
                        }
                        let _ = reply.send(());
                    });
                    continue;
                }
                Message::Ask(input, waiter, reply) => {
                    self.waiters.insert(waiter, reply);
                    input
                }
                Message::BrowserUp(id, browser) => {
                    let browser = Arc::new(browser);
                    self.watch(id, &browser);
                    self.browsers.insert(id, Running { browser, since: Instant::now(), sessions: 0 });
                    Input::BrowserUp(id)
                }
                Message::Opened(agent, ticket, session, came) => {
                    self.sessions.insert(agent.clone(), Arc::new(session));
                    Input::Opened(agent, ticket, came)
                }
                Message::Input(input) => input,
            };
            self.take(input);
        }
    }

    fn take(&mut self, input: Input) {
        match &input {
            Input::GaveUp(waiter) => drop(self.waiters.remove(waiter)),
            Input::BrowserLost(id) => drop(self.browsers.remove(id)),
            Input::Returned(agent, _, How::Expired) => self.logins.ended(agent, Instant::now().into_std()),
            _ => {}
        }
        for command in self.plan.handle(input) {
            self.execute(command);
        }
        self.status.send_if_modified(|status| {
            let now = self.plan.occupancy();
            let changed = *status != now;
            *status = now;
            changed
        });
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::StartBrowser(id) => self.start_browser(id),
            Command::Open(agent, browser, ticket) => self.open(agent, browser, ticket),
            Command::Grant(waiter, agent, ticket) => self.grant(waiter, agent, ticket),
            Command::Refuse(waiter, why) => {
                if let Some(reply) = self.waiters.remove(&waiter) {
                    let _ = reply.send(Err(why.into()));
                }
            }
            Command::Clean(agent, ticket) => self.clean(agent, ticket),
            // Its context is disposed of with the last handle.
            Command::Forget(agent) => drop(self.sessions.remove(&agent)),
            Command::EndBrowser(id) => {
                if let Some(Running { browser, .. }) = self.browsers.remove(&id) {
                    tracing::info!(browser = id.0, pid = browser.pid(), "browser retired");
                    while self.ending.try_join_next().is_some() {}
                    self.ending.spawn(async move { browser.end(CLOSING).await });
                }
            }
        }
    }

    /// The oldest of those that are old enough; the plan lets one go at a time.
    fn retire(&mut self) {
        let (age, most) = (self.options.retire_after, self.options.retire_sessions);
        let old = self.browsers.iter().filter(|(_, it)| it.since.elapsed() >= age || it.sessions >= most);
        if let Some(id) = old.min_by_key(|(_, it)| it.since).map(|(id, _)| *id) {
            self.take(Input::Retire(id));
        }
    }

    /// Agents that were removed, in whatever process: their sessions end, and nothing is kept of them.
    fn end_strangers(&mut self) {
        let gone = self.sessions.keys().filter(|agent| !self.credentials.knows(agent));
        for agent in gone.cloned().collect::<Vec<_>>() {
            self.take(Input::Over(agent));
        }
        if let Some(vault) = self.options.vault.clone() {
            let credentials = Arc::clone(&self.credentials);
            tokio::task::spawn_blocking(move || vault.keep_only(|agent| credentials.knows(agent)));
        }
    }

    fn start_browser(&self, id: BrowserId) {
        let launch = self.options.launch.clone();
        self.spawn(async move {
            match Browser::launch(&launch).await {
                Ok(browser) => {
                    tracing::info!(browser = id.0, pid = browser.pid(), "browser started");
                    Message::BrowserUp(id, browser)
                }
                Err(error) => {
                    tracing::warn!(browser = id.0, %error, "browser could not be started");
                    Message::Input(Input::BrowserFailed(id, error.to_string()))
                }
            }
        });
    }

    fn open(&mut self, agent: AgentId, browser: BrowserId, ticket: Ticket) {
        let failed = move |agent, why| Message::Input(Input::OpenFailed(agent, ticket, why));
        if let Err(too_soon) = self.logins.ask(&agent, Instant::now().into_std()) {
            let why = OpenError::Login(LoginError::Unavailable(too_soon.to_string()));
            tracing::warn!(%agent, %too_soon, "an agent's login waits");
            self.spawn(async move { failed(agent, why) });
            return;
        }
        let (site, rules) = (Arc::clone(&self.site), Arc::clone(&self.rules));
        let (within, vault) = (self.options.login_within, self.options.vault.clone());
        let credentials = Arc::clone(&self.credentials);
        let browser = self.browsers.get_mut(&browser).map(|running| {
            running.sessions += 1;
            Arc::clone(&running.browser)
        });
        self.spawn(async move {
            let who = match current(&*credentials, &agent).await {
                Ok(who) => who,
                Err(error) => return failed(agent, error),
            };
            let Some(browser) = browser else {
                return failed(agent, OpenError::Lost("its browser is gone".into()));
            };
            let opening = Opening { site, rules, agent: agent.clone(), who: who.clone(), vault, within };
            match Session::open(&browser, opening).await {
                Ok((session, came)) => Message::Opened(agent, ticket, session, came),
                // A refusal counts only of what holds: the next try is with what was given meanwhile.
                Err(OpenError::Login(LoginError::Refused { .. }))
                    if current(&*credentials, &agent).await.is_ok_and(|now| now != who) =>
                {
                    failed(agent, OpenError::Lost("its credentials were changed meanwhile".into()))
                }
                Err(why) => failed(agent, why),
            }
        });
    }

    fn grant(&mut self, waiter: WaiterId, agent: AgentId, ticket: Ticket) {
        let Some(inputs) = self.inputs.upgrade() else { return };
        // Until its new holder says otherwise it comes back as it went, which nobody has used.
        let back = Back { inputs, agent: agent.clone(), ticket, how: How::Clean };
        let (Some(session), Some(reply)) = (self.sessions.get(&agent), self.waiters.remove(&waiter)) else {
            return;
        };
        if let Err(Ok(grant)) = reply.send(Ok(Grant { session: Arc::clone(session), back })) {
            drop(grant);
        }
    }

    fn clean(&self, agent: AgentId, ticket: Ticket) {
        let session = self.sessions.get(&agent).cloned();
        self.spawn(async move {
            let well = match session {
                Some(session) => session.quarantine().await.is_ok(),
                None => false,
            };
            Message::Input(Input::Cleaned(agent, ticket, well))
        });
    }

    fn watch(&self, id: BrowserId, browser: &Arc<Browser>) {
        let dead = browser.dead().clone();
        let weak = Arc::downgrade(browser);
        self.spawn(async move {
            dead.cancelled().await;
            if let Some(browser) = weak.upgrade() {
                tracing::warn!(browser = id.0, why = %browser.why_dead(), "browser lost");
            }
            Message::Input(Input::BrowserLost(id))
        });
    }

    /// Runs to its end whoever waits, and tells the task.
    fn spawn(&self, work: impl Future<Output = Message> + Send + 'static) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let message = work.await;
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(message);
            }
        });
    }

    async fn close_all(&mut self) {
        self.sessions.clear();
        let ending =
            self.browsers.drain().map(|(_, running)| async move { running.browser.end(CLOSING).await });
        join_all(ending.collect::<Vec<_>>()).await;
        while self.ending.join_next().await.is_some() {}
        self.status.send_modify(|status| {
            (status.browsers, status.in_use, status.idle) = (0, 0, 0);
        });
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
