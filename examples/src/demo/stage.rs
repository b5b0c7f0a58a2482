//! What a person sees and does while the demo runs: one page that shows both sides, what the devices were told
//! and what the ERP's ledger says, with buttons that make things go wrong.
//!
//! The page and its controls belong to the demo alone. They listen on 127.0.0.1 and ask for a token of the run.

mod books;
mod faults;
mod orders;
mod page;
mod scene;

use std::sync::{Arc, Mutex, PoisonError};

use archibald_testing::erp::ErpControl;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub(super) use self::faults::Director;
pub(super) use self::scene::{DESK, Links, PHONE, Scene, TABLET};
use super::api::Api;
use super::data::Workload;
use super::devices::{Heard, Listener};
use super::error::DemoError;
use super::submit::Submitted;

/// What devices may be ahead of the scene.
const HEARD: usize = 1_000;

/// The scene that everything changes and the page follows. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    scene: Arc<Mutex<Scene>>,
    changed: watch::Sender<()>,
}

/// What only the owner of the processes can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Kill -9 of the worker between click and answer, and start it again.
    Kill,
}

/// What the page's controls act on.
#[derive(Debug, Clone)]
pub(super) struct Props {
    pub(super) stage: Stage,
    pub(super) api: Api,
    pub(super) control: ErpControl,
    pub(super) workload: Arc<Workload>,
    pub(super) submitted: Arc<Submitted>,
    /// Put before the keys of orders, so that they are of this run.
    pub(super) prefix: String,
    pub(super) latency_ms: u64,
    /// What the ERP does wrong by chance, besides.
    pub(super) faults: String,
}

impl Stage {
    pub(super) fn new(scene: Scene) -> Self {
        Self { scene: Arc::new(Mutex::new(scene)), changed: watch::Sender::default() }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Scene) -> T) -> T {
        look(&self.scene.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Scene) -> T) -> T {
        let answer = change(&mut self.scene.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
        answer
    }
}

/// Opens the page and keeps the scene true, in tasks of `tasks`; commands come out at the other end. What devices
/// hear goes in by the answered sender.
///
/// # Errors
/// [`DemoError::Io`] when the port cannot be had.
pub(super) async fn open(
    tasks: &mut JoinSet<()>,
    props: &Props,
    port: u16,
    token: String,
) -> Result<(mpsc::Sender<Heard>, mpsc::Receiver<Command>), DemoError> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.map_err(DemoError::io(format!("port {port} for the demo's page")))?;
    // One at a time, as the scene has it.
    let (ask, commands) = mpsc::channel(1);
    let (tell, mut heard) = mpsc::channel(HEARD);
    tasks.spawn(page::serve(listener, props.clone(), ask, token));
    tasks.spawn(books::keep(props.clone()));
    let stage = props.stage.clone();
    tasks.spawn(async move {
        while let Some(heard) = heard.recv().await {
            stage.update(|scene| scene.hear(heard));
        }
    });
    Ok((tell, commands))
}

/// A device that tells the stage what it sees.
pub(super) fn listener(device: &'static str, to: &mpsc::Sender<Heard>) -> Option<Listener> {
    Some(Listener { device, to: to.clone() })
}
