//! Calls that come together are carried out together.
//!
//! A call that comes alone goes at once. While transactions run the others gather, and the next one takes
//! them all: one of each agent, since an agent's calls follow one another. A call whose rows somebody else
//! has locked is taken out and waits by itself, so that nobody waits for another agent's trouble.

use std::collections::HashSet;
use std::sync::Arc;

use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use tokio::time::{timeout, timeout_at};

use crate::batch::{Locks, Looked, Outcome, fits, transact};
use crate::call::Job;
use crate::gathering::{Gathering, Taken};
use crate::own::{Own, Parked};
use crate::store::Inner;
use crate::tx::{Effects, SILENCE, Stop, Tries, gone_silent, leaves_it_well, over};

/// Transactions that run together: while one waits for the disk the other works.
const LANES: usize = 2;
/// Calls that share a transaction at most.
const BATCH: usize = 256;

type Jobs = Vec<Box<dyn Job>>;

/// What waits to be carried out.
pub(crate) struct Groups {
    waiting: Gathering<Box<dyn Job>>,
    pub(crate) parked: Parked,
}

impl Default for Groups {
    fn default() -> Self {
        Self { waiting: Gathering::default(), parked: Parked::new(LANES as u32) }
    }
}

impl Groups {
    /// Takes a call in; it is carried out, or answered with an error, whatever becomes of the caller. Must be
    /// called within a tokio runtime.
    pub(crate) fn submit(&self, inner: &Arc<Inner>, job: Box<dyn Job>) {
        if self.waiting.put(job, LANES) {
            tokio::spawn(lane(inner.clone()));
        }
    }

    /// What goes together next; a lane that gets nothing is over.
    fn take(&self, inner: &Arc<Inner>, done: &HashSet<AgentId>) -> Jobs {
        let is_elsewhere = |agent: &AgentId| inner.gates.is_taken(agent);
        let taken = self.waiting.take(done, BATCH, |job| job.agent(), is_elsewhere);
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
    let (mut done, mut own) = (HashSet::new(), None);
    loop {
        let jobs = inner.groups.take(&inner, &done);
        if jobs.is_empty() {
            break;
        }
        done = jobs.iter().map(|job| job.agent().clone()).collect();
        // In a task of its own: a panic ends the batch and not the lane.
        own = tokio::spawn(together(inner.clone(), own, jobs)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a batch of calls ended badly");
            None
        });
    }
    if let Some(own) = own {
        inner.groups.parked.park(own);
    }
}

/// What can be is decided from a look, the rest in a transaction for all of it, and what that cannot do goes alone.
/// Returns the connection if nothing is wrong with it.
async fn together(inner: Arc<Inner>, own: Option<Own>, jobs: Jobs) -> Option<Own> {
    let mut own = match on_the_way(&inner, own).await {
        Ok(own) => own,
        Err(error) => {
            answer(&inner, jobs, Err(Stop::Database(error)));
            return None;
        }
    };
    let (mut fit, mut rest): (Jobs, Jobs) =
        jobs.into_iter().partition(|job| own.has_session && fits(&job.needs()));
    let mut is_well = true;
    if !fit.is_empty() {
        match without_locks(&inner, &mut own, &mut fit).await {
            Ok(done) => {
                for (job, done) in fit.into_iter().zip(done) {
                    match done {
                        Some(effects) => tell(&inner, job, &effects),
                        None => rest.push(job),
                    }
                }
            }
            Err(stop) => {
                is_well = leaves_it_well(&stop);
                answer(&inner, fit, Err(stop));
            }
        }
    }
    if is_well && !rest.is_empty() {
        let work = transact(&inner, &mut own.connection, Locks::Free, &mut rest, false);
        let done = timeout(SILENCE, work).await.unwrap_or_else(|_| Err(Stop::Unknown(gone_silent())));
        is_well = done.as_ref().err().is_none_or(leaves_it_well);
        answer(&inner, rest, done);
    } else {
        rest.into_iter().for_each(|job| drop(tokio::spawn(alone(inner.clone(), job, false))));
    }
    Some(own).filter(|_| is_well)
}

/// The lane's connection, or another one where that is too old or there is none.
async fn on_the_way(inner: &Inner, own: Option<Own>) -> Result<Own, sqlx::Error> {
    let parked = &inner.groups.parked;
    let mut own = match own.filter(|own| !own.is_old() && !inner.pool.is_closed()) {
        Some(own) => own,
        None => parked.take(inner).await?,
    };
    parked.set_up(&mut own, inner).await?;
    Ok(own)
}

/// See [`Looked`]. A look that fails has done nothing; what became of a write that fails nobody knows.
async fn without_locks(
    inner: &Inner,
    own: &mut Own,
    jobs: &mut Jobs,
) -> Result<Vec<Option<Effects>>, Stop<StoreError>> {
    let looked = timeout(SILENCE, Looked::at(&inner.sql, &mut own.connection, jobs)).await;
    let looked = looked.unwrap_or_else(|_| Err(Stop::Database(gone_silent())))?;
    let written = timeout(SILENCE, looked.write(&inner.sql, &mut own.connection)).await;
    written.unwrap_or_else(|_| Err(Stop::Unknown(gone_silent())))
}

fn tell(inner: &Inner, job: Box<dyn Job>, effects: &Effects) {
    effects.tell(inner, job.agent());
    job.answer(None);
}

fn answer(inner: &Arc<Inner>, jobs: Jobs, done: Result<Vec<Outcome>, Stop<StoreError>>) {
    match done {
        Ok(outcomes) => {
            for (job, outcome) in jobs.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Decided(effects) => tell(inner, job, &effects),
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
                let work = transact(&inner, &mut connection, Locks::Waited, &mut jobs, maybe_done_before);
                let done = timeout(SILENCE, work).await;
                over(&mut connection, done, Stop::Unknown)
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
