//! The one task that writes: it takes what waits, commits it together, and answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use archibald_core::error::StoreError;
use archibald_core::port::Clock;
use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::code::primary_code;
use crate::hub::Hub;
use crate::open::FileLock;
use crate::place::PlaceFile;
use crate::sql;
use crate::tx::{Effects, Tx};

/// Requests that share a commit at most.
const BATCH: usize = 256;
/// Requests that wait at most; more callers wait to be let in.
const QUEUE: usize = 1024;
/// Without a request for this long, the log is moved into the database.
const IDLE: Duration = Duration::from_secs(2);

/// Hands requests to the task that writes.
pub(crate) struct Writer {
    requests: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    status: Arc<Status>,
}

#[derive(Default)]
struct Status {
    failure: OnceLock<String>,
    commits: AtomicU64,
}

/// What the task that writes owns.
pub(crate) struct Owned {
    pub(crate) tx: Tx,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) place: PlaceFile,
    pub(crate) lock: FileLock,
}

impl Writer {
    pub(crate) fn start(owned: Owned) -> Self {
        let (requests, waiting) = mpsc::channel(QUEUE);
        let status = Arc::new(Status::default());
        let task = tokio::spawn(run(owned, waiting, status.clone()));
        Self { requests: Mutex::new(Some(requests)), task: tokio::sync::Mutex::new(Some(task)), status }
    }

    pub(crate) async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let requests = requests.ok_or_else(|| stopped("it is closed"))?;
        let (reply, answer) = oneshot::channel();
        let request = Request { change: Some(change), outcome: None, reply };
        requests.send(Box::new(request)).await.map_err(|_| stopped("its writer ended"))?;
        answer.await.unwrap_or_else(|_| Err(stopped("its writer ended").into()))
    }

    pub(crate) async fn close(&self) {
        drop(self.requests.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            if let Err(error) = running.await {
                tracing::error!(%error, "the writer ended badly");
            }
            *task = None;
        }
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
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, bool>;
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
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let Some(change) = self.change.take() else { return false };
            let outcome = change(tx).await;
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        })
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

async fn run(mut owned: Owned, mut waiting: mpsc::Receiver<Box<dyn Job>>, status: Arc<Status>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut idle = true;
    loop {
        let taken = if idle {
            waiting.recv_many(&mut batch, BATCH).await
        } else {
            match tokio::time::timeout(IDLE, waiting.recv_many(&mut batch, BATCH)).await {
                Ok(taken) => taken,
                Err(_) => {
                    checkpoint(&mut owned.tx.conn).await;
                    idle = true;
                    continue;
                }
            }
        };
        if taken == 0 {
            break;
        }
        idle = false;
        serve(&mut owned, &mut batch, &status).await;
    }
    if let Err(error) = owned.tx.conn.close().await {
        tracing::warn!(%error, "the database did not close cleanly");
    }
    drop(owned.lock);
}

/// One batch: run, commit, note the place, wake, answer; in this order, so that nobody hears of what is
/// not on disk.
async fn serve(owned: &mut Owned, batch: &mut Vec<Box<dyn Job>>, status: &Status) {
    if let Some(why) = status.failure.get() {
        batch.drain(..).for_each(|job| job.answer(Some(why)));
        return;
    }
    owned.tx.now = owned.clock.now();
    match transact(&mut owned.tx, batch).await {
        Ok(effects) => {
            status.commits.fetch_add(1, Ordering::Relaxed);
            owned.place.advance(&effects);
            owned.hub.tell(effects);
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

async fn transact(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> Result<Effects, Failed> {
    statement(&mut tx.conn, sql::BEGIN).await.map_err(|error| Failed::Undone(error.to_string()))?;
    match run_all(tx, batch).await {
        Ok(effects) => commit(&mut tx.conn).await.map(|()| effects),
        Err(error) => undo(&mut tx.conn, error).await,
    }
}

/// Runs each request in a savepoint of its own: one that fails is undone alone. An error here means that
/// SQLite gave up the whole transaction, as it does when the disk is full.
async fn run_all(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> Result<Effects, sqlx::Error> {
    let mut effects = Effects::default();
    for job in batch {
        statement(&mut tx.conn, sql::SAVEPOINT).await?;
        if job.run(tx).await {
            effects.add(tx.take_effects());
        } else {
            tx.take_effects();
            statement(&mut tx.conn, sql::UNDO).await?;
        }
        statement(&mut tx.conn, sql::KEEP).await?;
    }
    Ok(effects)
}

async fn commit(conn: &mut SqliteConnection) -> Result<(), Failed> {
    let Err(error) = statement(conn, sql::COMMIT).await else { return Ok(()) };
    // Busy and full are refused before anything counts as written; of all else nothing is known.
    if matches!(primary_code(&error), Some(SQLITE_BUSY | SQLITE_FULL)) {
        return undo(conn, error).await;
    }
    Err(Failed::Unknown(error.to_string()))
}

async fn undo<T>(conn: &mut SqliteConnection, error: sqlx::Error) -> Result<T, Failed> {
    // Where SQLite rolled back by itself there is nothing left to roll back.
    statement(conn, sql::ROLLBACK).await.ok();
    Err(Failed::Undone(error.to_string()))
}

async fn checkpoint(conn: &mut SqliteConnection) {
    if let Err(error) = statement(conn, sql::CHECKPOINT).await {
        tracing::warn!(%error, "the log could not be moved into the database");
    }
}

async fn statement(conn: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(conn).await.map(drop)
}

const SQLITE_BUSY: u32 = 5;
const SQLITE_FULL: u32 = 13;

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
            Box::pin(async move {
                tx.append(&agent, vec![NewEvent::plain("test", json!({ "n": n }))]).await?;
                if n.is_multiple_of(2) { Ok(()) } else { Err(stopped("it failed after it wrote")) }
            })
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
}
