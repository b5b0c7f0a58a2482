//! The connections of the lanes: of the pool once, and nobody else's since, so that a session's settings are theirs.

use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::store::{FRESH, Inner, answered};

/// How long one is looked for, and waited for when all are to be closed.
const CONNECTION: Duration = Duration::from_secs(1);
const CLOSING: Duration = Duration::from_secs(10);
/// How long one is used: what a session gathers at the server goes with it.
const OLDEST: Duration = Duration::from_secs(30 * 60);

/// A connection that a lane has.
pub(crate) struct Own {
    pub(crate) connection: PgConnection,
    /// Whether it has the settings of a session that only writes.
    pub(crate) has_session: bool,
    made: Instant,
    heard: Instant,
    /// Room for it; `None` where it is parked.
    room: Option<OwnedSemaphorePermit>,
}

impl Own {
    pub(crate) fn is_old(&self) -> bool {
        self.made.elapsed() >= OLDEST
    }
}

/// Those that no lane uses now, and room for as many as there are lanes.
pub(crate) struct Parked {
    room: Arc<Semaphore>,
    lanes: u32,
    connections: Mutex<Vec<Own>>,
}

impl Parked {
    pub(crate) fn new(lanes: u32) -> Self {
        Self { room: Arc::new(Semaphore::new(lanes as usize)), lanes, connections: Mutex::default() }
    }

    /// One that is well: a parked one, or else one of the pool's, which makes another for itself.
    pub(crate) async fn take(&self, inner: &Inner) -> Result<Own, sqlx::Error> {
        let room = self.room.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let parked = self.connections().pop();
        if let Some(mut own) = parked.filter(|own| !own.is_old() && !inner.pool.is_closed())
            && (own.heard.elapsed() < FRESH || answered(own.connection.ping()).await.is_ok())
        {
            own.room = Some(room);
            return Ok(own);
        }
        let acquired = timeout(CONNECTION, inner.pool.acquire()).await;
        let connection = acquired.map_err(|_| sqlx::Error::PoolTimedOut)??.detach();
        let now = Instant::now();
        Ok(Own { connection, has_session: false, made: now, heard: now, room: Some(room) })
    }

    /// Has the settings of a session made where there are sessions: where notifications come through, nothing is in
    /// between that lends the connection to somebody else.
    pub(crate) async fn set_up(&self, own: &mut Own, inner: &Inner) -> Result<(), sqlx::Error> {
        let Some(settings) = inner.session.clone().filter(|_| !own.has_session) else { return Ok(()) };
        if inner.hub.listening.load(Ordering::Relaxed) {
            answered(own.connection.execute(settings)).await?;
            own.has_session = true;
        }
        Ok(())
    }

    /// Keeps one on which everything is as it was.
    pub(crate) fn park(&self, mut own: Own) {
        let room = own.room.take();
        own.heard = Instant::now();
        if !self.is_closed() {
            self.connections().push(own);
        }
        // Whoever gets it finds the connection.
        drop(room);
    }

    /// Waits for those that are used, within bounds, and closes all; there are none any more.
    pub(crate) async fn close(&self) {
        // Held until nobody can get any: in between none begins.
        let _room = timeout(CLOSING, self.room.acquire_many(self.lanes)).await;
        self.room.close();
        let parked = mem::take(&mut *self.connections());
        for own in parked {
            // What cannot be told goodbye is gone.
            answered(own.connection.close()).await.ok();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Own>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
