//! What the verbs of customers share: the wanted customer, the local row, the receipt, the edit.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Receipt, Verdict};
use archibald_core::erp::{Customer, CustomerDifference, WantedCustomer, customer_differences};
use archibald_core::error::FieldError;
use archibald_core::id::Collection;
use archibald_core::port::CommitGate;
use archibald_core::record::LocalRow;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::payload::{Complaints, kept, read};
use crate::action::ActionContext;

/// Characters that a customer's code may have.
pub(super) const MAX_CODE: usize = 20;
/// Characters of every text of a customer but its VAT number.
const MAX_TEXT: usize = 60;
/// Characters of a VAT number.
const MAX_VAT: usize = 16;

/// An update of a customer that exists: what is known before the first act, and what a repair has to know
/// again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Update {
    pub(super) customer: String,
    pub(super) before: Customer,
    /// The fields that were not as wanted.
    pub(super) changed: Vec<String>,
}

/// A wanted customer, checked whole.
pub(super) fn wanted(payload: &Value) -> Result<WantedCustomer, Vec<FieldError>> {
    let customer: WantedCustomer = read(payload)?;
    let mut complaints = Complaints::default();
    for (field, text) in customer.fields() {
        let pointer = format!("/{field}");
        let Some(text) = text else { continue };
        let (min, max) = match field {
            "name" => (1, MAX_TEXT),
            "vat" => (0, MAX_VAT),
            _ => (0, MAX_TEXT),
        };
        complaints.text(&pointer, text, min, max);
        if field == "vat" && !text.chars().all(|c| c.is_ascii_alphanumeric()) {
            complaints.add(&pointer, "must have only letters and digits".to_owned());
        }
        if field == "email" && !text.is_empty() && !text.contains('@') {
            complaints.add(&pointer, "must contain an @".to_owned());
        }
    }
    complaints.result(customer)
}

/// What has to be at the ERP once a save was sent and this is there: what was asked for, and of the rest what
/// the answer showed spoiled, as it was on the form, for as long as nobody has touched it since.
pub(super) fn whole(wanted: &WantedCustomer, effect: &EffectRecord, observed: &Customer) -> WantedCustomer {
    let mut whole = wanted.clone();
    let spoiled = effect.differences.iter().filter_map(|text| CustomerDifference::read(text));
    for CustomerDifference { field, wanted, found } in spoiled {
        if observed.fields().contains(&(field.as_str(), found.as_str())) {
            whole.or_insert(&field, &wanted);
        }
    }
    whole
}

/// What the customer's page says of an update that was sent.
pub(super) fn verdict(
    wanted: &WantedCustomer,
    update: &Update,
    effect: &EffectRecord,
    observed: Option<&Customer>,
) -> Verdict<Customer> {
    let Some(found) = observed else {
        return Verdict::Forbidden(format!("{} any more", is_missing(&update.customer)));
    };
    let wanted = whole(wanted, effect, found);
    let differences = customer_differences(&wanted, found);
    let wanted_fields = wanted.fields().into_iter().zip(update.before.fields()).zip(found.fields());
    let untouched = wanted_fields
        .filter(|(((_, wanted), _), _)| wanted.is_some())
        .all(|((_, (_, before)), (_, now))| before == now);
    if differences.is_empty() {
        Verdict::Found(found.clone())
    } else if untouched {
        Verdict::Absent
    } else {
        Verdict::Differs { observed: found.clone(), differences }
    }
}

/// The same verdict, with receipts.
pub(super) fn told(
    verdict: Verdict<Customer>,
    receipt: impl FnOnce(&Customer) -> Receipt,
) -> Verdict<Receipt> {
    match verdict {
        Verdict::Found(found) => Verdict::Found(receipt(&found)),
        Verdict::Differs { observed, differences } => {
            Verdict::Differs { observed: receipt(&observed), differences }
        }
        Verdict::Absent => Verdict::Absent,
        Verdict::Forbidden(why) => Verdict::Forbidden(why),
        Verdict::Unclear(evidence) => Verdict::Unclear(evidence),
    }
}

/// One update through the gate.
pub(super) async fn update(
    context: &ActionContext<'_>,
    code: &str,
    wanted: &WantedCustomer,
    intent: Intent,
    gate: Arc<dyn CommitGate>,
) -> ActOutcome<Customer> {
    context.progress("type", 0, 1, format!("updating customer {code}"));
    context.client.update_customer(code, wanted, intent, gate).await
}

/// The edit that brings what was found into what is wanted.
pub(super) async fn repair(
    context: &ActionContext<'_>,
    effect: &EffectRecord,
    observed: &Receipt,
    wanted: &WantedCustomer,
    (intent, gate): (Intent, Arc<dyn CommitGate>),
) -> ActOutcome<Customer> {
    match kept::<Customer>(&observed.0["content"]) {
        Ok(found) => update(context, &found.code, &whole(wanted, effect, &found), intent, gate).await,
        Err(error) => ActOutcome::Refused(error),
    }
}

pub(super) fn is_missing(code: &str) -> String {
    format!("there is no customer {code}")
}

