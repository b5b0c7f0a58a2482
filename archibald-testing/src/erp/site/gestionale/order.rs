//! `SchedaOrdine.aspx`.

use super::formats::{money, state};
use super::order_script::{LOOK_UP, SIMILAR};
use super::parts::{
    PREFIX, entry, field, id, label, link, mistake, notices, outcome, pager, post_back, shown,
};
use crate::data::{Customer, Line};
use crate::erp::html::esc;
use crate::erp::page::order_view::OrderView;

/// Id of what an update panel replaces when a customer was picked.
pub(crate) const CUSTOMER_PANEL: &str = "cphCorpo_upCliente";
/// The look-up, hidden until it is asked for.
const WINDOW: &str = r##"<a href="#" id="cphCorpo_lkpCliente_apri">Rubrica</a><div id="cphCorpo_lkpCliente" class="finestra" hidden>
<input type="text" id="cphCorpo_lkpCliente_testo" value="" /> <button type="button" id="cphCorpo_lkpCliente_trova">Trova</button>
<button type="button" id="cphCorpo_lkpCliente_chiudi">X</button><ul id="cphCorpo_lkpCliente_voci"></ul></div>"##;
/// The field posts back by itself when it was changed.
const POSTS_BACK: &str = r#"onchange="setTimeout('__doPostBack(\'ctl00$cphCorpo$txtArticolo\',\'\')', 0)" "#;

/// The page's own part.
pub(crate) fn order(view: &OrderView<'_>, sent: bool) -> String {
    let parts = [
        view.message.as_deref().map_or_else(String::new, outcome),
        notices(view.refusals.iter().map(|refusal| refusal.text.as_str())),
        header(view, sent),
        lines(view, sent),
        if sent { String::new() } else { editor(view) + &commands(view) },
    ];
    parts.join("\n")
}

/// Script of the page's own.
pub(crate) fn script(sent: bool, asks: bool) -> String {
    let look_up = if sent { "" } else { LOOK_UP };
    look_up.to_owned() + if asks { SIMILAR } else { "" }
}

/// What the customer's update panel holds.
pub(crate) fn customer_panel(view: &OrderView<'_>, extra: &str) -> String {
    let code = &view.typed.customer;
    let name = view.world.customer_of(view.visit.user(), code).map_or("", |customer| &customer.name);
    let code = field("txtCliente", code, extra);
    code + &label("lblNomeCliente", name) + &mistake("txtCliente", view.error("Customer"))
}

/// The answer of the look-up's callback: `s` for success, and items.
pub(crate) fn found_customers(found: &[&Customer]) -> String {
    let item = |customer: &&Customer| {
        let (code, name, city) = (esc(&customer.code), esc(&customer.name), esc(&customer.city));
        format!(r#"<li data-codice="{code}"><strong>{name}</strong> {city} [{code}]</li>"#)
    };
    "s".to_owned() + &found.iter().map(item).collect::<String>()
}

fn header(view: &OrderView<'_>, sent: bool) -> String {
    let (typed, extra) = (&view.typed, if sent { r#"disabled="disabled" "# } else { "" });
    let number = view.draft.number.map(|number| number.to_string()).unwrap_or_default();
    let order = view.draft.number.and_then(|number| view.world.order_of(view.visit.user(), number));
    let situation = order.map_or("", |order| state(order.state));
    let note = format!(
        "<textarea name=\"{PREFIX}txtAnnotazioni\" id=\"{}\" rows=\"2\" cols=\"50\" {extra}>\n{}</textarea>",
        id("txtAnnotazioni"),
        esc(&typed.note)
    );
    let customer = format!(
        r#"<span id="{CUSTOMER_PANEL}">{}</span>{}"#,
        customer_panel(view, extra),
        if sent { "" } else { WINDOW }
    );
    format!(
        r#"<fieldset><legend>Ordine n. {} ({})</legend><table class="scheda"><tr><td><table>{}{}</table></td><td><table>{}{}</table></td></tr></table></fieldset>"#,
        label("lblNumero", &number),
        label("lblSituazione", situation),
        entry("Del", "txtDataOrdine", &field("txtDataOrdine", &typed.date, extra), view.error("Date")),
        entry("Cod. cliente", "txtCliente", &customer, None),
        entry("Vs. rif.", "txtVsRif", &field("txtVsRif", &typed.reference, extra), view.error("Reference")),
        entry("Annotazioni", "txtAnnotazioni", &note, view.error("Note")),
    )
}

/// A table of tables: one for each line.
fn lines(view: &OrderView<'_>, sent: bool) -> String {
    let lines: Vec<(usize, &Line)> = (1..).zip(&view.draft.lines).collect();
    let rows: String =
        shown(&lines, view.draft.page).map(|(place, line)| row(view, *place, line, sent)).collect();
    let total = money(view.world.total(&view.draft.lines));
    format!(
        r#"<table id="{}" class="righe"><caption>Righe: {}</caption>{rows}</table>{}{}<p>Importo complessivo EUR {}</p>"#,
        id("grdRighe"),
        label("lblNumeroRighe", &lines.len().to_string()),
        pager("grdRighe", view.draft.page, lines.len()),
        mistake("grdRighe", view.error("Lines")),
        label("lblImporto", &total),
    )
}

fn row(view: &OrderView<'_>, place: usize, line: &Line, sent: bool) -> String {
    let product = view.world.product(&line.product);
    let script = post_back("grdRighe", &format!("CANC{}", place - 1));
    let out = if sent { String::new() } else { format!(r#"<a class="togli" href="{script}">Togli</a>"#) };
    format!(
        r#"<tr class="riga"><td><table><tr><td class="c-pos">{place}</td><td class="c-pezzi">{}</td><td class="c-art">{}</td><td class="c-des">{}</td></tr><tr><td>{out}</td><td class="c-sconto">{}</td><td class="c-listino">{}</td><td class="c-importo">{}</td></tr></table></td></tr>"#,
        line.quantity,
        esc(&line.product),
        esc(product.map_or("", |product| &product.description)),
        line.discount,
        product.map(|product| money(product.price)).unwrap_or_default(),
        money(view.world.line_total(line)),
    )
}

fn editor(view: &OrderView<'_>) -> String {
    let typed = &view.typed;
    let product = view.world.product(&typed.product);
    let described = [
        field("txtArticolo", &typed.product, POSTS_BACK),
        label("lblDenominazione", product.map_or("", |product| &product.description)),
        label("lblListino", &product.map(|product| money(product.price)).unwrap_or_default()),
    ];
    format!(
        r#"<fieldset><legend>Nuova riga</legend><table class="scheda">{}{}{}</table>{}</fieldset>"#,
        entry("Pezzi", "txtPezzi", &field("txtPezzi", &typed.quantity, ""), view.error("LineQuantity")),
        entry("Cod. art.", "txtArticolo", &described.join(" "), view.error("LineProduct")),
        entry("% sconto", "txtSconto", &field("txtSconto", &typed.discount, ""), view.error("LineDiscount")),
        link("lnkInserisci", "Inserisci riga", None),
    )
}

fn commands(view: &OrderView<'_>) -> String {
    let mut links = vec![link("lnkRegistra", "Registra", None)];
    if view.draft.number.is_some() {
        links.push(link("lnkTrasmetti", "Trasmetti in sede", Some("Trasmettere l'ordine a Verona?")));
        links.push(link("lnkElimina", "Elimina", Some("L'ordine sarà eliminato. Continuare?")));
    }
    format!(r#"<p class="comandi">{}</p>"#, links.join(" "))
}
