//! `Clienti.aspx` and `SchedaCliente.aspx`.

use super::parts::{Listing, entry, field, image, label, link, notices, outcome};
use crate::data::Customer;
use crate::erp::html::esc;
use crate::erp::world::Refusal;

const COLUMNS: [(&str, &str); 6] = [
    ("c-nome", "Denominazione"),
    ("c-localita", "Località"),
    ("c-nazione", "Paese"),
    ("c-piva", "P. IVA"),
    ("c-cod", "Codice"),
    ("c-apri", ""),
];

/// The customers found, and what was searched for.
pub(crate) fn list(text: &str, found: &[&Customer], page: usize) -> String {
    let listing = Listing { control: "grdClienti", columns: &COLUMNS, page };
    format!(
        r#"<table class="ricerca">{}<tr><td></td><td>{} <a id="cphCorpo_lnkNuovo" class="tasto" href="/SchedaCliente.aspx">Crea cliente</a></td></tr></table>{}"#,
        entry("Testo da cercare", "txtTesto", &field("txtTesto", text, ""), None),
        image("imgCerca", "Trova"),
        listing.render(found, |customer| cells(customer)),
    )
}

fn cells(customer: &Customer) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(customer.code.as_bytes()).collect();
    vec![
        esc(&customer.name),
        esc(&customer.city),
        esc(&customer.country),
        esc(&customer.vat),
        esc(&customer.code),
        format!(r#"<a href="/SchedaCliente.aspx?codice={query}">Apri scheda</a>"#),
    ]
}

/// One customer's form.
pub(crate) fn card(customer: &Customer, refusals: &[Refusal], message: Option<&str>) -> String {
    let error = |known: &str| refusals.iter().find(|r| r.field == known).map(|r| r.text.as_str());
    let row = |known: &str, control: &str, caption: &str, value: &str| {
        entry(caption, control, &field(control, value, ""), error(known))
    };
    let place = [
        row("Street", "txtVia", "Via e numero", &customer.street),
        row("PostalCode", "txtCap", "C.A.P.", &customer.postal_code),
        row("City", "txtLocalita", "Località", &customer.city),
        row("Country", "txtNazione", "Paese", &customer.country),
    ];
    let person = [
        row("Name", "txtRagioneSociale", "Denominazione", &customer.name),
        row("Vat", "txtPartitaIva", "P. IVA", &customer.vat),
        row("Phone", "txtTelefono", "Tel.", &customer.phone),
        row("Email", "txtPosta", "Posta elettronica", &customer.email),
    ];
    format!(
        r#"{}{}<fieldset><legend>Cliente {}</legend>
<table class="scheda"><tr><td><table>{}</table></td><td><table>{}</table></td></tr></table></fieldset>
<p class="comandi">{}</p>"#,
        message.map_or_else(String::new, outcome),
        notices(refusals.iter().map(|refusal| refusal.text.as_str())),
        label("lblCodice", &customer.code),
        person.concat(),
        place.concat(),
        link("lnkRegistra", "Registra", None),
    )
}
