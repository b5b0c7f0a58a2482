//! `Customers.aspx`: the customers that the agent sees.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Post, Reaction, Show, Visit, World};
use crate::data::Customer;
use crate::erp::html::{Grid, button, esc, input, page_argument, row};
use crate::erp::site::{Site, gestionale};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Search {
    text: String,
    page: usize,
}

const COLUMNS: [(&str, &str); 5] = [
    ("code", "Codice"),
    ("name", "Ragione sociale"),
    ("vat", "Partita IVA"),
    ("city", "Città"),
    ("country", "Nazione"),
];

pub(super) fn load(visit: &Visit, world: &World) -> Show {
    Search::default().show(visit, world)
}

pub(super) fn post(visit: &Visit, world: &World, post: &Post) -> Reaction {
    let search = match post.name() {
        "Search" => Search { text: post.form.field("SearchText"), page: 1 },
        "Customers" => match page_argument(&post.argument) {
            Some(page) => Search { page, ..post.state() },
            None => return Reaction::Invalid,
        },
        _ => return Reaction::Invalid,
    };
    Reaction::Show(search.show(visit, world))
}

impl Search {
    fn show(&self, visit: &Visit, world: &World) -> Show {
        let found: Vec<&Customer> = world.listed_customers(visit.user()).filter(|c| self.finds(c)).collect();
        let main = match visit.site {
            Site::Archibald => self.html(&found),
            Site::Gestionale => gestionale::customer_list(&self.text, &found, self.page),
        };
        Show { title: "Clienti", main, state: json!(self), ..Show::default() }
    }

    fn html(&self, found: &[&Customer]) -> String {
        let grid = Grid { name: "Customers", columns: &COLUMNS, page: self.page };
        [
            row("Cerca", "SearchText", &input("SearchText", &self.text, ""), None),
            button("Search", "Cerca", ""),
            r#"<a id="ctl00_Main_New" href="/Customer.aspx">Nuovo cliente</a>"#.to_owned(),
            grid.render(found, |customer| cells(customer)),
        ]
        .join("\n")
    }

    fn finds(&self, customer: &Customer) -> bool {
        let text = self.text.to_lowercase();
        [&customer.code, &customer.name, &customer.vat].iter().any(|part| part.to_lowercase().contains(&text))
    }
}

fn cells(customer: &Customer) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(customer.code.as_bytes()).collect();
    vec![
        format!(r#"<a href="/Customer.aspx?code={query}">{}</a>"#, esc(&customer.code)),
        esc(&customer.name),
        esc(&customer.vat),
        esc(&customer.city),
        esc(&customer.country),
    ]
}
