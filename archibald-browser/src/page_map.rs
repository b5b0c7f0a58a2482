//! What one site looks like: addresses, selectors, formats and texts, as data.
//!
//! The flows are code, the DOM is not. The embedded default fits the simulated ERP and is documented key by
//! key in `page_map/simulator.toml`; another site is a file of the same keys, which
//! [`check_page_map`](crate::erp::check_page_map) holds against it.

mod format;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use url::Url;

pub use self::format::{Formats, NotOfThisFormat};
pub use self::pages::{
    CustomerForm, CustomerList, Frame, Grid, Login, OrderForm, OrderList, PriceList, ProductList, Start,
};
use crate::gate::{GateRules, PageRules, RuleError};

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
    /// One customer.
    pub customer: CustomerForm,
    /// The list of products.
    pub products: ProductList,
    /// The list of prices.
    pub prices: PriceList,
}

impl PageMap {
    /// The map of the simulated ERP as a text, documented key by key: what another site's is made from.
    pub const SIMULATOR: &str = include_str!("page_map/simulator.toml");

    /// The map of the simulated ERP.
    ///
    /// # Errors
    /// None in a build whose tests passed.
    pub fn simulator() -> Result<Self, PageMapError> {
        Self::parse("embedded", Self::SIMULATOR)
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

    /// The map that a text gives; `file` is what errors call it.
    ///
    /// # Errors
    /// [`PageMapError`] names the key and what was expected.
    pub fn parse(file: &str, text: &str) -> Result<Self, PageMapError> {
        let refuse = |what: String| PageMapError { file: file.to_owned(), what };
        let map: Self = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        map.check().map_err(refuse)?;
        Ok(map)
    }

    fn check(&self) -> Result<(), String> {
        let grids: [(&str, &Grid, &[&str]); 5] = [
            (
                "orders.grid",
                &self.orders.grid,
                &["number", "date", "customer", "reference", "state", "total"],
            ),
            ("order.lines", &self.order.lines, &["product", "quantity", "price", "discount"]),
            ("customers.grid", &self.customers.grid, &["code", "name", "vat", "city", "country"]),
            (
                "products.grid",
                &self.products.grid,
                &["code", "description", "unit", "list_price", "discontinued"],
            ),
            ("prices.grid", &self.prices.grid, &["product", "group", "price", "discount"]),
        ];
        for (key, grid, columns) in grids {
            if let Some(missing) = columns.iter().find(|column| !grid.columns.contains_key(**column)) {
                return Err(format!("{key}.columns must have {missing}"));
            }
        }
        let writes: [(&str, &BTreeMap<String, String>, &[&str]); 2] = [
            ("order", &self.order.writes, &["save", "delete", "send"]),
            ("customer", &self.customer.writes, &["save"]),
        ];
        for (page, writes, needed) in writes {
            if let Some(missing) = needed.iter().find(|write| !writes.contains_key(**write)) {
                return Err(format!("{page}.writes must have {missing}"));
            }
        }
        self.check_texts()?;
        self.formats.check()
    }

    /// An empty text would be found on every page, and two equal ones tell nothing apart.
    fn check_texts(&self) -> Result<(), String> {
        let texts = [
            ("order.state_sent", &self.order.state_sent),
            ("order.saved", &self.order.saved),
            ("order.deleted", &self.order.deleted),
            ("customer.saved", &self.customer.saved),
        ];
        if let Some((key, _)) = texts.iter().find(|(_, text)| text.trim().is_empty()) {
            return Err(format!("{key} must be a text"));
        }
        if self.products.discontinued_yes == self.products.discontinued_no {
            return Err("products.discontinued_yes and products.discontinued_no must differ".to_owned());
        }
        Ok(())
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
            parameters: BTreeSet::new(),
        };
        let none = BTreeSet::new();
        let (order, customer) = (&self.order, &self.customer);
        let order = page(&order.path, &order.harmless, &order.fields);
        let customer = page(&customer.path, &customer.harmless, &customer.fields);
        let number = BTreeSet::from([self.order.number_parameter.clone()]);
        let code = BTreeSet::from([self.customer.code_parameter.clone()]);
        let pages = [
            ("login", page(&self.login.path, &self.login.harmless, &self.login.fields)),
            ("start", page(&self.start.path, &none, &none)),
            ("orders", page(&self.orders.path, &self.orders.harmless, &self.orders.fields)),
            ("order", PageRules { writes: self.order.writes.clone(), parameters: number, ..order }),
            ("customers", page(&self.customers.path, &self.customers.harmless, &self.customers.fields)),
            ("customer", PageRules { writes: self.customer.writes.clone(), parameters: code, ..customer }),
            ("products", page(&self.products.path, &self.products.harmless, &self.products.fields)),
            ("prices", page(&self.prices.path, &self.prices.harmless, &self.prices.fields)),
        ];
        let rules = GateRules::new(base, pages.map(|(name, rules)| (name.to_owned(), rules)).into())?;
        Ok(rules.skipping(&self.frame.skip))
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
            PageMap::parse("site.toml", &PageMap::SIMULATOR.replace(from, to)).unwrap_err().to_string()
        };
        let unknown = error("[start]", "[start]\ncolour = \"red\"");
        assert!(unknown.contains("site.toml") && unknown.contains("colour"), "{unknown}");
        assert_eq!(
            error("product = \"td.product\"", "artikel = \"td.product\""),
            "page map site.toml: order.lines.columns must have product"
        );
        let cases = [
            ("list_price = ", "price_list = ", "products.grid.columns must have list_price"),
            ("group = ", "gruppo = ", "prices.grid.columns must have group"),
            ("send = \"ctl00$Main$Send\"", "", "order.writes must have send"),
            ("delete = \"ctl00$Main$Delete\"", "", "order.writes must have delete"),
            ("\n[customer.writes]\nsave", "\n[customer.writes]\nstore", "customer.writes must have save"),
            ("Cliente {code} salvato.", "", "customer.saved must be a text"),
            ("\"No\"", "\"Sì\"", "products.discontinued_yes and products.discontinued_no must differ"),
        ];
        for (from, to, expected) in cases {
            assert_eq!(error(from, to), format!("page map site.toml: {expected}"));
        }
        assert!(error("code_parameter = \"code\"", "").contains("code_parameter"));
        assert!(error("dd/mm/yyyy", "dd/mm").contains("formats.date"));
        let missing = PageMap::read(Path::new("no-such-map.toml")).unwrap_err().to_string();
        assert!(missing.starts_with("page map no-such-map.toml: "), "{missing}");
    }
}
