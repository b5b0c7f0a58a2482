use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// A product as the ERP shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The product's code.
    pub code: String,
    /// Description.
    pub description: String,
    /// Packaging.
    pub unit: String,
    /// List price.
    #[serde(with = "rust_decimal::serde::str")]
    pub list_price: Decimal,
    /// Refused on new lines.
    pub discontinued: bool,
}

/// One page of the ERP's list of products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductPage {
    /// In the list's order.
    pub products: Vec<Product>,
    /// How many pages the list has, as far as it tells.
    pub pages: u32,
}

/// What a product costs a group of customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The product's code.
    pub product: String,
    /// The group of customers.
    pub group: String,
    /// Before the discount.
    #[serde(with = "rust_decimal::serde::str")]
    pub price: Decimal,
    /// Per cent.
    #[serde(with = "rust_decimal::serde::str")]
    pub discount: Decimal,
}

/// One page of the ERP's list of prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricePage {
    /// In the list's order.
    pub prices: Vec<Price>,
    /// How many pages the list has, as far as it tells.
    pub pages: u32,
}
