//! Intents and their gate, from a store in memory: what the ERP's pages cost is measured, not a disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use archibald_core::effect::{Intent, IntentBasis, IntentRequest, Permit};
use archibald_core::id::{AgentId, EffectName, OperationId, WorkerId};
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::{AgentLock, CommitGate, GateRefused, LeaseRequest, OperationStore};
use archibald_testing::clock::SystemClock;
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;
use serde_json::json;
use uuid::Uuid;

use crate::Failure;

/// How long a write may take from the opened gate to its answer.
const BUDGET: Duration = Duration::from_secs(60);

/// A journal for one write after another.
pub struct Journal {
    store: Arc<MemoryStore>,
    count: AtomicU64,
}

impl Default for Journal {
    fn default() -> Self {
        Self { store: Arc::new(MemoryStore::new(Arc::new(SystemClock))), count: AtomicU64::new(1) }
    }
}

impl Journal {
    /// The right to save one order, of an operation of its own.
    ///
    /// # Errors
    /// What the store says.
    pub async fn intend(&self) -> Result<(Intent, Arc<dyn CommitGate>), Failure> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let operation = OperationId(Uuid::from_u128(number.into()));
        let agent = AgentId::new(format!("agent-{number}"))?;
        self.store.enqueue(new(operation, &agent)?).await?;
        let (worker, ttl) = (WorkerId::new("bench")?, 2 * BUDGET);
        let leased = self.store.lease(&LeaseRequest { agent, operation, worker, ttl }).await?;
        let request = IntentRequest {
            effect: EffectName::new("save-order")?,
            basis: IntentBasis::NothingReleased,
            mark: None,
            baseline: json!(null),
            budget: BUDGET,
            margin: Duration::from_secs(1),
        };
        let intent = self.store.intend(&leased.lease, &request).await?;
        Ok((intent, Arc::new(Gate(Arc::clone(&self.store)))))
    }
}

fn new(id: OperationId, agent: &AgentId) -> Result<NewOperation, Failure> {
    Ok(NewOperation {
        id,
        agent: agent.clone(),
        kind: "submit-order".parse()?,
        class: Class::Interactive,
        key: "k".parse()?,
        target: None,
        once_per_target: false,
        payload: json!({}),
        run_at: None,
        origin: None,
        queue_limit: 1,
        trace: false,
    })
}

/// Opens for what the journal released.
struct Gate(Arc<MemoryStore>);

#[async_trait]
impl CommitGate for Gate {
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused> {
        let until = Instant::now() + intent.budget();
        Ok(self.0.release(&intent).await?.permit(until))
    }
}
