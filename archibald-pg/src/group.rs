//! Calls that come together are carried out together.
//!
//! A call that comes alone goes at once. While transactions run the others gather, and the next one takes
//! them all: one of each agent, since an agent's calls follow one another. A call whose rows somebody else
//! has locked is taken out and waits by itself, so that nobody waits for another agent's trouble.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::time::{timeout, timeout_at};

use crate::batch::{Locks, Outcome, transact};
use crate::call::Job;
use crate::gathering::{Gathering, Taken};
use crate::store::Inner;
use crate::tx::{SILENCE, Stop, Tries, over};

/// Transactions that run together: while one waits for the disk the other works.
const LANES: usize = 2;
/// Calls that share a transaction at most.
const BATCH: usize = 256;
/// Batches that go over one connection before it goes back to the pool.
const KEPT_FOR: u32 = 16;
/// How long a batch waits for a connection before its calls are left to look for their own.
const CONNECTION: Duration = Duration::from_secs(1);

type Jobs = Vec<Box<dyn Job>>;

/// What waits to be carried out.
#[derive(Default)]
pub(crate) struct Groups(Gathering<Box<dyn Job>>);

impl Groups {
    /// Takes a call in; it is carried out, or answered with an error, whatever becomes of the caller. Must be
    /// called within a tokio runtime.
    pub(crate) fn submit(&self, inner: &Arc<Inner>, job: Box<dyn Job>) {
        if self.0.put(job, LANES) {
            tokio::spawn(lane(inner.clone()));
        }
    }

    /// What goes together next; a lane that gets nothing is over.
    fn take(&self, inner: &Arc<Inner>, done: &HashSet<AgentId>) -> Jobs {
        let is_elsewhere = |agent: &AgentId| inner.gates.is_taken(agent);
        let taken = self.0.take(done, BATCH, |job| job.agent(), is_elsewhere);
        let Taken { together, alone: behind } = taken;
        for job in behind {
            // Somebody of its agent waits for a row already: it is behind that one.
            tokio::spawn(alone(inner.clone(), job, false));
        }
        together
    }
}

/// One batch after the other, as long as there is something to do, on one connection.
async fn lane(inner: Arc<Inner>) {
    let (mut done, mut connection) = (HashSet::new(), None);
    for batch in 1_u32.. {
        let jobs = inner.groups.take(&inner, &done);
        if jobs.is_empty() {
            return;
        }
        done = jobs.iter().map(|job| job.agent().clone()).collect();
        // In a task of its own: a panic ends the batch and not the lane.
        connection = match tokio::spawn(together(inner.clone(), connection, jobs)).await {
            // Others wait for one too.
            Ok(connection) => connection.filter(|_| batch % KEPT_FOR != 0 && !inner.pool.is_closed()),
            Err(error) => {
                tracing::error!(%error, "a batch of calls ended badly");
                None
            }
        };
    }
}

/// One transaction for all; what it cannot do goes alone. Returns the connection if nothing is wrong with it.
async fn together(
    inner: Arc<Inner>,
    connection: Option<PoolConnection<Postgres>>,
    mut jobs: Jobs,
) -> Option<PoolConnection<Postgres>> {
    let connection = match connection {
        Some(connection) => Ok(connection),
        None => match timeout(CONNECTION, inner.pool.acquire()).await {
            Ok(acquired) => acquired,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        },
    };
    let (done, connection) = match connection {
        Ok(mut connection) => {
            let done = bounded(&inner, &mut connection, Locks::Free, &mut jobs, false).await;
            let is_well = done.is_ok();
            (done, Some(connection).filter(|_| is_well))
        }
        Err(error) => (Err(Stop::Database(error)), None),
    };
    answer(&inner, jobs, done);
    connection
}

fn answer(inner: &Arc<Inner>, jobs: Jobs, done: Result<Vec<Outcome>, Stop<StoreError>>) {
    match done {
        Ok(outcomes) => {
            for (job, outcome) in jobs.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Decided(effects) => {
                        effects.tell(inner, job.agent());
                        job.answer(None);
                    }
                    Outcome::Blocked => drop(tokio::spawn(alone(inner.clone(), job, false))),
                }
            }
        }
        Err(Stop::Unknown(error)) => {
            tracing::debug!(%error, calls = jobs.len(), "nobody knows whether a commit was made");
            let error = Arc::new(error);
            for job in jobs {
                // Whatever it did has to be seen; a wake-up tells nothing that would have to be true.
                inner.hub.committed(job.agent(), true);
                if job.how().repeats() {
                    tokio::spawn(alone(inner.clone(), job, true));
                } else {
                    let unknown = job.how().unknown(error.clone());
                    job.answer(Some(unknown));
                }
            }
        }
        Err(Stop::Said(_) | Stop::Database(_)) => {
            for job in jobs {
                tokio::spawn(alone(inner.clone(), job, false));
            }
        }
    }
}

/// A transaction of its own, in its agent's turn, waiting for rows, and again as long as that may help.
async fn alone(inner: Arc<Inner>, job: Box<dyn Job>, mut maybe_done_before: bool) {
    let how = job.how();
    let mut tries = Tries::until(how.what(), job.deadline());
    let agent = job.agent().clone();
    let Ok(_turn) = timeout_at(job.deadline(), inner.gates.enter(&agent)).await else {
        let busy = "calls of the same agent before it are not over";
        return job.answer(Some(StoreError::unavailable(how.what(), busy)));
    };
    let Ok(_room) = timeout_at(job.deadline(), inner.waiters.acquire()).await else {
        let busy = "too many calls before it are not over";
        return job.answer(Some(StoreError::unavailable(how.what(), busy)));
    };
    let mut jobs = vec![job];
    let failed = loop {
        let done = match inner.acquire().await {
            Ok(mut connection) => {
                bounded(&inner, &mut connection, Locks::Waited, &mut jobs, maybe_done_before).await
            }
            Err(error) => Err(Stop::Database(error)),
        };
        let error = match done {
            Ok(outcomes) => {
                for outcome in outcomes {
                    if let Outcome::Decided(effects) = outcome {
                        effects.tell(&inner, &agent);
                    }
                }
                break None;
            }
            Err(Stop::Unknown(error)) => {
                inner.hub.committed(&agent, true);
                if !how.repeats() {
                    break Some(how.unknown(error));
                }
                maybe_done_before = true;
                error
            }
            Err(Stop::Database(error)) => error,
            Err(Stop::Said(error)) => break Some(error),
        };
        if let Err(error) = tries.next_after(error).await {
            break Some(error);
        }
    };
    if let Some(job) = jobs.pop() {
        job.answer(failed);
    }
}

/// A transaction on a connection that may have gone silent: then nobody knows what became of it.
async fn bounded(
    inner: &Inner,
    connection: &mut PoolConnection<Postgres>,
    locks: Locks,
    jobs: &mut [Box<dyn Job>],
    maybe_done_before: bool,
) -> Result<Vec<Outcome>, Stop<StoreError>> {
    let done = timeout(SILENCE, transact(inner, connection, locks, jobs, maybe_done_before)).await;
    over(connection, done, Stop::Unknown)
}
