use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::{AgentId, FencingToken};
use archibald_core::operation::Class;
use archibald_core::port::{AcquireRequest, BrowserPool, Finish, Guard, LeaseLost};
use async_trait::async_trait;

use super::{Erp, Fate};
use crate::fake_erp::{FakeErp, SaveFault};

/// Pages after which a late save is applied: more than any probe reads, and read by [`Erp::catch_up`].
const LATE: u32 = 200;

/// The ERP in memory as one that an action is certified on.
pub struct InMemory {
    erp: Arc<FakeErp>,
    applied: fn(&FakeErp) -> Vec<String>,
}

impl InMemory {
    /// `applied` picks what was done for the action.
    #[must_use]
    pub fn new(erp: Arc<FakeErp>, applied: fn(&FakeErp) -> Vec<String>) -> Arc<Self> {
        Arc::new(Self { erp, applied })
    }
}

#[async_trait]
impl Erp for InMemory {
    fn pool(&self) -> Arc<dyn BrowserPool> {
        self.erp.clone()
    }

    fn lose_next_answer(&self, fate: Fate) {
        self.erp.fail_next_save(match fate {
            Fate::Applied => SaveFault::Lost { applied: true },
            Fate::NotApplied => SaveFault::Lost { applied: false },
            Fate::Late => SaveFault::Late { reads: LATE },
        });
    }

    /// Reads as many pages as the late save waits for.
    async fn catch_up(&self) {
        let request = AcquireRequest {
            agent: AgentId::new("somebody").expect("a valid name"),
            token: FencingToken(1),
            class: Class::Interactive,
            guard: Arc::new(Unguarded),
            wait: Duration::from_secs(5),
            trace: false,
        };
        let Ok(session) = self.erp.acquire(request).await else { return };
        for _ in 0..LATE {
            let _ = session.client().check_health().await;
        }
        session.finish(Finish::Clean).await;
    }

    fn applied(&self) -> Vec<String> {
        (self.applied)(&self.erp)
    }
}

/// A reader without a lease.
struct Unguarded;

impl Guard for Unguarded {
    fn check(&self) -> Result<Duration, LeaseLost> {
        Ok(Duration::from_secs(60))
    }
}
