use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::TryFutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgPool, Row, SqlSafeStr, SqlStr};
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

/// How long ago a connection that is taken for alive was heard of.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

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
    whose_pool: Whose,
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
    /// The settings of a session that only writes; `None` where there are no sessions.
    pub(crate) session: Option<SqlStr>,
    /// Whether a commit waits for the disk without being told to.
    pub(crate) is_durable: bool,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    TheCallers,
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

    /// As [`PgStore::connect`], with an address that was put together by hand.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// Cancel safe: migrations happen whole or not at all.
    pub async fn connect_with(address: PgConnectOptions, options: PgOptions) -> Result<Self, ConnectError> {
        options.check()?;
        let address = suited(address, &options);
        migrate(&address, &options.schema).await?;
        let pool = pool(&options).connect_with(address.clone()).await.map_err(ConnectError::Unreachable)?;
        Self::open(pool, Whose::Ours, address, options).await
    }

    /// As [`PgStore::connect`], with a pool of the caller's, which also others may use. Two connections are taken out
    /// of it for good, with settings of their own, for which it may open two others, and one more listens.
    ///
    /// Leases are renewed over it, so keep it large enough that a connection is always found soon: where all are
    /// taken for longer than a lease lasts, the lease is lost and what runs under it is stopped. Statements are
    /// prepared on it as [`PgOptions::prepared_statements`] says.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// Cancel safe: migrations happen whole or not at all.
    pub async fn with_pool(pool: PgPool, options: PgOptions) -> Result<Self, ConnectError> {
        options.check()?;
        let address = suited(pool.connect_options().as_ref().clone(), &options);
        migrate(&address, &options.schema).await?;
        let max_connections = pool.options().get_max_connections();
        Self::open(pool, Whose::TheCallers, address, PgOptions { max_connections, ..options }).await
    }

    async fn open(
        pool: PgPool,
        whose_pool: Whose,
        address: PgConnectOptions,
        options: PgOptions,
    ) -> Result<Self, ConnectError> {
        let is_durable = is_durable(&pool).await.map_err(ConnectError::Unreachable)?;
        let sql = Arc::new(Sql::of_schema(&options.schema, options.prepared_statements));
        let hub = Arc::new(Hub::default());
        let tasks = wake::start(address, pool.clone(), &sql, &hub, &options);
        let (begin, begin_in_passing) = (begin(options.lock_wait, is_durable), begin(IN_PASSING, is_durable));
        let session = options.has_sessions().then(|| session(IN_PASSING, is_durable));
        let (gates, groups, tickets) = (Gates::default(), Groups::default(), Tickets::default());
        let waiters = Semaphore::new((options.max_connections / 2).max(1) as usize);
        let inner = Inner {
            pool,
            whose_pool,
            sql,
            hub,
            gates,
            waiters,
            groups,
            tickets,
            options,
            begin,
            begin_in_passing,
            session,
            is_durable,
            tasks,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Tells the other processes what they have not been told yet, ends subscriptions, and closes all connections:
    /// calls that are made later find the store unavailable. A pool of the caller's stays open.
    ///
    /// # Cancel safety
    /// Cancel safe; what is dropped half-way goes on closing when the store is dropped.
    pub async fn close(&self) {
        wake::flush(&self.inner.pool, &self.inner.sql, &self.inner.hub, &self.inner.options.schema).await;
        self.inner.end();
        self.inner.groups.parked.close().await;
        match self.inner.whose_pool {
            Whose::Ours => self.inner.pool.close().await,
            Whose::TheCallers => {}
        }
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

/// PgBouncer refuses a connection that wants settings of a session which it does not know; ours need none.
fn suited(address: PgConnectOptions, options: &PgOptions) -> PgConnectOptions {
    match options.prepared_statements {
        true => address,
        false => address.extra_float_digits(None),
    }
}

/// A pool that gives nobody a connection on which nothing moves any more, as after a network that forgot it: no
/// error ever tells of that.
fn pool(options: &PgOptions) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.retry_for)
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            // Who was just heard of is not asked again.
            let is_fresh = known.idle_for < FRESH;
            Box::pin(async move { Ok(is_fresh || answered(connection.ping().map_ok(|()| true)).await?) })
        })
        // The pool asks by itself, but waits for the answer for ever.
        .after_release(|connection, _| Box::pin(answered(connection.ping().map_ok(|()| true))))
}

/// What the server answers at once unless the connection is lost.
pub(crate) async fn answered<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(UNANSWERED, answer).await.unwrap_or_else(|_| Err(gone_silent()))
}

/// Whether a commit waits for the disk without being told to.
async fn is_durable(pool: &PgPool) -> Result<bool, sqlx::Error> {
    // As text, which needs nothing prepared.
    let configured: String = pool.fetch_one("show synchronous_commit").await?.try_get(0)?;
    Ok(configured != "off")
}

/// What holds while something is written. It waits for nobody for long, and keeps nobody waiting for ever should this
/// process freeze. Its statements are to find everything by an index, however much there is, also where a young table
/// looks small to the planner; so one plan does, and to plan those with many arrays takes longer than to carry
/// them out.
fn settings(lock_wait: Duration, is_durable: bool) -> Vec<String> {
    let lock_timeout = format!("lock_timeout = {}", lock_wait.as_millis().clamp(1, 3_600_000));
    let others = [
        "idle_in_transaction_session_timeout = 10000",
        "statement_timeout = 60000",
        "plan_cache_mode = force_generic_plan",
        "enable_seqscan = off",
        "jit = off",
    ];
    let durable = (!is_durable).then_some("synchronous_commit = on");
    [lock_timeout].into_iter().chain(others.into_iter().chain(durable).map(str::to_owned)).collect()
}

/// How a writing transaction begins.
fn begin(lock_wait: Duration, is_durable: bool) -> SqlStr {
    let local = settings(lock_wait, is_durable).into_iter().map(|setting| format!("; set local {setting}"));
    let begin = format!("begin isolation level read committed{}", local.collect::<String>());
    AssertSqlSafe(begin).into_sql_str()
}

/// The same for every statement of a session.
fn session(lock_wait: Duration, is_durable: bool) -> SqlStr {
    let all = settings(lock_wait, is_durable).into_iter().map(|setting| format!("; set {setting}"));
    let session = format!("set default_transaction_isolation = 'read committed'{}", all.collect::<String>());
    AssertSqlSafe(session).into_sql_str()
}
