//! What one site looks like: addresses, selectors, formats and texts, as data.
//!
//! The flows are code, the DOM is not. The embedded default fits the simulated ERP and is documented key by
//! key in `page_map/simulator.toml`; another site is a file of the same keys.

mod format;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use url::Url;

pub use self::format::{Formats, NotOfThisFormat};
use crate::gate::{GateRules, PageRules, RuleError};

const SIMULATOR: &str = include_str!("page_map/simulator.toml");

/// A page map that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("page map {file}: {what}")]
pub struct PageMapError {
    /// The file, or `embedded`.
    pub file: String,
    /// The key and what was expected of it.
    pub what: String,
}

/// One site.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageMap {
    /// How dates and numbers are written.
    pub formats: Formats,
    /// What every page shows.
    pub frame: Frame,
    /// Where one logs in.
    pub login: Login,
    /// Where one is after that.
    pub start: Start,
    /// The list of orders.
    pub orders: OrderList,
    /// One order.
    pub order: OrderForm,
    /// The list of customers.
    pub customers: CustomerList,
}

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
    /// Columns `number`, `date`, `customer`, `reference`.
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
    /// Selector: the button that saves.
    pub save: String,
    /// Name of a write → the control that does it. `save` is needed.
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
    /// Columns `code`, `name`, `vat`, `city`, `country`.
    pub grid: Grid,
    /// Controls that post back and change nothing.
    pub harmless: BTreeSet<String>,
    /// Names of the form's fields.
    pub fields: BTreeSet<String>,
}

impl PageMap {
    /// The map of the simulated ERP.
    ///
    /// # Errors
    /// None in a build whose tests passed.
    pub fn simulator() -> Result<Self, PageMapError> {
        Self::parse("embedded", SIMULATOR)
    }

    /// The map of another site.
    ///
    /// # Errors
    /// [`PageMapError`] names the file, the key and what was expected.
    pub fn read(path: &Path) -> Result<Self, PageMapError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&file, &text),
            Err(error) => Err(PageMapError { file, what: error.to_string() }),
        }
    }

    fn parse(file: &str, text: &str) -> Result<Self, PageMapError> {
        let refuse = |what: String| PageMapError { file: file.to_owned(), what };
        let map: Self = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        map.check().map_err(refuse)?;
        Ok(map)
    }

    fn check(&self) -> Result<(), String> {
        let grids: [(&str, &Grid, &[&str]); 3] = [
            (
                "orders.grid",
                &self.orders.grid,
                &["number", "date", "customer", "reference", "state", "total"],
            ),
            ("order.lines", &self.order.lines, &["product", "quantity", "price", "discount"]),
            ("customers.grid", &self.customers.grid, &["code", "name", "vat", "city", "country"]),
        ];
        for (key, grid, columns) in grids {
            if let Some(missing) = columns.iter().find(|column| !grid.columns.contains_key(**column)) {
                return Err(format!("{key}.columns must have {missing}"));
            }
        }
        if !self.order.writes.contains_key("save") {
            return Err("order.writes must have save".to_owned());
        }
        self.formats.check()
    }

    /// What the commit gate has to know.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn gate_rules(&self, base: &Url) -> Result<GateRules, RuleError> {
        let page = |path: &str, harmless: &BTreeSet<String>, fields: &BTreeSet<String>| PageRules {
            path: path.to_owned(),
            writes: BTreeMap::new(),
            harmless: harmless.union(&self.frame.harmless).cloned().collect(),
            fields: fields.clone(),
        };
        let none = BTreeSet::new();
        let order = page(&self.order.path, &self.order.harmless, &self.order.fields);
        let pages = [
            ("login", page(&self.login.path, &self.login.harmless, &self.login.fields)),
            ("start", page(&self.start.path, &none, &none)),
            ("orders", page(&self.orders.path, &self.orders.harmless, &self.orders.fields)),
            ("order", PageRules { writes: self.order.writes.clone(), ..order }),
            ("customers", page(&self.customers.path, &self.customers.harmless, &self.customers.fields)),
        ];
        GateRules::new(base, pages.map(|(name, rules)| (name.to_owned(), rules)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_map_is_whole() {
        let map = PageMap::simulator().unwrap();
        map.gate_rules(&Url::parse("http://127.0.0.1:8090").unwrap()).unwrap();
    }

    #[test]
    fn a_bad_map_names_the_file_and_the_key() {
        let error = |from: &str, to: &str| {
            PageMap::parse("site.toml", &SIMULATOR.replace(from, to)).unwrap_err().to_string()
        };
        let unknown = error("[start]", "[start]\ncolour = \"red\"");
        assert!(unknown.contains("site.toml") && unknown.contains("colour"), "{unknown}");
        assert_eq!(
            error("product = \"td.product\"", "artikel = \"td.product\""),
            "page map site.toml: order.lines.columns must have product"
        );
        assert!(error("dd/mm/yyyy", "dd/mm").contains("formats.date"));
        let missing = PageMap::read(Path::new("no-such-map.toml")).unwrap_err().to_string();
        assert!(missing.starts_with("page map no-such-map.toml: "), "{missing}");
    }
}
