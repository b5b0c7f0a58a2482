//! What a pending order says so far.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::erp::Date;
use crate::error::FieldError;

/// Lines that a pending order may have.
pub const LINES_LIMIT: usize = 500;

/// Characters that each of its texts may have: more than any field of an order takes, since what is half typed is
/// kept as it is. What can be submitted is another question, which is asked when it is submitted.
pub const TEXT_LIMIT: usize = 200;

/// An order that may be incomplete. Unknown fields are an error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderContent {
    /// The customer's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The order's date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// The agent's own text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What is ordered, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<OrderContentLine>,
}

/// A line that may be incomplete. Unknown fields are an error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderContentLine {
    /// The product's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    /// Per cent; a string on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rust_decimal::serde::str_option")]
    pub discount: Option<Decimal>,
}

impl OrderContent {
    /// Checks that it is of a size that can be kept.
    ///
    /// # Errors
    /// One [`FieldError`] for each field that cannot.
    pub fn check(&self) -> Result<(), Vec<FieldError>> {
        let mut errors = vec![];
        let mut text = |pointer: String, text: &Option<String>| {
            let Some(text) = text else { return };
            let length = text.chars().count();
            if length > TEXT_LIMIT {
                let detail = format!("must have at most {TEXT_LIMIT} characters, got {length}");
                errors.push(FieldError::new(pointer, detail));
            } else if text.chars().any(char::is_control) {
                errors.push(FieldError::new(pointer, "must not contain control characters"));
            }
        };
        text("/customer".to_owned(), &self.customer);
        text("/reference".to_owned(), &self.reference);
        text("/note".to_owned(), &self.note);
        let lines = self.lines.iter().take(LINES_LIMIT).enumerate();
        lines.for_each(|(n, line)| text(format!("/lines/{n}/product"), &line.product));
        if self.lines.len() > LINES_LIMIT {
            let detail = format!("must have at most {LINES_LIMIT} lines, got {}", self.lines.len());
            errors.push(FieldError::new("/lines", detail));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Checks that everything is there that an order has to have; whether it is right is another question.
    ///
    /// # Errors
    /// One [`FieldError`] for each field that is missing.
    pub fn check_complete(&self) -> Result<(), Vec<FieldError>> {
        let mut missing = vec![];
        let mut need = |is_there: bool, pointer: String| {
            if !is_there {
                missing.push(FieldError::new(pointer, "is missing"));
            }
        };
        need(self.customer.is_some(), "/customer".to_owned());
        need(self.date.is_some(), "/date".to_owned());
        need(!self.lines.is_empty(), "/lines".to_owned());
        for (n, line) in self.lines.iter().enumerate() {
            need(line.product.is_some(), format!("/lines/{n}/product"));
            need(line.quantity.is_some(), format!("/lines/{n}/quantity"));
        }
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// As JSON, without what is not there.
    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("texts, numbers and lists of them are JSON")
    }

    /// The same for the same content, and short.
    pub(super) fn digest(&self) -> String {
        let digest = Sha256::digest(self.to_value().to_string());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
