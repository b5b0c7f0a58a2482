//! `create-customer`: brings a customer into the ERP, once.
//!
//! Customers bear no mark. What identifies one is its VAT number together with its name: a customer that has
//! both is updated into what is asked and called adopted. A name alone identifies nobody, since two customers
//! may well have the same; so without a VAT number a new one is always created. Which customers there were
//! before tells ours apart after a save whose answer was lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, Receipt, Verdict};
use archibald_core::erp::{Customer, WantedCustomer, customer_differences};
use archibald_core::error::FieldError;
use archibald_core::id::{Collection, EffectName, OperationKind, Target};
use archibald_core::operation::Operation;
use archibald_core::port::CommitGate;
use archibald_core::record::LocalRow;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::changed::names;
use super::customers::{self, Update};
use super::payload::{in_words, kept, rejected};
use super::rows;
use crate::action::{ActionContext, Completion, EffectAction, Interrupted, Prepared};

/// Creates a customer, or updates the one that has its VAT number and name. Payload: [`WantedCustomer`] with a
/// name; result: `{"customer": code}`, with `"adopted": true` where it existed.
#[derive(Debug, Clone, Copy, Default)]
pub struct CreateCustomer;

/// What is known before the first act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Baseline {
    /// This one is updated.
    Adopt(Box<Update>),
    /// These have the name or the VAT number and are not ours.
    Known(BTreeSet<String>),
}

#[async_trait]
impl EffectAction for CreateCustomer {
    fn kind(&self) -> OperationKind {
        OperationKind::new("create-customer").expect("a valid kind")
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        parsed(payload).map(|wanted| Some(target(&wanted)))
    }

    /// A new customer bears no mark: somebody else may bring an equal one while our request is under way.
    fn found_is_proof(&self, effect: &EffectRecord) -> bool {
        matches!(kept::<Baseline>(&effect.baseline), Ok(Baseline::Adopt(_)))
    }

    fn effect(&self) -> EffectName {
        EffectName::new("save-customer").expect("a valid effect")
    }

