//! What the devices of all agents report, in one place.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use archibald_core::id::AgentId;
use tokio::sync::watch;

use super::timeline::Timeline;

/// Shared by all devices; whoever waits for something is woken by their reports.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    report: Mutex<Report>,
    changed: watch::Sender<()>,
}

/// What was reported so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) timeline: Timeline,
    /// Each broken promise of a stream, in words.
    pub(super) holes: Vec<String>,
    /// Connections that brought at least one frame.
    pub(super) connections: u64,
    /// Agents whose device has a place.
    pub(super) placed: BTreeSet<AgentId>,
    /// Why the last connection failed that did not come about.
    pub(super) trouble: Option<String>,
}

impl Sightings {
    pub(super) fn read<T>(&self, look: impl FnOnce(&Report) -> T) -> T {
        look(&self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
    }

    /// Returns once the reports say so. Cancel safe.
    pub(super) async fn until(&self, enough: impl Fn(&Report) -> bool) {
        let mut changed = self.changed.subscribe();
        while !self.read(&enough) {
            // The sender is ours, so there is always one.
            let _ = changed.changed().await;
        }
    }
}
