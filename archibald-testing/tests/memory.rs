//! The stories of every store, told by the one in memory.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use archibald_testing::clock::ManualClock;
use archibald_testing::conformance::{Ports, StoreUnderTest};
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;

struct InMemory {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

async fn fresh() -> InMemory {
    let clock = Arc::new(ManualClock::default());
    InMemory { store: Arc::new(MemoryStore::new(clock.clone())), clock }
}

#[async_trait]
impl StoreUnderTest for InMemory {
    fn ports(&self) -> Ports {
        Ports::of(self.store.clone())
    }

    async fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
    }
}

archibald_testing::store_conformance!(fresh);
