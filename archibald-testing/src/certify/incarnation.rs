use std::sync::Arc;
use std::time::Duration;

use archibald_core::error::EnqueueError;
use archibald_core::id::OperationId;
use archibald_core::port::{EnqueueRequest, Operations};
use tokio::runtime::{Builder, Handle, Runtime};

use super::{Ports, Subject};

/// How long a client waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(1);

/// One life of the process: a runtime of its own, so that a crash takes all its tasks wherever they are.
pub(super) struct Incarnation {
    runtime: Option<Runtime>,
    door: Arc<dyn Operations>,
}

/// How a client reaches it.
#[derive(Clone)]
pub(super) struct Door {
    handle: Handle,
    door: Arc<dyn Operations>,
}

impl Incarnation {
    pub(super) async fn start(subject: Arc<dyn Subject>, ports: Ports) -> Result<Self, String> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let started = runtime.spawn(async move { subject.start(ports) }).await;
        match started {
            Ok(door) => Ok(Self { runtime: Some(runtime), door }),
            Err(error) => {
                runtime.shutdown_background();
                Err(format!("the product could not be put together: {error}"))
            }
        }
    }

    pub(super) fn door(&self) -> Option<Door> {
        let handle = self.runtime.as_ref()?.handle().clone();
        Some(Door { handle, door: self.door.clone() })
    }

    /// Nothing of it does anything any more when this returns.
    pub(super) async fn crash(mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let _ = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await;
    }
}

impl Drop for Incarnation {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Door {
    pub(super) fn operations(&self) -> &dyn Operations {
        self.door.as_ref()
    }

    /// One request, as from a device: `None` when there was no answer.
    ///
    /// # Cancel safety
    /// The request goes with it, as when a device goes away.
    pub(super) async fn ask(&self, request: EnqueueRequest) -> Option<Result<OperationId, EnqueueError>> {
        let door = self.door.clone();
        let mut asked = self.handle.spawn(async move { door.enqueue(request).await });
        match tokio::time::timeout(PATIENCE, &mut asked).await {
            Ok(answer) => Some(answer.ok()?.map(|enqueued| enqueued.record.operation.id)),
            Err(_) => {
                asked.abort();
                None
            }
        }
    }
}
