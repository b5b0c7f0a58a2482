use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Date;

/// An order as it is wanted: the payload of `submit-order`. Unknown fields are an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedOrder {
    /// The customer's code.
    pub customer: String,
    /// The order's date.
    pub date: Date,
    /// The agent's own text; the mark goes behind it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What is ordered, in order.
    pub lines: Vec<WantedLine>,
}

/// A line of an order as it is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedLine {
    /// The product's code.
    pub product: String,
    /// Pieces, at least 1.
    pub quantity: u32,
    /// Per cent, 0 to 100 with at most two decimals; a string on the wire.
    #[serde(default, with = "rust_decimal::serde::str")]
    pub discount: Decimal,
}

/// An order as the ERP shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Assigned by the ERP on save.
    pub number: String,
    /// The customer's code.
    pub customer: String,
    /// The order's date.
    pub date: Date,
    /// As it stands there: the agent's text and the mark.
    pub reference: String,
    /// Free text.
    pub note: String,
    /// Whether it was sent to Verona, and so can be changed no more.
    pub sent: bool,
    /// In order.
    pub lines: Vec<OrderLine>,
}

/// A line of an order as the ERP shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderLine {
    /// The product's code.
    pub product: String,
    /// Pieces.
    pub quantity: u32,
    /// What the ERP made of it.
    #[serde(with = "rust_decimal::serde::str")]
    pub unit_price: Decimal,
    /// Per cent.
    #[serde(with = "rust_decimal::serde::str")]
    pub discount: Decimal,
}

/// What to look for in the ERP's list of orders. Texts match as the ERP matches them: anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderQuery {
    /// In the reference.
    pub reference: Option<String>,
    /// The customer's code.
    pub customer: Option<String>,
    /// On this day.
    pub date: Option<Date>,
}

/// A row of the ERP's list of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSummary {
    /// The order's number.
    pub number: String,
    /// The customer's code.
    pub customer: String,
    /// The order's date.
    pub date: Date,
    /// As it stands there.
    pub reference: String,
    /// Whether it was sent to Verona.
    pub sent: bool,
    /// What the ERP makes of all lines together.
    pub total: Decimal,
}

/// One page of the ERP's list of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPage {
    /// In the list's order.
    pub orders: Vec<OrderSummary>,
    /// How many pages the list has, as far as it tells.
    pub pages: u32,
}

/// Field by field, where an order is not what is wanted; empty where it is. `reference` is what it
/// should read there, mark included. Prices are the ERP's own and not compared.
#[must_use]
pub fn differences(wanted: &WantedOrder, reference: &str, observed: &Order) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |field: &str, wanted: String, observed: String| {
        if wanted != observed {
            found.push(format!("{field}: wanted {wanted:?}, found {observed:?}"));
        }
    };
    check("customer", wanted.customer.clone(), observed.customer.clone());
    check("date", wanted.date.to_string(), observed.date.to_string());
    check("reference", reference.to_owned(), observed.reference.clone());
    check("note", wanted.note.clone(), observed.note.clone());
    check("lines", wanted.lines.len().to_string(), observed.lines.len().to_string());
    for (index, (want, have)) in wanted.lines.iter().zip(&observed.lines).enumerate() {
        let at = |field: &str| format!("line {} {field}", index + 1);
        check(&at("product"), want.product.clone(), have.product.clone());
        check(&at("quantity"), want.quantity.to_string(), have.quantity.to_string());
        check(&at("discount"), want.discount.normalize().to_string(), have.discount.normalize().to_string());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> WantedOrder {
        serde_json::from_str(
            r#"{"customer":"ALFKI","date":"2026-11-22","lines":[{"product":"A0001","quantity":3,"discount":"5.50"}]}"#,
        )
        .unwrap()
    }

    fn observed() -> Order {
        Order {
            number: "1".into(),
            customer: "ALFKI".into(),
            date: "2026-11-22".parse().unwrap(),
            reference: "~X".into(),
            note: String::new(),
            sent: false,
            lines: vec![OrderLine {
                product: "A0001".into(),
                quantity: 3,
                unit_price: "18".parse().unwrap(),
                discount: "5.5".parse().unwrap(),
            }],
        }
    }

    #[test]
    fn equal_orders_differ_in_nothing_and_others_by_name() {
        assert_eq!(differences(&wanted(), "~X", &observed()), Vec::<String>::new());
        let mut other = observed();
        other.lines[0].discount = "5".parse().unwrap();
        other.note = "cut".into();
        assert_eq!(
            differences(&wanted(), "~X", &other),
            [r#"note: wanted "", found "cut""#, r#"line 1 discount: wanted "5.5", found "5""#]
        );
    }

    #[test]
    fn per_cent_are_strings_and_unknown_fields_an_error() {
        let number = r#"{"product":"A0001","quantity":3,"discount":5.5}"#;
        assert!(serde_json::from_str::<WantedLine>(number).is_err());
        let unknown = r#"{"product":"A0001","quantity":3,"price":"5"}"#;
        assert!(serde_json::from_str::<WantedLine>(unknown).is_err());
        let absent = r#"{"product":"A0001","quantity":3}"#;
        assert_eq!(serde_json::from_str::<WantedLine>(absent).unwrap().discount, Decimal::ZERO);
    }
}
