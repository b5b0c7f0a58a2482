//! `Default.aspx`.

use super::{Show, Visit};
use crate::erp::html::span;

pub(super) fn show(visit: &Visit) -> Show {
    let name = visit.agent.as_ref().map_or("", |agent| &agent.full_name);
    Show { title: "Inizio", main: span("Welcome", &format!("Benvenuto, {name}")), ..Show::default() }
}
