//! `Orders.aspx`: the agent's orders, filtered.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Post, Reaction, Show, Visit, World};
use crate::erp::html::{Grid, button, esc, input, page_argument, row, summary};
use crate::erp::site::{Site, gestionale};
use crate::erp::world::{ErpOrder, OrderState};

/// Filters as they were when Search was pressed, and the page of the grid.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    pub(crate) customer: String,
    pub(crate) date: String,
    pub(crate) reference: String,
    pub(crate) number: String,
    pub(crate) page: usize,
}

/// What the page shows.
pub(crate) struct Found<'a> {
    pub(crate) visit: &'a Visit,
    pub(crate) world: &'a World,
    pub(crate) search: &'a Search,
    pub(crate) orders: Vec<&'a ErpOrder>,
    pub(crate) date_error: Option<&'static str>,
    pub(crate) number_error: Option<&'static str>,
}

const COLUMNS: [(&str, &str); 7] = [
    ("number", "Numero"),
    ("date", "Data"),
    ("customer", "Cliente"),
    ("name", "Ragione sociale"),
    ("reference", "Riferimento"),
    ("state", "Stato"),
    ("total", "Totale"),
];

pub(super) fn load(visit: &Visit, world: &World) -> Show {
    Search::default().show(visit, world)
}

pub(super) fn post(visit: &Visit, world: &World, post: &Post) -> Reaction {
    let search = match post.name() {
        "Search" => Search {
            customer: post.form.field("FilterCustomer"),
            date: post.form.field("FilterDate"),
            reference: post.form.field("FilterReference"),
            number: post.form.field("FilterNumber"),
            page: 1,
        },
        "Orders" => match page_argument(&post.argument) {
            Some(page) => Search { page, ..post.state() },
            None => return Reaction::Invalid,
        },
        _ => return Reaction::Invalid,
    };
    Reaction::Show(search.show(visit, world))
}

/// How the page and the order's form call a state.
pub(super) fn state_text(state: OrderState) -> &'static str {
    match state {
        OrderState::Open => "Aperto",
        OrderState::Sent => "Inviato",
    }
}

impl Search {
    fn show(&self, visit: &Visit, world: &World) -> Show {
        let site = visit.site;
        let found = Found {
            visit,
            world,
            search: self,
            orders: world.listed_orders(visit.user()).filter(|order| self.finds(site, order)).collect(),
            date_error: self.wrong_date(site).then_some("Data non valida (gg/mm/aaaa)."),
            number_error: self.wrong_number().then_some("Numero non valido."),
        };
        let main = match site {
            Site::Archibald => found.html(),
            Site::Gestionale => gestionale::orders(&found),
        };
        Show { title: "Ordini", main, state: json!(self), ..Show::default() }
    }

    /// A filter that makes no sense finds nothing.
    fn finds(&self, site: Site, order: &ErpOrder) -> bool {
        let content = &order.content;
        let date = || site.parse_date(&self.date) == Some(content.date);
        let number = || self.number.parse() == Ok(order.number);
        (self.customer.is_empty() || self.customer == content.customer)
            && (self.date.is_empty() || date())
            && (self.number.is_empty() || number())
            && content.reference.to_lowercase().contains(&self.reference.to_lowercase())
    }

    fn wrong_date(&self, site: Site) -> bool {
        !self.date.is_empty() && site.parse_date(&self.date).is_none()
    }

    fn wrong_number(&self) -> bool {
        !self.number.is_empty() && self.number.parse::<u64>().is_err()
    }
}

impl Found<'_> {
    fn html(&self) -> String {
        let search = self.search;
        let grid = Grid { name: "Orders", columns: &COLUMNS, page: search.page };
        [
            summary([self.date_error, self.number_error].into_iter().flatten()),
            row("Cliente", "FilterCustomer", &input("FilterCustomer", &search.customer, ""), None),
            row("Data", "FilterDate", &input("FilterDate", &search.date, ""), self.date_error),
            row("Riferimento", "FilterReference", &input("FilterReference", &search.reference, ""), None),
            row("Numero", "FilterNumber", &input("FilterNumber", &search.number, ""), self.number_error),
            button("Search", "Cerca", ""),
            grid.render(&self.orders, |order| self.cells(order)),
        ]
        .join("\n")
    }

    fn cells(&self, order: &ErpOrder) -> Vec<String> {
        let (world, content) = (self.world, &order.content);
        let customer = world.customer_of(self.visit.user(), &content.customer);
        vec![
            format!(r#"<a href="/Order.aspx?number={0}">{0}</a>"#, order.number),
            self.visit.site.date(content.date),
            esc(&content.customer),
            esc(customer.map_or("", |customer| &customer.name)),
            esc(&content.reference),
            state_text(order.state).to_owned(),
            world.total(&content.lines).italian(),
        ]
    }
}
