//! Named failpoints: places between the acceptance of an operation and its end at which a test kills, stops or
//! fails the process that runs it.
//!
//! They are passed by decorators of the ports, so that what is tested has no hook of its own: a [`Failpoint`]
//! wraps store, lock, bus and browser pool of a worker, and every call through them passes `NAME.before` and, once
//! it has done what it does, `NAME.after`. [`POINTS`] lists all names. One point is armed at a time, and it
//! strikes once: also over restarts of the process, since it says so in a file.

mod bus;
mod client;
mod lock;
mod points;
mod pool;
mod spec;
mod store;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use archibald_core::effect::EffectRecord;
use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, EffectName, FencingToken};
use archibald_core::lease::Lease;
use archibald_core::port::{AgentLock, BrowserPool, EventBus, OperationStore};
use nix::sys::signal::{Signal, raise};

pub use self::points::{POINTS, Point};
pub use self::spec::{Kind, Spec, SpecError};

/// How often a held point looks whether it is let go.
const LOOK: Duration = Duration::from_millis(5);

/// One armed point, and what happens there.
pub struct Failpoint {
    spec: Spec,
    file: PathBuf,
    struck: AtomicBool,
    /// Whether this process has seen anything to do for the agent.
    busy: AtomicBool,
    held: Mutex<Held>,
    lock: OnceLock<Arc<dyn AgentLock>>,
}

/// What the wrapped lock knows of the agent's lease.
#[derive(Default)]
struct Held {
    lease: Option<Lease>,
    /// Reported as lost, and not renewed any more.
    lost: Option<(AgentId, FencingToken)>,
}

/// Whether a call that passes a point may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    On,
    /// The call has to fail as if the connection were lost here.
    Cut,
}

impl Failpoint {
    /// Armed, unless `file` says that it struck before. When it strikes, the file is written with the point's
    /// name; what is held then is let go when the file is removed.
    #[must_use]
    pub fn armed(spec: Spec, file: PathBuf) -> Arc<Self> {
        let struck = AtomicBool::new(file.exists());
        let busy = AtomicBool::new(false);
        Arc::new(Self { spec, file, struck, busy, held: Mutex::default(), lock: OnceLock::new() })
    }

    /// The store behind its points.
    #[must_use]
    pub fn store(self: &Arc<Self>, inner: Arc<dyn OperationStore>) -> Arc<dyn OperationStore> {
        Arc::new(store::Pointed { inner, point: self.clone() })
    }

    /// The lock behind its points; also what takes a lease away.
    #[must_use]
    pub fn lock(self: &Arc<Self>, inner: Arc<dyn AgentLock>) -> Arc<dyn AgentLock> {
        let _ = self.lock.set(inner.clone());
        Arc::new(lock::Pointed { inner, point: self.clone() })
    }

    /// The bus with a point behind every wake-up of the worker.
    #[must_use]
    pub fn bus(self: &Arc<Self>, inner: Arc<dyn EventBus>) -> Arc<dyn EventBus> {
        Arc::new(bus::Pointed { inner, point: self.clone() })
    }

    /// The pool, its sessions, their clients, gates and guards behind their points.
    #[must_use]
    pub fn pool(self: &Arc<Self>, inner: Arc<dyn BrowserPool>) -> Arc<dyn BrowserPool> {
        Arc::new(pool::Pointed { inner, point: self.clone() })
    }

    /// Passes a point that is no call of a port. Whatever strikes, the caller goes on.
    ///
    /// # Cancel safety
    /// Cancel safe; the point has struck by then.
    pub async fn at(&self, name: &str, agent: Option<&AgentId>) {
        self.pass(name, agent).await;
    }

    /// `NAME.before`, the call, and where it succeeded `NAME.after`.
    async fn around<T, E: From<StoreError>>(
        &self,
        name: &str,
        agent: Option<&AgentId>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        self.cut_at(name, "before", agent).await?;
        let done = call.await?;
        self.cut_at(name, "after", agent).await?;
        Ok(done)
    }

    /// The same for a call that cannot be cut.
    async fn beside<T>(&self, name: &str, agent: &AgentId, call: impl Future<Output = T> + Send) -> T {
        self.at(&format!("{name}.before"), Some(agent)).await;
        let done = call.await;
        self.at(&format!("{name}.after"), Some(agent)).await;
        done
    }

    async fn cut_at(&self, name: &str, side: &str, agent: Option<&AgentId>) -> Result<(), StoreError> {
        let name = format!("{name}.{side}");
        match self.pass(&name, agent).await {
            Passage::On => Ok(()),
            Passage::Cut => Err(StoreError::unavailable(name, "the connection was lost, for a test")),
        }
    }

    async fn pass(&self, name: &str, agent: Option<&AgentId>) -> Passage {
        if !self.strikes(name, agent) {
            return Passage::On;
        }
        match self.spec.kind {
            Kind::Kill | Kind::Stop | Kind::Panic => self.strike_now(),
            Kind::Cut => return Passage::Cut,
            Kind::Hold => self.let_go().await,
            Kind::Drop => {
                self.lose();
                self.let_go().await;
            }
            Kind::Revoke => self.revoke().await,
        }
        Passage::On
    }

    /// The same where nothing can be waited for.
    fn pass_now(&self, name: &str, agent: &AgentId) {
        if matches!(self.spec.kind, Kind::Kill | Kind::Stop | Kind::Panic) && self.strikes(name, Some(agent))
        {
            self.strike_now();
        }
    }

    /// Whether this call has the point that is armed.
    fn is_of(&self, call: &str) -> bool {
        self.spec.point.name.strip_prefix(call).is_some_and(|side| side.starts_with('.'))
    }

