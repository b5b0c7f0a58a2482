use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use archibald_core::error::StoreError;
use archibald_core::port::Clock;
use archibald_core::time::Timestamp;

use crate::hub::Hub;
use crate::open::{self, OpenError};
use crate::read::Reader;
use crate::tx::Tx;
use crate::writer::Writer;

/// When a commit is acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk: it survives a power cut.
    #[default]
    Full,
    /// When the system has it: it survives a crash of the process, and a power cut may take the last
    /// seconds with it. For measurements, never for orders.
    ProcessCrash,
}

/// How a store is opened.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The clock of leases and events; the machine's by default.
    pub clock: Arc<dyn Clock>,
    /// When a commit is acknowledged.
    pub durability: Durability,
    /// Connections that read, at least 1. More readers than this wait for each other.
    pub readers: u32,
    /// Whether to look through the whole file for damage before it is used: a second or so a gigabyte.
    pub verify: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { clock: Arc::new(WallClock), durability: Durability::Full, readers: 4, verify: true }
    }
}

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// Operations, locks and events in one SQLite file, for one process.
pub struct SqliteStore {
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
    pub(crate) hub: Arc<Hub>,
}

impl SqliteStore {
    /// Opens the file, or makes it, and recovers: whatever ran when the last process ended is available
    /// again, with the step that its journal gives.
    ///
    /// # Errors
    /// [`OpenError`] names the file and what is wrong with it.
    ///
    /// # Cancel safety
    /// Cancel safe: a dropped call leaves a file that opens, as soon as what it had begun is over.
    pub async fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        open::open(path.as_ref().to_owned(), options).await
    }

    /// Finishes what was asked for, ends all wake-ups and lets go of the file. Later calls are refused as
    /// unavailable.
    ///
    /// # Cancel safety
    /// A dropped call may have closed it; calling it again waits for the end.
    pub async fn close(&self) {
        self.hub.close();
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Why the store accepts no writes any more, if a commit failed: what it holds in memory may differ
    /// from what is on disk, so the process has to open it anew.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.writer.failure()
    }

    /// Commits since it was opened: fewer than writes where callers shared one.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Runs a change in the writer's next transaction and answers after its commit.
    ///
    /// A dropped call changes nothing in the outcome: what was handed over is done.
    pub(crate) async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Tx) -> Result<T, E> + Send + 'static,
    {
        self.writer.write(change).await
    }
}
