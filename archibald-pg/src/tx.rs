//! How a write runs.

use std::error::Error;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::error::{EnqueueError, FenceError, StoreError};
use archibald_core::event::NewEvent;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::operation::IllegalChange;
use archibald_core::port::{AdminError, LeaseError};
use archibald_core::time::Timestamp;
use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{Connection, PgConnection, Postgres, Transaction};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use crate::codec::{At, to_json};
use crate::sql::Sql;
use crate::store::{Inner, PgStore};
use crate::writes::Encoded;

/// When a connection counts as lost on which nothing moves: the server itself ends what takes a minute.
pub(crate) const SILENCE: Duration = Duration::from_secs(65);

/// How often a connection is asked for in the time of a call.
const ASKED: u32 = 4;

/// One transaction of one agent, and whom its commit wakes.
pub(crate) struct Tx<'c> {
    inner: Transaction<'c, Postgres>,
    pub(crate) sql: Arc<Sql>,
    pub(crate) agent: AgentId,
    /// Something of the agent may have become available.
    pub(crate) wakes_workers: bool,
    /// What this process runs, or does not run any more, once this is committed.
    pub(crate) runs: Option<Runs>,
    wakes_devices: bool,
    /// By how much more is in the queue than before.
    pub(crate) queued: i64,
}

/// A start or an end of an attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Runs {
    Started(OperationId),
    Ended(OperationId),
}

/// Whom a commit concerns.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) runs: Option<Runs>,
    pub(crate) wakes_workers: bool,
    pub(crate) wakes_devices: bool,
}

impl Effects {
    /// Of a call that writes this.
    pub(crate) fn of(encoded: &Encoded) -> Self {
        let Encoded { runs, wakes_workers, .. } = *encoded;
        Self { runs, wakes_workers, wakes_devices: !encoded.events.is_empty() }
    }

    pub(crate) fn tell(&self, inner: &Inner, agent: &AgentId) {
        match self.runs {
            Some(Runs::Started(operation)) => inner.hub.started(agent, operation),
            Some(Runs::Ended(operation)) => inner.hub.ended(agent, operation),
            None => {}
        }
        if self.wakes_devices || self.wakes_workers {
            inner.hub.committed(agent, self.wakes_workers);
        }
    }
}

/// Why a transaction is not committed.
pub(crate) enum Stop<E> {
    /// It is the answer: nothing is written and nothing tried again.
    Said(E),
    /// The database failed before anything could have been committed.
    Database(sqlx::Error),
    /// The connection was lost while something was committed, or written by a statement that is a transaction: nobody
    /// here knows.
    Unknown(sqlx::Error),
}

impl<E> From<sqlx::Error> for Stop<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

macro_rules! said {
    ($($from:ty => $error:ty),+ $(,)?) => {
        $(impl From<$from> for Stop<$error> {
            fn from(error: $from) -> Self {
                Self::Said(error.into())
            }
        })+
    };
}

said! {
    StoreError => StoreError,
    StoreError => FenceError,
    StoreError => EnqueueError,
    StoreError => AdminError,
    StoreError => LeaseError,
    FenceError => FenceError,
    EnqueueError => EnqueueError,
    AdminError => AdminError,
    IllegalChange => AdminError,
    LeaseError => LeaseError,
}

/// The work of one transaction. It may run several times, each time in a new one.
pub(crate) type Work<A, T, E> = for<'t, 'c> fn(&'t mut Tx<'c>, &'t A) -> BoxFuture<'t, Result<T, Stop<E>>>;

/// What is read from one connection. It may run several times.
pub(crate) type Reading<A, T> =
    for<'t> fn(&'t mut PgConnection, &'t Sql, &'t A) -> BoxFuture<'t, Result<T, Stop<StoreError>>>;

/// How a write is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// For messages: what is being done.
    what: &'static str,
    /// Whether it may be done again when nobody knows whether it was committed: because it would find its own
    /// traces and answer the same.
    repeats: bool,
    wait: Wait,
}

/// How long a write waits for a row that somebody else has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as the options say, and its turn among the agent's writes before.
    Bounded,
    /// As good as not at all.
    No,
}

impl How {
    /// For what would be refused, or done twice, if it were done again.
    pub(crate) fn once(what: &'static str) -> Self {
        Self { what, repeats: false, wait: Wait::Bounded }
    }

    /// For what comes to the same when it is done again.
    pub(crate) fn repeatable(what: &'static str) -> Self {
        Self { what, repeats: true, wait: Wait::Bounded }
    }

    pub(crate) fn what(self) -> &'static str {
        self.what
    }

    pub(crate) fn repeats(self) -> bool {
        self.repeats
    }

    /// What is answered where nobody knows whether it was committed.
    pub(crate) fn unknown(self, error: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::unavailable(format!("{} (it may be done)", self.what), error)
    }

    pub(crate) fn waiting(self, wait: Wait) -> Self {
        Self { wait, ..self }
    }
}

