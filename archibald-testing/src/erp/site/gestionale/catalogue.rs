//! `Articoli.aspx` and `Listini.aspx`.

use super::formats::money;
use super::parts::Listing;
use crate::data::{Percent, Product};
use crate::erp::html::esc;

const PRODUCTS: [(&str, &str); 5] = [
    ("c-des", "Denominazione"),
    ("c-art", "Cod. art."),
    ("c-listino", "Listino EUR"),
    ("c-um", "U.M."),
    ("c-vendibile", "Vendibile"),
];
const PRICES: [(&str, &str); 4] = [
    ("c-gruppo", "Categoria"),
    ("c-art", "Cod. art."),
    ("c-riduzione", "Riduzione"),
    ("c-listino", "Listino EUR"),
];

/// A page of the products.
pub(crate) fn products(products: &[&Product], page: usize) -> String {
    Listing { control: "grdArticoli", columns: &PRODUCTS, page }.render(products, |product| {
        vec![
            esc(&product.description),
            esc(&product.code),
            money(product.price),
            esc(&product.unit),
            if product.discontinued { "N" } else { "S" }.to_owned(),
        ]
    })
}

/// A page of the prices: products with each group's discount.
pub(crate) fn prices(prices: &[(&Product, &(&str, Percent))], page: usize) -> String {
    Listing { control: "grdPrezzi", columns: &PRICES, page }.render(prices, |(product, (group, discount))| {
        vec![(*group).to_owned(), esc(&product.code), discount.to_string(), money(product.price)]
    })
}
