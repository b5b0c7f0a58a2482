//! `update-customer`: brings the named fields of a customer into what is wanted, once.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, Receipt, Verdict};
use archibald_core::erp::{Customer, WantedCustomer, customer_differences};
use archibald_core::error::FieldError;
use archibald_core::id::{EffectName, OperationKind, Target};
use archibald_core::operation::Operation;
use archibald_core::port::CommitGate;
use async_trait::async_trait;
use serde_json::{Value, json};

use super::changed::names;
use super::customers::{self, MAX_CODE, Update};
use super::payload::{both, in_words, kept, rejected, take_text};
use crate::action::{ActionContext, Completion, EffectAction, Interrupted, Prepared};

/// Updates a customer. Payload: `customer`, its code, and at least one field of [`WantedCustomer`]; what is
/// not named stays as it is. Result: `{"customer": code, "changed": [names of fields]}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateCustomer;

#[async_trait]
impl EffectAction for UpdateCustomer {
    fn kind(&self) -> OperationKind {
        OperationKind::new("update-customer").expect("a valid kind")
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        let (code, _) = parsed(payload)?;
        Ok(Some(Target::new(format!("customer:{code}")).expect("a checked code is short and plain")))
    }

    fn effect(&self) -> EffectName {
        EffectName::new("update-customer").expect("a valid effect")
    }

    fn mark(&self, _operation: &Operation) -> Option<Mark> {
        None
    }

    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        let (code, wanted) = parsed(&context.operation.payload).map_err(rejected)?;
        context.progress("prepare", 0, 1, format!("reading customer {code}"));
        let observed = context.client.read_customer(&code).await?;
        match plan(&wanted, observed.as_ref()) {
            Plan::Missing => Err(Interrupted::Rejected(customers::is_missing(&code))),
            Plan::Done(found) => Ok(Prepared::Nothing(receipt(found, &[]))),
            Plan::Update { found, changed } => {
                let update = Update { customer: code, before: found.clone(), changed };
                Ok(Prepared::Act { baseline: json!(update) })
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
        match known(context.operation, baseline) {
            Ok((base, wanted)) => {
                let saved = customers::update(context, &base.customer, &wanted, intent, gate).await;
                saved.map(|saved| receipt(&saved, &base.changed))
            }
            Err(error) => ActOutcome::Refused(error),
        }
    }

    fn can_repair(&self) -> bool {
        true
    }

    async fn repair(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
        observed: &Receipt,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        match known(context.operation, &effect.baseline) {
            Ok((base, wanted)) => {
                let saved = customers::repair(context, effect, observed, &wanted, (intent, gate)).await;
                saved.map(|saved| receipt(&saved, &base.changed))
            }
            Err(error) => ActOutcome::Refused(error),
        }
    }

    async fn probe(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted> {
        let (base, wanted) = match known(context.operation, &effect.baseline) {
            Ok(known) => known,
            Err(error) => return Ok(Verdict::Unclear(error)),
        };
        context.progress("probe", 0, 1, format!("asking the ERP for customer {}", base.customer));
        let observed = context.client.read_customer(&base.customer).await?;
        let verdict = customers::verdict(&wanted, &base, effect, observed.as_ref());
        Ok(customers::told(verdict, |found| receipt(found, &base.changed)))
    }

    fn check_receipt(&self, receipt: &Receipt) -> Result<(), FieldError> {
        customers::check_receipt(receipt)
    }

    fn complete(&self, _operation: &Operation, receipt: &Receipt) -> Completion {
        let changed = receipt.0.get("changed").cloned().unwrap_or_else(|| json!([]));
        let result = json!({ "customer": customers::code(receipt), "changed": changed });
        Completion { result, rows: customers::known_row(receipt).into_iter().collect() }
    }
}

#[derive(Debug, PartialEq)]
enum Plan<'a> {
    Missing,
    Done(&'a Customer),
    Update { found: &'a Customer, changed: Vec<String> },
}

/// The decisions of `update-customer`, by what is wanted and what there is.
fn plan<'a>(wanted: &WantedCustomer, observed: Option<&'a Customer>) -> Plan<'a> {
    let Some(found) = observed else { return Plan::Missing };
    match names(&customer_differences(wanted, found)) {
        none if none.is_empty() => Plan::Done(found),
        changed => Plan::Update { found, changed },
    }
}

fn receipt(customer: &Customer, changed: &[String]) -> Receipt {
    customers::receipt(customer, json!({ "changed": changed }))
}

/// What was known before the first act, and what is wanted.
fn known(operation: &Operation, baseline: &Value) -> Result<(Update, WantedCustomer), String> {
    let (_, wanted) = parsed(&operation.payload).map_err(|errors| in_words(&errors))?;
    Ok((kept(baseline)?, wanted))
}

/// The payload, checked whole.
fn parsed(payload: &Value) -> Result<(String, WantedCustomer), Vec<FieldError>> {
    let mut rest = payload.clone();
    let code = take_text(&mut rest, "customer", MAX_CODE);
    let code = code.and_then(|code| code.ok_or_else(|| vec![FieldError::new("/customer", "must be given")]));
    let (code, wanted) = both(code, customers::wanted(&rest))?;
    if wanted == WantedCustomer::default() {
        return Err(vec![FieldError::new("", "must name at least one field besides customer")]);
    }
    Ok((code, wanted))
}

#[cfg(test)]
mod tests {
    use super::customers::samples::customer;
    use super::*;

    #[test]
    fn what_is_wanted_and_what_there_is_decide() {
        let wanted = WantedCustomer { city: Some("Milano".into()), ..WantedCustomer::default() };
        let (there, here) = (customer("C1", "Rossi", "1", "Milano"), customer("C1", "Rossi", "1", "Verona"));
        assert_eq!(plan(&wanted, None), Plan::Missing);
        assert_eq!(plan(&wanted, Some(&there)), Plan::Done(&there));
        let changed = vec!["city".to_owned()];
        assert_eq!(plan(&wanted, Some(&here)), Plan::Update { found: &here, changed });
    }

    #[test]
    fn every_bad_field_is_named() {
        let complaint = |payload: Value| in_words(&UpdateCustomer.validate(&payload).unwrap_err());
        assert_eq!(complaint(json!({ "city": "Milano" })), "/customer must be given");
        assert_eq!(complaint(json!({ "customer": "C1" })), " must name at least one field besides customer");
        assert_eq!(
            complaint(json!({ "customer": "", "name": "" })),
            "/customer must have 1 to 20 characters, got 0; /name must have 1 to 60 characters, got 0"
        );
        let target = Target::new("customer:C1").unwrap();
        assert_eq!(UpdateCustomer.validate(&json!({ "customer": "C1", "city": "" })), Ok(Some(target)));
    }
}
