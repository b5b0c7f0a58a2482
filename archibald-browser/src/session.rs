//! An agent's session: a context with its cookies and its road to the ERP, and at most one page.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use archibald_core::id::AgentId;
use archibald_core::port::{ClientError, Credentials, Guard, LoginError};

use crate::driver::{Browser, Context, Cookie, DriverError, Limit, Page, Peephole};
use crate::erp::{ErpClient, Site};
use crate::gate::{Gate, GateRules};
use crate::glance::Glances;
use crate::vault::{SessionVault, Whose};

/// What closing a page may take before its context is given up with it.
const CLOSING: Duration = Duration::from_secs(10);
/// What reading the cookies may take that are to be kept.
const KEEPING: Duration = Duration::from_secs(2);

/// A logged-in session.
///
/// Its page is kept for a while when it is idle: the agent's next operation begins at once. Then it is
/// parked without one: a page costs some 15 MB in the headless shell and 60 MB in the whole Chromium, a
/// context with its cookies a tenth of that, and a new page a tenth to half a second.
#[derive(Debug)]
pub(crate) struct Session {
    site: Arc<Site>,
    agent: AgentId,
    who: Credentials,
    vault: Option<SessionVault>,
    /// What the vault has.
    kept: Mutex<Vec<Cookie>>,
    context: Arc<Context>,
    idle: Mutex<Idle>,
    glances: Arc<Glances>,
}

/// What a session is made from.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) site: Arc<Site>,
    pub(crate) rules: Arc<GateRules>,
    pub(crate) agent: AgentId,
    pub(crate) who: Credentials,
    pub(crate) vault: Option<SessionVault>,
    /// What a context, its page and the login may take together.
    pub(crate) within: Duration,
}

/// How a session came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    LoggedIn,
    /// With cookies that were kept.
    Restored,
}

#[derive(Debug)]
struct Idle {
    /// Not there while it is in use, nor while it is parked.
    page: Option<Page>,
    /// Since when the page is there.
    since: Instant,
    /// When it was last seen to be its user's; `None` after trouble, whatever was seen before.
    seen_alive: Option<Instant>,
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// Not to be tried again.
    Login(LoginError),
    /// Browser or page were lost on the way: another try may do.
    Lost(String),
}

impl Session {
    /// A new context, logged in: with the cookies that were kept, if the ERP still takes them, else anew.
    pub(crate) async fn open(browser: &Browser, opening: Opening) -> Result<(Self, Came), OpenError> {
        let Opening { site, rules, agent, who, vault, within } = opening;
        let gate = Gate::build(rules).await.map_err(|error| OpenError::Lost(error.to_string()))?;
        let context = Arc::new(browser.new_context(Some(gate)).await.map_err(lost)?);
        let idle = Mutex::new(Idle { page: None, since: Instant::now(), seen_alive: Some(Instant::now()) });
        let glances = Arc::new(Glances::at(site.base(), &site.map().login.path));
        let kept = Mutex::default();
        let session = Self { site, agent, who, vault, kept, context, idle, glances };
        let limit = Limit::budget(within);
        let page = session.page().await.map_err(lost)?;
        let came = match session.restore(&page, &limit).await {
            Ok(true) => Ok(Came::Restored),
            Ok(false) => session.site.login(&page, &limit, &session.who).await.map(|()| Came::LoggedIn),
            Err(error) => Err(LoginError::Unavailable(error.to_string())),
        };
        let came =
            came.map_err(|error| match browser.dead().is_cancelled() || page.why_gone().is_some() {
                // What the ERP refused is final; a page that went away on the way says nothing about the ERP.
                true if matches!(error, LoginError::Unavailable(_)) => OpenError::Lost(error.to_string()),
                _ => OpenError::Login(error),
            })?;
        drop(page);
        session.keep().await;
        Ok((session, came))
    }

    /// Whether the session that was kept is there again. One that cannot be gone on with is forgotten.
    async fn restore(&self, page: &Page, limit: &Limit) -> Result<bool, ClientError> {
        let Some(cookies) = self.with_vault(|vault, whose| vault.find(whose)).await.flatten() else {
            return Ok(false);
        };
        let goes_on = async {
            self.context.set_cookies(limit, &cookies).await.map_err(page_lost)?;
            self.site.validate(page, limit, &self.who.user).await
        };
        match goes_on.await {
            Ok(()) => Ok(true),
            // Whatever is wrong with it, a login is the way on; where the ERP itself is, that will say so.
            Err(error) => {
                tracing::info!(agent = %self.agent, %error, "a kept session cannot be gone on with");
                self.over().await;
                self.context.clear_cookies(limit).await.map_err(page_lost)?;
                Ok(false)
            }
        }
    }

    /// Keeps the cookies for the next start of the process, if they are others than are kept.
    pub(crate) async fn keep(&self) {
        if self.vault.is_none() {
            return;
        }
        let Ok(cookies) = self.context.cookies(&Limit::budget(KEEPING)).await else { return };
        let unchanged = *self.kept() == cookies;
        if !unchanged {
            *self.kept() = cookies.clone();
            self.with_vault(move |vault, whose| vault.keep(whose, &cookies)).await;
        }
    }

