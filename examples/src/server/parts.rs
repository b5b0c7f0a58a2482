//! The parts that settings ask for: store, ERP, browsers, agents, tokens.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use archibald_browser::erp::Site;
use archibald_browser::launch::{EngineProcess, LaunchError, LaunchOptions};
use archibald_browser::page_map::{PageMap, PageMapError};
use archibald_browser::{ChromiumPool, KeptCredentials, PoolError, PoolOptions, SessionVault, VaultKey};
use archibald_core::effect::Settle;
use archibald_core::id::{AgentId, WorkerId};
use archibald_core::port::{
    AgentLock, AgentStore, BrowserPool, CredentialProvider, CredentialStore, Credentials, EventBus,
    OperationFilter, OperationStore, PendingOrderStore,
};
use archibald_http::Authenticator;
use archibald_pg::{PgOptions, PgStore};
use archibald_runtime::{BuildError, Failpoints, Ports, RuntimeConfig};
use archibald_sqlite::{SqliteOptions, SqliteStore};
use archibald_testing::clock::SystemClock;
use archibald_testing::data::{DataSet, password_of};
use archibald_testing::direct::{DirectOptions, DirectPool};
use archibald_testing::erp::{ErpOptions, ErpSimulator, RunningErp};
use archibald_testing::failpoint::Failpoint;
use archibald_testing::memory::MemoryStore;

use super::{Agents, FileError, SettingError, Settings, doors, failpoint, hold};

/// How often it is looked who was added or removed in another process.
const LOOK: Duration = Duration::from_secs(5);

