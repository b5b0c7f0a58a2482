//! `log-visit`: what an agent wants to be remembered of a visit, at the ERP, once.
//!
//! The ERP has no page for visits. What this house does by hand is an order of one piece of the article
//! `VISIT`, which costs nothing, with the report in its note; its reference carries the operation's mark, so
//! that the probe can ask for it.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, Receipt, Verdict};
use archibald_core::erp::{Date, Order, OrderQuery, WantedLine, WantedOrder, differences};
use archibald_core::error::FieldError;
use archibald_core::id::{EffectName, OperationKind, Target};
use archibald_core::operation::{Class, Operation};
use archibald_core::port::CommitGate;
use archibald_runtime::{ActionContext, Completion, EffectAction, Interrupted, Prepared};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// Logs a visit. Payload: `customer`, `date` and `note`; result: `{"visit": number of the order}`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogVisit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Visit {
    customer: String,
    date: Date,
    note: String,
}

#[async_trait]
impl EffectAction for LogVisit {
    fn kind(&self) -> OperationKind {
        OperationKind::new("log-visit").expect("a valid kind")
    }

    /// Orders go first.
    fn class(&self) -> Class {
        Class::Background
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        let visit = read(payload).map_err(|error| vec![FieldError::new("", error)])?;
        let length = visit.note.chars().count();
        match length {
            1..=500 => Ok(None),
            _ => Err(vec![FieldError::new("/note", format!("must have 1 to 500 characters, got {length}"))]),
        }
    }

    fn effect(&self) -> EffectName {
        EffectName::new("log-visit").expect("a valid effect")
    }

    fn mark(&self, operation: &Operation) -> Option<Mark> {
        Some(Mark::of(operation.id))
    }

    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        let (visit, _) = typed(context.operation).map_err(Interrupted::Rejected)?;
        match context.client.read_customer(&visit.customer).await? {
            // With a mark of our own, nothing that is there already can be taken for ours.
            Some(_) => Ok(Prepared::Act { baseline: Value::Null }),
            None => Err(Interrupted::Rejected(format!("there is no customer {}", visit.customer))),
        }
    }

    async fn act(
        &self,
        context: &ActionContext<'_>,
        _baseline: &Value,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        match typed(context.operation) {
            Ok((visit, reference)) => context
                .client
                .create_order(&visit, &reference, intent, gate)
                .await
                .map(|saved| receipt(&saved)),
            Err(error) => ActOutcome::Refused(error),
        }
    }

    async fn probe(
        &self,
        context: &ActionContext<'_>,
        _effect: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted> {
        let (visit, reference) = typed(context.operation).map_err(Interrupted::Rejected)?;
        let text = Mark::of(context.operation.id).search_text();
        let query = OrderQuery { reference: Some(text), ..OrderQuery::default() };
        let bearers = context.client.find_orders(&query).await?;
        let [one] = bearers.as_slice() else {
            let several = format!("{} orders bear the mark", bearers.len());
            return Ok(if bearers.is_empty() { Verdict::Absent } else { Verdict::Unclear(several) });
        };
        let Some(found) = context.client.read_order(&one.number).await? else {
            return Ok(Verdict::Unclear(format!("order {} is listed and cannot be opened", one.number)));
        };
        let differences = differences(&visit, &reference, &found);
        Ok(match differences.as_slice() {
            [] => Verdict::Found(receipt(&found)),
            _ => Verdict::Differs { observed: receipt(&found), differences },
        })
    }

    fn complete(&self, _operation: &Operation, receipt: &Receipt) -> Completion {
        Completion { result: json!({ "visit": receipt.0["visit"] }), rows: vec![] }
    }
}

/// What is typed: the order and its reference.
fn typed(operation: &Operation) -> Result<(WantedOrder, String), String> {
    let Visit { customer, date, note } = read(&operation.payload)?;
    let line = WantedLine { product: "VISIT".to_owned(), quantity: 1, discount: 0.into() };
    let order = WantedOrder { customer, date, reference: "visit".to_owned(), note, lines: vec![line] };
    let reference = Mark::of(operation.id).stamp(&order.reference).map_err(|error| error.to_string())?;
    Ok((order, reference))
}

fn read(payload: &Value) -> Result<Visit, String> {
    Visit::deserialize(payload).map_err(|error| error.to_string())
}

fn receipt(order: &Order) -> Receipt {
    Receipt(json!({ "visit": order.number }))
}
