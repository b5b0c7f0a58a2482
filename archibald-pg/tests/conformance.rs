//! The stories of every store, told by PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;

use archibald_pg::PgStore;
use archibald_testing::conformance::{Ports, StoreUnderTest};
use async_trait::async_trait;

use support::{Database, database};

struct OnPostgres {
    database: Database,
    store: Arc<PgStore>,
}

async fn fresh() -> OnPostgres {
    let database = database();
    let store = Arc::new(database.open().await);
    OnPostgres { database, store }
}

#[async_trait]
impl StoreUnderTest for OnPostgres {
    fn ports(&self) -> Ports {
        Ports::of(self.store.clone())
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Arc::new(self.database.open().await);
    }

    async fn finish(&mut self) {
        self.store.close().await;
    }
}

archibald_testing::store_conformance!(fresh);
