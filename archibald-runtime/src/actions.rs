//! The verbs of the business, one file each: payload, key, probe, act and tests.

mod changed;
mod create_customer;
mod customers;
mod delete_order;
mod edit_order;
mod orders;
mod payload;
mod rows;
mod send_to_verona;
mod submit_order;
mod sync;
mod sync_customers;
mod sync_orders;
mod sync_prices;
mod sync_products;
mod update_customer;
mod which_order;

use std::sync::Arc;

pub use self::create_customer::CreateCustomer;
pub use self::delete_order::DeleteOrder;
pub use self::edit_order::EditOrder;
pub use self::send_to_verona::SendToVerona;
pub use self::submit_order::SubmitOrder;
pub use self::sync_customers::SyncCustomers;
pub use self::sync_orders::SyncOrders;
pub use self::sync_prices::SyncPrices;
pub use self::sync_products::SyncProducts;
pub use self::update_customer::UpdateCustomer;

use crate::registry::Action;

/// Every kind that comes with the product.
#[must_use]
pub fn all() -> Vec<Action> {
    vec![
        Action::Effect(Arc::new(SubmitOrder)),
        Action::Effect(Arc::new(EditOrder)),
        Action::Effect(Arc::new(DeleteOrder)),
        Action::Effect(Arc::new(SendToVerona)),
        Action::Effect(Arc::new(CreateCustomer)),
        Action::Effect(Arc::new(UpdateCustomer)),
        Action::Read(Arc::new(SyncCustomers)),
        Action::Read(Arc::new(SyncProducts)),
        Action::Read(Arc::new(SyncPrices)),
        Action::Read(Arc::new(SyncOrders)),
    ]
}
