//! `Products.aspx` and `Prices.aspx`: read-only grids.

use serde_json::Value;

use super::{Page, Post, Reaction, Show, World};
use crate::data::{Percent, Product};
use crate::erp::html::{Grid, esc, page_argument};

const PRODUCTS: [(&str, &str); 5] = [
    ("code", "Codice"),
    ("description", "Descrizione"),
    ("unit", "Confezione"),
    ("price", "Prezzo"),
    ("discontinued", "Fuori produzione"),
];
const PRICES: [(&str, &str); 4] =
    [("product", "Articolo"), ("group", "Gruppo"), ("price", "Prezzo"), ("discount", "Sconto %")];
/// Customer groups and what they get off the list price.
const GROUPS: [(&str, Percent); 2] = [("LISTINO", Percent(0)), ("RIVENDITORI", Percent(1_000))];

pub(super) fn post(page: Page, world: &World, post: &Post) -> Reaction {
    let name = if page == Page::Prices { "Prices" } else { "Products" };
    match page_argument(&post.argument).filter(|_| post.name() == name) {
        Some(number) => Reaction::Show(show(page, world, number)),
        None => Reaction::Invalid,
    }
}

pub(super) fn show(page: Page, world: &World, number: usize) -> Show {
    let (title, main) = match page {
        Page::Prices => ("Prezzi", prices(world, number)),
        _ => ("Articoli", products(world, number)),
    };
    Show { title, main, state: Value::from(number), ..Show::default() }
}

fn products(world: &World, page: usize) -> String {
    let products: Vec<&Product> = world.products().collect();
    Grid { name: "Products", columns: &PRODUCTS, page }.render(&products, |product| {
        vec![
            esc(&product.code),
            esc(&product.description),
            esc(&product.unit),
            product.price.italian(),
            if product.discontinued { "Sì" } else { "No" }.to_owned(),
        ]
    })
}

fn prices(world: &World, page: usize) -> String {
    let prices: Vec<(&Product, &(&str, Percent))> =
        world.products().flat_map(|product| GROUPS.iter().map(move |group| (product, group))).collect();
    Grid { name: "Prices", columns: &PRICES, page }.render(&prices, |(product, (group, discount))| {
        vec![esc(&product.code), (*group).to_owned(), product.price.italian(), discount.italian()]
    })
}
