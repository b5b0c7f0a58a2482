//! The verbs of the business, one file each: payload, key, probe, act and tests.

mod payload;
mod submit_order;
mod sync_customers;

use std::sync::Arc;

pub use self::submit_order::SubmitOrder;
pub use self::sync_customers::SyncCustomers;

use crate::registry::Action;

/// Every kind that comes with the product.
#[must_use]
pub fn all() -> Vec<Action> {
    vec![Action::Effect(Arc::new(SubmitOrder)), Action::Read(Arc::new(SyncCustomers))]
}
