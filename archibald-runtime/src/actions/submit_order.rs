//! `submit-order`: types an order into the ERP, once.
//!
//! The order carries the operation's mark in its reference, so the probe asks for the mark: one bearer is
//! ours, several are unclear, none is absent unless something unmarked looks like it. A bearer that is not as
//! wanted is edited once, mark kept.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, Receipt, Verdict};
use archibald_core::erp::{Order, OrderQuery, OrderSummary, WantedOrder, differences};
use archibald_core::error::FieldError;
use archibald_core::id::{EffectName, OperationKind, PendingOrderId, Target};
use archibald_core::operation::Operation;
use archibald_core::port::CommitGate;
use async_trait::async_trait;
use serde_json::{Value, json};

use super::orders::{self, receipt};
use super::payload::{both, in_words, rejected};
use super::rows;
use super::which_order::WhichOrder;
use crate::action::{ActionContext, Completion, EffectAction, Interrupted, Prepared};

/// Submits an order. Payload: [`WantedOrder`] and, where it was a draft before, `pending_order`, the draft's
/// id, which alone means what the draft says when it is accepted; result: `{"order": number}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SubmitOrder;

#[async_trait]
impl EffectAction for SubmitOrder {
    fn kind(&self) -> OperationKind {
        OperationKind::new("submit-order").expect("a valid kind")
    }

    /// Two devices that submit the same draft mean one order.
    fn once_per_target(&self) -> bool {
        true
    }

    fn pending_order(&self, payload: &Value) -> Option<PendingOrderId> {
        payload.get("pending_order")?.as_str()?.parse().ok()
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        parsed(payload).map(|(_, draft)| draft.as_ref().map(WhichOrder::target))
    }

    fn effect(&self) -> EffectName {
        EffectName::new("save-order").expect("a valid effect")
    }

    fn mark(&self, operation: &Operation) -> Option<Mark> {
        Some(Mark::of(operation.id))
    }

    /// Marks can be stored, so the baseline is what the local records know; no page is read for it.
    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        let (order, _) = parsed(&context.operation.payload).map_err(rejected)?;
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
        let (order, reference) = match typed(context.operation) {
            Ok(typed) => typed,
            // It was accepted once, and something was sent.
            Err(errors) => return Ok(Verdict::Unclear(in_words(&errors))),
        };
        let mark = Mark::of(context.operation.id);
        context.progress("probe", 0, 1, "asking the ERP whether the order exists");
        let query = OrderQuery { reference: Some(mark.search_text()), ..OrderQuery::default() };
        let rows = context.client.find_orders(&query).await?;
        let bearers = rows.iter().filter(|row| Mark::read(&row.reference).as_ref() == Some(&mark));
        let bearers: Vec<_> = bearers.map(|row| row.number.clone()).collect();
        let observed = match bearers.as_slice() {
            [] => look_alike(context, &order, effect).await?,
            [one] => opened(context, one, Observed::Bearer).await?,
            _ => Observed::Bearers(bearers),
        };
        Ok(match plan(&order, &reference, &observed) {
            Plan::Create => Verdict::Absent,
            Plan::Done(found) => Verdict::Found(receipt(found)),
            Plan::Edit(found, differences) => Verdict::Differs { observed: receipt(found), differences },
            Plan::Ask(evidence) => Verdict::Unclear(evidence),
        })
    }

    fn can_repair(&self) -> bool {
        true
    }

    async fn repair(
        &self,
        context: &ActionContext<'_>,
        _effect: &EffectRecord,
        observed: &Receipt,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        let (order, reference) = match typed(context.operation) {
            Ok(typed) => typed,
            Err(errors) => return ActOutcome::Refused(in_words(&errors)),
        };
        let number = orders::number(observed);
        context.progress("repair", 0, order.lines.len() as u64, format!("editing order {number}"));
        let edited = context.client.edit_order(&number, &order, &reference, intent, gate).await;
        edited.map(|saved| receipt(&saved))
    }

    fn check_receipt(&self, receipt: &Receipt) -> Result<(), FieldError> {
        orders::check_receipt(receipt)
    }

    fn complete(&self, operation: &Operation, receipt: &Receipt) -> Completion {
        let number = orders::number(receipt);
        // A person who decided a doubt knows the number only, and devices are to see the order at once.
        let bare = || orders::row(number.clone(), Some(json!({ "number": number })));
        let row = orders::known_row(receipt).unwrap_or_else(bare);
        let draft = parsed(&operation.payload).ok().and_then(|(_, draft)| draft);
        let origin = draft.and_then(|draft| WhichOrder::origin_row(&draft, &number));
        Completion { result: json!({ "order": number }), rows: std::iter::once(row).chain(origin).collect() }
    }
}

/// What a probe saw.
enum Observed {
    /// Nothing bears the mark, and nothing could be ours without it.
    Nothing,
    /// Nothing bears the mark, and this equal order bears nobody's.
    LookAlike(String),
    Bearer(Order),
    Bearers(Vec<String>),
    /// It is listed and its detail page is not there.
    Unopened(String),
}

#[derive(Debug, PartialEq)]
enum Plan<'a> {
    Create,
    Done(&'a Order),
    Edit(&'a Order, Vec<String>),
    Ask(String),
}

/// The decisions of `submit-order`. `reference` is what was typed, mark included.
fn plan<'a>(wanted: &WantedOrder, reference: &str, observed: &'a Observed) -> Plan<'a> {
    match observed {
        Observed::Nothing => Plan::Create,
        Observed::LookAlike(number) => Plan::Ask(format!("order {number} is equal and bears no mark")),
        Observed::Bearers(numbers) => {
            Plan::Ask(format!("several orders bear the mark of {reference:?}: {}", numbers.join(", ")))
        }
        Observed::Unopened(number) => Plan::Ask(format!("order {number} is listed and cannot be opened")),
        Observed::Bearer(order) => {
            let differences = differences(wanted, reference, order);
            if differences.is_empty() {
                Plan::Done(order)
            } else if order.sent {
                let found = differences.join("; ");
                Plan::Ask(format!("order {} was sent to Verona otherwise than wanted: {found}", order.number))
            } else {
                Plan::Edit(order, differences)
            }
        }
    }
}

