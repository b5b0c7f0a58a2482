use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, NotSent, Receipt, Verdict};
use archibald_core::error::{FenceError, FieldError, StoreError};
use archibald_core::event::Progress;
use archibald_core::id::{AgentId, EffectName, OperationKind, PendingOrderId, Target};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, Operation, Policy};
use archibald_core::port::{ArchibaldClient, ClientError, CommitGate, EventBus, OperationStore};
use archibald_core::record::LocalRow;
use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// What an action works with during one attempt.
pub struct ActionContext<'a> {
    /// The operation as it was leased.
    pub operation: &'a Operation,
    /// The ERP, in the agent's session.
    pub client: &'a dyn ArchibaldClient,
    pub(crate) store: &'a dyn OperationStore,
    pub(crate) bus: &'a dyn EventBus,
    pub(crate) lease: &'a Lease,
    pub(crate) give_way: &'a CancellationToken,
}

impl ActionContext<'_> {
    /// Whether somebody waits for the agent, or the worker drains. Asked at safe points only: where nothing
    /// is half done. Never asked once an effect is open.
    #[must_use]
    pub fn should_yield(&self) -> bool {
        self.give_way.is_cancelled()
    }

    /// Fine progress for the devices: latest wins, nothing is stored.
    pub fn progress(&self, step: &str, done: u64, total: u64, text: impl Into<String>) {
        self.bus.publish_progress(Progress {
            agent: self.operation.agent.clone(),
            operation: self.operation.id,
            step: step.to_owned(),
            done,
            total,
            text: text.into(),
        });
    }

    /// Commits local rows and the place to go on from; a change of `step` is an event.
    ///
    /// # Errors
    /// [`FenceError`]; then nothing was written.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn checkpoint(
        &self,
        step: &str,
        checkpoint: Option<Value>,
        rows: Vec<LocalRow>,
    ) -> Result<(), FenceError> {
        self.store.checkpoint(self.lease, step, checkpoint, rows).await
    }

    /// The local rows and journals.
    #[must_use]
    pub fn store(&self) -> &dyn OperationStore {
        self.store
    }
}

/// What the local transaction writes when an operation completes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Completion {
    /// What the kind reports.
    pub result: Value,
    /// The local rows.
    pub rows: Vec<LocalRow>,
}

/// What looking before the click says.
#[derive(Debug, Clone, PartialEq)]
pub enum Prepared {
    /// Act. The baseline is kept in the journal with the intent: what already exists that looks like the
    /// effect, and whatever the action has to know again after a crash.
    Act {
        /// The baseline.
        baseline: Value,
    },
    /// What is wanted is so already: nothing is intended, nothing sent.
    Nothing(Receipt),
}

/// Why a read stopped before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Interrupted {
    /// It was asked to give way and stopped at a safe point.
    #[error("gave way")]
    GaveWay,
    /// It cannot succeed, whatever is tried.
    #[error("{0}")]
    Rejected(String),
    /// The ERP could not be read.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The store refused a write.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A kind of operation that changes the ERP, once.
///
/// [`probe`](Self::probe) is required: trying again without asking the ERP first does not compile.
#[async_trait]
pub trait EffectAction: Send + Sync {
    /// Its name.
    fn kind(&self) -> OperationKind;

    /// Who goes first within an agent.
    fn class(&self) -> Class {
        Class::Interactive
    }

    /// How often and how soon it is tried again.
    fn policy(&self) -> Policy {
        Policy::default()
    }

    /// The one name under which operations on the same thing wait for each other, where payloads can name it
    /// in several ways. Asked once, before the operation is accepted.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn canonical(
        &self,
        store: &dyn OperationStore,
        agent: &AgentId,
        target: Target,
    ) -> Result<Target, StoreError> {
        let _ = (store, agent);
        Ok(target)
    }

    /// Whether [`Verdict::Found`] proves by itself that what is there is ours or as good as ours. Where it does
    /// not, since somebody else may have brought the same, it counts only after the settle time, like every
    /// other verdict.
    fn found_is_proof(&self, effect: &EffectRecord) -> bool {
        let _ = effect;
        true
    }

    /// Whether a target may have one such operation only, live or completed, whatever their keys.
    fn once_per_target(&self) -> bool {
        false
    }

    /// The pending order that an operation with this payload would submit: its content becomes the payload.
    fn pending_order(&self, payload: &Value) -> Option<PendingOrderId> {
        let _ = payload;
        None
    }

    /// Checks a payload before it is accepted, and names what the operation works on.
    ///
    /// # Errors
    /// One [`FieldError`] for each field that cannot be accepted.
    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>>;

    /// The name of its effect.
    fn effect(&self) -> EffectName;

    /// What the effect's bearer carries at the ERP; `None` where no mark can be stored.
    fn mark(&self, operation: &Operation) -> Option<Mark>;

    /// Reads only, and may give way: whether to act at all, and the baseline of what already exists that
    /// looks like the effect. Not asked again once anything was released: the first baseline holds.
    ///
    /// # Errors
    /// [`Interrupted`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted>;

    /// Acts once, through the gate. `baseline` is the journal's.
    ///
    /// # Cancel safety
    /// Run to its end unless the lease is lost.
    async fn act(
        &self,
        context: &ActionContext<'_>,
        baseline: &Value,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt>;

    /// Whether [`repair`](Self::repair) can be asked; where not, a person decides what differs.
    fn can_repair(&self) -> bool {
        false
    }

    /// Brings what was found otherwise than wanted into what is wanted, by one edit through the gate. `effect` is
    /// the journal's entry of what was saved, `observed` the receipt that the probe gave with its verdict. Carried
    /// out at most once in the life of an operation, and sent again only where it changed nothing.
    ///
    /// # Cancel safety
    /// Run to its end unless the lease is lost.
    async fn repair(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
        observed: &Receipt,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        let _ = (context, effect, observed, gate);
        ActOutcome::NotSent(NotSent::Other(format!("{}: cannot be repaired", intent.effect())))
    }

    /// Asks the ERP whether the effect exists. [`Verdict::Found`] means as wanted, whoever brought it there.
    ///
    /// # Errors
    /// [`Interrupted`]: the prober is not healthy, which is no verdict.
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn probe(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted>;

    /// Checks a receipt that a person gives when deciding a doubt.
    ///
    /// # Errors
    /// A [`FieldError`] that names what was expected.
    fn check_receipt(&self, receipt: &Receipt) -> Result<(), FieldError> {
        let _ = receipt;
        Ok(())
    }

    /// What the local transaction writes, from the receipt alone: it is also made after a crash.
    fn complete(&self, operation: &Operation, receipt: &Receipt) -> Completion;
}

/// A kind of operation that only reads the ERP.
#[async_trait]
pub trait ReadAction: Send + Sync {
    /// Its name.
    fn kind(&self) -> OperationKind;

    /// Who goes first within an agent.
    fn class(&self) -> Class {
        Class::Background
    }

    /// How often and how soon it is tried again.
    fn policy(&self) -> Policy {
        Policy::default()
    }

    /// Checks a payload before it is accepted.
    ///
    /// # Errors
    /// One [`FieldError`] for each field that cannot be accepted.
    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>>;

    /// Reads, from the operation's checkpoint on.
    ///
    /// # Errors
    /// [`Interrupted`]: what was checkpointed stays.
    ///
    /// # Cancel safety
    /// Cancel safe: it goes on from its last checkpoint.
    async fn run(&self, context: &ActionContext<'_>) -> Result<Completion, Interrupted>;
}
