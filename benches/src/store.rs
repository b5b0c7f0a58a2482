//! The store under test, by its URL.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use archibald_core::port::{
    AgentLock, BrowserPool, CredentialProvider, EventBus, OperationStore, PendingOrderStore,
};
use archibald_pg::{PgOptions, PgStore};
use archibald_runtime::Ports;
use archibald_sqlite::{SqliteOptions, SqliteStore};
use archibald_testing::memory::MemoryStore;
use archibald_testing::postgres::{Cluster, ClusterOptions};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::Failure;
use crate::meter::{Cost, Meter, Statement, Table};

/// Where operations are kept in a bench.
#[derive(Debug)]
pub enum Place {
    /// A private cluster for this program.
    Private(Box<Cluster>),
    /// Somebody's database; a bench makes schemas of its own there, and takes them away unless it fails.
    Given(String),
    /// A file, or a new one in a folder that goes when the bench ends.
    Sqlite(Option<PathBuf>, TempDir),
    /// No disk at all.
    Memory,
}

impl Place {
    /// `postgres`, `postgres://…`, `sqlite`, `sqlite:PATH` or `memory`.
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

    /// An empty store; a file that was named is as empty as it is, and those of later calls are numbered.
    ///
    /// # Errors
    /// What the store says.
    pub async fn open(&self) -> Result<Opened, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let at = match self {
            Self::Private(cluster) => {
                let url = cluster.create_database(&format!("bench_{number}"))?;
                let mut connection = PgConnection::connect(&url).await?;
                sqlx::query("create extension pg_stat_statements").execute(&mut connection).await?;
                connection.close().await?;
                let ours = Ours {
                    postmaster: cluster.postmaster().unwrap_or_default(),
                    log: cluster.directory().join("server.log"),
                };
                At::Postgres { url, schema: PgOptions::default().schema, ours: Some(ours) }
            }
            Self::Given(url) => {
                let schema = format!("bench_{}_{number}", std::process::id());
                At::Postgres { url: url.clone(), schema, ours: None }
            }
            Self::Sqlite(path, folder) => {
                let fresh = || folder.path().join(format!("bench-{number}.db"));
                let numbered = |path: &PathBuf| match number {
                    0 => path.clone(),
                    _ => path.with_added_extension(number.to_string()),
                };
                At::Sqlite(path.as_ref().map_or_else(fresh, numbered))
            }
            Self::Memory => At::Memory(Arc::new(MemoryStore::default())),
        };
        Opened::at(at).await
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
    /// Pending orders.
    pub pending_orders: Arc<dyn PendingOrderStore>,
    at: At,
    meter: Meter,
    open: Open,
}

/// Where a store is.
#[derive(Clone)]
pub(crate) enum At {
    Postgres { url: String, schema: String, ours: Option<Ours> },
    Sqlite(PathBuf),
    Memory(Arc<MemoryStore>),
}

/// What is known of a server that is ours alone.
#[derive(Debug, Clone)]
pub(crate) struct Ours {
    postmaster: u32,
    pub(crate) log: PathBuf,
}

enum Open {
    Postgres(PgStore),
    Sqlite(Arc<SqliteStore>),
    Memory,
}

/// How another process finds a store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reach {
    /// A database, and the schema there.
    Postgres {
        /// Which one.
        url: String,
        /// Of the store's tables.
        schema: String,
    },
    /// A file.
    Sqlite(PathBuf),
    /// Nothing is shared: it gets one of its own.
    Memory,
}

impl Reach {
    /// Opens it here; nothing of it is taken away when it is closed.
    ///
    /// # Errors
    /// What the store says.
    pub async fn open(self) -> Result<Opened, Failure> {
        Opened::at(match self {
            Self::Postgres { url, schema } => At::Postgres { url, schema, ours: None },
            Self::Sqlite(path) => At::Sqlite(path),
            Self::Memory => At::Memory(Arc::default()),
        })
        .await
    }
}

/// A store that is not open now.
pub(crate) struct Shut(At);

impl Shut {
    pub(crate) async fn open(self) -> Result<Opened, Failure> {
        Opened::at(self.0).await
    }
}

