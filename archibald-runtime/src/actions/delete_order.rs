//! `delete-order`: takes an order away, once.
//!
//! An order that is not there is an error before our own deletion and its proof after it.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, Receipt, Verdict};
use archibald_core::erp::Order;
use archibald_core::error::{FieldError, StoreError};
use archibald_core::id::{AgentId, EffectName, OperationKind, Target};
use archibald_core::operation::Operation;
use archibald_core::port::{CommitGate, OperationStore};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::orders;
use super::payload::rejected;
use super::which_order::WhichOrder;
use crate::action::{ActionContext, Completion, EffectAction, Interrupted, Prepared};

/// Deletes an order. Payload: `order` or `pending_order`; result: `{"order": number}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeleteOrder;

#[async_trait]
impl EffectAction for DeleteOrder {
    fn kind(&self) -> OperationKind {
        OperationKind::new("delete-order").expect("a valid kind")
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        WhichOrder::alone(payload).map(|which| Some(which.target()))
    }

    async fn canonical(
        &self,
        store: &dyn OperationStore,
        agent: &AgentId,
        target: Target,
    ) -> Result<Target, StoreError> {
        WhichOrder::canonical(store, agent, target).await
    }

    fn effect(&self) -> EffectName {
        EffectName::new("delete-order").expect("a valid effect")
    }

    fn mark(&self, _operation: &Operation) -> Option<Mark> {
        None
    }

    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        let number = WhichOrder::alone(&context.operation.payload).map_err(rejected)?.number(context).await?;
        context.progress("prepare", 0, 1, format!("reading order {number}"));
        match plan(context.client.read_order(&number).await?.as_ref()) {
            Plan::Missing => Err(Interrupted::Rejected(orders::is_missing(&number))),
            Plan::Sent => Err(Interrupted::Rejected(orders::is_sent(&number))),
            Plan::Delete => Ok(Prepared::Act { baseline: json!({ "order": number }) }),
        }
    }

    async fn act(
        &self,
        context: &ActionContext<'_>,
        baseline: &Value,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        let number = orders::number_in(baseline);
        context.progress("delete", 0, 1, format!("deleting order {number}"));
        context.client.delete_order(&number, intent, gate).await.map(|()| receipt(&number))
    }

    async fn probe(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted> {
        let number = orders::number_in(&effect.baseline);
        context.progress("probe", 0, 1, format!("asking the ERP whether order {number} is gone"));
        Ok(match plan(context.client.read_order(&number).await?.as_ref()) {
            Plan::Missing => Verdict::Found(receipt(&number)),
            Plan::Sent => Verdict::Forbidden(orders::is_sent(&number)),
            Plan::Delete => Verdict::Absent,
        })
    }

    fn check_receipt(&self, receipt: &Receipt) -> Result<(), FieldError> {
        orders::check_receipt(receipt)
    }

    fn complete(&self, _operation: &Operation, receipt: &Receipt) -> Completion {
        let number = orders::number(receipt);
        Completion { result: json!({ "order": number }), rows: vec![orders::row(number, None)] }
    }
}

#[derive(Debug, PartialEq)]
enum Plan {
    Missing,
    Sent,
    Delete,
}

/// The decisions of `delete-order`, by what there is.
fn plan(observed: Option<&Order>) -> Plan {
    match observed {
        None => Plan::Missing,
        Some(order) if order.sent => Plan::Sent,
        Some(_) => Plan::Delete,
    }
}

fn receipt(number: &str) -> Receipt {
    Receipt(json!({ "order": number }))
}

#[cfg(test)]
mod tests {
    use super::orders::samples::order;
    use super::*;

    #[test]
    fn what_there_is_decides() {
        assert_eq!(plan(None), Plan::Missing);
        assert_eq!(plan(Some(&order("", 3, false))), Plan::Delete);
        assert_eq!(plan(Some(&order("", 3, true))), Plan::Sent);
    }

    #[test]
    fn nothing_but_the_order_is_named() {
        let target = Target::new("draft:d1").unwrap();
        assert_eq!(DeleteOrder.validate(&json!({ "pending_order": "d1" })), Ok(Some(target)));
        let errors = DeleteOrder.validate(&json!({ "order": "", "why": "x" })).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(DeleteOrder.validate(&json!([])).is_err());
    }
}
