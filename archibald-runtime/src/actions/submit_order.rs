//! `submit-order`: types an order into the ERP, once.
//!
//! The order carries the operation's mark in its reference, so the probe asks for the mark: one bearer is
//! ours, several are unclear, none is absent unless something unmarked looks like it.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, Receipt, Verdict};
use archibald_core::erp::{Order, OrderQuery, WantedOrder, differences};
use archibald_core::error::FieldError;
use archibald_core::id::{Collection, EffectName, OperationKind, Target};
use archibald_core::operation::Operation;
use archibald_core::port::{CommitGate, RowQuery};
use archibald_core::record::LocalRow;
use async_trait::async_trait;
use serde_json::{Value, json};

use super::payload::{Complaints, read};
use crate::action::{ActionContext, Completion, EffectAction, Interrupted, Prepared};

/// Lines that an order may have.
const MAX_LINES: usize = 500;
/// Pieces that a line may have.
const MAX_QUANTITY: u32 = 99_999;

/// Submits an order. Payload: [`WantedOrder`]; result: `{"order": number}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SubmitOrder;

#[async_trait]
impl EffectAction for SubmitOrder {
    fn kind(&self) -> OperationKind {
        OperationKind::new("submit-order").expect("a valid kind")
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        wanted(payload).map(|_| None)
    }

    fn effect(&self) -> EffectName {
        EffectName::new("save-order").expect("a valid effect")
    }

    fn mark(&self, operation: &Operation) -> Option<Mark> {
        Some(Mark::of(operation.id))
    }

    /// Marks can be stored, so the baseline is what the local records know; no page is read for it.
    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        let order = wanted(&context.operation.payload).map_err(rejected)?;
        context.progress("prepare", 0, order.lines.len() as u64, "preparing the order");
        let baseline = json!({ "orders": known_orders(context, &order).await? });
        Ok(Prepared::Act { baseline })
    }

    async fn act(
        &self,
        context: &ActionContext<'_>,
        _baseline: &Value,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        let (order, reference) = match typed(context.operation) {
            Ok(typed) => typed,
            Err(errors) => return ActOutcome::Refused(in_words(&errors)),
        };
        context.progress("type", 0, order.lines.len() as u64, "typing the order");
        context.client.create_order(&order, &reference, intent, gate).await.map(|saved| receipt(&saved))
    }

    async fn probe(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted> {
        let (order, reference) = typed(context.operation).map_err(rejected)?;
        let mark = Mark::of(context.operation.id);
        context.progress("probe", 0, 1, "asking the ERP whether the order exists");
        let query = OrderQuery { reference: Some(mark.search_text()), ..OrderQuery::default() };
        let rows = context.client.find_orders(&query).await?;
        let bearers: Vec<_> =
            rows.iter().filter(|row| Mark::read(&row.reference).as_ref() == Some(&mark)).collect();
        match bearers.as_slice() {
            [] => look_alike(context, &order, effect).await,
            [one] => match context.client.read_order(&one.number).await? {
                Some(found) => Ok(compared(&order, &reference, &found)),
                None => Ok(Verdict::Unclear(format!("order {} is listed and cannot be opened", one.number))),
            },
            several => {
                let numbers: Vec<_> = several.iter().map(|row| row.number.as_str()).collect();
                Ok(Verdict::Unclear(format!("several orders bear the mark {mark}: {}", numbers.join(", "))))
            }
        }
    }

    fn check_receipt(&self, receipt: &Receipt) -> Result<(), FieldError> {
        match receipt.0.get("order").and_then(Value::as_str) {
            Some(number)
                if !number.is_empty() && number.len() <= 40 && !number.contains(char::is_control) =>
            {
                Ok(())
            }
            _ => Err(FieldError::new("/receipt/order", "must be the order's number, as a text")),
        }
    }

    fn complete(&self, _operation: &Operation, receipt: &Receipt) -> Completion {
        let number = receipt.0.get("order").and_then(Value::as_str).unwrap_or_default().to_owned();
        let row = LocalRow {
            collection: orders(),
            id: number.clone(),
            doc: receipt.0.get("content").cloned().or_else(|| Some(json!({ "number": number }))),
            event: Some("order.updated".to_owned()),
        };
        Completion { result: json!({ "order": number }), rows: vec![row] }
    }
}

/// The payload, checked whole.
fn wanted(payload: &Value) -> Result<WantedOrder, Vec<FieldError>> {
    let order: WantedOrder = read(payload)?;
    let mut complaints = Complaints::default();
    complaints.text("/customer", &order.customer, 1, 20);
    complaints.text("/reference", &order.reference, 0, archibald_core::effect::OWN_TEXT_LIMIT);
    complaints.text("/note", &order.note, 0, 200);
    if order.lines.is_empty() || order.lines.len() > MAX_LINES {
        complaints.add("/lines", format!("must have 1 to {MAX_LINES} lines, got {}", order.lines.len()));
    }
    for (index, line) in order.lines.iter().enumerate() {
        complaints.text(&format!("/lines/{index}/product"), &line.product, 1, 20);
        complaints.per_cent(&format!("/lines/{index}/discount"), line.discount);
        if line.quantity == 0 || line.quantity > MAX_QUANTITY {
            let detail = format!("must be 1 to {MAX_QUANTITY}, got {}", line.quantity);
            complaints.add(&format!("/lines/{index}/quantity"), detail);
        }
    }
    complaints.result(order)
}

