//! The store under test, by its URL, and what it costs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use archibald_core::port::{AgentLock, BrowserPool, CredentialProvider, EventBus, OperationStore};
use archibald_pg::{PgOptions, PgStore};
use archibald_runtime::Ports;
use archibald_sqlite::{SqliteOptions, SqliteStore};
use archibald_testing::memory::MemoryStore;
use archibald_testing::postgres::{Cluster, ClusterOptions};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::Failure;
use crate::machine::cpu_with_children;

/// Where operations are kept in a bench.
#[derive(Debug)]
pub enum Place {
    /// A private cluster for this program.
    Private(Box<Cluster>),
    /// Somebody's database; a bench makes schemas of its own there and leaves them.
    Given(String),
    /// A file, or a new one in a folder that goes when the bench ends.
    Sqlite(Option<PathBuf>, TempDir),
    /// No disk at all.
    Memory,
}

impl Place {
    /// `postgres`, `postgres://…`, `sqlite:`, `sqlite:PATH` or `memory`.
    ///
    /// # Errors
    /// Where the cluster cannot be started, or the name is none of these.
    pub fn find(name: &str) -> Result<Self, Failure> {
        match name.split_once(':').unwrap_or((name, "")) {
            ("postgres", "") => Ok(Self::Private(Box::new(Cluster::start(&measured())?))),
            ("postgres" | "postgresql", _) => Ok(Self::Given(name.to_owned())),
            ("sqlite", path) => Ok(Self::Sqlite(
                Some(path).filter(|path| !path.is_empty()).map(PathBuf::from),
                TempDir::new()?,
            )),
            ("memory", "") => Ok(Self::Memory),
            _ => {
                Err(format!("the store must be sqlite:PATH, postgres://…, postgres or memory, got {name}")
                    .into())
            }
        }
    }

    /// How results call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Private(_) | Self::Given(_) => "postgres",
            Self::Sqlite(..) => "sqlite",
            Self::Memory => "memory",
        }
    }

    /// An empty store.
    ///
    /// # Errors
    /// What the store says.
    pub async fn open(&self) -> Result<Opened, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        match self {
            Self::Private(cluster) => {
                let url = cluster.create_database(&format!("bench_{number}"))?;
                let mut meter = PgConnection::connect(&url).await?;
                sqlx::query("create extension pg_stat_statements").execute(&mut meter).await?;
                let meter = Meter::Ours { postmaster: cluster.postmaster().unwrap_or_default(), meter };
                Opened::postgres(&url, PgOptions::default(), meter).await
            }
            Self::Given(url) => {
                let schema = format!("bench_{}_{number}", std::process::id());
                let meter = Meter::Wal(PgConnection::connect(url).await?);
                Opened::postgres(url, PgOptions { schema, ..PgOptions::default() }, meter).await
            }
            Self::Sqlite(path, folder) => {
                let fresh = || folder.path().join(format!("bench-{number}.db"));
                let path = path.clone().unwrap_or_else(fresh);
                let store = Arc::new(SqliteStore::open(path, SqliteOptions::default()).await?);
                Ok(Opened { ports: Three::of(store.clone()), meter: Meter::None, open: Open::Sqlite(store) })
            }
            Self::Memory => {
                let store = Arc::new(MemoryStore::default());
                Ok(Opened { ports: Three::of(store), meter: Meter::None, open: Open::Memory })
            }
        }
    }
}

