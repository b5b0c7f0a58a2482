//! `Customer.aspx`: one customer, new or saved.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Post, Reaction, Show, Visit, World};
use crate::data::Customer;
use crate::erp::fault::WriteKind;
use crate::erp::html::{button, input, row, span, summary};
use crate::erp::ledger::Applied;
use crate::erp::site::{Site, gestionale};
use crate::erp::web::Form;
use crate::erp::world::{Effect, Refusal};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Draft {
    code: Option<String>,
}

/// What the page says beside the fields.
#[derive(Default)]
struct Remarks {
    refusals: Vec<Refusal>,
    message: Option<String>,
    typed: bool,
}

pub(super) fn load(visit: &Visit, world: &World) -> Show {
    let code = visit.query.get("code");
    if code.is_empty() {
        return show(visit.site, &Customer::default(), Remarks::default());
    }
    match world.customer_of(visit.user(), code) {
        Some(customer) => show(visit.site, customer, Remarks::default()),
        None => not_found(visit.site),
    }
}

pub(super) fn post(visit: &Visit, _world: &World, post: &Post) -> Reaction {
    if post.name() != "Save" {
        return Reaction::Invalid;
    }
    let customer = read(post);
    let refusals = check(&customer);
    if !refusals.is_empty() {
        return Reaction::Show(show(visit.site, &customer, Remarks { refusals, typed: true, message: None }));
    }
    let code = Some(customer.code.clone()).filter(|code| !code.is_empty());
    Reaction::Write(Effect::SaveCustomer { code, customer })
}

pub(super) fn save_kind(post: &Post) -> WriteKind {
    match post.state::<Draft>().code {
        Some(_) => WriteKind::ChangedCustomer,
        None => WriteKind::NewCustomer,
    }
}

pub(super) fn written(visit: &Visit, world: &World, applied: &Applied) -> Show {
    let message = Some(visit.site.said(applied));
    match world.customer_of(visit.user(), &applied.number) {
        Some(customer) => show(visit.site, customer, Remarks { message, ..Remarks::default() }),
        None => not_found(visit.site),
    }
}

pub(super) fn refused(visit: &Visit, _world: &World, post: &Post, text: &str) -> Show {
    show(
        visit.site,
        &read(post),
        Remarks { refusals: vec![Refusal::of_page(text)], typed: true, message: None },
    )
}

fn read(post: &Post) -> Customer {
    let form: &Form = &post.form;
    Customer {
        code: post.state::<Draft>().code.unwrap_or_default(),
        name: form.field("Name"),
        vat: form.field("Vat"),
        street: form.field("Street"),
        city: form.field("City"),
        postal_code: form.field("PostalCode"),
        country: form.field("Country"),
        email: form.field("Email"),
        phone: form.field("Phone"),
    }
}

/// The ERP's few rules; that the VAT number is somebody else's too is none of them.
fn check(customer: &Customer) -> Vec<Refusal> {
    let vat_fits = customer.vat.chars().all(|c| c.is_ascii_alphanumeric()) && customer.vat.len() <= 16;
    let email_fits = customer.email.is_empty() || customer.email.contains('@');
    let refusals = [
        customer.name.is_empty().then(|| Refusal::at("Name", "La ragione sociale è obbligatoria.")),
        (!vat_fits).then(|| Refusal::at("Vat", "Partita IVA non valida.")),
        (!email_fits).then(|| Refusal::at("Email", "Indirizzo e-mail non valido.")),
    ];
    refusals.into_iter().flatten().collect()
}

fn not_found(site: Site) -> Show {
    Show { title: "Cliente", main: site.missing("Cliente non trovato."), ..Show::default() }
}

fn show(site: Site, customer: &Customer, remarks: Remarks) -> Show {
    let main = match site {
        Site::Archibald => form(customer, &remarks),
        Site::Gestionale => {
            gestionale::customer_card(customer, &remarks.refusals, remarks.message.as_deref())
        }
    };
    let code = Some(customer.code.clone()).filter(|code| !code.is_empty());
    Show {
        title: "Cliente",
        main,
        state: json!(Draft { code }),
        guarded: true,
        dirty: remarks.typed,
        script: String::new(),
    }
}

fn form(customer: &Customer, remarks: &Remarks) -> String {
    let error = |field: &str| remarks.refusals.iter().find(|r| r.field == field).map(|r| r.text.as_str());
    let fields = [
        ("Name", "Ragione sociale", &customer.name),
        ("Vat", "Partita IVA", &customer.vat),
        ("Street", "Indirizzo", &customer.street),
        ("City", "Città", &customer.city),
        ("PostalCode", "CAP", &customer.postal_code),
        ("Country", "Nazione", &customer.country),
        ("Email", "E-mail", &customer.email),
        ("Phone", "Telefono", &customer.phone),
    ];
    let rows: String = fields
        .iter()
        .map(|(name, label, value)| row(label, name, &input(name, value, ""), error(name)))
        .collect();
    [
        remarks.message.as_deref().map_or_else(String::new, |message| span("Message", message)),
        summary(remarks.refusals.iter().map(|refusal| refusal.text.as_str())),
        format!(r#"<div class="row-field"><label>Codice</label> {}</div>"#, span("Code", &customer.code)),
        rows,
        button("Save", "Salva", ""),
    ]
    .join("\n")
}
