//! Threads that read, each on a connection that cannot write.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use archibald_core::error::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::queue::{Queue, Served, Taken};

/// Questions that wait at most; more callers wait to be let in.
const QUEUE: usize = 1024;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// Hands questions to whichever thread is free. What was committed before a question is seen by it.
pub(crate) struct Readers {
    threads: Served<Question>,
}

impl Readers {
    /// A thread for each connection.
    pub(crate) fn start(connections: Vec<Connection>) -> io::Result<Self> {
        let servers = connections.into_iter().map(|conn| move |queue: &Queue<Question>| answer(conn, queue));
        Ok(Self { threads: Served::start("archibald-read", QUEUE, servers)? })
    }

    /// Answers of one connection. A question whose caller has left by then is not asked.
    pub(crate) async fn ask<T, F>(&self, question: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let asked: Question = Box::new(move |conn| {
            if !reply.is_closed() {
                reply.send(question(conn)).ok();
            }
        });
        self.threads.put(asked).await.map_err(|_| unanswered("it is closed"))?;
        answer.await.unwrap_or_else(|_| Err(unanswered("the read panicked")))
    }

    pub(crate) async fn close(&self) {
        self.threads.close().await;
    }
}

fn answer(conn: Connection, queue: &Queue<Question>) {
    let mut asked = Vec::with_capacity(1);
    while queue.take(&mut asked, 1, None) == Taken::Some {
        for question in asked.drain(..) {
            // Whoever asked is told by the end of its channel. The connection is as before: statements are
            // reset and transactions rolled back on the way out.
            catch_unwind(AssertUnwindSafe(|| question(&conn))).ok();
        }
    }
    if let Err((_, error)) = conn.close() {
        tracing::warn!(%error, "a reading connection did not close cleanly");
    }
}

fn unanswered(why: &str) -> StoreError {
    StoreError::unavailable("reading the SQLite file", why)
}
