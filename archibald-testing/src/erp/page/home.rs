//! `Default.aspx`.

use super::{Show, Visit};
use crate::erp::html::span;
use crate::erp::site::{Site, gestionale};

pub(super) fn show(visit: &Visit) -> Show {
    let name = visit.agent.as_ref().map_or("", |agent| &agent.full_name);
    let main = match visit.site {
        Site::Archibald => span("Welcome", &format!("Benvenuto, {name}")),
        Site::Gestionale => gestionale::home(name),
    };
    Show { title: "Inizio", main, ..Show::default() }
}
