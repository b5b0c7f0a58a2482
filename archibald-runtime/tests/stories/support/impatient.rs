use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, Receipt, Verdict};
use archibald_core::error::FieldError;
use archibald_core::id::{EffectName, OperationKind, Target};
use archibald_core::operation::{Backoff, Operation, Policy};
use archibald_core::port::CommitGate;
use archibald_runtime::actions::SubmitOrder;
use archibald_runtime::{ActionContext, Completion, EffectAction, Interrupted, Prepared};
use async_trait::async_trait;
use serde_json::Value;

/// An order of a user's own kind, tried twice at the most.
pub(crate) struct ImpatientOrder;

#[async_trait]
impl EffectAction for ImpatientOrder {
    fn kind(&self) -> OperationKind {
        OperationKind::new("impatient-order").unwrap()
    }

    fn policy(&self) -> Policy {
        let pause = std::time::Duration::from_millis(10);
        Policy { max_attempts: 2, backoff: Backoff { base: pause, cap: pause } }
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        SubmitOrder.validate(payload)
    }

    fn effect(&self) -> EffectName {
        SubmitOrder.effect()
    }

    fn mark(&self, operation: &Operation) -> Option<Mark> {
        SubmitOrder.mark(operation)
    }

    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        SubmitOrder.prepare(context).await
    }

    async fn act(
        &self,
        context: &ActionContext<'_>,
        baseline: &Value,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        SubmitOrder.act(context, baseline, intent, gate).await
    }

    fn can_repair(&self) -> bool {
        SubmitOrder.can_repair()
    }

    async fn repair(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
        observed: &Receipt,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        SubmitOrder.repair(context, effect, observed, intent, gate).await
    }

    async fn probe(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted> {
        SubmitOrder.probe(context, effect).await
    }

    fn complete(&self, operation: &Operation, receipt: &Receipt) -> Completion {
        SubmitOrder.complete(operation, receipt)
    }
}
