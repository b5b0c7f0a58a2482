//! A store in a folder of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use archibald_sqlite::{SqliteOptions, SqliteStore};
use archibald_testing::clock::ManualClock;
use archibald_testing::conformance::{Ports, StoreUnderTest};
use async_trait::async_trait;
use tempfile::TempDir;

pub(crate) struct OnDisk {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<SqliteStore>,
}

pub(crate) async fn fresh() -> OnDisk {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let store = open(folder.path().join("archibald.db"), clock.clone()).await;
    OnDisk { folder, clock, store }
}

async fn open(path: PathBuf, clock: Arc<ManualClock>) -> Arc<SqliteStore> {
    let options = SqliteOptions { clock, ..SqliteOptions::default() };
    Arc::new(SqliteStore::open(path, options).await.unwrap())
}

impl OnDisk {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("archibald.db")
    }
}

#[async_trait]
impl StoreUnderTest for OnDisk {
    fn ports(&self) -> Ports {
        Ports::of(self.store.clone())
    }

    async fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(self.path(), self.clock.clone()).await;
    }

    async fn finish(&mut self) {
        self.store.close().await;
    }
}
