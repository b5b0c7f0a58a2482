//! Changes that are committed, and when: edits of one pending order of each agent, an event each.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::{AgentId, OperationKey, PendingOrderId};
use archibald_core::pending_order::{NewPendingOrder, OrderContent, PendingOrderEdit};
use archibald_core::port::{EventBus, PendingOrderStore};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use uuid::Uuid;

use crate::Failure;
use crate::machine::now_ns;
use crate::work::agent;

/// What is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// By how many agents, all at the same time, each one change after the other.
    pub agents: usize,
    /// How many changes of each.
    pub each: usize,
    /// How many a second of all together; with none, as many as can be.
    pub per_second: Option<f64>,
    /// The first agent has so many instead, as fast as can be.
    pub hot: Option<usize>,
}

/// An event, and when it came about.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Committed {
    /// Whose.
    pub agent: usize,
    /// Its place in the agent's log.
    pub seq: u64,
    /// When it was asked for, by the machine's clock.
    pub asked: u64,
    /// When whoever asked knew that it is committed.
    pub at: u64,
}

/// Who writes.
pub(super) struct Writer {
    store: Arc<dyn PendingOrderStore>,
    bus: Arc<dyn EventBus>,
    drafts: Vec<Draft>,
}

/// An agent's pending order, and how far its log is.
struct Draft {
    number: usize,
    agent: AgentId,
    id: PendingOrderId,
    version: u64,
    seq: u64,
}

impl Writer {
    pub(super) fn new(store: Arc<dyn PendingOrderStore>, bus: Arc<dyn EventBus>) -> Self {
        Self { store, bus, drafts: vec![] }
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, plan: &Plan) -> Result<Vec<Committed>, Failure> {
        while self.drafts.len() < plan.agents {
            self.drafts.push(self.draft(self.drafts.len()).await?);
        }
        let began = Instant::now();
        let mut lines = JoinSet::new();
        for draft in self.drafts.drain(..) {
            lines.spawn(draft.edited(self.store.clone(), plan.clone(), began));
        }
        let mut committed = vec![];
        while let Some(line) = lines.join_next().await {
            let (draft, events) = line??;
            let head = self.bus.head(&draft.agent).await?;
            if head.head != draft.seq {
                return Err(format!("a log with {} events is at {}", draft.seq, head.head).into());
            }
            committed.extend(events);
            self.drafts.push(draft);
        }
        self.drafts.sort_unstable_by_key(|draft| draft.number);
        Ok(committed)
    }

    async fn draft(&self, number: usize) -> Result<Draft, Failure> {
        let agent = agent(number)?;
        let new = NewPendingOrder {
            id: PendingOrderId(Uuid::now_v7()),
            agent: agent.clone(),
            key: OperationKey::new("the-only-one")?,
            content: content(0),
            origin: None,
        };
        let order = self.store.create(new).await?.order;
        let seq = self.bus.head(&agent).await?.head;
        Ok(Draft { number, agent, id: order.id, version: order.version, seq })
    }
}

impl Draft {
    async fn edited(
        mut self,
        store: Arc<dyn PendingOrderStore>,
        plan: Plan,
        began: Instant,
    ) -> Result<(Self, Vec<Committed>), Failure> {
        let is_hot = self.number == 0 && plan.hot.is_some();
        let count = if is_hot { plan.hot.unwrap_or_default() } else { plan.each };
        let mut ticks = plan.per_second.filter(|_| !is_hot).map(|per_second| {
            let period = Duration::from_secs_f64(plan.agents as f64 / per_second);
            // Scattered evenly, so that no two agents write at the same time.
            interval_at(began + period.mul_f64(self.number as f64 / plan.agents as f64), period)
        });
        let mut events = Vec::with_capacity(count);
        for _ in 0..if self.number < plan.agents { count } else { 0 } {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let edit =
                PendingOrderEdit { expected: self.version, content: content(self.version), origin: None };
            let asked = now_ns();
            self.version = store.edit(&self.agent, self.id, &edit).await?.version;
            self.seq += 1;
            events.push(Committed { agent: self.number, seq: self.seq, asked, at: now_ns() });
        }
        Ok((self, events))
    }
}

/// What an agent types: each time something else.
fn content(version: u64) -> OrderContent {
    OrderContent { note: Some(format!("{version:0>150}")), ..OrderContent::default() }
}
