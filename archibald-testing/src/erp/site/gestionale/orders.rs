//! `Ordini.aspx`.

use super::SITE;
use super::formats::{money, state};
use super::parts::{Listing, entry, field, image, notices};
use crate::erp::html::esc;
use crate::erp::page::orders::Found;
use crate::erp::world::ErpOrder;

const COLUMNS: [(&str, &str); 8] = [
    ("c-stato", "Situazione"),
    ("c-data", "Del"),
    ("c-rif", "Vs. rif."),
    ("c-num", "N. ordine"),
    ("c-nome", "Denominazione"),
    ("c-cod", "Cod. cliente"),
    ("c-importo", "Importo EUR"),
    ("c-apri", ""),
];

/// The orders found, and what was searched for.
pub(crate) fn orders(found: &Found<'_>) -> String {
    let search = found.search;
    let row = |control: &str, caption: &str, value: &str, error: Option<&str>| {
        entry(caption, control, &field(control, value, ""), error)
    };
    let listing = Listing { control: "grdOrdini", columns: &COLUMNS, page: search.page };
    format!(
        r#"{}<table class="ricerca"><tr><td><table>{}{}</table></td><td><table>{}{}</table></td><td>{}</td></tr></table>{}"#,
        notices([found.date_error, found.number_error].into_iter().flatten()),
        row("txtFiltroNumero", "N. ordine", &search.number, found.number_error),
        row("txtFiltroRiferimento", "Vs. rif. contiene", &search.reference, None),
        row("txtFiltroData", "Del (aaaa-mm-gg)", &search.date, found.date_error),
        row("txtFiltroCliente", "Cod. cliente", &search.customer, None),
        image("imgCerca", "Trova"),
        listing.render(&found.orders, |order| cells(found, order)),
    )
}

fn cells(found: &Found<'_>, order: &ErpOrder) -> Vec<String> {
    let content = &order.content;
    let customer = found.world.customer_of(found.visit.user(), &content.customer);
    vec![
        state(order.state).to_owned(),
        SITE.date(content.date),
        esc(&content.reference),
        order.number.to_string(),
        esc(customer.map_or("", |customer| &customer.name)),
        esc(&content.customer),
        money(found.world.total(&content.lines)),
        format!(r#"<a href="/SchedaOrdine.aspx?numero={}">Apri</a>"#, order.number),
    ]
}
