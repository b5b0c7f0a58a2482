//! Wake-ups within the process, given after the commit, and progress, which is never stored.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError, Weak};

use archibald_core::event::Progress;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::port::{BusClosed, Wakeups, WorkerWake, WorkerWakeups};
use archibald_core::time::Timestamp;
use archibald_core::worker::{Heartbeat, LiveWorker, Roster};
use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use crate::effects::Effects;
use crate::sync::{Mutex, MutexGuard};

/// A worker with more agents waiting for it than this is told to read everything.
pub(crate) const WORKER_BACKLOG: usize = 10_000;

/// Who waits for changes, and what running operations said last.
#[derive(Default)]
pub(crate) struct Hub {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    closed: bool,
    devices: HashMap<AgentId, watch::Sender<()>>,
    workers: Vec<Weak<WorkerQueue>>,
    roster: Roster,
    running: BTreeMap<OperationId, (AgentId, Option<Progress>)>,
}

impl Hub {
    /// Wakes whom a commit concerns.
    pub(crate) fn tell(&self, effects: Effects) {
        let mut inner = self.lock();
        for (operation, agent) in effects.running {
            match agent {
                Some(agent) => drop(inner.running.insert(operation, (agent, None))),
                None => drop(inner.running.remove(&operation)),
            }
        }
        if effects.new_epoch.is_some() {
            inner.devices.values().for_each(|device| device.send_replace(()));
        }
        effects.devices.iter().for_each(|agent| inner.wake_device(agent));
        inner.workers.retain(|worker| worker.strong_count() > 0);
        for worker in inner.workers.iter().filter_map(Weak::upgrade) {
            effects.workers.iter().for_each(|agent| worker.push(agent));
            worker.lock().survey |= effects.survey;
            worker.notify.notify_one();
        }
    }

    /// Takes a worker's heartbeat in: those who are alive.
    pub(crate) fn hear(&self, beat: Option<&Heartbeat>, now: Timestamp) -> Vec<LiveWorker> {
        let (workers, is_news) = self.lock().roster.hear(beat, now);
        if is_news {
            self.tell(Effects { survey: true, ..Effects::default() });
        }
        workers
    }

    pub(crate) fn device(&self, agent: &AgentId) -> DeviceWakes {
        let mut inner = self.lock();
        if inner.closed {
            return DeviceWakes(watch::channel(()).1);
        }
        let device = inner.devices.entry(agent.clone()).or_insert_with(|| watch::channel(()).0);
        DeviceWakes(device.subscribe())
    }

    pub(crate) fn worker(&self) -> WorkerWakes {
        let queue = Arc::new(WorkerQueue::default());
        let mut inner = self.lock();
        queue.lock().closed = inner.closed;
        inner.workers.push(Arc::downgrade(&queue));
        WorkerWakes(queue)
    }

    pub(crate) fn publish(&self, progress: Progress) {
        let mut inner = self.lock();
        let agent = progress.agent.clone();
        match inner.running.get_mut(&progress.operation) {
            Some((owner, latest)) if *owner == agent => *latest = Some(progress),
            _ => return,
        }
        inner.wake_device(&agent);
    }

    pub(crate) fn progress(&self, agent: &AgentId) -> Vec<Progress> {
        let inner = self.lock();
        let mine = inner.running.values().filter(|(owner, _)| owner == agent);
        mine.filter_map(|(_, progress)| progress.clone()).collect()
    }

    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.devices.clear();
        for worker in inner.workers.drain(..).filter_map(|worker| worker.upgrade()) {
            worker.lock().closed = true;
            worker.notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn wake_device(&mut self, agent: &AgentId) {
        let Some(device) = self.devices.get(agent) else { return };
        device.send_replace(());
        if device.receiver_count() == 0 {
            self.devices.remove(agent);
        }
    }
}

pub(crate) struct DeviceWakes(watch::Receiver<()>);

#[async_trait]
impl Wakeups for DeviceWakes {
    async fn changed(&mut self) -> Result<(), BusClosed> {
        self.0.changed().await.map_err(|_| BusClosed)
    }
}

/// Agents in the order in which they were first told of, each once, however often.
#[derive(Default)]
struct WorkerQueue {
    told: Mutex<Told>,
    notify: Notify,
}

#[derive(Default)]
struct Told {
    closed: bool,
    lost: bool,
    survey: bool,
    order: VecDeque<AgentId>,
    known: HashSet<AgentId>,
}

impl WorkerQueue {
    fn push(&self, agent: &AgentId) {
        let mut told = self.lock();
        if told.lost || !told.known.insert(agent.clone()) {
            return;
        }
        told.order.push_back(agent.clone());
        if told.order.len() > WORKER_BACKLOG {
            told.order.clear();
            told.known.clear();
            told.lost = true;
        }
    }

    fn pop(&self) -> Option<Result<WorkerWake, BusClosed>> {
        let mut told = self.lock();
        if std::mem::take(&mut told.lost) {
            return Some(Ok(WorkerWake::Lost));
        }
        if std::mem::take(&mut told.survey) {
            return Some(Ok(WorkerWake::Survey));
        }
        if let Some(agent) = told.order.pop_front() {
            told.known.remove(&agent);
            return Some(Ok(WorkerWake::Agent(agent)));
        }
        told.closed.then_some(Err(BusClosed))
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct WorkerWakes(Arc<WorkerQueue>);

#[async_trait]
impl WorkerWakeups for WorkerWakes {
    async fn next(&mut self) -> Result<WorkerWake, BusClosed> {
        loop {
            if let Some(wake) = self.0.pop() {
                return wake;
            }
            self.0.notify.notified().await;
        }
    }
}
