//! The one thread that writes: it takes what waits, commits it together, and answers.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use archibald_core::error::StoreError;
use archibald_core::port::Clock;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::code::primary_code;
use crate::effects::Effects;
use crate::hub::Hub;
use crate::open::FileLock;
use crate::place::PlaceFile;
use crate::queue::{Queue, Served, Taken};
use crate::sql;
use crate::tx::Tx;

/// Requests that share a commit at most.
const BATCH: usize = 256;
/// Requests that wait at most; more callers wait to be let in.
const QUEUE: usize = 1024;
/// Without a request for this long, the log is moved into the database.
const IDLE: Duration = Duration::from_secs(2);

/// Hands requests to the thread that writes.
pub(crate) struct Writer {
    thread: Served<Box<dyn Job>>,
    status: Arc<Status>,
}

#[derive(Default)]
struct Status {
    failure: OnceLock<String>,
    commits: AtomicU64,
}

/// What the thread that writes owns.
pub(crate) struct Owned {
    pub(crate) tx: Tx,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) place: PlaceFile,
    pub(crate) lock: FileLock,
}

impl Writer {
    pub(crate) fn start(owned: Owned) -> io::Result<Self> {
        let status = Arc::new(Status::default());
        let told = status.clone();
        let serve = move |queue: &Queue<Box<dyn Job>>| run(owned, queue, &told);
        Ok(Self { thread: Served::start("archibald-write", QUEUE, [serve])?, status })
    }

    pub(crate) async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let request = Request { change: Some(change), outcome: None, reply };
        self.thread.put(Box::new(request)).await.map_err(|_| stopped("it is closed"))?;
        answer.await.unwrap_or_else(|_| Err(stopped("its writer ended").into()))
    }

    pub(crate) async fn close(&self) {
        self.thread.close().await;
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.status.failure.get().cloned()
    }

    pub(crate) fn commits(&self) -> u64 {
        self.status.commits.load(Ordering::Relaxed)
    }
}

/// A request that waits for its transaction.
trait Job: Send {
    /// Makes the change; `true` if it is to be kept.
    fn run(&mut self, tx: &mut Tx) -> bool;
    /// Tells the caller, if it is still there: the outcome, or why there is none.
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct Request<T, E, F> {
    change: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Request<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&mut Tx) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx) -> bool {
        let Some(change) = self.change.take() else { return false };
        // A panic costs its own request alone: what it wrote is undone, and what it was to bring about is
        // dropped, like that of any request that failed.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let done = change(tx)?;
            tx.write_events()?;
            Ok(done)
        }));
        let outcome = outcome.unwrap_or_else(|_| Err(stopped("the request panicked").into()));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        let answer = match (failed, self.outcome) {
            (None, Some(outcome)) => outcome,
            (Some(why), _) => Err(stopped(why).into()),
            (None, None) => Err(stopped("the request was not run").into()),
        };
        // A caller that left does not need it.
        self.reply.send(answer).ok();
    }
}

/// How a transaction failed as a whole.
enum Failed {
    /// Nothing of it was written; the next one may work.
    Undone(String),
    /// Whether it was written is not known: nothing more may be, until the file is opened anew.
    Unknown(String),
}

fn run(mut owned: Owned, requests: &Queue<Box<dyn Job>>, status: &Status) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut idle = true;
    loop {
        match requests.take(&mut batch, BATCH, (!idle).then_some(IDLE)) {
            Taken::Some => {
                serve(&mut owned, &mut batch, status);
                idle = false;
            }
            Taken::Nothing => {
                checkpoint(&owned.tx.conn);
                idle = true;
            }
            Taken::End => break,
        }
    }
    if let Err((_, error)) = owned.tx.conn.close() {
        tracing::warn!(%error, "the database did not close cleanly");
    }
    drop(owned.lock);
}

