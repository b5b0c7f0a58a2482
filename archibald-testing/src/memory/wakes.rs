use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use archibald_core::id::AgentId;
use archibald_core::port::{BusClosed, Wakeups, WorkerWake, WorkerWakeups};
use async_trait::async_trait;
use tokio::sync::{broadcast, watch};

use super::Wake;

/// A worker that is further behind than this is told to read everything.
const WORKER_BACKLOG: usize = 4096;

/// Who waits for changes.
pub(super) struct Wakes {
    devices: Mutex<HashMap<AgentId, watch::Sender<()>>>,
    workers: broadcast::Sender<WorkerWake>,
}

impl Default for Wakes {
    fn default() -> Self {
        Self { devices: Mutex::default(), workers: broadcast::channel(WORKER_BACKLOG).0 }
    }
}

impl Wakes {
    pub(super) fn tell(&self, agent: &AgentId, wake: Wake) {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = devices.get(agent) {
            device.send_replace(());
            if device.receiver_count() == 0 {
                devices.remove(agent);
            }
        }
        if wake.workers {
            // Without workers nobody needs to know.
            self.workers.send(WorkerWake::Agent(agent.clone())).ok();
        }
    }

    pub(super) fn tell_of_pauses(&self) {
        self.workers.send(WorkerWake::Pauses).ok();
    }

    pub(super) fn device(&self, agent: &AgentId) -> DeviceWakes {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = devices.entry(agent.clone()).or_insert_with(|| watch::channel(()).0);
        DeviceWakes(sender.subscribe())
    }

    pub(super) fn worker(&self) -> WorkerWakes {
        WorkerWakes(self.workers.subscribe())
    }
}

pub(super) struct DeviceWakes(watch::Receiver<()>);

#[async_trait]
impl Wakeups for DeviceWakes {
    async fn changed(&mut self) -> Result<(), BusClosed> {
        self.0.changed().await.map_err(|_| BusClosed)
    }
}

pub(super) struct WorkerWakes(broadcast::Receiver<WorkerWake>);

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
