//! The nouns of the ERP, and what it takes for two of them to be equal.

mod customer;
mod date;
mod order;
mod product;

pub use self::customer::{Customer, CustomerDifference, CustomerPage, WantedCustomer, customer_differences};
pub use self::date::{Date, InvalidDate};
pub use self::order::{
    Order, OrderLine, OrderPage, OrderQuery, OrderSummary, WantedLine, WantedOrder, differences,
};
pub use self::product::{Price, PricePage, Product, ProductPage};
