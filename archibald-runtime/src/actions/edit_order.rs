//! `edit-order`: brings an order into what is wanted, once, and keeps the mark that it bears.
//!
//! The order's detail page says all: as wanted it is done, as it was before nothing has happened yet, and
//! anything else is brought the rest of the way by one more edit.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, Receipt, Verdict};
use archibald_core::erp::{Order, WantedOrder, differences};
use archibald_core::error::{FieldError, StoreError};
use archibald_core::id::{AgentId, EffectName, OperationKind, Target};
use archibald_core::operation::Operation;
use archibald_core::port::{CommitGate, OperationStore};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::changed::names;
use super::orders;
use super::payload::{both, in_words, kept, rejected};
use super::which_order::WhichOrder;
use crate::action::{ActionContext, Completion, EffectAction, Interrupted, Prepared};

/// Edits an order. Payload: `order` or `pending_order`, and the whole order as wanted ([`WantedOrder`]);
/// result: `{"order": number, "changed": [names of fields]}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct EditOrder;

/// What is known of the order before the first act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Baseline {
    order: String,
    before: Order,
    /// What is typed into its reference.
    reference: String,
    /// The fields that are not as wanted.
    changed: Vec<String>,
}

#[async_trait]
impl EffectAction for EditOrder {
    fn kind(&self) -> OperationKind {
        OperationKind::new("edit-order").expect("a valid kind")
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        parsed(payload).map(|(which, _)| Some(which.target()))
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
        EffectName::new("edit-order").expect("a valid effect")
    }

    /// The mark that the order bears is its submission's.
    fn mark(&self, _operation: &Operation) -> Option<Mark> {
        None
    }

    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        let (which, wanted) = parsed(&context.operation.payload).map_err(rejected)?;
        let number = which.number(context).await?;
        context.progress("prepare", 0, 1, format!("reading order {number}"));
        let observed = context.client.read_order(&number).await?;
        match plan(&wanted, observed.as_ref()) {
            Plan::Missing => Err(Interrupted::Rejected(orders::is_missing(&number))),
            Plan::Sent => Err(Interrupted::Rejected(orders::is_sent(&number))),
            Plan::Done(found) => Ok(Prepared::Nothing(receipt(found, &[], &found.reference))),
            Plan::Edit { found, reference, differences } => {
                let changed = names(&differences);
                let baseline = Baseline { order: number, before: found.clone(), reference, changed };
                Ok(Prepared::Act { baseline: json!(baseline) })
            }
        }
    }

    async fn act(
        &self,
        context: &ActionContext<'_>,
        baseline: &Value,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        match kept::<Baseline>(baseline) {
            Ok(base) => edit(context, &base.order, &base.reference, &base.changed, intent, gate).await,
            Err(error) => ActOutcome::Refused(error),
        }
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
        match kept::<Edited>(&observed.0) {
            Ok(edited) => {
                edit(context, &edited.order, &edited.reference, &edited.changed, intent, gate).await
            }
            Err(error) => ActOutcome::Refused(error),
        }
    }

    async fn probe(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted> {
        let wanted = match parsed(&context.operation.payload) {
            Ok((_, wanted)) => wanted,
            Err(errors) => return Ok(Verdict::Unclear(in_words(&errors))),
        };
        let base: Baseline = match kept(&effect.baseline) {
            Ok(base) => base,
            Err(error) => return Ok(Verdict::Unclear(error)),
        };
        context.progress("probe", 0, 1, format!("asking the ERP for order {}", base.order));
        let observed = context.client.read_order(&base.order).await?;
        Ok(verdict(&wanted, &base, observed.as_ref()))
    }

    fn check_receipt(&self, receipt: &Receipt) -> Result<(), FieldError> {
        orders::check_receipt(receipt)
    }

    fn complete(&self, _operation: &Operation, receipt: &Receipt) -> Completion {
        let changed = receipt.0.get("changed").cloned().unwrap_or_else(|| json!([]));
        let result = json!({ "order": orders::number(receipt), "changed": changed });
        Completion { result, rows: orders::known_row(receipt).into_iter().collect() }
    }
}

#[derive(Debug, PartialEq)]
enum Plan<'a> {
    Missing,
    Sent,
    Done(&'a Order),
    Edit { found: &'a Order, reference: String, differences: Vec<String> },
}

/// The decisions of `edit-order`, by what is wanted and what there is.
fn plan<'a>(wanted: &WantedOrder, observed: Option<&'a Order>) -> Plan<'a> {
    let Some(found) = observed else { return Plan::Missing };
    // A checked payload leaves room for the mark.
    let reference = orders::keeping_mark(&wanted.reference, &found.reference)
        .unwrap_or_else(|_| wanted.reference.clone());
    let differences = differences(wanted, &reference, found);
    match (found.sent, differences.is_empty()) {
        (true, _) => Plan::Sent,
        (false, true) => Plan::Done(found),
        (false, false) => Plan::Edit { found, reference, differences },
    }
}

