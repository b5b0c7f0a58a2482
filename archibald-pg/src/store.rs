use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::TryFutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgPool, SqlSafeStr, SqlStr};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::gate::Gates;
use crate::group::Groups;
use crate::hub::Hub;
use crate::migrate::migrate;
use crate::options::{ConnectError, PgOptions};
use crate::sql::Sql;
use crate::tickets::Tickets;
use crate::tx::gone_silent;
use crate::wake;

/// How long a write waits for a lock that is not worth waiting for: the next sweep comes by again.
const IN_PASSING: Duration = Duration::from_millis(100);

/// When a connection counts as lost that does not answer what takes no time.
pub(crate) const UNANSWERED: Duration = Duration::from_secs(5);

/// All store ports in one PostgreSQL schema. Clones share one pool.
///
/// Any number of processes may open the same schema. What one commits wakes the others; where a notification
/// is lost, a look at the logs every [`PgOptions::poll_every`] finds it. Fine progress is the exception: it
/// stays within the process that runs the operation, where devices of other processes see but its steps.
///
/// ```no_run
/// # async fn example() -> Result<(), archibald_pg::ConnectError> {
/// use std::sync::Arc;
/// use archibald_core::port::{AgentLock, EventBus, OperationStore};
/// use archibald_pg::{PgOptions, PgStore};
///
/// let opened = PgStore::connect("postgres://archibald@localhost/sales", PgOptions::default()).await?;
/// let opened = Arc::new(opened);
/// let store: Arc<dyn OperationStore> = opened.clone();
/// let lock: Arc<dyn AgentLock> = opened.clone();
/// let bus: Arc<dyn EventBus> = opened;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PgStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) pool: PgPool,
    pub(crate) sql: Arc<Sql>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) gates: Gates,
    /// Room for those that may wait for locked rows with a connection in their hand: the other half of the
    /// connections is for who waits for nobody, such as the renewals of all leases.
    pub(crate) waiters: Semaphore,
    pub(crate) groups: Groups,
    pub(crate) tickets: Tickets,
    pub(crate) options: PgOptions,
    /// How a writing transaction begins.
    pub(crate) begin: SqlStr,
    /// The same for one that waits for nobody.
    pub(crate) begin_in_passing: SqlStr,
    /// What makes a commit wait for the disk, where it has to be said.
    pub(crate) durable: &'static str,
    tasks: Vec<JoinHandle<()>>,
}

impl PgStore {
    /// Opens the store at a URL, and makes or updates its tables.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// Cancel safe: migrations happen whole or not at all.
    pub async fn connect(url: &str, options: PgOptions) -> Result<Self, ConnectError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            let other = sqlx::Error::Configuration("its scheme is another one".into());
            return Err(ConnectError::BadUrl(other));
        }
        let address = PgConnectOptions::from_str(url).map_err(ConnectError::BadUrl)?;
        Self::connect_with(address, options).await
    }

    /// As [`PgStore::connect`], with an address that was put together by hand; that of an existing pool is
    /// `pool.connect_options().as_ref().clone()`.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// Cancel safe: migrations happen whole or not at all.
    pub async fn connect_with(address: PgConnectOptions, options: PgOptions) -> Result<Self, ConnectError> {
        options.check()?;
        migrate(&address, &options.schema).await?;
        let pool = pool(&options).connect_with(address.clone()).await.map_err(ConnectError::Unreachable)?;
        let durable = durable(&pool).await.map_err(ConnectError::Unreachable)?;
        let (sql, hub) = (Arc::new(Sql::of_schema(&options.schema)), Arc::new(Hub::default()));
        let tasks = wake::start(address, pool.clone(), &sql, &hub, &options);
        let (begin, begin_in_passing) = (begin(options.lock_wait, durable), begin(IN_PASSING, durable));
        let (gates, groups, tickets) = (Gates::default(), Groups::default(), Tickets::default());
        let waiters = Semaphore::new((options.max_connections / 2).max(1) as usize);
        let inner = Inner {
            pool,
            sql,
            hub,
            gates,
            waiters,
            groups,
            tickets,
            options,
            begin,
            begin_in_passing,
            durable,
            tasks,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Tells the other processes what they have not been told yet, and closes all connections. Calls that are
    /// made later find the store unavailable, and subscriptions end.
    ///
    /// # Cancel safety
    /// Cancel safe; what is dropped half-way goes on closing when the store is dropped.
    pub async fn close(&self) {
        wake::flush(&self.inner.pool, &self.inner.sql, &self.inner.hub, &self.inner.options.schema).await;
        self.inner.end();
        self.inner.pool.close().await;
    }
}

impl Inner {
    fn end(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.hub.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

/// A pool that gives nobody a connection on which nothing moves any more, as after a network that forgot it: no
/// error ever tells of that.
fn pool(options: &PgOptions) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.retry_for)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(answered(connection.ping().map_ok(|()| true))))
        // The pool asks by itself, but waits for the answer for ever.
        .after_release(|connection, _| Box::pin(answered(connection.ping().map_ok(|()| true))))
}

/// What the server answers at once unless the connection is lost.
pub(crate) async fn answered<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(UNANSWERED, answer).await.unwrap_or_else(|_| Err(gone_silent()))
}

/// Makes a commit wait for the disk where the database's default would not.
async fn durable(pool: &PgPool) -> Result<&'static str, sqlx::Error> {
    let configured: String = sqlx::query_scalar("show synchronous_commit").fetch_one(pool).await?;
    Ok(if configured == "off" { "; set local synchronous_commit = on" } else { "" })
}

/// A writing transaction waits for nobody for long, and keeps nobody waiting for ever should this process
/// freeze. Its statements are to find everything by an index, however much there is, also where a young table
/// looks small to the planner; so one plan does, and to plan those with many arrays takes longer than to carry
/// them out.
fn begin(lock_wait: Duration, durable: &str) -> SqlStr {
    let begin = format!(
        "begin isolation level read committed; set local lock_timeout = {}; \
         set local idle_in_transaction_session_timeout = 10000; set local statement_timeout = 60000; \
         set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; set local jit = off{durable}",
        lock_wait.as_millis().clamp(1, 3_600_000)
    );
    AssertSqlSafe(Arc::<str>::from(begin)).into_sql_str()
}
