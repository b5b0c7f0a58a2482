//! What everybody in a run shares.

use std::sync::Arc;

use archibald_core::id::AgentId;
use tokio::sync::{RwLock, watch};
use tokio_util::sync::CancellationToken;

use super::bug::Faults;
use super::ledger::Ledger;
use super::server::{Hands, Up};

pub(crate) struct Stage {
    pub(crate) agents: Vec<AgentId>,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Option<Arc<Faults>>,
    /// Held by whoever writes; whoever begins a new history waits for all of them.
    pub(crate) gate: RwLock<()>,
    /// The store as seen by a process of its own, where writers are one.
    pub(crate) apart: Option<Hands>,
    /// And of another one, where logs are read and pruned without waiting behind writers.
    pub(crate) keeper: Option<Hands>,
    /// Changes that were acknowledged.
    pub(crate) done: watch::Sender<u64>,
    pub(crate) over: CancellationToken,
    up: watch::Sender<Option<Up>>,
}

impl Stage {
    pub(crate) fn new(
        agents: Vec<AgentId>,
        ledger: Ledger,
        faults: Option<Arc<Faults>>,
        [apart, keeper]: [Option<Hands>; 2],
    ) -> Self {
        Self {
            agents,
            ledger,
            faults,
            gate: RwLock::new(()),
            apart,
            keeper,
            done: watch::channel(0).0,
            over: CancellationToken::new(),
            up: watch::channel(None).0,
        }
    }

    /// The server that is up, once one is; `None` when all is over.
    pub(crate) async fn up(&self) -> Option<Up> {
        let mut up = self.up.subscribe();
        let up = self.over.run_until_cancelled(up.wait_for(Option::is_some)).await?;
        up.ok()?.clone()
    }

    /// Once another one is up than this, or none.
    pub(crate) async fn change(&self, from: &Up) {
        let is_other = |up: &Option<Up>| up.as_ref().is_none_or(|up| up.address != from.address);
        self.up.subscribe().wait_for(is_other).await.ok();
    }

    pub(crate) fn set(&self, up: Option<Up>) {
        self.up.send_replace(up);
    }

    /// The store that writers use now.
    pub(crate) async fn hands(&self) -> Option<Hands> {
        match &self.apart {
            Some(hands) => Some(hands.clone()),
            None => self.up().await?.hands,
        }
    }

    /// The store of whoever keeps the books.
    pub(crate) async fn keeper(&self) -> Option<Hands> {
        match &self.keeper {
            Some(hands) => Some(hands.clone()),
            None => self.hands().await,
        }
    }

    /// A change of this agent was acknowledged.
    pub(crate) fn did(&self, agent: &AgentId) {
        self.done.send_modify(|done| *done += 1);
        if let Some(faults) = &self.faults {
            faults.committed(agent);
        }
    }
}
