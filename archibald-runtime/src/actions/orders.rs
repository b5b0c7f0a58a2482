//! What the verbs of orders share: the wanted order, the local row, the receipt.

use archibald_core::effect::{Mark, OWN_TEXT_LIMIT, Receipt, ReferenceTooLong};
use archibald_core::erp::{Order, WantedLine, WantedOrder, differences};
use archibald_core::error::FieldError;
use archibald_core::id::Collection;
use archibald_core::record::LocalRow;
use serde_json::{Value, json};

use super::payload::{Complaints, read};

/// Characters that an order's number may have.
pub(super) const MAX_NUMBER: usize = 40;
/// Lines that an order may have.
const MAX_LINES: usize = 500;
/// Pieces that a line may have.
const MAX_QUANTITY: u32 = 99_999;

/// A wanted order, checked whole.
pub(super) fn wanted(payload: &Value) -> Result<WantedOrder, Vec<FieldError>> {
    let order: WantedOrder = read(payload)?;
    let mut complaints = Complaints::default();
    complaints.text("/customer", &order.customer, 1, 20);
    complaints.text("/reference", &order.reference, 0, OWN_TEXT_LIMIT);
    if Mark::read(&order.reference).is_some() {
        complaints.add("/reference", "must not end with a mark, which is kept by itself".to_owned());
    }
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

/// The agent's own text with the mark that the order bears already, if it bears one.
pub(super) fn keeping_mark(own: &str, borne: &str) -> Result<String, ReferenceTooLong> {
    match Mark::read(borne) {
        Some(mark) => mark.stamp(own),
        None => Ok(own.to_owned()),
    }
}

/// Whether nothing was changed from one reading to the next. Prices are the ERP's own.
pub(super) fn is_unchanged(before: &Order, now: &Order) -> bool {
    let lines = before.lines.iter().map(|line| WantedLine {
        product: line.product.clone(),
        quantity: line.quantity,
        discount: line.discount,
    });
    let wanted = WantedOrder {
        customer: before.customer.clone(),
        date: before.date,
        reference: String::new(),
        note: before.note.clone(),
        lines: lines.collect(),
    };
    before.sent == now.sent && differences(&wanted, &before.reference, now).is_empty()
}

pub(super) fn is_missing(number: &str) -> String {
    format!("there is no order {number}")
}

pub(super) fn is_sent(number: &str) -> String {
    format!("order {number} was sent to Verona already")
}

/// What the ERP calls the order and what it holds.
pub(super) fn receipt(order: &Order) -> Receipt {
    Receipt(json!({ "order": order.number, "content": order }))
}

/// The number in a receipt.
pub(super) fn number(receipt: &Receipt) -> String {
    number_in(&receipt.0)
}

/// The number in a baseline.
pub(super) fn number_in(baseline: &Value) -> String {
    baseline.get("order").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A receipt that a person gives names the order.
pub(super) fn check_receipt(receipt: &Receipt) -> Result<(), FieldError> {
    match receipt.0.get("order").and_then(Value::as_str) {
        Some(number)
            if !number.is_empty() && number.len() <= MAX_NUMBER && !number.contains(char::is_control) =>
        {
            Ok(())
        }
        _ => Err(FieldError::new("/receipt/order", "must be the order's number, as a text")),
    }
}

/// The local row of an order; none of what is not known: a person who decides a doubt knows the number only,
/// and the next sync brings the rest.
pub(super) fn known_row(receipt: &Receipt) -> Option<LocalRow> {
    receipt.0.get("content").map(|content| row(number(receipt), Some(content.clone())))
}

/// The local row of an order; without content it is removed.
pub(super) fn row(number: String, doc: Option<Value>) -> LocalRow {
    LocalRow { collection: collection(), id: number, doc, event: Some("order.updated".to_owned()) }
}

pub(super) fn collection() -> Collection {
    Collection::new("orders").expect("a valid collection")
}

#[cfg(test)]
pub(super) mod samples {
    use archibald_core::erp::{Order, WantedOrder};
    use serde_json::{Value, from_value, json};

    pub(in crate::actions) fn payload() -> Value {
        json!({ "customer": "ALFKI", "date": "2026-11-22", "reference": "Fiera",
            "lines": [{ "product": "A0001", "quantity": 3, "discount": "5" }] })
    }

    pub(in crate::actions) fn wanted() -> WantedOrder {
        from_value(payload()).unwrap()
    }

    /// Order 20001 with this reference and so many pieces.
    pub(in crate::actions) fn order(reference: &str, quantity: u32, sent: bool) -> Order {
        from_value(json!({ "number": "20001", "customer": "ALFKI", "date": "2026-11-22",
            "reference": reference, "note": "", "sent": sent,
            "lines": [{ "product": "A0001", "quantity": quantity, "unit_price": "1", "discount": "5.00" }] }))
        .unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::samples::order;
    use super::*;

    #[test]
    fn an_edit_keeps_the_mark_that_is_there() {
        assert_eq!(keeping_mark("Fiera", "old text~0123456789").unwrap(), "Fiera");
        assert_eq!(keeping_mark("Fiera", "old text~012345678").unwrap(), "Fiera~012345678");
        assert_eq!(keeping_mark("Fiera", "").unwrap(), "Fiera");
    }

    #[test]
    fn prices_are_no_change() {
        let mut later = order("x", 3, false);
        later.lines[0].unit_price = 2.into();
        assert!(is_unchanged(&order("x", 3, false), &later));
        assert!(!is_unchanged(&order("x", 3, false), &order("x", 3, true)));
        assert!(!is_unchanged(&order("x", 3, false), &order("y", 3, false)));
        assert!(!is_unchanged(&order("x", 3, false), &order("x", 4, false)));
    }

    #[test]
    fn a_receipt_by_hand_names_the_order() {
        assert_eq!(check_receipt(&Receipt(json!({ "order": "20001" }))), Ok(()));
        for bad in [json!({}), json!({ "order": "" }), json!({ "order": 1 }), json!({ "order": "a\nb" })] {
            assert!(check_receipt(&Receipt(bad)).is_err());
        }
        assert_eq!(known_row(&Receipt(json!({ "order": "20001" }))), None);
    }
}