/// What the order's page says of an edit that was sent. The reference is compared with what was typed, so a
/// mark that a person took away meanwhile is put back.
fn verdict(wanted: &WantedOrder, base: &Baseline, observed: Option<&Order>) -> Verdict<Receipt> {
    let Some(found) = observed else {
        return Verdict::Forbidden(format!("{} any more", orders::is_missing(&base.order)));
    };
    let differences = differences(wanted, &base.reference, found);
    if differences.is_empty() {
        Verdict::Found(receipt(found, &base.changed, &base.reference))
    } else if found.sent {
        let otherwise = differences.join("; ");
        let why = format!("{} otherwise than wanted: {otherwise}", orders::is_sent(&base.order));
        // As it was before: the edit came too late. Anything else may be half of it, and is at headquarters.
        let as_before =
            orders::is_unchanged(&base.before, &Order { sent: base.before.sent, ..found.clone() });
        if as_before { Verdict::Forbidden(why) } else { Verdict::Unclear(why) }
    } else if orders::is_unchanged(&base.before, found) {
        Verdict::Absent
    } else {
        Verdict::Differs { observed: receipt(found, &base.changed, &base.reference), differences }
    }
}

/// A receipt of this kind, as a repair reads it back.
#[derive(Deserialize)]
struct Edited {
    order: String,
    changed: Vec<String>,
    reference: String,
}

fn receipt(order: &Order, changed: &[String], reference: &str) -> Receipt {
    Receipt(json!({ "order": order.number, "changed": changed, "reference": reference, "content": order }))
}

async fn edit(
    context: &ActionContext<'_>,
    number: &str,
    reference: &str,
    changed: &[String],
    intent: Intent,
    gate: Arc<dyn CommitGate>,
) -> ActOutcome<Receipt> {
    let wanted = match parsed(&context.operation.payload) {
        Ok((_, wanted)) => wanted,
        Err(errors) => return ActOutcome::Refused(in_words(&errors)),
    };
    context.progress("type", 0, wanted.lines.len() as u64, format!("editing order {number}"));
    let edited = context.client.edit_order(number, &wanted, reference, intent, gate).await;
    edited.map(|saved| receipt(&saved, changed, reference))
}

/// The payload, checked whole.
fn parsed(payload: &Value) -> Result<(WhichOrder, WantedOrder), Vec<FieldError>> {
    let mut rest = payload.clone();
    let which = WhichOrder::take(&mut rest);
    both(which, orders::wanted(&rest))
}

#[cfg(test)]
mod tests {
    use super::orders::samples;
    use super::*;

    const MARKED: &str = "Fiera~012345678";

    fn decided(observed: Option<&Order>) -> String {
        match plan(&samples::wanted(), observed) {
            Plan::Missing => "missing".to_owned(),
            Plan::Sent => "sent".to_owned(),
            Plan::Done(_) => "done".to_owned(),
            Plan::Edit { reference, differences, .. } => {
                format!("edit {}, {reference}", names(&differences).join(" "))
            }
        }
    }

    #[test]
    fn what_is_done_about_an_order_at_first() {
        let order = samples::order;
        let table = [
            (None, "missing"),
            (Some(order(MARKED, 3, false)), "done"),
            (Some(order("Fiera", 3, false)), "done"),
            (Some(order(MARKED, 4, false)), "edit lines, Fiera~012345678"),
            (Some(order("~012345678", 4, false)), "edit reference lines, Fiera~012345678"),
            (Some(order("old", 3, false)), "edit reference, Fiera"),
            (Some(order(MARKED, 3, true)), "sent"),
            (Some(order(MARKED, 4, true)), "sent"),
        ];
        for (observed, expected) in &table {
            assert_eq!(decided(observed.as_ref()), *expected);
        }
    }

    #[test]
    fn what_a_probe_decides_once_an_edit_was_sent() {
        let base = Baseline {
            order: "20001".into(),
            before: samples::order(MARKED, 4, false),
            reference: MARKED.into(),
            changed: vec!["lines".into()],
        };
        let order = samples::order;
        let table = [
            (None, "forbidden: there is no order 20001 any more"),
            (Some(order(MARKED, 3, false)), "found"),
            (Some(order(MARKED, 3, true)), "found"),
            (Some(order(MARKED, 4, false)), "absent"),
            (Some(order(MARKED, 5, false)), "differs"),
            (Some(order("Fiera", 3, false)), "differs"),
            (
                Some(order(MARKED, 4, true)),
                r#"forbidden: order 20001 was sent to Verona already otherwise than wanted: line 1 quantity: wanted "3", found "4""#,
            ),
        ];
        for (observed, expected) in &table {
            let decided = match verdict(&samples::wanted(), &base, observed.as_ref()) {
                Verdict::Found(_) => "found".to_owned(),
                Verdict::Differs { .. } => "differs".to_owned(),
                Verdict::Absent => "absent".to_owned(),
                Verdict::Forbidden(why) => format!("forbidden: {why}"),
                Verdict::Unclear(why) => format!("unclear: {why}"),
            };
            assert_eq!(decided, *expected);
        }
    }

    #[test]
    fn every_bad_field_is_named() {
        let errors =
            EditOrder.validate(&json!({ "customer": "", "date": "2026-11-22", "lines": [] })).unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/order", "/customer", "/lines"]);
        let mut payload = samples::payload();
        payload["order"] = json!("20001");
        assert_eq!(EditOrder.validate(&payload), Ok(Some(Target::new("order:20001").unwrap())));
    }

    #[test]
    fn a_repair_reads_its_receipt_back() {
        let receipt = receipt(&samples::order(MARKED, 5, false), &["lines".to_owned()], MARKED);
        let edited: Edited = kept(&receipt.0).unwrap();
        assert_eq!((edited.order.as_str(), edited.reference.as_str()), ("20001", MARKED));
        assert_eq!(edited.changed, ["lines"]);
    }
}
