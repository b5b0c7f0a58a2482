use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;

use archibald_core::event::Progress;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::port::{BusClosed, Wakeups, WorkerWake, WorkerWakeups};
use async_trait::async_trait;
use tokio::sync::{Notify, broadcast, watch};
use uuid::Uuid;

use crate::sync::{Mutex, MutexGuard};

/// A worker that is further behind than this is told to read everything.
const WORKER_BACKLOG: usize = 4096;

/// Who waits for changes in this process, and what the other processes have still to be told.
pub(crate) struct Hub {
    /// Tells this process's own notifications from the others'.
    pub(crate) id: Uuid,
    state: Mutex<State>,
    /// There is something to tell the other processes.
    pub(crate) untold: Notify,
    /// What other processes tell is heard.
    pub(crate) listening: AtomicBool,
    /// A heartbeat was told since anything was heard.
    pub(crate) unheard: AtomicBool,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            id: Uuid::now_v7(),
            state: Mutex::default(),
            untold: Notify::new(),
            listening: AtomicBool::new(false),
            unheard: AtomicBool::new(false),
        }
    }
}

#[derive(Default)]
struct State {
    is_closed: bool,
    devices: HashMap<AgentId, watch::Sender<()>>,
    workers: Option<broadcast::Sender<WorkerWake>>,
    news: News,
    progress: HashMap<AgentId, Running>,
}

/// What this process runs for an agent, and the last word about it.
struct Running {
    operation: OperationId,
    latest: Option<Progress>,
}

/// What other processes have to be told: for each agent whether workers are to wake too; and whether
/// everybody is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) agents: BTreeMap<AgentId, bool>,
    pub(crate) everybody: bool,
    /// What every survey tells has changed.
    pub(crate) survey: bool,
}

/// Who has to be looked after when notifications may get lost.
pub(crate) struct Subscribed {
    pub(crate) devices: Vec<AgentId>,
    pub(crate) workers: bool,
}

impl Hub {
    /// This process committed something of the agent: here it is known at once, elsewhere soon.
    pub(crate) fn committed(&self, agent: &AgentId, workers: bool) {
        self.wake(agent, workers);
        *self.lock().news.agents.entry(agent.clone()).or_default() |= workers;
        self.untold.notify_one();
    }

    /// This process committed something of everybody.
    pub(crate) fn committed_everything(&self) {
        self.wake_everybody();
        self.lock().news.everybody = true;
        self.untold.notify_one();
    }

    /// This process paused or resumed something, or works now, or drains, as far as it knows.
    pub(crate) fn committed_survey(&self) {
        self.wake_for_survey();
        self.lock().news.survey = true;
        self.untold.notify_one();
    }

    /// What every survey tells has changed, here or elsewhere.
    pub(crate) fn wake_for_survey(&self) {
        self.lock().wake_workers(WorkerWake::Survey);
    }

    /// What has not been told yet; the caller tells it or puts it back.
    pub(crate) fn take_news(&self) -> News {
        mem::take(&mut self.lock().news)
    }

    /// It could not be told.
    pub(crate) fn put_back(&self, news: News) {
        let mut state = self.lock();
        state.news.everybody |= news.everybody;
        state.news.survey |= news.survey;
        for (agent, workers) in news.agents {
            *state.news.agents.entry(agent).or_default() |= workers;
        }
    }

    /// Something of the agent was committed, here or elsewhere.
    pub(crate) fn wake(&self, agent: &AgentId, workers: bool) {
        let mut state = self.lock();
        state.wake_devices(agent);
        if workers {
            state.wake_workers(WorkerWake::Agent(agent.clone()));
        }
    }

    /// Wake-ups may have been lost.
    pub(crate) fn wake_everybody(&self) {
        let mut state = self.lock();
        state.devices.retain(|_, device| device.receiver_count() > 0);
        state.devices.values().for_each(|device| {
            device.send_replace(());
        });
        state.wake_workers(WorkerWake::Lost);
    }

    pub(crate) fn subscribed(&self) -> Subscribed {
        let mut state = self.lock();
        state.devices.retain(|_, device| device.receiver_count() > 0);
        let workers = state.workers.as_ref().is_some_and(|workers| workers.receiver_count() > 0);
        Subscribed { devices: state.devices.keys().cloned().collect(), workers }
    }

    pub(crate) fn device(&self, agent: &AgentId) -> DeviceWakes {
        let mut state = self.lock();
        if state.is_closed {
            return DeviceWakes(watch::channel(()).1);
        }
        let sender = state.devices.entry(agent.clone()).or_insert_with(|| watch::channel(()).0);
        DeviceWakes(sender.subscribe())
    }

    pub(crate) fn worker(&self) -> WorkerWakes {
        let mut state = self.lock();
        if state.is_closed {
            return WorkerWakes(broadcast::channel(1).1);
        }
        WorkerWakes(state.workers.get_or_insert_with(|| broadcast::channel(WORKER_BACKLOG).0).subscribe())
    }

    /// All subscriptions end.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.devices.clear();
        state.workers = None;
    }

    /// This process runs it from now on.
    pub(crate) fn started(&self, agent: &AgentId, operation: OperationId) {
        self.lock().progress.insert(agent.clone(), Running { operation, latest: None });
    }

    /// It does not run any more.
    pub(crate) fn ended(&self, agent: &AgentId, operation: OperationId) {
        let mut state = self.lock();
        if state.progress.get(agent).is_some_and(|running| running.operation == operation) {
            state.progress.remove(agent);
        }
    }

    pub(crate) fn publish(&self, progress: Progress) {
        let mut state = self.lock();
        let agent = progress.agent.clone();
        let running = state.progress.get_mut(&agent);
        let Some(running) = running.filter(|running| running.operation == progress.operation) else { return };
        running.latest = Some(progress);
        state.wake_devices(&agent);
    }

    pub(crate) fn progress(&self, agent: &AgentId) -> Vec<Progress> {
        let latest = |running: &Running| running.latest.clone();
        self.lock().progress.get(agent).and_then(latest).into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_devices(&mut self, agent: &AgentId) {
        let Some(device) = self.devices.get(agent) else { return };
        if device.receiver_count() == 0 {
            self.devices.remove(agent);
        } else {
            device.send_replace(());
        }
    }

    fn wake_workers(&self, wake: WorkerWake) {
        if let Some(workers) = &self.workers {
            // Without workers nobody needs to know.
            workers.send(wake).ok();
        }
    }
}

/// See [`Hub::device`].
pub(crate) struct DeviceWakes(watch::Receiver<()>);

#[async_trait]
impl Wakeups for DeviceWakes {
    async fn changed(&mut self) -> Result<(), BusClosed> {
        self.0.changed().await.map_err(|_| BusClosed)
    }
}

/// See [`Hub::worker`].
pub(crate) struct WorkerWakes(broadcast::Receiver<WorkerWake>);

#[async_trait]
impl WorkerWakeups for WorkerWakes {
    async fn next(&mut self) -> Result<WorkerWake, BusClosed> {
        match self.0.recv().await {
            Ok(wake) => Ok(wake),
            Err(broadcast::error::RecvError::Lagged(_)) => Ok(WorkerWake::Lost),
            Err(broadcast::error::RecvError::Closed) => Err(BusClosed),
        }
    }
}
