//! One browser: launched, connected, supervised; its contexts and their cookies.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::browser::{CloseParams, GetVersionParams};
use chromiumoxide::cdp::browser_protocol::emulation::SetFocusEmulationEnabledParams;
use chromiumoxide::cdp::browser_protocol::network::CookieParam;
use chromiumoxide::cdp::browser_protocol::page;
use chromiumoxide::cdp::browser_protocol::storage::{ClearCookiesParams, GetCookiesParams, SetCookiesParams};
use chromiumoxide::cdp::browser_protocol::target::{
    CreateBrowserContextParams, CreateTargetParams, DisposeBrowserContextParams, FilterEntry,
    SetAutoAttachParams, SetDiscoverTargetsParams, TargetFilter,
};
use chromiumoxide::cdp::js_protocol::runtime::RunIfWaitingForDebuggerParams;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::inbox::Shelf;
use super::targets::Router;
use super::{DriverError, Limit, Link, Page, PageCore};
use crate::gate::Gate;
use crate::launch::{EngineProcess, LaunchError, LaunchOptions};

/// How often a browser is asked whether it still answers, and how long it may take: a loaded machine
/// answers within two seconds, a stopped browser never.
const HEARTBEAT: Duration = Duration::from_secs(5);
const NO_ANSWER: Duration = Duration::from_secs(10);
/// What creating a context or a page may take.
const CREATION: Duration = Duration::from_secs(20);

/// A running Chromium. Dropping it kills it, its helpers and its profile.
#[derive(Debug)]
pub struct Browser {
    link: Link,
    router: Arc<Router>,
    process: Arc<EngineProcess>,
    is_ended: AtomicBool,
}

/// Why there is no browser.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// The engine could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// It started, but could not be talked to.
    #[error("the engine started, but cannot be talked to: {0}")]
    Connect(String),
    /// It refused to be set up.
    #[error(transparent)]
    SetUp(#[from] DriverError),
}

impl Browser {
    /// Starts an engine, connects to it and supervises it.
    ///
    /// # Errors
    /// [`BrowserError`]; nothing is left running, nor if the future is dropped.
    pub async fn launch(options: &LaunchOptions) -> Result<Self, BrowserError> {
        let process = Arc::new(EngineProcess::start(options).await?);
        let router = Arc::new(Router::default());
        let connecting = Link::connect(process.endpoint(), Arc::clone(&router));
        let link = timeout(CREATION, connecting)
            .await
            .map_err(|_| BrowserError::Connect(format!("no answer within {CREATION:?}")))?
            .map_err(|error| BrowserError::Connect(error.to_string()))?;
        let browser = Self { link, router, process, is_ended: AtomicBool::new(false) };
        Limit::budget(CREATION)
            .run("setting up the browser", browser.set_up(options.service_workers))
            .await?;
        tokio::spawn(supervise(browser.link.clone(), Arc::clone(&browser.process)));
        Ok(browser)
    }

    /// A new context: its own cookies, shared with nobody. With a gate, that is its only road to the ERP.
    ///
    /// # Errors
    /// [`DriverError`].
    ///
    /// # Cancel safety
    /// The context is made in a task of its own and disposed of if nobody waits for it any more.
    pub async fn new_context(&self, gate: Option<Gate>) -> Result<Context, DriverError> {
        let (link, router, profile) =
            (self.link.clone(), Arc::clone(&self.router), Arc::clone(self.process.profile()));
        owned(async move {
            let creating = Context::create(link, router, &profile, gate);
            Limit::budget(CREATION).run("creating a context", creating).await
        })
        .await
    }

    /// The engine's version, such as `HeadlessChrome/156.0.0.0`.
    ///
    /// # Errors
    /// [`DriverError`]; this is also how to find out whether it still answers.
    pub async fn version(&self, limit: &Limit) -> Result<String, DriverError> {
        let version = self.link.call::<_, Version>(None, GetVersionParams::default());
        Ok(limit.run("asking for the version", version).await?.product)
    }

