//! The connections of the lanes: of the pool once, and nobody else's since, so that a session's settings are theirs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection, PgPool, SqlStr};
use tokio::time::timeout;

use crate::store::{FRESH, answered};

/// How long one is looked for.
const CONNECTION: Duration = Duration::from_secs(1);
/// How long one is used: what a session gathers at the server goes with it.
const OLDEST: Duration = Duration::from_secs(30 * 60);

/// A connection, and when it was made and last heard of.
pub(crate) struct Own {
    pub(crate) connection: PgConnection,
    made: Instant,
    heard: Instant,
}

/// Those that no lane uses now.
#[derive(Default)]
pub(crate) struct Parked(Mutex<State>);

#[derive(Default)]
struct State {
    connections: Vec<Own>,
    is_closed: bool,
}

impl Parked {
    /// One that is well: a parked one, or else one of the pool's, which makes another for itself.
    pub(crate) async fn take(&self, pool: &PgPool, settings: Option<&SqlStr>) -> Result<Own, sqlx::Error> {
        let parked = self.with(|state| state.connections.pop());
        if let Some(mut own) = parked.filter(|own| own.made.elapsed() < OLDEST && !pool.is_closed())
            && (own.heard.elapsed() < FRESH || answered(own.connection.ping()).await.is_ok())
        {
            return Ok(own);
        }
        let acquired = timeout(CONNECTION, pool.acquire()).await;
        let mut connection = acquired.map_err(|_| sqlx::Error::PoolTimedOut)??.detach();
        if let Some(settings) = settings {
            answered(connection.execute(settings.clone())).await?;
        }
        let now = Instant::now();
        Ok(Own { connection, made: now, heard: now })
    }

    /// Keeps one on which everything is as it was.
    pub(crate) fn park(&self, own: Own) {
        let own = Own { heard: Instant::now(), ..own };
        self.with(|state| {
            if !state.is_closed {
                state.connections.push(own);
            }
        });
    }

    /// Closes those that nobody uses, and has the others closed when they come back.
    pub(crate) async fn close(&self) {
        let parked = self.with(|state| {
            state.is_closed = true;
            std::mem::take(&mut state.connections)
        });
        for own in parked {
            // What cannot be told goodbye is gone.
            answered(own.connection.close()).await.ok();
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