/// The code in a receipt.
pub(super) fn code(receipt: &Receipt) -> String {
    receipt.0.get("customer").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A receipt that a person gives names the customer.
pub(super) fn check_receipt(receipt: &Receipt) -> Result<(), FieldError> {
    match receipt.0.get("customer").and_then(Value::as_str) {
        Some(code) if !code.is_empty() && code.len() <= MAX_CODE && !code.contains(char::is_control) => {
            Ok(())
        }
        _ => Err(FieldError::new("/receipt/customer", "must be the customer's code, as a text")),
    }
}

/// The local row of a customer; none of what is not known.
pub(super) fn known_row(receipt: &Receipt) -> Option<LocalRow> {
    let doc = receipt.0.get("content")?.clone();
    let event = Some("customer.updated".to_owned());
    Some(LocalRow { collection: collection(), id: code(receipt), doc: Some(doc), event })
}

/// A receipt with what else it tells.
pub(super) fn receipt(customer: &Customer, more: Value) -> Receipt {
    let mut receipt = json!({ "customer": customer.code, "content": customer });
    if let (Some(fields), Value::Object(more)) = (receipt.as_object_mut(), more) {
        fields.extend(more);
    }
    Receipt(receipt)
}

pub(super) fn collection() -> Collection {
    Collection::new("customers").expect("a valid collection")
}

#[cfg(test)]
pub(super) mod samples {
    use archibald_core::erp::Customer;
    use serde_json::{from_value, json};

    pub(in crate::actions) fn customer(code: &str, name: &str, vat: &str, city: &str) -> Customer {
        from_value(json!({ "code": code, "name": name, "vat": vat, "city": city })).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::samples::customer;
    use super::*;

    #[test]
    fn what_a_probe_decides_once_an_update_was_sent() {
        let before = customer("C1", "Rossi", "1", "Verona");
        let update = Update { customer: "C1".into(), before, changed: vec!["city".into()] };
        let wanted = |phone: Option<&str>| WantedCustomer {
            city: Some("Milano".into()),
            phone: phone.map(str::to_owned),
            ..WantedCustomer::default()
        };
        let table = [
            (None, None, "forbidden: there is no customer C1 any more"),
            (None, Some(customer("C1", "Rossi", "1", "Milano")), "found"),
            (None, Some(customer("C1", "Bianchi", "1", "Milano")), "found"),
            (None, Some(customer("C1", "Bianchi", "1", "Verona")), "absent"),
            (None, Some(customer("C1", "Rossi", "1", "Torino")), "differs"),
            (Some("1"), Some(customer("C1", "Rossi", "1", "Milano")), "differs"),
        ];
        for (phone, observed, expected) in &table {
            let decided = match verdict(&wanted(*phone), &update, &effect(&[]), observed.as_ref()) {
                Verdict::Found(_) => "found".to_owned(),
                Verdict::Differs { .. } => "differs".to_owned(),
                Verdict::Absent => "absent".to_owned(),
                Verdict::Forbidden(why) => format!("forbidden: {why}"),
                Verdict::Unclear(why) => format!("unclear: {why}"),
            };
            assert_eq!(decided, *expected, "{observed:?}");
        }
    }

    /// What nobody named is brought back where the answer showed it spoiled, and where it still is.
    #[test]
    fn what_the_answer_showed_spoiled_is_wanted_as_it_was_on_the_form() {
        let wanted = WantedCustomer { vat: Some("2".into()), ..WantedCustomer::default() };
        let spoiled = effect(&[r#"city: wanted "Milano", found "MILANO.""#]);
        let city = |city: &str| whole(&wanted, &spoiled, &customer("C1", "Rossi", "2", city)).city;
        assert_eq!(city("MILANO.").as_deref(), Some("Milano"));
        assert_eq!(city("Torino"), None, "a person changed it since");
        let named = WantedCustomer { city: Some("Verona".into()), ..wanted.clone() };
        let whole = whole(&named, &spoiled, &customer("C1", "Rossi", "2", "MILANO."));
        assert_eq!(whole, named);
    }

    fn effect(differences: &[&str]) -> EffectRecord {
        let at = "2026-11-22T08:30:00Z";
        let doc = json!({
            "name": "update-customer", "state": "released", "mark": null, "baseline": {}, "token": 1, "acts": 1,
            "intended_at": at, "released_at": at, "act_until": at, "answered_at": at, "receipt": null,
            "differences": differences,
        });
        serde_json::from_value(doc).unwrap()
    }

    #[test]
    fn every_bad_field_is_named() {
        let bad =
            json!({ "name": "", "vat": "IT 1", "city": "x".repeat(61), "email": "rossi", "phone": " 1" });
        let errors = wanted(&bad).unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/vat", "/city", "/email", "/phone"]);
        assert!(wanted(&json!({ "fax": "1" })).is_err());
        assert!(wanted(&json!({ "name": "Rossi", "email": "", "vat": "IT01234567890" })).is_ok());
    }

    #[test]
    fn a_receipt_by_hand_names_the_customer() {
        assert_eq!(check_receipt(&Receipt(json!({ "customer": "C1" }))), Ok(()));
        for bad in [json!({}), json!({ "customer": "" }), json!({ "customer": "x".repeat(21) })] {
            assert!(check_receipt(&Receipt(bad)).is_err());
        }
    }
}