    /// Fires when the browser is dead, for whatever reason.
    pub fn dead(&self) -> &CancellationToken {
        self.link.dead()
    }

    /// Says why it is dead.
    pub fn why_dead(&self) -> DriverError {
        self.link.lost()
    }

    /// Process id of the engine.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// How many of our pages are open.
    pub fn open_pages(&self) -> usize {
        self.router.open_pages()
    }

    /// Ends it and waits until the engine is gone and its profile is removed.
    ///
    /// If the future is dropped, the engine is killed.
    pub async fn close(self, grace: Duration) {
        self.end(grace).await;
    }

    /// As [`Browser::close`], where others still hold on to it: it is dead for them from now on.
    pub(crate) async fn end(&self, grace: Duration) {
        self.is_ended.store(true, Ordering::Relaxed);
        let closing = self.link.call::<_, Value>(None, CloseParams::default());
        let _ = timeout(grace, closing).await;
        if timeout(grace, self.process.ended()).await.is_err() {
            self.process.kill();
            self.process.ended().await;
        }
    }

    /// Whether it ends because we want it to.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }

    async fn set_up(&self, service_workers: bool) -> Result<(), DriverError> {
        let link = &self.link;
        link.call::<_, Value>(None, SetDiscoverTargetsParams::new(true)).await?;
        let mut attach = SetAutoAttachParams::new(true, true);
        attach.flatten = Some(true);
        attach.filter = service_workers.then(all_but_service_workers);
        link.call::<_, Value>(None, attach).await?;
        Ok(())
    }
}

/// What is attached to, and so may be closed. Without a filter, Chromium leaves out browsers and tabs alone.
fn all_but_service_workers() -> TargetFilter {
    let out = |kind: &str| FilterEntry { exclude: Some(true), r#type: Some(kind.to_owned()) };
    let all = FilterEntry { exclude: None, r#type: None };
    TargetFilter::new(vec![out("browser"), out("tab"), out("service_worker"), all])
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.link.declare_dead("it was closed");
        self.process.kill();
    }
}

/// Notices the end of the process, and its silence.
async fn supervise(link: Link, process: Arc<EngineProcess>) {
    let silent = async {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let beat = link.call::<_, Value>(None, GetVersionParams::default());
            if timeout(NO_ANSWER, beat).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = link.dead().cancelled() => {}
        exit = process.ended() => {
            let exit = exit.map_or_else(|| "for an unknown reason".into(), |exit| exit.to_string());
            link.declare_dead(format!("its process ended ({exit})"));
        }
        () = silent => link.declare_dead(format!("it did not answer for {NO_ANSWER:?}")),
    }
    process.kill();
}

/// A browser context: one agent's cookies. Dropping it disposes of it and of its pages.
#[derive(Debug)]
pub struct Context {
    link: Link,
    router: Arc<Router>,
    shelf: Shelf,
    gate: Option<Gate>,
}

/// A cookie of a context. Its value is a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// The host that it is sent to.
    pub domain: String,
    /// The path that it is sent to.
    pub path: String,
    /// Whether scripts cannot see it.
    #[serde(default)]
    pub http_only: bool,
    /// Whether it is sent over TLS only.
    #[serde(default)]
    pub secure: bool,
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cookie({} of {}{})", self.name, self.domain, self.path)
    }
}

impl Context {
    async fn create(
        link: Link,
        router: Arc<Router>,
        profile: &Path,
        gate: Option<Gate>,
    ) -> Result<Self, DriverError> {
        let road = gate.as_ref().map_or("direct://".into(), |gate| format!("http://{}", gate.address()));
        let command = CreateBrowserContextParams {
            dispose_on_detach: Some(true),
            proxy_server: Some(road),
            // Chromium would go around the proxy to this machine's own addresses.
            proxy_bypass_list: Some("<-loopback>".into()),
            ..Default::default()
        };
        let made: ContextMade = link.call(None, command).await?;
        let shelf = Shelf::new(&made.browser_context_id, profile);
        let context = Self { link, router, shelf, gate };
        context.link.call::<_, Value>(None, context.shelf.refuse()).await?;
        Ok(context)
    }