/// As somebody would run it who has read its first page of advice, and with its statements counted.
fn measured() -> ClusterOptions {
    let settings = [
        ("shared_preload_libraries", "pg_stat_statements"),
        ("pg_stat_statements.track", "top"),
        ("shared_buffers", "256MB"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    ClusterOptions { settings, ..ClusterOptions::default() }
}

/// The ports of one store.
#[derive(Clone)]
pub struct Three {
    /// Operations.
    pub store: Arc<dyn OperationStore>,
    /// Leases.
    pub lock: Arc<dyn AgentLock>,
    /// Events.
    pub bus: Arc<dyn EventBus>,
}

impl Three {
    fn of(store: Arc<impl OperationStore + AgentLock + EventBus + 'static>) -> Self {
        Self { store: store.clone(), lock: store.clone(), bus: store }
    }

    /// With the rest that a worker needs.
    #[must_use]
    pub fn ports(&self, pool: Arc<dyn BrowserPool>, credentials: Arc<dyn CredentialProvider>) -> Ports {
        let Self { store, lock, bus } = self.clone();
        Ports { store, lock, bus, pool, credentials, clock: Arc::new(archibald_runtime::SystemClock) }
    }
}

/// A store that is open, and its meter.
pub struct Opened {
    /// What to work with.
    pub ports: Three,
    meter: Meter,
    open: Open,
}

enum Open {
    Postgres(PgStore),
    Sqlite(Arc<SqliteStore>),
    Memory,
}

enum Meter {
    /// Everything can be seen.
    Ours {
        postmaster: u32,
        meter: PgConnection,
    },
    /// Somebody else's server: what it wrote to its log, for whomever.
    Wal(PgConnection),
    None,
}

/// What a store cost up to a moment; what cannot be known is 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Processor time of its processes, in seconds.
    pub cpu: f64,
    /// Statements, as `pg_stat_statements` counts them, also those that begin and end transactions.
    pub statements: f64,
    /// Bytes written to its log.
    pub wal: f64,
}

impl Cost {
    /// From then to now.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        Self {
            cpu: self.cpu - then.cpu,
            statements: self.statements - then.statements,
            wal: self.wal - then.wal,
        }
    }
}

impl Opened {
    async fn postgres(url: &str, options: PgOptions, meter: Meter) -> Result<Self, Failure> {
        let store = PgStore::connect(url, options).await?;
        Ok(Self { ports: Three::of(Arc::new(store.clone())), meter, open: Open::Postgres(store) })
    }

    /// What it cost so far.
    ///
    /// # Errors
    /// Where the database does not say.
    pub async fn cost(&mut self) -> Result<Cost, Failure> {
        match &mut self.meter {
            Meter::Ours { postmaster, meter } => Ok(Cost {
                cpu: cpu_with_children(*postmaster),
                statements: statements(meter).await?,
                wal: wal(meter).await?,
            }),
            Meter::Wal(meter) => Ok(Cost { wal: wal(meter).await?, ..Cost::default() }),
            Meter::None => Ok(Cost::default()),
        }
    }

    /// The statements that were made most often, for those who look for what can be saved.
    ///
    /// # Errors
    /// Where the database does not say.
    pub async fn statements(&mut self) -> Result<Vec<(i64, f64, String)>, Failure> {
        let Meter::Ours { meter, .. } = &mut self.meter else { return Ok(vec![]) };
        let most = "select calls, total_exec_time, left(regexp_replace(query, '\\s+', ' ', 'g'), 110) \
            from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database()) \
            order by calls desc limit 40";
        Ok(sqlx::query_as(most).fetch_all(meter).await?)
    }

    /// A connection to the database, where there is one that is ours.
    pub fn database(&mut self) -> Option<&mut PgConnection> {
        match &mut self.meter {
            Meter::Ours { meter, .. } | Meter::Wal(meter) => Some(meter),
            Meter::None => None,
        }
    }

    /// Closes it.
    pub async fn close(self) {
        match self.open {
            Open::Postgres(store) => store.close().await,
            Open::Sqlite(store) => store.close().await,
            Open::Memory => {}
        }
    }
}

async fn statements(meter: &mut PgConnection) -> Result<f64, sqlx::Error> {
    let calls = "select coalesce(sum(calls), 0)::float8 from pg_stat_statements where dbid = (select oid from \
        pg_database where datname = current_database()) and query not like '%pg_stat_statements%' and query \
        not like '%pg_current_wal%'";
    sqlx::query_scalar(calls).fetch_one(meter).await
}

async fn wal(meter: &mut PgConnection) -> Result<f64, sqlx::Error> {
    sqlx::query_scalar("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8")
        .fetch_one(meter)
        .await
}