impl PgStore {
    /// Runs a write of one agent to its end in a task of its own, whatever becomes of the caller: a
    /// transaction that is cancelled while it begins takes the next user of its connection with it.
    pub(crate) async fn write<A, T, E>(
        &self,
        how: How,
        agent: &AgentId,
        arguments: A,
        work: Work<A, T, E>,
    ) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (inner, agent) = (self.inner.clone(), agent.clone());
        let written = tokio::spawn(async move { inner.write(how, &agent, &arguments, work).await });
        written.await.unwrap_or_else(|ended| Err(StoreError::unavailable(how.what, ended).into()))
    }

    /// Runs a read to its end in a task of its own, and again after a failure.
    pub(crate) async fn read<A, T>(
        &self,
        what: &'static str,
        arguments: A,
        work: Reading<A, T>,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.read_as(Reads::within(SILENCE), what, arguments, work).await
    }

    /// The same for one that is made in another way than most.
    pub(crate) async fn read_as<A, T>(
        &self,
        how: Reads,
        what: &'static str,
        arguments: A,
        work: Reading<A, T>,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let inner = self.inner.clone();
        let read = tokio::spawn(async move {
            let mut tries = Tries::new(what, inner.options.retry_for);
            loop {
                let done = match inner.acquire().await {
                    Ok(mut connection) => {
                        let read = how.read(&mut connection, &inner.sql, &arguments, work);
                        let read = timeout(how.silence, read).await;
                        over(&mut connection, read, Stop::Database)
                    }
                    Err(error) => Err(error.into()),
                };
                match done {
                    Ok(read) => return Ok(read),
                    Err(Stop::Said(error)) => return Err(error),
                    Err(Stop::Database(error) | Stop::Unknown(error)) => tries.next_after(error).await?,
                }
            }
        });
        read.await.unwrap_or_else(|ended| Err(StoreError::unavailable(what, ended)))
    }
}

/// How a read is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reads {
    /// When a connection counts as lost on which nothing moves.
    silence: Duration,
    /// Whether it begins its transaction itself.
    has_transaction: bool,
}

impl Reads {
    /// Where a connection on which nothing moves counts as lost after this time.
    pub(crate) fn within(silence: Duration) -> Self {
        Self { silence, has_transaction: false }
    }

    /// What begins its transaction itself.
    pub(crate) fn in_transaction() -> Self {
        Self { silence: SILENCE, has_transaction: true }
    }

    async fn read<A, T>(
        self,
        connection: &mut PgConnection,
        sql: &Sql,
        arguments: &A,
        work: Reading<A, T>,
    ) -> Result<T, Stop<StoreError>> {
        if sql.prepared || self.has_transaction {
            return work(connection, sql, arguments).await;
        }
        let mut tx = connection.begin().await?;
        let done = work(&mut tx, sql, arguments).await?;
        tx.commit().await?;
        Ok(done)
    }
}

impl Inner {
    /// A connection of the pool, in the time that a call has. Asked for several times: where the server is full
    /// the pool goes on trying to open one, and does not see that another comes back to it.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        if self.groups.parked.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        for _ in 0..ASKED {
            if let Ok(acquired) = timeout(self.options.retry_for / ASKED, self.pool.acquire()).await {
                return acquired;
            }
        }
        Err(sqlx::Error::PoolTimedOut)
    }

    async fn write<A, T, E: From<StoreError>>(
        &self,
        how: How,
        agent: &AgentId,
        arguments: &A,
        work: Work<A, T, E>,
    ) -> Result<T, E> {
        let mut tries = Tries::new(how.what, self.options.retry_for);
        let _turn = match how.wait {
            Wait::Bounded => {
                let turn = timeout_at(tries.deadline, self.gates.enter(agent)).await;
                let turn = turn.map_err(|elapsed| StoreError::unavailable(how.what, elapsed))?;
                let room = timeout_at(tries.deadline, self.waiters.acquire()).await;
                Some((turn, room.map_err(|elapsed| StoreError::unavailable(how.what, elapsed))?))
            }
            Wait::No => None,
        };
        loop {
            let done = match self.acquire().await {
                Ok(mut connection) => {
                    let written = self.write_once(&mut connection, how.wait, agent, arguments, work);
                    let written = timeout(SILENCE, written).await;
                    over(&mut connection, written, Stop::Unknown)
                }
                Err(error) => Err(error.into()),
            };
            match done {
                Ok(done) => return Ok(done),
                Err(Stop::Said(error)) => return Err(error),
                Err(Stop::Unknown(error)) if !how.repeats => {
                    return Err(how.unknown(error).into());
                }
                Err(Stop::Unknown(error) | Stop::Database(error)) => tries.next_after(error).await?,
            }
        }
    }

    async fn write_once<A, T, E>(
        &self,
        connection: &mut PgConnection,
        wait: Wait,
        agent: &AgentId,
        arguments: &A,
        work: Work<A, T, E>,
    ) -> Result<T, Stop<E>> {
        let begin = match wait {
            Wait::Bounded => self.begin.clone(),
            Wait::No => self.begin_in_passing.clone(),
        };
        let mut tx = Tx {
            inner: connection.begin_with(begin).await?,
            sql: self.sql.clone(),
            agent: agent.clone(),
            wakes_workers: false,
            wakes_devices: false,
            runs: None,
            queued: 0,
        };
        let done = work(&mut tx, arguments).await?;
        let Tx { inner, runs, wakes_devices, wakes_workers, .. } = tx;
        inner.commit().await.map_err(unless_refused)?;
        Effects { runs, wakes_workers, wakes_devices }.tell(self, agent);
        Ok(done)
    }
}

