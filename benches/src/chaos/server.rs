//! A server that can be killed, and the store behind it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::port::{AgentLock, EventBus, OperationStore, PendingOrderStore};
use archibald_http::{ApiConfig, ApiState, ServeLimits, StreamConfig, TokenEntry, TokenSet};
use archibald_pg::{PgOptions, PgStore};
use archibald_runtime::{Archibald, Ports};
use archibald_sqlite::{Durability, SqliteOptions, SqliteStore};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::bug::Faults;
use crate::Failure;
use crate::run::config;
use crate::work::Ledger;

/// What every device signs in with.
pub(crate) const TOKEN: &str = "token-of-every-device";
/// How often logs are looked at in case a notification got lost.
const POLL: Duration = Duration::from_millis(200);
/// How long what a killed server was in the middle of may take to let go.
const LET_GO: Duration = Duration::from_secs(20);

/// Where the store is.
#[derive(Debug, Clone)]
pub(crate) enum Home {
    /// In this file.
    Sqlite(PathBuf),
    /// In this database.
    Postgres(String),
}

/// The ports of an open store, and where they may be used.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) store: Arc<dyn OperationStore>,
    pub(crate) lock: Arc<dyn AgentLock>,
    pub(crate) orders: Arc<dyn PendingOrderStore>,
    pub(crate) bus: Arc<dyn EventBus>,
    pub(crate) open: Open,
    on: Handle,
}

/// The store itself, for what only one of its sort can do.
#[derive(Clone)]
pub(crate) enum Open {
    Sqlite(Arc<SqliteStore>),
    Postgres(PgStore),
}

impl Hands {
    /// Opens it for whoever runs here.
    pub(crate) async fn open(home: &Home) -> Result<Self, Failure> {
        Ok(match home {
            Home::Sqlite(path) => {
                // A killed process loses nothing that the system has; a power cut is another test's.
                let durability = Durability::ProcessCrash;
                let options = SqliteOptions { durability, verify: false, ..SqliteOptions::default() };
                let store = Arc::new(SqliteStore::open(path, options).await?);
                Self::of(store.clone(), Open::Sqlite(store))
            }
            Home::Postgres(url) => {
                let options = PgOptions { poll_every: POLL, ..PgOptions::default() };
                let store = PgStore::connect(url, options).await?;
                Self::of(Arc::new(store.clone()), Open::Postgres(store))
            }
        })
    }

    fn of<S>(store: Arc<S>, open: Open) -> Self
    where
        S: OperationStore + AgentLock + PendingOrderStore + EventBus + 'static,
    {
        let (lock, orders, bus) = (store.clone(), store.clone(), store.clone());
        Self { store, lock, orders, bus, open, on: Handle::current() }
    }

    /// Does something where the store is at home; `None` where that was killed meanwhile.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.on.spawn(what).await.ok()
    }

    pub(crate) async fn close(&self) {
        match &self.open {
            Open::Sqlite(store) => store.close().await,
            Open::Postgres(store) => store.close().await,
        }
    }
}

/// How a server is to be.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) home: Home,
    pub(crate) agents: Vec<AgentId>,
    pub(crate) heartbeat: Duration,
    pub(crate) faults: Option<Arc<Faults>>,
    /// What is started where a server is to be a process.
    pub(crate) program: Option<PathBuf>,
}

/// A server that is up.
#[derive(Clone)]
pub(crate) struct Up {
    pub(crate) address: SocketAddr,
    /// The server's own store; `None` where it is another process.
    pub(crate) hands: Option<Hands>,
}

/// A server that can be killed.
pub(crate) struct Server {
    body: Body,
    shutdown: CancellationToken,
    up: Up,
}

enum Body {
    /// Of this process with threads of its own, so that it can be killed alone.
    Threads(Option<Runtime>),
    /// A process.
    Process(Box<Child>),
}

impl Server {
    pub(crate) async fn start(setting: &Setting) -> Result<Self, Failure> {
        match (&setting.program, &setting.home) {
            (Some(program), Home::Postgres(url)) => Self::start_process(program, url, setting).await,
            _ => Self::start_threads(setting).await,
        }
    }