/// The order and the reference as they are typed.
fn typed(operation: &Operation) -> Result<(WantedOrder, String), Vec<FieldError>> {
    let order = wanted(&operation.payload)?;
    let reference = Mark::of(operation.id)
        .stamp(&order.reference)
        .map_err(|error| vec![FieldError::new("/reference", error.to_string())])?;
    Ok((order, reference))
}

fn receipt(order: &Order) -> Receipt {
    Receipt(json!({ "order": order.number, "content": order }))
}

fn compared(wanted: &WantedOrder, reference: &str, found: &Order) -> Verdict<Receipt> {
    let differences = differences(wanted, reference, found);
    if differences.is_empty() {
        Verdict::Found(receipt(found))
    } else {
        Verdict::Differs { observed: receipt(found), differences }
    }
}

/// Nothing bears the mark. An equal order that bears nobody's mark and was not there before could be ours
/// with its mark edited away: then nobody but a person can tell.
async fn look_alike(
    context: &ActionContext<'_>,
    wanted: &WantedOrder,
    effect: &EffectRecord,
) -> Result<Verdict<Receipt>, Interrupted> {
    let baseline: Vec<&str> = effect.baseline["orders"]
        .as_array()
        .map(|known| known.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let query =
        OrderQuery { customer: Some(wanted.customer.clone()), date: Some(wanted.date), reference: None };
    let (_, reference) = typed(context.operation).map_err(rejected)?;
    for row in context.client.find_orders(&query).await? {
        let mark = Mark::read(&row.reference);
        let ours = mark == Some(Mark::of(context.operation.id));
        let known = mark.is_some() || effect.denied || baseline.contains(&row.number.as_str());
        if known && !ours {
            continue;
        }
        let Some(order) = context.client.read_order(&row.number).await? else {
            return Ok(Verdict::Unclear(format!("order {} is listed and cannot be opened", row.number)));
        };
        if ours {
            // The search by the mark came a moment too early.
            return Ok(compared(wanted, &reference, &order));
        }
        if differences(wanted, &order.reference, &order).is_empty() {
            return Ok(Verdict::Unclear(format!("order {} is equal and bears no mark", row.number)));
        }
    }
    Ok(Verdict::Absent)
}

/// The agent's orders of that customer that the local records know.
async fn known_orders(context: &ActionContext<'_>, wanted: &WantedOrder) -> Result<Vec<String>, Interrupted> {
    let mut known = Vec::new();
    let mut after = None;
    loop {
        let query =
            RowQuery { collection: orders(), search: Some(wanted.customer.clone()), after, limit: 500 };
        let page = context.store().rows(&context.operation.agent, &query).await?;
        known.extend(page.rows.into_iter().map(|(number, _, _)| number));
        after = page.next;
        if after.is_none() {
            return Ok(known);
        }
    }
}

fn orders() -> Collection {
    Collection::new("orders").expect("a valid collection")
}

fn rejected(errors: Vec<FieldError>) -> Interrupted {
    Interrupted::Rejected(in_words(&errors))
}

fn in_words(errors: &[FieldError]) -> String {
    errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(payload: Value) -> Vec<String> {
        SubmitOrder
            .validate(&payload)
            .unwrap_err()
            .iter()
            .map(|error| format!("{}: {}", error.pointer, error.detail))
            .collect()
    }

    fn payload(line: Value) -> Value {
        json!({ "customer": "ALFKI", "date": "2026-11-22", "lines": [line] })
    }

    #[test]
    fn a_good_order_is_accepted() {
        let line = json!({ "product": "A0001", "quantity": 3, "discount": "5" });
        assert_eq!(SubmitOrder.validate(&payload(line)), Ok(None));
    }

    #[test]
    fn every_bad_field_is_named() {
        let bad = json!({ "product": "", "quantity": 0, "discount": "100.5" });
        assert_eq!(
            complaints(payload(bad)),
            [
                "/lines/0/product: must have 1 to 20 characters, got 0",
                "/lines/0/discount: must be 0 to 100, got 100.5",
                "/lines/0/quantity: must be 1 to 99999, got 0",
            ]
        );
    }

    #[test]
    fn the_wrong_shape_is_named_by_its_place() {
        let text = json!({ "product": "A0001", "quantity": "three" });
        assert!(complaints(payload(text))[0].starts_with("/lines/0/quantity: invalid type"));
        let unknown = json!({ "product": "A0001", "quantity": 1, "price": "9" });
        assert!(complaints(payload(unknown))[0].starts_with("/lines/0"), "unknown field");
        assert!(complaints(json!([]))[0].contains("struct WantedOrder"));
        let long = json!({ "customer": "ALFKI", "date": "2026-11-22", "reference": "x".repeat(31),
            "lines": [{ "product": "A0001", "quantity": 1 }] });
        assert_eq!(complaints(long), ["/reference: must have 0 to 30 characters, got 31"]);
        let date = json!({ "customer": "ALFKI", "date": "22/11/2026", "lines": [] });
        assert!(complaints(date)[0].starts_with("/date: a date must be as 2026-11-22"));
    }
}