/// The payload, checked whole.
fn parsed(payload: &Value) -> Result<(WantedOrder, Option<WhichOrder>), Vec<FieldError>> {
    let mut rest = payload.clone();
    let draft = WhichOrder::take_draft(&mut rest);
    both(orders::wanted(&rest), draft)
}

/// The order and the reference as they are typed.
fn typed(operation: &Operation) -> Result<(WantedOrder, String), Vec<FieldError>> {
    let (order, _) = parsed(&operation.payload)?;
    let reference = Mark::of(operation.id)
        .stamp(&order.reference)
        .map_err(|error| vec![FieldError::new("/reference", error.to_string())])?;
    Ok((order, reference))
}

/// Nothing bears the mark. An equal order that bears nobody's mark and was not there before could be ours
/// with its mark edited away: then nobody but a person can tell.
async fn look_alike(
    context: &ActionContext<'_>,
    wanted: &WantedOrder,
    effect: &EffectRecord,
) -> Result<Observed, Interrupted> {
    let baseline: Vec<&str> = effect.baseline["orders"]
        .as_array()
        .map(|known| known.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let query =
        OrderQuery { customer: Some(wanted.customer.clone()), date: Some(wanted.date), reference: None };
    let rows = context.client.find_orders(&query).await?;
    let is_ours = |row: &&OrderSummary| Mark::read(&row.reference) == Some(Mark::of(context.operation.id));
    if let Some(ours) = rows.iter().find(is_ours) {
        // The search by the mark came a moment too early.
        return opened(context, &ours.number, Observed::Bearer).await;
    }
    let is_new = |row: &&OrderSummary| {
        Mark::read(&row.reference).is_none() && !effect.denied && !baseline.contains(&row.number.as_str())
    };
    for row in rows.iter().filter(is_new) {
        let alike = |order: Order| match differences(wanted, &order.reference, &order).as_slice() {
            [] => Observed::LookAlike(order.number),
            _ => Observed::Nothing,
        };
        match opened(context, &row.number, alike).await? {
            Observed::Nothing => {}
            observed => return Ok(observed),
        }
    }
    Ok(Observed::Nothing)
}

async fn opened(
    context: &ActionContext<'_>,
    number: &str,
    seen: impl FnOnce(Order) -> Observed,
) -> Result<Observed, Interrupted> {
    let order = context.client.read_order(number).await?;
    Ok(order.map_or_else(|| Observed::Unopened(number.to_owned()), seen))
}

/// The agent's orders of that customer that the local records know.
async fn known_orders(context: &ActionContext<'_>, wanted: &WantedOrder) -> Result<Vec<String>, Interrupted> {
    let agent = &context.operation.agent;
    let rows = rows::all(context.store(), agent, orders::collection(), Some(&wanted.customer)).await?;
    Ok(rows.into_iter().map(|(number, ..)| number).collect())
}

#[cfg(test)]
mod tests {
    use super::orders::samples;
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
    fn what_each_probe_decides() {
        let wanted = samples::wanted();
        let reference = "Fiera~012345678";
        let bearer = |reference, quantity, sent| Observed::Bearer(samples::order(reference, quantity, sent));
        let table = [
            (Observed::Nothing, "create"),
            (bearer(reference, 3, false), "done 20001"),
            (bearer(reference, 3, true), "done 20001"),
            (bearer(reference, 4, false), r#"edit 20001: line 1 quantity: wanted "3", found "4""#),
            (
                bearer("Fiera ~012345678", 3, false),
                r#"edit 20001: reference: wanted "Fiera~012345678", found "Fiera ~012345678""#,
            ),
            (
                bearer(reference, 4, true),
                r#"ask: order 20001 was sent to Verona otherwise than wanted: line 1 quantity: wanted "3", found "4""#,
            ),
            (
                Observed::Bearers(vec!["20001".into(), "20002".into()]),
                r#"ask: several orders bear the mark of "Fiera~012345678": 20001, 20002"#,
            ),
            (Observed::LookAlike("20001".into()), "ask: order 20001 is equal and bears no mark"),
            (Observed::Unopened("20001".into()), "ask: order 20001 is listed and cannot be opened"),
        ];
        for (observed, expected) in &table {
            let decided = match plan(&wanted, reference, observed) {
                Plan::Create => "create".to_owned(),
                Plan::Done(order) => format!("done {}", order.number),
                Plan::Edit(order, differences) => {
                    format!("edit {}: {}", order.number, differences.join("; "))
                }
                Plan::Ask(why) => format!("ask: {why}"),
            };
            assert_eq!(decided, *expected);
        }
    }

    #[test]
    fn a_draft_is_the_target() {
        let mut payload = samples::payload();
        payload["pending_order"] = json!("d1");
        let target = Target::new("draft:d1").unwrap();
        assert_eq!(SubmitOrder.validate(&payload), Ok(Some(target)));
        payload["pending_order"] = json!(7);
        payload["customer"] = json!("");
        assert_eq!(
            complaints(payload),
            ["/customer: must have 1 to 20 characters, got 0", "/pending_order: must be a text"]
        );
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