    fn mark(&self, _operation: &Operation) -> Option<Mark> {
        None
    }

    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        let wanted = parsed(&context.operation.payload).map_err(rejected)?;
        context.progress("prepare", 0, 1, "looking for the customer");
        match plan(&wanted, &like(context, &wanted).await?) {
            Plan::Reject(why) => Err(Interrupted::Rejected(why)),
            Plan::Create { known } => Ok(Prepared::Act { baseline: json!(Baseline::Known(known)) }),
            Plan::Adopt(code) => adopt(context, &wanted, code).await,
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
            Ok((Baseline::Adopt(base), wanted)) => {
                let saved = customers::update(context, &base.customer, &wanted, intent, gate).await;
                saved.map(|saved| adopted(&saved))
            }
            Ok((Baseline::Known(_), wanted)) => {
                context.progress("type", 0, 1, "typing the customer");
                let saved = context.client.create_customer(&wanted, intent, gate).await;
                saved.map(|saved| created(&saved))
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
            Ok((_, wanted)) => {
                let saved = customers::repair(context, effect, observed, &wanted, (intent, gate)).await;
                saved.map(|saved| if is_adopted(observed) { adopted(&saved) } else { created(&saved) })
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
        context.progress("probe", 0, 1, "asking the ERP whether the customer exists");
        match base {
            Baseline::Adopt(base) => {
                let observed = context.client.read_customer(&base.customer).await?;
                Ok(customers::told(customers::verdict(&wanted, &base, effect, observed.as_ref()), adopted))
            }
            Baseline::Known(known) => look(context, &wanted, known, effect).await,
        }
    }

    fn check_receipt(&self, receipt: &Receipt) -> Result<(), FieldError> {
        customers::check_receipt(receipt)
    }

    fn complete(&self, operation: &Operation, receipt: &Receipt) -> Completion {
        let code = customers::code(receipt);
        let mut result = json!({ "customer": code });
        let mut rows: Vec<_> = customers::known_row(receipt).into_iter().collect();
        if is_adopted(receipt) {
            result["adopted"] = json!(true);
        } else {
            // Not in the customer's own row, which every sync writes anew.
            let doc = Some(json!({ "operation": operation.id }));
            rows.push(LocalRow { collection: origins(), id: code, doc, event: None });
        }
        Completion { result, rows }
    }
}

/// What was known before the first act, and what is wanted.
fn known(operation: &Operation, baseline: &Value) -> Result<(Baseline, WantedCustomer), String> {
    let wanted = parsed(&operation.payload).map_err(|errors| in_words(&errors))?;
    Ok((kept(baseline)?, wanted))
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Adopt(String),
    Create { known: BTreeSet<String> },
    Reject(String),
}

/// The decisions of `create-customer`, by what is wanted and the customers that have its VAT number or name.
fn plan(wanted: &WantedCustomer, found: &[Customer]) -> Plan {
    let (name, vat) = identity(wanted);
    let same_vat: Vec<_> = found.iter().filter(|customer| !vat.is_empty() && customer.vat == vat).collect();
    let exact: Vec<_> = same_vat.iter().filter(|customer| customer.name == name).collect();
    let listed = |customers: &[&Customer]| {
        let each = customers.iter().map(|customer| format!("{} {:?}", customer.code, customer.name));
        each.collect::<Vec<_>>().join(", ")
    };
    match (exact.as_slice(), same_vat.as_slice()) {
        ([one], _) => Plan::Adopt(one.code.clone()),
        ([], []) => Plan::Create { known: found.iter().map(|customer| customer.code.clone()).collect() },
        ([], others) => Plan::Reject(format!(
            "VAT number {vat} is another customer's: wanted {name:?}, found {}",
            listed(others)
        )),
        (_, several) => Plan::Reject(format!("several customers have VAT number {vat}: {}", listed(several))),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Sighting {
    Ours(String),
    Unclear(String),
    Absent,
}

/// Which of the customers is the one that was saved. `others` are not: they were there before, or belong to
/// another operation. `denied` says that a person looked and none of them is.
fn sighting(
    wanted: &WantedCustomer,
    found: &[Customer],
    others: &BTreeSet<String>,
    denied: bool,
) -> Sighting {
    let (name, vat) = identity(wanted);
    let new: Vec<_> = found.iter().filter(|customer| !others.contains(&customer.code)).collect();
    let exact: Vec<_> = new.iter().filter(|customer| customer.name == name && customer.vat == vat).collect();
    let codes = |customers: &[&Customer]| {
        customers.iter().map(|customer| customer.code.as_str()).collect::<Vec<_>>().join(", ")
    };
    match (exact.as_slice(), new.as_slice()) {
        ([one], _) => Sighting::Ours(one.code.clone()),
        _ if denied => Sighting::Absent,
        ([], []) => Sighting::Absent,
        // Ours with another name or number, or somebody else's: nobody but a person can tell.
        ([], alike) => {
            Sighting::Unclear(format!("customers that are new and look like it: {}", codes(alike)))
        }
        (_, several) => Sighting::Unclear(format!("several new customers are it: {}", codes(several))),
    }
}

/// Name and VAT number; the latter is empty where there is none.
fn identity(wanted: &WantedCustomer) -> (&str, &str) {
    (wanted.name.as_deref().unwrap_or_default(), wanted.vat.as_deref().unwrap_or_default())
}

/// Two creations of the same customer go one after the other: until the first is over, whose the customer is
/// that the ERP shows cannot be told.
fn target(wanted: &WantedCustomer) -> Target {
    let name = match identity(wanted) {
        (name, "") => format!("new-customer:name:{name}"),
        (_, vat) => format!("new-customer:vat:{vat}"),
    };
    Target::new(name).expect("a checked text is short and has no control characters")
}

/// All customers with exactly this name or this VAT number: those that the list shows, and those that the
/// local records know, since lists lag.
async fn like(context: &ActionContext<'_>, wanted: &WantedCustomer) -> Result<Vec<Customer>, Interrupted> {
    let (name, vat) = identity(wanted);
    let mut like: Vec<Customer> = vec![];
    let is_alike = |customer: &Customer| customer.name == name || (!vat.is_empty() && customer.vat == vat);
    for text in [vat, name].into_iter().filter(|text| !text.is_empty()) {
        for customer in context.client.find_customers(text).await? {
            if is_alike(&customer) && !like.iter().any(|known| known.code == customer.code) {
                like.push(customer);
            }
        }
        for code in known_here(context, text, &is_alike).await? {
            if like.iter().any(|known| known.code == code) {
                continue;
            }
            like.extend(context.client.read_customer(&code).await?.filter(is_alike));
        }
    }
    Ok(like)
}

async fn adopt(
    context: &ActionContext<'_>,
    wanted: &WantedCustomer,
    code: String,
) -> Result<Prepared, Interrupted> {
    let Some(before) = context.client.read_customer(&code).await? else {
        return Err(Interrupted::Rejected(format!("customer {code} is listed and cannot be opened")));
    };
    let changed = names(&customer_differences(wanted, &before));
    if changed.is_empty() {
        return Ok(Prepared::Nothing(adopted(&before)));
    }
    Ok(Prepared::Act {
        baseline: json!(Baseline::Adopt(Box::new(Update { customer: code, before, changed }))),
    })
}

/// After a save of a new customer that was released.
async fn look(
    context: &ActionContext<'_>,
    wanted: &WantedCustomer,
    known: BTreeSet<String>,
    effect: &EffectRecord,
) -> Result<Verdict<Receipt>, Interrupted> {
    let found = like(context, wanted).await?;
    let mut others = known;
    for customer in &found {
        if is_another_operations(context, &customer.code).await? {
            others.insert(customer.code.clone());
        }
    }
    // What a person denied looked like the first save; a later one may have brought more.
    let denied = effect.denied && effect.acts == 1;
    let code = match sighting(wanted, &found, &others, denied) {
        Sighting::Absent => return Ok(Verdict::Absent),
        Sighting::Unclear(evidence) => return Ok(Verdict::Unclear(evidence)),
        Sighting::Ours(code) => code,
    };
    let Some(found) = context.client.read_customer(&code).await? else {
        return Ok(Verdict::Unclear(format!("customer {code} is listed and cannot be opened")));
    };
    let differences = customer_differences(wanted, &found);
    Ok(if differences.is_empty() {
        Verdict::Found(created(&found))
    } else {
        Verdict::Differs { observed: created(&found), differences }
    })
}

/// Codes of customers in the local records that are alike.
async fn known_here(
    context: &ActionContext<'_>,
    text: &str,
    is_alike: impl Fn(&Customer) -> bool,
) -> Result<Vec<String>, Interrupted> {
    let agent = &context.operation.agent;
    let rows = rows::all(context.store(), agent, customers::collection(), Some(text)).await?;
    let known = rows.into_iter().filter_map(|(_, doc, _)| serde_json::from_value::<Customer>(doc).ok());
    Ok(known.filter(|customer| is_alike(customer)).map(|customer| customer.code).collect())
}

/// Whether another operation of the agent created this customer.
async fn is_another_operations(context: &ActionContext<'_>, code: &str) -> Result<bool, Interrupted> {
    let row = rows::row(context.store(), &context.operation.agent, origins(), code).await?;
    Ok(row.is_some_and(|origin| origin["operation"] != json!(context.operation.id)))
}

fn created(customer: &Customer) -> Receipt {
    customers::receipt(customer, json!({}))
}

fn adopted(customer: &Customer) -> Receipt {
    customers::receipt(customer, json!({ "adopted": true }))
}

fn is_adopted(receipt: &Receipt) -> bool {
    receipt.0.get("adopted") == Some(&json!(true))
}

/// Which operation created which customer.
fn origins() -> Collection {
    Collection::new("customer-origins").expect("a valid collection")
}

/// The payload, checked whole.
fn parsed(payload: &Value) -> Result<WantedCustomer, Vec<FieldError>> {
    let wanted = customers::wanted(payload)?;
    if wanted.name.is_none() {
        return Err(vec![FieldError::new("/name", "must be given")]);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::customers::samples::customer;
    use super::*;

    fn wanted(vat: &str) -> WantedCustomer {
        WantedCustomer {
            name: Some("Rossi".into()),
            vat: Some(vat.to_owned()).filter(|vat| !vat.is_empty()),
            ..WantedCustomer::default()
        }
    }

    #[test]
    fn who_is_there_before_decides() {
        let rossi = |code, vat| customer(code, "Rossi", vat, "");
        let bianchi = |code, vat| customer(code, "Bianchi", vat, "");
        let table = [
            ("1", vec![], "create beside []"),
            ("1", vec![rossi("C1", "1")], "adopt C1"),
            ("1", vec![rossi("C1", "1"), bianchi("C2", "1"), rossi("C3", "")], "adopt C1"),
            ("1", vec![rossi("C1", "2"), rossi("C3", "")], r#"create beside ["C1", "C3"]"#),
            (
                "1",
                vec![bianchi("C2", "1"), rossi("C3", "")],
                r#"VAT number 1 is another customer's: wanted "Rossi", found C2 "Bianchi""#,
            ),
            (
                "1",
                vec![rossi("C1", "1"), rossi("C2", "1")],
                r#"several customers have VAT number 1: C1 "Rossi", C2 "Rossi""#,
            ),
            ("", vec![rossi("C1", "")], r#"create beside ["C1"]"#),
            ("", vec![rossi("C1", "1"), rossi("C2", "")], r#"create beside ["C1", "C2"]"#),
        ];
        for (vat, found, expected) in &table {
            let decided = match plan(&wanted(vat), found) {
                Plan::Adopt(code) => format!("adopt {code}"),
                Plan::Create { known } => format!("create beside {:?}", Vec::from_iter(known)),
                Plan::Reject(why) => why,
            };
            assert_eq!(decided, *expected, "{vat:?} {found:?}");
        }
    }

    #[test]
    fn who_is_new_since_decides_a_probe() {
        let others = BTreeSet::from(["C1".to_owned()]);
        let rossi = |code, vat| customer(code, "Rossi", vat, "");
        let table = [
            ("1", vec![], false, "absent"),
            ("1", vec![rossi("C1", "1")], false, "absent"),
            ("1", vec![rossi("C1", "1"), rossi("C2", "1")], false, "ours: C2"),
            ("1", vec![rossi("C2", "1"), rossi("C3", "1")], false, "several new customers are it: C2, C3"),
            ("1", vec![rossi("C2", "1"), rossi("C3", "1")], true, "absent"),
            ("1", vec![rossi("C2", "")], false, "customers that are new and look like it: C2"),
            ("1", vec![rossi("C2", "")], true, "absent"),
            ("1", vec![rossi("C2", "1"), rossi("C3", "")], true, "ours: C2"),
            (
                "1",
                vec![customer("C2", "Ross", "1", "")],
                false,
                "customers that are new and look like it: C2",
            ),
            ("", vec![rossi("C1", ""), rossi("C2", "")], false, "ours: C2"),
            ("", vec![rossi("C2", "9")], false, "customers that are new and look like it: C2"),
        ];
        for (vat, found, denied, expected) in &table {
            let decided = match sighting(&wanted(vat), found, &others, *denied) {
                Sighting::Ours(code) => format!("ours: {code}"),
                Sighting::Unclear(why) => why,
                Sighting::Absent => "absent".to_owned(),
            };
            assert_eq!(decided, *expected, "{vat:?} {found:?}");
        }
    }

    #[test]
    fn a_name_is_required() {
        let complaint = |payload: Value| in_words(&CreateCustomer.validate(&payload).unwrap_err());
        assert_eq!(complaint(json!({ "vat": "1" })), "/name must be given");
        assert_eq!(complaint(json!({ "name": "" })), "/name must have 1 to 60 characters, got 0");
    }

    #[test]
    fn creations_of_one_customer_have_one_target() {
        let target = |payload| CreateCustomer.validate(&payload).unwrap().unwrap().to_string();
        assert_eq!(target(json!({ "name": "Rossi", "vat": "" })), "new-customer:name:Rossi");
        assert_eq!(target(json!({ "name": "Rossi", "vat": "IT1" })), "new-customer:vat:IT1");
        assert_eq!(target(json!({ "name": "Bianchi", "vat": "IT1" })), "new-customer:vat:IT1");
    }
}