    async fn start_threads(setting: &Setting) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (shutdown, setting) = (CancellationToken::new(), setting.clone());
        let serving = runtime.spawn(serve(setting, shutdown.clone()));
        let nowhere = Up { address: SocketAddr::from(([127, 0, 0, 1], 0)), hands: None };
        let mut server = Self { body: Body::Threads(Some(runtime)), shutdown, up: nowhere };
        let (address, hands) = serving.await??;
        server.up = Up { address, hands: Some(hands) };
        Ok(server)
    }

    async fn start_process(program: &Path, url: &str, setting: &Setting) -> Result<Self, Failure> {
        let mut process = Command::new(program)
            .args(["--serve", url, "--agents", &setting.agents.len().to_string()])
            .args(["--heartbeat-ms", &setting.heartbeat.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = process.stdout.take().ok_or("a server without a voice")?;
        let line = BufReader::new(said).lines().next_line().await?;
        let address = line.ok_or("a server did not start")?.parse()?;
        let (body, shutdown) = (Body::Process(Box::new(process)), CancellationToken::new());
        Ok(Self { body, shutdown, up: Up { address, hands: None } })
    }

    pub(crate) fn up(&self) -> Up {
        self.up.clone()
    }

    /// Everything stops where it stands: connections, statements, the listener.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        let hands = self.up.hands.take();
        match &mut self.body {
            Body::Threads(runtime) => {
                if let Some(runtime) = runtime.take() {
                    spawn_blocking(move || runtime.shutdown_timeout(LET_GO)).await?;
                }
                // Its threads are its own, and whoever still has it in hand would keep the file.
                if let Some(Hands { open: Open::Sqlite(store), .. }) = hands {
                    store.close().await;
                }
                Ok(())
            }
            Body::Process(process) => Ok(process.kill().await?),
        }
    }

    /// As it is told to by whoever operates it.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        self.shutdown.cancel();
        if let Some(hands) = self.up.hands.clone() {
            hands.clone().run(async move { hands.close().await }).await;
        }
        if let Body::Process(process) = &mut self.body {
            drop(process.stdin.take());
            process.wait().await?;
            return Ok(());
        }
        self.kill().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Body::Threads(runtime) = &mut self.body
            && let Some(runtime) = runtime.take()
        {
            runtime.shutdown_background();
        }
    }
}

/// What a process does that is a server: says where it is, and stops once nobody holds its input any more.
pub(crate) async fn serve_alone(setting: Setting) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let (address, hands) = serve(setting, shutdown.clone()).await?;
    println!("{address}");
    spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    shutdown.cancel();
    hands.close().await;
    Ok(())
}

/// Opens the store and serves it until it is told to stop; says where once it is ready.
async fn serve(setting: Setting, shutdown: CancellationToken) -> Result<(SocketAddr, Hands), Failure> {
    let hands = Hands::open(&setting.home).await?;
    let credentials = FixedCredentials::new();
    setting.agents.iter().for_each(|agent| credentials.set(agent.clone(), "user", "password"));
    let bus = match &setting.faults {
        Some(faults) => faults.clone().over(hands.bus.clone()),
        None => hands.bus.clone(),
    };
    let ports = Ports {
        store: hands.store.clone(),
        lock: hands.lock.clone(),
        bus: bus.clone(),
        pool: FakeErp::new(1),
        credentials: Arc::new(credentials),
        clock: Arc::new(archibald_runtime::SystemClock),
    };
    let action = Arc::new(Ledger::default()).action();
    let operations = Archibald::builder(ports).config(config(1)).action(action).build()?;
    let stream = StreamConfig { heartbeat: setting.heartbeat, batch: 50, ..StreamConfig::default() };
    let api = ApiConfig { stream, ..ApiConfig::default() };
    let tokens = Arc::new(TokenSet::new([TokenEntry::operator(TOKEN)])?);
    let state = ApiState::new(Arc::new(operations), bus, tokens, api, shutdown.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let limits = ServeLimits { grace: Duration::from_millis(500), ..ServeLimits::default() };
    tokio::spawn(archibald_http::serve(listener, archibald_http::router(state), shutdown, limits));
    Ok((address, hands))
}
