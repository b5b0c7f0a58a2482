//! An agent's session: a context with its cookies and its road to the ERP, and at most one page.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use archibald_core::port::{ClientError, Credentials, Guard, LoginError};

use crate::driver::{Browser, Context, DriverError, Limit, Page};
use crate::erp::{ErpClient, Site};
use crate::gate::{Gate, GateRules};

/// What closing a page may take before its context is given up with it.
const CLOSING: Duration = Duration::from_secs(10);

/// A logged-in session.
///
/// Its page is kept while it is idle: the agent's next operation begins at once, and in the headless shell
/// a page costs some 15 MB. What bounds memory is the number of contexts.
#[derive(Debug)]
pub(crate) struct Session {
    site: Arc<Site>,
    who: Credentials,
    context: Arc<Context>,
    idle: Mutex<Idle>,
}

#[derive(Debug)]
struct Idle {
    /// Not there while it is in use.
    page: Option<Page>,
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
    /// A new context, logged in.
    pub(crate) async fn open(
        browser: &Browser,
        site: Arc<Site>,
        rules: Arc<GateRules>,
        credentials: Credentials,
        within: Duration,
    ) -> Result<Self, OpenError> {
        let gate = Gate::build(rules).await.map_err(|error| OpenError::Lost(error.to_string()))?;
        let context = Arc::new(browser.new_context(Some(gate)).await.map_err(lost)?);
        let idle = Mutex::new(Idle { page: None, seen_alive: Some(Instant::now()) });
        let session = Self { site, who: credentials.clone(), context, idle };
        let page = session.page().await.map_err(lost)?;
        let login = session.site.login(&page, &Limit::budget(within), &credentials).await;
        login.map_err(|error| match browser.dead().is_cancelled() || page.why_gone().is_some() {
            // What the ERP refused is final; a page that went away on the way says nothing about the ERP.
            true if matches!(error, LoginError::Unavailable(_)) => OpenError::Lost(error.to_string()),
            _ => OpenError::Login(error),
        })?;
        drop(page);
        Ok(session)
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
    pub(crate) async fn client(self: &Arc<Self>, guard: Arc<dyn Guard>) -> Result<Working, ClientError> {
        let page = self.page().await.map_err(page_lost)?.keep();
        let context = Arc::clone(&self.context);
        let client = ErpClient::new(Arc::clone(&self.site), context, page, guard, self.who.user.clone())
            .hiding(self.who.password.clone());
        Ok(Working { session: Arc::clone(self), client: Some(client) })
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
        self.idle().page = Some(page);
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
