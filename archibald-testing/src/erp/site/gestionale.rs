//! The second site: *Gestionale Agenti*, another vendor's pages for the same ERP.

mod catalogue;
mod customer;
pub(crate) mod formats;
pub(crate) mod names;
mod order;
mod order_script;
mod orders;
pub(crate) mod parts;
mod shell;

use hyper::StatusCode;

pub(crate) use catalogue::{prices, products};
pub(crate) use customer::{card as customer_card, list as customer_list};
pub(crate) use order::{CUSTOMER_PANEL, customer_panel, found_customers, order, script as order_script};
pub(crate) use orders::orders;
pub(crate) use shell::render;

use super::super::html::esc;
use super::super::web::Answer;
use super::Site;
use parts::{PREFIX, entry, field, id, label};

/// The login page's own part; an empty `refusal` is none.
pub(crate) fn login(user: &str, refusal: &str) -> String {
    let secret = format!(
        r#"<input type="password" name="{PREFIX}txtParola" id="{}" class="campo" value="" />"#,
        id("txtParola")
    );
    let refusal = match refusal {
        "" => String::new(),
        text => {
            format!(r#"<p id="{}" class="errore">{}</p>"#, id("lblMessaggio"), esc(formats::reworded(text)))
        }
    };
    format!(
        r#"<table class="ingresso">{}{}<tr><td></td><td><button type="submit" name="{PREFIX}btnEntra" id="{}" value="1">Entra</button></td></tr></table>{refusal}"#,
        entry("Operatore", "txtUtente", &field("txtUtente", user, ""), None),
        entry("Parola chiave", "txtParola", &secret, None),
        id("btnEntra"),
    )
}

/// The first page's own part.
pub(crate) fn home(name: &str) -> String {
    label("lblSaluto", &format!("Buon lavoro, {name}!"))
}

/// The page that hides an unhandled exception.
pub(crate) fn failure(title: &str) -> Answer {
    let reason = esc(formats::reworded(title));
    let body = bare(
        "Errore",
        &format!(
            r#"<div id="pnlErrore"><p>Si è verificato un errore imprevisto.</p><code id="lblErrore">{reason}</code></div>"#
        ),
    );
    Answer::html(StatusCode::INTERNAL_SERVER_ERROR, body)
}

/// The page while nobody may in.
pub(crate) fn maintenance() -> String {
    bare(
        "Sospeso",
        r#"<div id="avvisoSospensione"><strong>Servizio sospeso per aggiornamento.</strong></div>"#,
    )
}

fn bare(title: &str, html: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"it\"><head><meta charset=\"utf-8\"><title>{title} :: {}</title></head>\
         <body class=\"nuda\">{html}</body></html>\n",
        shell::PRODUCT
    )
}

/// This site, for what asks for one.
const SITE: Site = Site::Gestionale;
