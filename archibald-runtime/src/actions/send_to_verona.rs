//! `send-to-verona`: hands an order on to headquarters, once. Nobody can take it back.

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

/// Sends an order to Verona. Payload: `order` or `pending_order`; result: `{"order": number}`, with
/// `"already": true` where it had been sent before.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendToVerona;

#[async_trait]
impl EffectAction for SendToVerona {
    fn kind(&self) -> OperationKind {
        OperationKind::new("send-to-verona").expect("a valid kind")
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
        EffectName::new("send").expect("a valid effect")
    }

    fn mark(&self, _operation: &Operation) -> Option<Mark> {
        None
    }

    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        let number = WhichOrder::alone(&context.operation.payload).map_err(rejected)?.number(context).await?;
        context.progress("prepare", 0, 1, format!("reading order {number}"));
        match plan(context.client.read_order(&number).await?.as_ref()) {
            Plan::Missing => Err(Interrupted::Rejected(orders::is_missing(&number))),
            Plan::Done(sent) => {
                let receipt = json!({ "order": number, "already": true, "content": sent });
                Ok(Prepared::Nothing(Receipt(receipt)))
            }
            Plan::Send => Ok(Prepared::Act { baseline: json!({ "order": number }) }),
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
        context.progress("send", 0, 1, format!("sending order {number} to Verona"));
        context.client.send_order(&number, intent, gate).await.map(|sent| orders::receipt(&sent))
    }

    async fn probe(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted> {
        let number = orders::number_in(&effect.baseline);
        context.progress("probe", 0, 1, format!("asking the ERP whether order {number} was sent"));
        Ok(match plan(context.client.read_order(&number).await?.as_ref()) {
            Plan::Missing => Verdict::Forbidden(format!("{} any more", orders::is_missing(&number))),
            Plan::Done(sent) => Verdict::Found(orders::receipt(sent)),
            Plan::Send => Verdict::Absent,
        })
    }

    fn check_receipt(&self, receipt: &Receipt) -> Result<(), FieldError> {
        orders::check_receipt(receipt)
    }

    fn complete(&self, _operation: &Operation, receipt: &Receipt) -> Completion {
        let mut result = json!({ "order": orders::number(receipt) });
        if receipt.0.get("already") == Some(&json!(true)) {
            result["already"] = json!(true);
        }
        Completion { result, rows: orders::known_row(receipt).into_iter().collect() }
    }
}

#[derive(Debug, PartialEq)]
enum Plan<'a> {
    Missing,
    Done(&'a Order),
    Send,
}

/// The decisions of `send-to-verona`, by what there is.
fn plan(observed: Option<&Order>) -> Plan<'_> {
    match observed {
        None => Plan::Missing,
        Some(order) if order.sent => Plan::Done(order),
        Some(_) => Plan::Send,
    }
}

#[cfg(test)]
mod tests {
    use super::orders::samples::order;
    use super::*;

    #[test]
    fn what_there_is_decides() {
        let (open, sent) = (order("", 3, false), order("", 3, true));
        assert_eq!(plan(None), Plan::Missing);
        assert_eq!(plan(Some(&open)), Plan::Send);
        assert_eq!(plan(Some(&sent)), Plan::Done(&sent));
    }
}