    /// Whether this is the point, for this agent, for the first time. Says so in the file.
    fn strikes(&self, name: &str, agent: Option<&AgentId>) -> bool {
        let ours = self.is_watched(agent) && self.spec.point.name == name;
        if !ours || self.struck.swap(true, SeqCst) {
            return false;
        }
        let partial = self.file.with_extension("partial");
        let written = std::fs::write(&partial, name).and_then(|()| std::fs::rename(&partial, &self.file));
        match written {
            Ok(()) => tracing::warn!(name, kind = %self.spec.kind, "a failpoint strikes"),
            Err(error) => tracing::error!(%error, "the failpoint's file cannot be written"),
        }
        true
    }

    /// A call that is nobody's counts once there is something to do for the agent.
    fn is_watched(&self, agent: Option<&AgentId>) -> bool {
        match (agent, &self.spec.agent) {
            (Some(agent), Some(watched)) => agent == watched,
            (Some(_), None) => true,
            (None, _) => self.busy.load(SeqCst),
        }
    }

    /// The agent is held.
    fn note_lease(&self, lease: &Lease) {
        if self.is_watched(Some(&lease.agent)) {
            self.held().lease = Some(lease.clone());
        }
    }

    /// There is something to do for this agent.
    fn note_work(&self, agent: &AgentId) {
        if self.is_watched(Some(agent)) {
            self.busy.store(true, SeqCst);
        }
    }

    fn strike_now(&self) {
        match self.spec.kind {
            Kind::Kill => signal_ourselves(Signal::SIGKILL),
            Kind::Stop => signal_ourselves(Signal::SIGSTOP),
            // Unwinds as a panic does, without its report: it is no bug but the test's own doing.
            _ => std::panic::resume_unwind(Box::new("a failpoint struck")),
        }
    }

    /// Waits until somebody removes the file.
    async fn let_go(&self) {
        while self.file.exists() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// From here on the agent's lease of now counts as lost.
    fn lose(&self) {
        let mut held = self.held();
        held.lost = held.lease.as_ref().map(|lease| (lease.agent.clone(), lease.token));
    }

    /// In a task, so that it happens also where what passes is dropped because of it.
    async fn revoke(&self) {
        let agent = self.held().lease.as_ref().map(|lease| lease.agent.clone());
        let (Some(agent), Some(lock)) = (agent, self.lock.get().cloned()) else {
            tracing::error!("there is no lease to be taken away");
            return;
        };
        let revoked = tokio::spawn(async move { lock.revoke(&agent).await });
        match revoked.await {
            Ok(Ok(ticket)) => tracing::warn!(there_was_one = ticket.is_some(), "the lease is taken away"),
            error => tracing::error!(?error, "the lease could not be taken away"),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A repair passes points of its own: the effect's would have struck before it.
fn named(effect: &EffectName, of_it: &'static str, of_its_repair: &'static str) -> &'static str {
    if EffectRecord::is_repair(effect) { of_its_repair } else { of_it }
}

/// SIGKILL and SIGSTOP cannot be caught: the process is dead, or stands still until SIGCONT. Sent to this
/// thread, so that it does not go on while another one takes the signal.
fn signal_ourselves(signal: Signal) {
    if let Err(error) = raise(signal) {
        tracing::error!(%error, "the signal could not be sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(spec: &str, folder: &tempfile::TempDir) -> Arc<Failpoint> {
        Failpoint::armed(spec.parse().unwrap(), folder.path().join("struck"))
    }

    fn nancy() -> AgentId {
        AgentId::new("nancy").unwrap()
    }

    async fn call(point: &Failpoint, agent: &AgentId) -> (Result<u32, StoreError>, bool) {
        let mut done = false;
        let call = async {
            done = true;
            Ok(7)
        };
        (point.around("store.record", Some(agent), call).await, done)
    }

    #[tokio::test]
    async fn a_cut_before_leaves_the_call_undone_and_one_after_hides_its_answer() {
        for (side, was_done) in [("before", false), ("after", true)] {
            let folder = tempfile::tempdir().unwrap();
            let point = armed(&format!("store.record.{side}:cut"), &folder);
            let (answer, done) = call(&point, &nancy()).await;
            assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{side}");
            assert_eq!(done, was_done, "{side}");
            let name = std::fs::read_to_string(folder.path().join("struck")).unwrap();
            assert_eq!(name, format!("store.record.{side}"));
            assert!(matches!(call(&point, &nancy()).await, (Ok(7), true)), "only once");
            let again = armed(&format!("store.record.{side}:cut"), &folder);
            assert!(matches!(call(&again, &nancy()).await, (Ok(7), true)), "nor after a restart");
        }
    }

    #[tokio::test]
    async fn another_agent_passes() {
        let folder = tempfile::tempdir().unwrap();
        let point = armed("store.record.before:cut:anne", &folder);
        assert!(call(&point, &nancy()).await.0.is_ok());
        assert!(call(&point, &AgentId::new("anne").unwrap()).await.0.is_err());
    }

    #[tokio::test]
    async fn what_is_held_goes_on_when_the_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let point = armed("pool.acquire.before:hold", &folder);
        let nancy = nancy();
        let mut held = Box::pin(point.at("pool.acquire.before", Some(&nancy)));
        assert!(futures::poll!(held.as_mut()).is_pending());
        std::fs::remove_file(folder.path().join("struck")).unwrap();
        held.await;
    }

    #[tokio::test]
    async fn a_panic_unwinds_from_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let point = armed("page.1:panic", &folder);
        let caught =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| point.pass_now("page.1", &nancy())));
        assert!(caught.is_err());
    }
}
