use serde::{Deserialize, Serialize};

/// A customer as the ERP shows it. Texts that the ERP leaves empty are empty here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Assigned by the ERP on the first save.
    pub code: String,
    /// Company name.
    pub name: String,
    /// VAT number; not unique at the ERP.
    #[serde(default)]
    pub vat: String,
    /// Street and number.
    #[serde(default)]
    pub street: String,
    /// City.
    #[serde(default)]
    pub city: String,
    /// Postal code.
    #[serde(default)]
    pub postal_code: String,
    /// Country.
    #[serde(default)]
    pub country: String,
    /// E-mail address.
    #[serde(default)]
    pub email: String,
    /// Phone number.
    #[serde(default)]
    pub phone: String,
}

/// One page of the ERP's list of customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerPage {
    /// In the list's order. The list shows some of the fields only; the rest are empty.
    pub customers: Vec<Customer>,
    /// How many pages the list has, as far as it tells.
    pub pages: u32,
}