impl Opened {
    async fn at(at: At) -> Result<Self, Failure> {
        let (ports, pending_orders, meter, open): (_, Arc<dyn PendingOrderStore>, _, _) = match &at {
            At::Postgres { url, schema, ours } => {
                let meter = PgConnection::connect(url).await?;
                let meter = Meter::postgres(meter, ours.as_ref().map(|ours| ours.postmaster)).await;
                let options = PgOptions { schema: schema.clone(), ..PgOptions::default() };
                let store = PgStore::connect(url, options).await?;
                let shared = Arc::new(store.clone());
                (Three::of(shared.clone()), shared, meter, Open::Postgres(store))
            }
            At::Sqlite(path) => {
                let store = Arc::new(SqliteStore::open(path, SqliteOptions::default()).await?);
                (Three::of(store.clone()), store.clone(), Meter::Sqlite(store.clone()), Open::Sqlite(store))
            }
            At::Memory(store) => (Three::of(store.clone()), store.clone(), Meter::None, Open::Memory),
        };
        Ok(Self { ports, pending_orders, at, meter, open })
    }

    /// How another process finds it. Of a file, only once it is closed here.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match &self.at {
            At::Postgres { url, schema, .. } => Reach::Postgres { url: url.clone(), schema: schema.clone() },
            At::Sqlite(path) => Reach::Sqlite(path.clone()),
            At::Memory(_) => Reach::Memory,
        }
    }

    /// Closes it and opens it again, as another process would.
    ///
    /// # Errors
    /// What the store says.
    pub async fn reopen(self) -> Result<Self, Failure> {
        self.shut().await.open().await
    }

    /// Closes it for a while.
    pub(crate) async fn shut(self) -> Shut {
        self.end().await;
        Shut(self.at)
    }

    /// What it cost so far.
    ///
    /// # Errors
    /// Where the database does not say.
    pub async fn cost(&mut self) -> Result<Cost, Failure> {
        self.meter.cost().await
    }

    /// The statements so far, the most frequent first; none where they cannot be known.
    ///
    /// # Errors
    /// Where the database does not say.
    pub async fn statements(&mut self) -> Result<Vec<Statement>, Failure> {
        self.meter.statements().await
    }

    /// Its tables, where there is a database; the largest first. What a connection did is told when it ends.
    ///
    /// # Errors
    /// Where the database does not say.
    pub async fn tables(&mut self) -> Result<Vec<Table>, Failure> {
        let asked = "select relname::text as name, n_live_tup as rows, n_dead_tup as dead, n_tup_upd as updates, \
            n_tup_hot_upd as within_page, pg_total_relation_size(relid) / 1024 as kib \
            from pg_stat_user_tables where schemaname = $1 order by kib desc, name";
        let schema = self.schema().to_owned();
        let Some(database) = self.database() else { return Ok(vec![]) };
        let tables: Vec<(String, i64, i64, i64, i64, i64)> =
            sqlx::query_as(asked).bind(schema).fetch_all(database).await?;
        let table = |(name, rows, dead, updates, within_page, kib)| Table {
            name,
            rows,
            dead,
            updates,
            within_page,
            kib,
        };
        Ok(tables.into_iter().map(table).collect())
    }

    pub(crate) fn place(&self) -> &At {
        &self.at
    }

    /// A connection to the database, where there is one.
    pub(crate) fn database(&mut self) -> Option<&mut PgConnection> {
        match &mut self.meter {
            Meter::Postgres { connection, .. } => Some(connection),
            Meter::Sqlite(_) | Meter::None => None,
        }
    }

    /// The schema of the store's tables in a database, as its statements name it.
    #[must_use]
    pub fn schema(&self) -> &str {
        match &self.at {
            At::Postgres { schema, .. } => schema,
            At::Sqlite(_) | At::Memory(_) => "",
        }
    }

    /// Closes it for good, and leaves nothing in a database of somebody else's.
    ///
    /// # Errors
    /// Where the database does not take its tables away.
    pub async fn close(mut self) -> Result<(), Failure> {
        self.end().await;
        let (At::Postgres { schema, ours: None, .. }, Meter::Postgres { connection, .. }) =
            (self.at, &mut self.meter)
        else {
            return Ok(());
        };
        // All that is in it is by whoever made its name, which is one of ours.
        let remove = format!("set client_min_messages = warning; drop schema {schema} cascade");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(remove))).await?;
        Ok(())
    }

    async fn end(&self) {
        match &self.open {
            Open::Postgres(store) => store.close().await,
            Open::Sqlite(store) => store.close().await,
            Open::Memory => {}
        }
    }
}