    /// The ERP does not take it any more: nothing is kept of it.
    pub(crate) async fn over(&self) {
        self.kept().clear();
        self.with_vault(|vault, whose| vault.forget(whose.agent)).await;
    }

    /// Files are written and read where that blocks nobody.
    async fn with_vault<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SessionVault, &Whose<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        let vault = self.vault.clone()?;
        let (agent, who, base) = (self.agent.clone(), self.who.clone(), self.site.base().clone());
        let work = move || work(&vault, &Whose { agent: &agent, who: &who, base: &base });
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// Checks that it is still this user's, unless it was seen to be within `fresh`.
    pub(crate) async fn validate(&self, guard: &Arc<dyn Guard>, fresh: Duration) -> Result<(), ClientError> {
        if self.idle().seen_alive.is_some_and(|seen| seen.elapsed() < fresh) {
            return Ok(());
        }
        let page = self.page().await.map_err(page_lost)?;
        let limit = Limit::leased(Arc::clone(guard), self.site.step());
        self.site.validate(&page, &limit, &self.who.user).await?;
        self.was_fine();
        Ok(())
    }

    /// What drives the ERP in it, under one lease.
    pub(crate) async fn client(
        self: &Arc<Self>,
        guard: Arc<dyn Guard>,
        pictures: bool,
    ) -> Result<Working, ClientError> {
        let page = self.page().await.map_err(page_lost)?.keep();
        self.glances.begin(Peephole::into(&page));
        let context = Arc::clone(&self.context);
        let client = ErpClient::new(Arc::clone(&self.site), context, page, guard, self.who.user.clone())
            .hiding(self.who.password.clone());
        let client = if pictures { client.with_pictures() } else { client };
        Ok(Working { session: Arc::clone(self), client: Some(client) })
    }

    /// Whether it was made with these.
    pub(crate) fn is_of(&self, who: &Credentials) -> bool {
        self.who == *who
    }

    /// What an operator may see of it.
    pub(crate) fn glances(&self) -> Arc<Glances> {
        Arc::clone(&self.glances)
    }

    /// The session was used without trouble until now.
    pub(crate) fn was_fine(&self) {
        self.idle().seen_alive = Some(Instant::now());
    }

    /// Destroys the page: nothing that was begun in it can happen any more. The session is looked at before
    /// it is lent again.
    ///
    /// An error means that it may still be there: let the context go.
    pub(crate) async fn quarantine(&self) -> Result<(), DriverError> {
        let page = {
            let mut idle = self.idle();
            idle.seen_alive = None;
            idle.page.take()
        };
        match page {
            Some(page) => page.close(&Limit::budget(CLOSING)).await,
            None => Ok(()),
        }
    }

    /// The page, or a new one in place of one that is gone, which is closed for certain first.
    async fn page(&self) -> Result<InUse<'_>, DriverError> {
        let kept = self.idle().page.take();
        let page = match kept {
            Some(page) if page.why_gone().is_none() => page,
            Some(gone) => {
                gone.close(&Limit::budget(CLOSING)).await?;
                self.context.new_page().await?
            }
            None => self.context.new_page().await?,
        };
        Ok(InUse { session: self, page: Some(page) })
    }

    fn put_back(&self, page: Page) {
        let mut idle = self.idle();
        (idle.page, idle.since) = (Some(page), Instant::now());
    }

    /// Closes a page that nobody has used for so long; the context keeps its cookies. The page is at rest:
    /// one with something under way is not here.
    pub(crate) fn park(&self, idle_for: Duration) {
        let parked = {
            let mut idle = self.idle();
            (idle.since.elapsed() >= idle_for).then(|| idle.page.take()).flatten()
        };
        drop(parked);
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Cookie>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The page while it is used here; goes back into the session however that ends.
struct InUse<'a> {
    session: &'a Session,
    /// There until it is kept or dropped.
    page: Option<Page>,
}

impl InUse<'_> {
    fn keep(mut self) -> Page {
        self.page.take().expect("it is taken here or by drop, and only once")
    }
}

impl Deref for InUse<'_> {
    type Target = Page;

    fn deref(&self) -> &Page {
        self.page.as_ref().expect("it is only taken by what consumes the value")
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        if let Some(page) = self.page.take() {
            self.session.put_back(page);
        }
    }
}

/// A client at work; its page goes back into the session when it is dropped.
#[derive(Debug)]
pub(crate) struct Working {
    session: Arc<Session>,
    /// There until it is dropped.
    client: Option<ErpClient>,
}

impl Working {
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }
}

impl Deref for Working {
    type Target = ErpClient;

    fn deref(&self) -> &ErpClient {
        self.client.as_ref().expect("it is only taken by drop")
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.session.glances.end();
        if let Some(client) = self.client.take() {
            self.session.put_back(client.into_page());
        }
    }
}

fn lost(error: DriverError) -> OpenError {
    OpenError::Lost(error.to_string())
}

fn page_lost(error: DriverError) -> ClientError {
    ClientError::PageLost(error.to_string())
}
