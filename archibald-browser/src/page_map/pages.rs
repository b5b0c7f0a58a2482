use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What every page shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Selector: the login name of whoever is logged in.
    pub user: String,
    /// Selector: only on error pages; its text says what is wrong.
    pub error: String,
    /// Selector: only while the site is closed for maintenance.
    pub maintenance: String,
    /// Controls of every page that post back and change nothing.
    pub harmless: BTreeSet<String>,
    /// Endings of paths, such as `.png`, that are not loaded: pictures and fonts that only a person needs. None
    /// if left out.
    #[serde(default)]
    pub skip: BTreeSet<String>,
}

/// Where one logs in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The page's path.
    pub path: String,
    /// Selector: the user's name.
    pub user: String,
    /// Selector: the password. Its presence is how a login page is recognised.
    pub password: String,
    /// Selector: the button.
    pub submit: String,
    /// Selector: only after a refusal; its text says why.
    pub refusal: String,
    /// Controls that post back and change nothing.
    pub harmless: BTreeSet<String>,
    /// Names of the form's fields.
    pub fields: BTreeSet<String>,
}

/// Where one is after the login.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The page's path.
    pub path: String,
}

/// A grid: rows with named cells, and a way to the next page of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Selector: the grid itself, also when it has no row.
    pub present: String,
    /// Selector: its rows.
    pub rows: String,
    /// Column name → selector within a row.
    pub columns: BTreeMap<String, String>,
    /// Selector: the link to the next page; absent on the last one.
    pub next: String,
}

/// The list of orders.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderList {
    /// The page's path.
    pub path: String,
    /// Selector: filter, part of the reference.
    pub filter_reference: String,
    /// Selector: filter, the customer's code.
    pub filter_customer: String,
    /// Selector: filter, the date.
    pub filter_date: String,
    /// Selector: the button that searches.
    pub search: String,
    /// Columns `number`, `date`, `customer`, `reference`, `state`, `total`.
    pub grid: Grid,
    /// Controls that post back and change nothing.
    pub harmless: BTreeSet<String>,
    /// Names of the form's fields.
    pub fields: BTreeSet<String>,
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderForm {
    /// The page's path; without a number it is a new order.
    pub path: String,
    /// The query parameter that names an order.
    pub number_parameter: String,
    /// Selector: the order's number; its text is empty on a new order.
    pub number: String,
    /// Selector: only when there is no such order.
    pub not_found: String,
    /// Selector: the state.
    pub state: String,
    /// The state's text once the order was sent to Verona.
    pub state_sent: String,
    /// Selector: the customer's code.
    pub customer: String,
    /// Selector: the date.
    pub date: String,
    /// Selector: the reference.
    pub reference: String,
    /// Selector: the note.
    pub note: String,
    /// Selector: validation texts; only elements with a text count.
    pub validation: String,
    /// Selector: the new line's product. A change of it posts back.
    pub line_product: String,
    /// Selector: the new line's quantity.
    pub line_quantity: String,
    /// Selector: the new line's discount.
    pub line_discount: String,
    /// Selector: the button that adds the line.
    pub line_add: String,
    /// Selector: how many lines the order has, over all pages of the grid.
    pub line_count: String,
    /// Columns `product`, `quantity`, `price`, `discount`.
    pub lines: Grid,
    /// Selector: the link that takes out the last line of the grid's page that is shown.
    pub line_remove_last: String,
    /// Selector: the button that saves.
    pub save: String,
    /// Selector: the button that deletes.
    pub delete: String,
    /// What the button that deletes asks, word for word; empty if it does not ask.
    pub delete_question: String,
    /// Selector: the button that sends to Verona.
    pub send: String,
    /// What the button that sends asks, word for word; empty if it does not ask.
    pub send_question: String,
    /// Selector: what the site says of a write that it carried out.
    pub message: String,
    /// The message after a save, word for word; `{number}` stands for the order's number.
    pub saved: String,
    /// The message after an order was deleted, likewise.
    pub deleted: String,
    /// Name of a write → the control that does it. `save`, `delete` and `send` are needed.
    pub writes: BTreeMap<String, String>,
    /// Controls that post back and change nothing.
    pub harmless: BTreeSet<String>,
    /// Names of the form's fields.
    pub fields: BTreeSet<String>,
}

/// The list of customers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerList {
    /// The page's path.
    pub path: String,
    /// Selector: the text to search for.
    pub search_text: String,
    /// Selector: the button that searches.
    pub search: String,
    /// Columns `code`, `name`, `vat`, `city`, `country`.
    pub grid: Grid,
    /// Controls that post back and change nothing.
    pub harmless: BTreeSet<String>,
    /// Names of the form's fields.
    pub fields: BTreeSet<String>,
}

/// One customer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerForm {
    /// The page's path; without a code it is a new customer.
    pub path: String,
    /// The query parameter that names a customer.
    pub code_parameter: String,
    /// Selector: the customer's code; its text is empty on a new customer.
    pub code: String,
    /// Selector: only when there is no such customer.
    pub not_found: String,
    /// Selector: the company's name.
    pub name: String,
    /// Selector: the VAT number.
    pub vat: String,
    /// Selector: street and number.
    pub street: String,
    /// Selector: the city.
    pub city: String,
    /// Selector: the postal code.
    pub postal_code: String,
    /// Selector: the country.
    pub country: String,
    /// Selector: the e-mail address.
    pub email: String,
    /// Selector: the phone number.
    pub phone: String,
    /// Selector: validation texts; only elements with a text count.
    pub validation: String,
    /// Selector: the button that saves.
    pub save: String,
    /// Selector: what the site says of a write that it carried out.
    pub message: String,
    /// The message after a save, word for word; `{code}` stands for the customer's code.
    pub saved: String,
    /// Name of a write → the control that does it. `save` is needed.
    pub writes: BTreeMap<String, String>,
    /// Controls that post back and change nothing.
    pub harmless: BTreeSet<String>,
    /// Names of the form's fields.
    pub fields: BTreeSet<String>,
}

/// The list of products.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductList {
    /// The page's path.
    pub path: String,
    /// What the column `discontinued` says of a product that is.
    pub discontinued_yes: String,
    /// What it says of a product that is not.
    pub discontinued_no: String,
    /// Columns `code`, `description`, `unit`, `list_price`, `discontinued`.
    pub grid: Grid,
    /// Controls that post back and change nothing.
    pub harmless: BTreeSet<String>,
    /// Names of the form's fields.
    pub fields: BTreeSet<String>,
}

/// The list of prices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// The page's path.
    pub path: String,
    /// Columns `product`, `group`, `price`, `discount`.
    pub grid: Grid,
    /// Controls that post back and change nothing.
    pub harmless: BTreeSet<String>,
    /// Names of the form's fields.
    pub fields: BTreeSet<String>,
}
