//! `Orders.aspx`: the agent's orders, filtered.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Post, Reaction, Show, Visit, World};
use crate::erp::html::{
    Grid, button, esc, input, italian_date, page_argument, parse_italian_date, row, summary,
};
use crate::erp::world::{ErpOrder, OrderState};

/// Filters as they were when Search was pressed, and the page of the grid.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Search {
    customer: String,
    date: String,
    reference: String,
    number: String,
    page: usize,
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
        let date_error = self.wrong_date().then_some("Data non valida (gg/mm/aaaa).");
        let number_error = self.wrong_number().then_some("Numero non valido.");
        let found: Vec<&ErpOrder> =
            world.listed_orders(visit.user()).filter(|order| self.finds(order)).collect();
        let grid = Grid { name: "Orders", columns: &COLUMNS, page: self.page };
        let main = [
            summary([date_error, number_error].into_iter().flatten()),
            row("Cliente", "FilterCustomer", &input("FilterCustomer", &self.customer, ""), None),
            row("Data", "FilterDate", &input("FilterDate", &self.date, ""), date_error),
            row("Riferimento", "FilterReference", &input("FilterReference", &self.reference, ""), None),
            row("Numero", "FilterNumber", &input("FilterNumber", &self.number, ""), number_error),
            button("Search", "Cerca", ""),
            grid.render(&found, |order| cells(visit, world, order)),
        ]
        .join("\n");
        Show { title: "Ordini", main, state: json!(self), ..Show::default() }
    }

    /// A filter that makes no sense finds nothing.
    fn finds(&self, order: &ErpOrder) -> bool {
        let content = &order.content;
        let date = || parse_italian_date(&self.date) == Some(content.date);
        let number = || self.number.parse() == Ok(order.number);
        (self.customer.is_empty() || self.customer == content.customer)
            && (self.date.is_empty() || date())
            && (self.number.is_empty() || number())
            && content.reference.to_lowercase().contains(&self.reference.to_lowercase())
    }

    fn wrong_date(&self) -> bool {
        !self.date.is_empty() && parse_italian_date(&self.date).is_none()
    }

    fn wrong_number(&self) -> bool {
        !self.number.is_empty() && self.number.parse::<u64>().is_err()
    }
}

fn cells(visit: &Visit, world: &World, order: &ErpOrder) -> Vec<String> {
    let content = &order.content;
    let name = world.customer_of(visit.user(), &content.customer).map_or("", |customer| &customer.name);
    vec![
        format!(r#"<a href="/Order.aspx?number={0}">{0}</a>"#, order.number),
        italian_date(content.date),
        esc(&content.customer),
        esc(name),
        esc(&content.reference),
        state_text(order.state).to_owned(),
        world.total(&content.lines).italian(),
    ]
}
