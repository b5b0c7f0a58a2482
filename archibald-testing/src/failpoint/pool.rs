use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::port::{
    AcquireError, AcquireRequest, BrowserPool, Guard, LeaseLost, PoolOccupancy, SessionLease,
};
use async_trait::async_trait;

use super::Failpoint;
use super::client::PointedSession;

pub(super) struct Pointed {
    pub(super) inner: Arc<dyn BrowserPool>,
    pub(super) point: Arc<Failpoint>,
}

/// Counts the commands to the pages of one session: all, and those after the intent.
pub(super) struct PointedGuard {
    inner: Arc<dyn Guard>,
    point: Arc<Failpoint>,
    agent: AgentId,
    commands: AtomicU32,
    /// After the intent.
    typed: AtomicU32,
    /// By what name these are known, once there is an intent: an attempt has one at most.
    act: OnceLock<&'static str>,
}

#[async_trait]
impl BrowserPool for Pointed {
    async fn acquire(&self, request: AcquireRequest) -> Result<Box<dyn SessionLease>, AcquireError> {
        let (agent, point) = (request.agent.clone(), self.point.clone());
        let guard = Arc::new(PointedGuard {
            inner: request.guard.clone(),
            point: point.clone(),
            agent: agent.clone(),
            commands: AtomicU32::new(0),
            typed: AtomicU32::new(0),
            act: OnceLock::new(),
        });
        let request = AcquireRequest { guard: guard.clone(), ..request };
        let inner = point.beside("pool.acquire", &agent, self.inner.acquire(request)).await?;
        Ok(Box::new(PointedSession { inner, guard, point, agent }))
    }

    fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    fn occupancy(&self) -> PoolOccupancy {
        self.inner.occupancy()
    }

    async fn picture(&self, agent: &AgentId) -> Option<Arc<[u8]>> {
        self.inner.picture(agent).await
    }

    fn has_pictures(&self) -> bool {
        self.inner.has_pictures()
    }

    async fn end(&self, agent: &AgentId) {
        self.inner.end(agent).await;
    }

    async fn shutdown(&self, grace: Duration) {
        self.inner.shutdown(grace).await;
    }
}

impl PointedGuard {
    /// From here on commands count as those of the act, by this name.
    pub(super) fn act(&self, name: &'static str) {
        let _ = self.act.set(name);
    }
}

impl Guard for PointedGuard {
    fn check(&self) -> Result<Duration, LeaseLost> {
        let number = self.commands.fetch_add(1, SeqCst) + 1;
        self.point.pass_now(&format!("page.{number}"), &self.agent);
        if let Some(name) = self.act.get() {
            let number = self.typed.fetch_add(1, SeqCst) + 1;
            self.point.pass_now(&format!("{name}.{number}"), &self.agent);
        }
        self.inner.check()
    }

    fn should_yield(&self) -> bool {
        self.inner.should_yield()
    }

    fn filling_line(&self, line: usize, of: usize) {
        self.inner.filling_line(line, of);
    }

    fn filled_in(&self, lines: usize) {
        self.inner.filled_in(lines);
    }
}
