//! The pool's task: executes what the plan decides, and tells it what came of that.
//!
//! Each command that takes time runs in a task of its own with a deadline of its own, and its end comes back as an
//! input. So nothing that was begun depends on whether its caller still waits.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::port::{AcquireError, CredentialProvider, LoginError, PoolOccupancy};
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::lease::{Back, Grant};
use super::logins::Logins;
use super::plan::{BrowserId, Command, How, Input, Plan, Ticket, WaiterId};
use super::{PoolOptions, current};
use crate::driver::Browser;
use crate::erp::Site;
use crate::gate::GateRules;
use crate::glance::Glances;
use crate::session::{Came, OpenError, Opening, Session};

/// What a browser gets to end by itself.
const CLOSING: Duration = Duration::from_secs(5);

/// Between two looks for pages to park and sessions whose agent is gone.
const SHORTEST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(5);

pub(super) type Reply = oneshot::Sender<Result<Grant, AcquireError>>;

/// What comes to the pool's task.
pub(super) enum Message {
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

/// Executes what the plan decides.
pub(super) struct Task {
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
    pub(super) fn new(
        options: PoolOptions,
        site: Site,
        rules: Arc<GateRules>,
        credentials: Arc<dyn CredentialProvider>,
        inputs: mpsc::WeakUnboundedSender<Message>,
    ) -> Self {
        let plan = Plan::new(options.browsers, options.contexts);
        Self {
            status: watch::Sender::new(plan.occupancy()),
            plan,
            logins: Logins::new(options.login_pause),
            options,
            site: Arc::new(site),
            rules,
            credentials,
            inputs,
            browsers: HashMap::new(),
            ending: JoinSet::new(),
            sessions: HashMap::new(),
            waiters: HashMap::new(),
        }
    }

    /// Who and what there is, as it changes.
    pub(super) fn occupancy(&self) -> watch::Receiver<PoolOccupancy> {
        self.status.subscribe()
    }

    /// Until it is stopped, or nobody can ask it any more.
    pub(super) async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
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
            if let Some(browser) = weak.upgrade().filter(|browser| !browser.is_ended()) {
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