/// Why the server did not run, or not to a good end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A file that a setting names.
    #[error(transparent)]
    File(#[from] FileError),
    /// Numbers that do not go together.
    #[error("the settings do not go together")]
    Build(#[from] BuildError),
    /// The tokens file.
    #[error("the tokens cannot be used: {0}")]
    Tokens(String),
    /// A token that was asked for cannot be made.
    #[error("no token can be made: {0}")]
    NoToken(String),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The system does not deliver signals.
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The agents that were added cannot be used, or not with this key.
    #[error("agents cannot be kept")]
    Agents(#[source] Box<dyn Error + Send + Sync>),
    /// There is a session key that cannot be used.
    #[error("sessions cannot be kept")]
    Sessions(#[source] Box<dyn Error + Send + Sync>),
    /// The simulated ERP cannot be started, or the ERP's address cannot be used.
    #[error("the ERP cannot be used")]
    Erp(#[source] Box<dyn Error + Send + Sync>),
    /// More operations than sessions.
    #[error(
        "concurrency {concurrency} is more than the browsers serve: {browsers} browsers × {contexts} contexts = {}",
        browsers * contexts
    )]
    Concurrency {
        /// Operations that were to run together.
        concurrency: usize,
        /// Browsers.
        browsers: usize,
        /// Contexts a browser.
        contexts: usize,
    },
    /// No browser can be had.
    #[error(
        "no browser can be had (install the package `chromium-headless-shell` or `chromium`, or set CHROME)"
    )]
    Browser(#[source] Box<dyn Error + Send + Sync>),
    /// The page map could not be checked to its end.
    #[error("the page map could not be checked")]
    Check(#[source] Box<dyn Error + Send + Sync>),
    /// What the check found cannot be written.
    #[error("the report cannot be written")]
    Report(#[source] std::io::Error),
    /// What ran did not end in time; it is safe with its lease and its journal.
    #[error("what runs did not end within {0:?}; it goes on when a worker starts again")]
    Drain(Duration),
}

impl Failure {
    /// The error with all its causes, on one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        let causes = std::iter::successors(self.source(), |&cause| cause.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::File(_) | Self::Build(_) | Self::Tokens(_) | Self::NoToken(_) => 2,
            Self::Concurrency { .. } | Self::Sessions(_) | Self::Agents(_) => 2,
            Self::Browser(_) => 3,
            _ => 1,
        }
    }
}

/// Everything that a running server is made of.
pub struct Parts {
    store: Arc<dyn OperationStore>,
    pub(super) pending_orders: Arc<dyn PendingOrderStore>,
    lock: Arc<dyn AgentLock>,
    pub(super) bus: Arc<dyn EventBus>,
    pub(super) pool: Arc<dyn BrowserPool>,
    credentials: Arc<dyn CredentialProvider>,
    /// Where agents are kept that are added over HTTP, with a key for them.
    pub(super) kept_agents: Option<Arc<dyn CredentialStore>>,
    pub(super) config: RuntimeConfig,
    pub(super) authenticator: Arc<dyn Authenticator>,
    pub(super) failpoints: Arc<dyn Failpoints>,
    /// The store again, where it is a file that has to be closed.
    file: Option<Arc<SqliteStore>>,
    /// Runs as long as the server when the ERP is simulated.
    _erp: Option<RunningErp>,
}

impl Parts {
    /// Opens and starts what the settings ask for, the cheap things first.
    ///
    /// # Errors
    /// [`Failure`] names what cannot be had.
    pub async fn from(settings: &Settings) -> Result<Self, Failure> {
        let config = runtime_config(settings)?;
        let fixed = agents(settings)?;
        let agents_key = agents_key(settings)?;
        let authenticator = doors::authenticator(settings)?;
        let (erp, base) = erp(settings, false).await?;
        let ((store, pending_orders, lock, bus, kept), file) = store(settings).await?;
        if erp.is_some() {
            look_for_an_earlier_run(&*store).await?;
        }
        let (credentials, kept_agents) = credentials(fixed, agents_key, kept).await?;
        let pool = pool(settings, &base, credentials.clone()).await?;
        let failpoints = hold::from(settings);
        let parts = Self {
            store,
            pending_orders,
            lock,
            bus,
            pool,
            credentials,
            kept_agents,
            config,
            authenticator,
            failpoints,
            file,
            _erp: erp,
        };
        Ok(match failpoint::from(settings)? {
            Some(point) => parts.behind(&point),
            None => parts,
        })
    }

    /// For tests: every port behind its failpoints.
    fn behind(self, point: &Arc<Failpoint>) -> Self {
        Self {
            store: point.store(self.store),
            lock: point.lock(self.lock),
            bus: point.bus(self.bus),
            pool: point.pool(self.pool),
            failpoints: failpoint::in_attempts(point),
            ..self
        }
    }

    /// Ends the browsers, and brings everything that is in a SQLite file into it. After the worker's end.
    pub(super) async fn close(&self) {
        self.pool.shutdown(Duration::from_secs(5)).await;
        if let Some(file) = &self.file {
            file.close().await;
        }
    }

    pub(super) fn ports(&self) -> Ports {
        Ports {
            store: self.store.clone(),
            lock: self.lock.clone(),
            bus: self.bus.clone(),
            pool: self.pool.clone(),
            credentials: self.credentials.clone(),
            clock: Arc::new(archibald_runtime::SystemClock),
        }
    }
}

/// A simulated ERP is a new one each time, which a store may not be.
async fn look_for_an_earlier_run(store: &dyn OperationStore) -> Result<(), Failure> {
    let one = OperationFilter { limit: 1, ..OperationFilter::default() };
    for agent in simulated_data().agents.into_iter().filter_map(|agent| AgentId::new(agent.user).ok()) {
        let page = store.list(&agent, &one).await.map_err(|error| Failure::Store(error.into()))?;
        if !page.records.is_empty() {
            tracing::warn!("the store has operations of an earlier run, whose simulated ERP is gone with it");
            return Ok(());
        }
    }
    Ok(())
}

fn runtime_config(settings: &Settings) -> Result<RuntimeConfig, Failure> {
    let defaults = RuntimeConfig::default();
    let worker = match settings.get("worker-id") {
        Some(name) => WorkerId::new(name).map_err(|_| {
            settings.refuse("worker-id", "1 to 100 characters of a-z, A-Z, 0-9, '.', '_', ':' and '-'")
        })?,
        None => defaults.worker.clone(),
    };
    let lease = settings.span("lease")?;
    Ok(RuntimeConfig {
        worker,
        concurrency: concurrency(settings)?,
        act_budget: settings.span("act-budget")?,
        settle: Settle { request: settings.span("settle")?, lists: settings.span("list-lag")? },
        lease,
        lease_margin: defaults.lease_margin.min(lease / 10),
        sweep: settings.span("sweep")?,
        trace: settings.flag("trace"),
        ..defaults
    })
}

/// The runtime checks it too, but knows neither browsers nor contexts, and only once the pool is there.
fn concurrency(settings: &Settings) -> Result<usize, Failure> {
    let concurrency = settings.count("concurrency")?;
    let (browsers, contexts) = (settings.count("browsers")?, settings.count("contexts")?);
    if concurrency > browsers * contexts {
        return Err(Failure::Concurrency { concurrency, browsers, contexts });
    }
    Ok(concurrency)
}

/// Its address; with orders that were saved before, if it is simulated and `preload`.
pub(super) async fn erp(settings: &Settings, preload: bool) -> Result<(Option<RunningErp>, String), Failure> {
    match settings.text("erp") {
        "simulated" => {
            let options = ErpOptions { data: simulated_data(), preload, ..ErpOptions::default() };
            let erp = ErpSimulator::start(options).await.map_err(|error| Failure::Erp(error.into()))?;
            let base = erp.url();
            tracing::info!(erp = base, control = erp.control_url(), "the ERP is simulated in this process");
            Ok((Some(erp), base))
        }
        url => Ok((None, url.to_owned())),
    }
}

fn simulated_data() -> DataSet {
    DataSet::generate(1, 9, 60)
}

pub(super) fn agents(settings: &Settings) -> Result<Agents, Failure> {
    match settings.get("agents") {
        Some(file) => Ok(Agents::read(Path::new(file))?),
        None if settings.text("erp") == "simulated" => {
            let users = simulated_data().agents.into_iter().map(|agent| agent.user);
            Ok(Agents::of(users.filter_map(|user| {
                let credentials = Credentials { password: password_of(&user), user: user.clone() };
                Some((AgentId::new(user).ok()?, credentials))
            })))
        }
        None if settings.get("agents-key").is_some() => Ok(Agents::default()),
        None => Err(settings
            .refuse("agents", "a file, unless the ERP is simulated or --agents-key lets agents be added")
            .into()),
    }
}

fn agents_key(settings: &Settings) -> Result<Option<VaultKey>, Failure> {
    let Some(file) = settings.get("agents-key") else { return Ok(None) };
    VaultKey::read(Path::new(file)).map(Some).map_err(|error| Failure::Agents(error.into()))
}

type WhoIsWho = (Arc<dyn CredentialProvider>, Option<Arc<dyn CredentialStore>>);

/// Those of the file alone, or with a key those in the store too.
async fn credentials(
    fixed: Agents,
    key: Option<VaultKey>,
    kept: Arc<dyn AgentStore>,
) -> Result<WhoIsWho, Failure> {
    let Some(key) = key else { return Ok((Arc::new(fixed), None)) };
    let kept = KeptCredentials::open(fixed.all(), kept, &key, LOOK).await;
    let kept = Arc::new(kept.map_err(|error| Failure::Agents(error.into()))?);
    Ok((kept.clone(), Some(kept)))
}

async fn pool(
    settings: &Settings,
    base: &str,
    credentials: Arc<dyn CredentialProvider>,
) -> Result<Arc<dyn BrowserPool>, Failure> {
    let (browsers, contexts) = (settings.count("browsers")?, settings.count("contexts")?);
    let vault = vault(settings)?;
    let erp_ca = erp_ca(settings, base)?;
    match settings.text("driver") {
        "chromium" => {
            let map = page_map(settings).map_err(|error| Failure::Erp(error.into()))?;
            let site = Site::new(map, address(settings, base)?, settings.span("page-budget")?);
            let login_pause = settings.span("login-pause")?;
            let options =
                PoolOptions { browsers, contexts, login_pause, vault, erp_ca, ..PoolOptions::default() };
            if !settings.flag("no-worker") {
                try_a_browser(&options.launch).await.map_err(|error| Failure::Browser(error.into()))?;
            }
            let pool = ChromiumPool::start(options, site, credentials);
            Ok(Arc::new(pool.map_err(|error| match error {
                PoolError::Rules(_) | PoolError::Tls(_) => Failure::Erp(error.into()),
                other => Failure::Browser(other.into()),
            })?))
        }
        "direct" => {
            let options = DirectOptions { capacity: browsers * contexts, ..DirectOptions::default() };
            let pool = DirectPool::new(base, credentials, options);
            Ok(Arc::new(pool.map_err(|error| Failure::Erp(error.into()))?))
        }
        _ => Err(settings.refuse("driver", "chromium, or direct for tests with the simulated ERP").into()),
    }
}

/// The site's, or the simulated ERP's.
pub(super) fn page_map(settings: &Settings) -> Result<PageMap, PageMapError> {
    match settings.get("page-map") {
        Some(file) => PageMap::read(Path::new(file)),
        None => PageMap::simulator(),
    }
}

pub(super) fn address(settings: &Settings, base: &str) -> Result<url::Url, SettingError> {
    base.parse().map_err(|_| settings.refuse("erp", "an address such as https://erp.example"))
}

/// Authorities are for TLS alone.
pub(super) fn erp_ca(settings: &Settings, base: &str) -> Result<Option<PathBuf>, SettingError> {
    let file = settings.get("erp-ca").map(PathBuf::from);
    let is_https = base.parse().is_ok_and(|base: url::Url| base.scheme() == "https");
    match file {
        Some(_) if !is_https => {
            Err(settings.refuse("erp-ca", "left out unless --erp is an https:// address"))
        }
        file => Ok(file),
    }
}

/// Only with a key: sessions are as good as passwords while they last.
fn vault(settings: &Settings) -> Result<Option<SessionVault>, Failure> {
    let Some(file) = settings.get("session-key") else { return Ok(None) };
    let key = VaultKey::read(Path::new(file)).map_err(|error| Failure::Sessions(error.into()))?;
    let folder = settings.text("session-dir");
    let vault = SessionVault::open(folder, &key);
    vault.map(Some).map_err(|error| Failure::Sessions(format!("{folder}: {error}").into()))
}

/// A browser that is there and cannot start, for want of its sandbox or a library, is told of now and not
/// when the first agent needs it.
async fn try_a_browser(options: &LaunchOptions) -> Result<(), LaunchError> {
    let engine = EngineProcess::start(options).await?;
    engine.kill();
    engine.ended().await;
    Ok(())
}

type Store = (
    Arc<dyn OperationStore>,
    Arc<dyn PendingOrderStore>,
    Arc<dyn AgentLock>,
    Arc<dyn EventBus>,
    Arc<dyn AgentStore>,
);

async fn store(settings: &Settings) -> Result<(Store, Option<Arc<SqliteStore>>), Failure> {
    let url = settings.text("store");
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = Path::new(path.trim_start_matches("//"));
        if let Some(folder) = path.parent() {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| Failure::Store(format!("{}: {error}", folder.display()).into()))?;
        }
        let store = SqliteStore::open(path, SqliteOptions::default()).await;
        let store = Arc::new(store.map_err(|error| Failure::Store(error.into()))?);
        return Ok((all(store.clone()), Some(store)));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let store = PgStore::connect(url, PgOptions::default()).await;
        return Ok((all(Arc::new(store.map_err(|error| Failure::Store(error.into()))?)), None));
    }
    if url == "memory" {
        return Ok((all(Arc::new(MemoryStore::new(Arc::new(SystemClock)))), None));
    }
    Err(settings.refuse("store", "sqlite:PATH, postgres://… or memory").into())
}

fn all<S>(store: Arc<S>) -> Store
where
    S: OperationStore + PendingOrderStore + AgentLock + EventBus + AgentStore + 'static,
{
    (store.clone(), store.clone(), store.clone(), store.clone(), store)
}