impl Tx<'_> {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// Writes events with the next places of the agent's log. The last thing in a transaction: the counter
    /// stays locked from here to the commit.
    pub(crate) async fn emit(&mut self, events: &[NewEvent], now: Timestamp) -> Result<(), TxError> {
        if events.is_empty() {
            return Ok(());
        }
        let texts: Result<Vec<_>, _> = events.iter().map(|event| to_json("an event", event)).collect();
        let emit = self.sql.emit.query().bind(self.agent.as_str()).bind(texts?).bind(At(now));
        let emit = emit.bind(mem::take(&mut self.queued));
        let written = emit.execute(&mut *self.inner).await?.rows_affected();
        if written != events.len() as u64 {
            let what = format!("agent {} has no event counter", self.agent);
            return Err(TxError::Store(StoreError::Damaged { what, cause: None }));
        }
        self.wakes_devices = true;
        Ok(())
    }
}

/// What can go wrong in any write.
pub(crate) enum TxError {
    Database(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for TxError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for TxError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<E: From<StoreError>> From<TxError> for Stop<E> {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Database(error) => Self::Database(error),
            TxError::Store(error) => Self::Said(error.into()),
        }
    }
}

/// Bounded tries with growing pauses.
pub(crate) struct Tries {
    what: &'static str,
    deadline: Instant,
    pause: Duration,
}

impl Tries {
    pub(crate) fn until(what: &'static str, deadline: Instant) -> Self {
        Self { what, deadline, pause: Duration::from_millis(5) }
    }

    fn new(what: &'static str, limit: Duration) -> Self {
        Self::until(what, Instant::now() + limit)
    }

    /// Waits until it is to be tried again; an error where that cannot help or the time is over.
    pub(crate) async fn next_after(&mut self, error: sqlx::Error) -> Result<(), StoreError> {
        if !passes_by_itself(&error) || Instant::now() + self.pause > self.deadline {
            return Err(as_store_error(self.what, error));
        }
        tracing::debug!(what = self.what, error = %error, "trying again");
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(500));
        Ok(())
    }
}

/// What came of work on a connection, if it was over in time; `silent` says what silence means for it.
///
/// The connection does not go back to the pool after an error that may have left something open on it: a
/// `BEGIN` that was cut off amid its settings leaves a transaction that nobody ends. Who stood in another's way
/// has begun and was rolled back.
pub(crate) fn over<T, E>(
    connection: &mut PoolConnection<Postgres>,
    done: Result<Result<T, Stop<E>>, Elapsed>,
    silent: fn(sqlx::Error) -> Stop<E>,
) -> Result<T, Stop<E>> {
    let done = done.unwrap_or_else(|_| Err(silent(gone_silent())));
    if !done.as_ref().err().is_none_or(leaves_it_well) {
        connection.close_on_drop();
    }
    done
}

/// Whether a connection can be gone on with after this.
pub(crate) fn leaves_it_well<E>(stop: &Stop<E>) -> bool {
    match stop {
        Stop::Said(_) => true,
        Stop::Database(error) | Stop::Unknown(error) => {
            let code = error.as_database_error().and_then(|error| error.code());
            code.is_some_and(|code| code.starts_with("40") || code == "55P03")
        }
    }
}

/// Nothing came on a connection for longer than anything may take.
pub(crate) fn gone_silent() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the connection has gone silent"))
}

/// Errors of the moment: the connection, a server that starts or stops, two that stood in each other's way.
fn passes_by_itself(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::BeginFailed => true,
        // A server that goes away amid an answer leaves half a message.
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08")
                || code.starts_with("40")
                || matches!(&*code, "53300" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03")
        }),
        _ => false,
    }
}

/// Data that the database refuses, and tables that are not as they should be, do not get better by waiting.
pub(crate) fn as_store_error(what: &str, error: sqlx::Error) -> StoreError {
    let damaged = match &error {
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["22", "23", "42"].iter().any(|class| code.starts_with(class)))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => true,
        _ => false,
    };
    if damaged { StoreError::damaged(what, error) } else { StoreError::unavailable(what, error) }
}

/// A commit that the server itself refuses did not happen; of any other that fails nobody knows. A fatal
/// error ends the session, and may come after the commit.
pub(crate) fn unless_refused<E>(error: sqlx::Error) -> Stop<E> {
    let refused = match &error {
        sqlx::Error::Database(said) => said
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|said| matches!(said.severity(), PgSeverity::Error)),
        _ => false,
    };
    if refused { Stop::Database(error) } else { Stop::Unknown(error) }
}
