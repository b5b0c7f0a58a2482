//! The oracle: every effect that the ERP applied, in order. Tests count here what was doubled, lost or made up.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::data::{Customer, Line};

/// What an order says: everything that its form has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderContent {
    /// Customer code.
    pub customer: String,
    /// Order date.
    pub date: Date,
    /// Free text of at most 40 characters.
    #[serde(default)]
    pub reference: String,
    /// Free text, lines ended by `\n`.
    #[serde(default)]
    pub note: String,
    /// Lines in order.
    pub lines: Vec<Line>,
}

/// What happened to the ERP's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EffectKind {
    /// A new order got its number.
    #[serde(rename = "order.saved")]
    OrderSaved,
    /// An order's content was replaced, be it by the same.
    #[serde(rename = "order.edited")]
    OrderEdited,
    /// An order is gone.
    #[serde(rename = "order.deleted")]
    OrderDeleted,
    /// An order went to Verona.
    #[serde(rename = "order.sent")]
    OrderSent,
    /// A new customer got its code.
    #[serde(rename = "customer.saved")]
    CustomerSaved,
    /// A customer's data was replaced.
    #[serde(rename = "customer.edited")]
    CustomerEdited,
}

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Dense, from 1.
    pub seq: u64,
    /// Milliseconds since 1970 (UTC) at which it was applied.
    pub at_ms: u64,
    /// Whose session did it.
    pub user: String,
    /// What happened.
    pub kind: EffectKind,
    /// The order's number or the customer's code.
    pub number: String,
    /// The order as it stood after the effect (before it, where it was deleted).
    pub order: Option<OrderContent>,
    /// The customer as it stood after the effect.
    pub customer: Option<Customer>,
    /// Which request did it, counted from 1; 0 for what came by the control port.
    pub request: u64,
    /// The fault that this request met.
    pub fault: Option<Fault>,
    /// Put there by the control port, as a person would behind the product's back.
    pub by_hand: bool,
}

/// Who did it, and how: what a ledger entry says beside the effect itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause<'a> {
    pub(crate) user: &'a str,
    pub(crate) request: u64,
    pub(crate) fault: Option<Fault>,
}

/// An effect that was applied.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) kind: EffectKind,
    pub(crate) number: String,
    pub(crate) order: Option<OrderContent>,
    pub(crate) customer: Option<Customer>,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<LedgerEntry>,
}

impl Ledger {
    pub(crate) fn record(&mut self, cause: Cause<'_>, applied: &Applied) {
        self.entries.push(LedgerEntry {
            seq: self.entries.len() as u64 + 1,
            at_ms: now_ms(),
            user: cause.user.to_owned(),
            kind: applied.kind,
            number: applied.number.clone(),
            order: applied.order.clone(),
            customer: applied.customer.clone(),
            request: cause.request,
            fault: cause.fault,
            by_hand: cause.request == 0,
        });
    }

    pub(crate) fn after(&self, seq: u64) -> &[LedgerEntry] {
        let from = usize::try_from(seq).unwrap_or(usize::MAX).min(self.entries.len());
        &self.entries[from..]
    }
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OrderSaved => "order.saved",
            Self::OrderEdited => "order.edited",
            Self::OrderDeleted => "order.deleted",
            Self::OrderSent => "order.sent",
            Self::CustomerSaved => "customer.saved",
            Self::CustomerEdited => "customer.edited",
        })
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