/// One batch: run, commit, note the place, wake, answer; in this order, so that nobody hears of what is
/// not on disk.
fn serve(owned: &mut Owned, batch: &mut Vec<Box<dyn Job>>, status: &Status) {
    if let Some(why) = status.failure.get() {
        batch.drain(..).for_each(|job| job.answer(Some(why)));
        return;
    }
    owned.tx.now = owned.clock.now();
    match transact(&mut owned.tx, batch) {
        Ok(effects) => {
            if let Some(effects) = effects {
                status.commits.fetch_add(1, Ordering::Relaxed);
                owned.place.advance(&effects);
                owned.hub.tell(effects);
            }
            batch.drain(..).for_each(|job| job.answer(None));
        }
        Err(Failed::Undone(why)) => {
            tracing::warn!(%why, "a transaction was undone");
            batch.drain(..).for_each(|job| job.answer(Some(&why)));
        }
        Err(Failed::Unknown(why)) => {
            let why = format!("a commit failed, the store has to be opened anew: {why}");
            tracing::error!(%why, "no more writes are accepted");
            batch.drain(..).for_each(|job| job.answer(Some(&why)));
            status.failure.set(why).ok();
        }
    }
}

/// What the transaction brought about; `None` where there was nothing to commit.
fn transact(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> Result<Option<Effects>, Failed> {
    statement(&tx.conn, sql::BEGIN).map_err(|error| Failed::Undone(error.to_string()))?;
    let ran = match batch {
        [alone] => run_alone(tx, alone.as_mut()),
        many => run_all(tx, many).map(Some),
    };
    match ran {
        Ok(Some(effects)) => commit(&tx.conn).map(|()| Some(effects)),
        Ok(None) => Ok(None),
        Err(error) => undo(&tx.conn, error),
    }
}

/// A request that shares its transaction with nobody needs no savepoint: it is undone with the transaction.
fn run_alone(tx: &mut Tx, job: &mut dyn Job) -> Result<Option<Effects>, rusqlite::Error> {
    let keep = job.run(tx);
    let effects = tx.take_effects();
    if keep {
        return Ok(Some(effects));
    }
    roll_back(&tx.conn)?;
    Ok(None)
}

/// Runs each request in a savepoint of its own: one that fails is undone alone. An error here means that
/// SQLite gave up the whole transaction, as it does when the disk is full.
fn run_all(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> Result<Effects, rusqlite::Error> {
    let mut effects = Effects::default();
    for job in batch {
        statement(&tx.conn, sql::SAVEPOINT)?;
        let keep = job.run(tx);
        let of_request = tx.take_effects();
        if keep {
            effects.add(of_request);
        } else {
            statement(&tx.conn, sql::UNDO)?;
        }
        statement(&tx.conn, sql::KEEP)?;
    }
    Ok(effects)
}

fn commit(conn: &Connection) -> Result<(), Failed> {
    if conn.is_autocommit() {
        return Err(Failed::Undone("SQLite gave the transaction up".to_owned()));
    }
    let Err(error) = statement(conn, sql::COMMIT) else { return Ok(()) };
    // Busy and full are refused before anything counts as written; of all else nothing is known.
    if matches!(primary_code(&error), Some(SQLITE_BUSY | SQLITE_FULL)) {
        return undo(conn, error);
    }
    Err(Failed::Unknown(error.to_string()))
}

fn undo<T>(conn: &Connection, error: rusqlite::Error) -> Result<T, Failed> {
    match roll_back(conn) {
        Ok(()) => Err(Failed::Undone(error.to_string())),
        // No transaction could begin on it any more.
        Err(_) => Err(Failed::Unknown(error.to_string())),
    }
}

/// Where SQLite rolled back by itself there is nothing left to roll back.
fn roll_back(conn: &Connection) -> Result<(), rusqlite::Error> {
    let done = if conn.is_autocommit() { Ok(()) } else { statement(conn, sql::ROLLBACK) };
    done.or_else(|error| if conn.is_autocommit() { Ok(()) } else { Err(error) })
}

fn checkpoint(conn: &Connection) {
    if let Err(error) = statement(conn, sql::CHECKPOINT) {
        tracing::warn!(%error, "the log could not be moved into the database");
    }
}

/// Runs a statement whose rows, if it has any, nobody needs.
fn statement(conn: &Connection, sql: &'static str) -> Result<(), rusqlite::Error> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

const SQLITE_BUSY: i32 = 5;
const SQLITE_FULL: i32 = 13;

fn stopped(why: &str) -> StoreError {
    StoreError::unavailable("writing to the SQLite file", why)
}

#[cfg(test)]
mod tests {
    use archibald_core::event::{Cursor, NewEvent};
    use archibald_core::id::AgentId;
    use archibald_core::port::{EventBus, EventRead};
    use serde_json::json;

    use super::*;
    use crate::{SqliteOptions, SqliteStore};

    /// Writes an event, and then fails or not.
    async fn write_then(store: &SqliteStore, agent: &AgentId, n: usize) -> Result<(), StoreError> {
        let agent = agent.clone();
        let change = store.write(move |tx| {
            tx.append(&agent, vec![NewEvent::plain("test", json!({ "n": n }))]);
            tx.write_events()?;
            if n.is_multiple_of(2) { Ok(()) } else { Err(stopped("it failed after it wrote")) }
        });
        change.await
    }

    #[tokio::test]
    async fn what_a_failed_request_wrote_is_undone_and_nobody_is_woken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archibald.db");
        let store = SqliteStore::open(path, SqliteOptions::default()).await.unwrap();
        let (nancy, andrew) = (AgentId::new("nancy").unwrap(), AgentId::new("andrew").unwrap());
        let mut wakes = store.subscribe(&andrew);
        let before = store.commits();
        let calls = (0..20).map(|n| write_then(&store, &nancy, n));
        let failing = write_then(&store, &andrew, 1);
        let (answers, failed) = futures::join!(futures::future::join_all(calls), failing);
        assert!(store.commits() - before <= 2, "they shared their commits");
        assert!(failed.is_err());
        assert!(futures::poll!(wakes.changed()).is_pending(), "nothing was committed for andrew");
        for (n, answer) in answers.iter().enumerate() {
            assert_eq!(answer.is_ok(), n.is_multiple_of(2), "request {n}");
        }
        let start = Cursor { epoch: store.head(&nancy).await.unwrap().epoch, seq: 0 };
        let EventRead::Batch { events, .. } = store.read(&nancy, start, 100).await.unwrap() else {
            panic!("the beginning is served")
        };
        let written: Vec<_> = events.iter().map(|event| event.event.data["n"].clone()).collect();
        assert_eq!(written, (0..20).step_by(2).map(|n| json!(n)).collect::<Vec<_>>());
        assert_eq!(store.head(&andrew).await.unwrap().head, 0);
        store.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_panics_is_undone_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archibald.db");
        let store = SqliteStore::open(path, SqliteOptions::default()).await.unwrap();
        let nancy = AgentId::new("nancy").unwrap();
        let of = nancy.clone();
        let panics = store.write(move |tx| -> Result<(), StoreError> {
            tx.append(&of, vec![NewEvent::plain("test", json!({}))]);
            tx.write_events()?;
            panic!("on purpose")
        });
        let (panicked, before, after) =
            futures::join!(panics, write_then(&store, &nancy, 0), write_then(&store, &nancy, 2));
        let StoreError::Unavailable { cause: Some(cause), .. } = panicked.unwrap_err() else { panic!() };
        assert!(cause.to_string().contains("panicked"), "{cause}");
        before.unwrap();
        after.unwrap();
        assert_eq!(store.head(&nancy).await.unwrap().head, 2, "what it wrote before is undone");
        assert_eq!(store.failure(), None);
        store.close().await;
    }
}
