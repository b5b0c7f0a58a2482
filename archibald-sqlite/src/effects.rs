use std::collections::{BTreeMap, BTreeSet};

use archibald_core::id::{AgentId, OperationId};
use uuid::Uuid;

/// Whom a commit concerns, and what it adds to the log.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Devices of these agents have something to read.
    pub(crate) devices: BTreeSet<AgentId>,
    /// Something of these agents may run now.
    pub(crate) workers: BTreeSet<AgentId>,
    /// Operations that run from now on, with their agent, or no longer.
    pub(crate) running: BTreeMap<OperationId, Option<AgentId>>,
    /// Events written.
    pub(crate) events: u64,
    /// What a survey tells of all changed.
    pub(crate) survey: bool,
    /// A new history began.
    pub(crate) new_epoch: Option<Uuid>,
}

impl Effects {
    pub(crate) fn add(&mut self, more: Self) {
        self.devices.extend(more.devices);
        self.workers.extend(more.workers);
        self.survey |= more.survey;
        self.running.extend(more.running);
        if more.new_epoch.is_some() {
            self.new_epoch = more.new_epoch;
            self.events = 0;
        }
        self.events += more.events;
    }
}
