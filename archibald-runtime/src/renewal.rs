use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use archibald_core::id::{AgentId, FencingToken};
use archibald_core::port::AgentLock;
use tokio_util::sync::CancellationToken;

use crate::calm::calm;
use crate::guard::LeaseGuard;
use crate::sync::{Instant, Mutex, MutexGuard};

/// The leases that this worker holds.
#[derive(Default)]
pub(crate) struct Holdings {
    held: Mutex<BTreeMap<(AgentId, FencingToken), Arc<LeaseGuard>>>,
}

impl Holdings {
    pub(crate) fn add(&self, guard: &Arc<LeaseGuard>) {
        self.held().insert(key(guard), guard.clone());
    }

    pub(crate) fn remove(&self, guard: &LeaseGuard) {
        self.held().remove(&(guard.lease.agent.clone(), guard.lease.token));
    }

    pub(crate) fn has(&self, agent: &AgentId, token: FencingToken) -> bool {
        self.held().contains_key(&(agent.clone(), token))
    }

    fn all(&self) -> Vec<Arc<LeaseGuard>> {
        self.held().values().cloned().collect()
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(AgentId, FencingToken), Arc<LeaseGuard>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(guard: &LeaseGuard) -> (AgentId, FencingToken) {
    (guard.lease.agent.clone(), guard.lease.token)
}

/// Renews everything that is held, in one statement every `period`, until `stop`.
pub(crate) async fn renew(
    lock: Arc<dyn AgentLock>,
    holdings: Arc<Holdings>,
    period: Duration,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => renew_once(lock.as_ref(), &holdings).await,
            () = stop.cancelled() => return,
        }
    }
}

/// One statement for all that is held.
pub(crate) async fn renew_once(lock: &dyn AgentLock, holdings: &Holdings) {
    let guards = holdings.all();
    if guards.is_empty() {
        return;
    }
    let leases: Vec<_> = guards.iter().map(|guard| guard.lease.clone()).collect();
    let asked = Instant::now();
    match calm("renewing leases", lock.renew(&leases)).await {
        Ok(survivors) => {
            for guard in guards {
                if survivors.contains(&key(&guard)) { guard.extend(asked) } else { guard.lose() }
            }
        }
        // Nothing is known; each holder stops by its own clock if this goes on.
        Err(error) => tracing::warn!(%error, "the leases could not be renewed"),
    }
}
