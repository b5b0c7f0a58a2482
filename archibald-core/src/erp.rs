//! The nouns of the ERP, and what it takes for two of them to be equal.

mod customer;
mod date;
mod order;

pub use self::customer::{Customer, CustomerPage};
pub use self::date::{Date, InvalidDate};
pub use self::order::{Order, OrderLine, OrderQuery, OrderSummary, WantedLine, WantedOrder, differences};