    /// A new, blank page.
    ///
    /// # Errors
    /// [`DriverError`].
    ///
    /// # Cancel safety
    /// The page is made in a task of its own and closed if nobody waits for it any more.
    pub async fn new_page(&self) -> Result<Page, DriverError> {
        let (link, router, shelf) = (self.link.clone(), Arc::clone(&self.router), self.shelf.clone());
        owned(async move {
            let creating = create_page(link, router, shelf);
            Limit::budget(CREATION).run("creating a page", creating).await
        })
        .await
    }

    /// Its commit gate, if it has one.
    pub fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// All of its cookies.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn cookies(&self, limit: &Limit) -> Result<Vec<Cookie>, DriverError> {
        let command = GetCookiesParams { browser_context_id: Some(self.shelf.context()) };
        let answer = self.link.call::<_, Cookies>(None, command);
        Ok(limit.run("reading cookies", answer).await?.cookies)
    }

    /// Adds cookies, as they were read from another context.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn set_cookies(&self, limit: &Limit, cookies: &[Cookie]) -> Result<(), DriverError> {
        let cookies = cookies.iter().map(Cookie::param).collect::<Vec<_>>();
        let mut command = SetCookiesParams::new(cookies);
        command.browser_context_id = Some(self.shelf.context());
        let done = self.link.call::<_, Value>(None, command);
        limit.run("setting cookies", done).await.map(drop)
    }

    /// Forgets all of its cookies.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn clear_cookies(&self, limit: &Limit) -> Result<(), DriverError> {
        let command = ClearCookiesParams { browser_context_id: Some(self.shelf.context()) };
        let done = self.link.call::<_, Value>(None, command);
        limit.run("forgetting cookies", done).await.map(drop)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.link.order(None, &DisposeBrowserContextParams::new(self.shelf.context()));
    }
}

impl Cookie {
    fn param(&self) -> CookieParam {
        let mut param = CookieParam::new(self.name.clone(), self.value.clone());
        param.domain = Some(self.domain.clone());
        param.path = Some(self.path.clone());
        param.http_only = Some(self.http_only);
        param.secure = Some(self.secure);
        param
    }
}

/// The page is held by Chromium until it is set up and let go at the end.
async fn create_page(link: Link, router: Arc<Router>, shelf: Shelf) -> Result<Page, DriverError> {
    let mut command = CreateTargetParams::new("about:blank");
    command.browser_context_id = Some(shelf.context());
    let made: TargetMade = link.call(None, command).await?;
    let session = router.session_of(&made.target_id).await.map_err(|_| link.lost())?;
    let core = Arc::new(PageCore::new(link, made.target_id, session, shelf));
    router.register(&core);
    let page = Page::new(Arc::clone(&core));
    core.call::<_, Value>(page::EnableParams::default()).await?;
    core.call::<_, Value>(SetFocusEmulationEnabledParams::new(true)).await?;
    core.call::<_, Value>(RunIfWaitingForDebuggerParams::default()).await?;
    Ok(page)
}

/// Runs to its end whoever waits; a result that nobody waits for is dropped, which undoes it.
async fn owned<T: Send + 'static>(
    work: impl Future<Output = Result<T, DriverError>> + Send + 'static,
) -> Result<T, DriverError> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|error| Err(DriverError::BrowserLost { why: format!("a task failed: {error}") }))
}

#[derive(Deserialize)]
struct Version {
    product: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContextMade {
    browser_context_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetMade {
    target_id: String,
}

#[derive(Deserialize)]
struct Cookies {
    cookies: Vec<Cookie>,
}
