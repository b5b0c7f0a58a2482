//! `Products.aspx` and `Prices.aspx`: read-only grids.

use serde_json::Value;

use super::{Page, Post, Reaction, Show, Visit, World};
use crate::data::{Percent, Product};
use crate::erp::html::{Grid, esc, page_argument};
use crate::erp::site::{Site, gestionale};

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

pub(super) fn post(visit: &Visit, world: &World, post: &Post) -> Reaction {
    let name = if visit.page == Page::Prices { "Prices" } else { "Products" };
    match page_argument(&post.argument).filter(|_| post.name() == name) {
        Some(number) => Reaction::Show(show(visit, world, number)),
        None => Reaction::Invalid,
    }
}

pub(super) fn show(visit: &Visit, world: &World, number: usize) -> Show {
    let (title, main) = match visit.page {
        Page::Prices => ("Prezzi", prices(visit.site, world, number)),
        _ => ("Articoli", products(visit.site, world, number)),
    };
    Show { title, main, state: Value::from(number), ..Show::default() }
}

fn products(site: Site, world: &World, page: usize) -> String {
    let products: Vec<&Product> = world.products().collect();
    if site == Site::Gestionale {
        return gestionale::products(&products, page);
    }
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

fn prices(site: Site, world: &World, page: usize) -> String {
    let prices: Vec<(&Product, &(&str, Percent))> =
        world.products().flat_map(|product| GROUPS.iter().map(move |group| (product, group))).collect();
    if site == Site::Gestionale {
        return gestionale::prices(&prices, page);
    }
    Grid { name: "Prices", columns: &PRICES, page }.render(&prices, |(product, (group, discount))| {
        vec![esc(&product.code), (*group).to_owned(), product.price.italian(), discount.italian()]
    })
}
