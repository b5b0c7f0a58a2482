//! How `Order.aspx` looks.

use serde_json::{Value, json};

use super::order_form::{Draft, Typed};
use super::orders::state_text;
use super::{Show, Visit, World};
use crate::data::Line;
use crate::erp::html::{Grid, MAIN, button, esc, input, post_link, row, span, summary, validator};
use crate::erp::site::{Site, gestionale};
use crate::erp::world::{OrderState, Refusal};

const COLUMNS: [(&str, &str); 8] = [
    ("position", "Riga"),
    ("product", "Articolo"),
    ("description", "Descrizione"),
    ("quantity", "Quantità"),
    ("price", "Prezzo"),
    ("discount", "Sconto %"),
    ("amount", "Importo"),
    ("remove", ""),
];

/// The customer look-up: a popup filled by a callback, which leaves the view state alone.
const POPUP: &str = r#"<div id="ctl00_Main_CustomerPopup" class="popup" style="display:none">
<input type="text" id="ctl00_Main_CustomerPopup_Text" value="" />
<input type="button" id="ctl00_Main_CustomerPopup_Search" value="Cerca" />
<input type="button" id="ctl00_Main_CustomerPopup_Close" value="Chiudi" />
<table class="grid"><tbody id="ctl00_Main_CustomerPopup_Rows"></tbody></table></div>"#;

const POPUP_SCRIPT: &str = r#"
(function () {
  function el(name) { return document.getElementById('ctl00_Main_' + name); }
  var popup = el('CustomerPopup'), rows = el('CustomerPopup_Rows'), text = el('CustomerPopup_Text');
  function show(on) { popup.style.display = on ? 'block' : 'none'; }
  function callBack() {
    var fields = new URLSearchParams(new FormData(theForm));
    fields.set('__CALLBACKID', 'ctl00$Main$CustomerPopup');
    fields.set('__CALLBACKPARAM', text.value);
    loading(true);
    fetch(theForm.action, { method: 'POST', body: fields }).then(function (r) { return r.text(); }).then(
      function (body) {
        loading(false);
        if (body.slice(0, 2) === '0|') { rows.innerHTML = body.slice(2); } else { alert('Errore del server'); }
      },
      function () { loading(false); alert('Errore di comunicazione'); });
  }
  el('CustomerLookup').addEventListener('click', function () { show(true); callBack(); });
  el('CustomerPopup_Search').addEventListener('click', callBack);
  el('CustomerPopup_Close').addEventListener('click', function () { show(false); });
  rows.addEventListener('click', function (event) {
    var row = event.target.closest('tr');
    if (!row) { return; }
    dirty = true;
    show(false);
    asyncPostBack('ctl00$Main$CustomerPopup', 'Pick$' + row.getAttribute('data-code'));
  });
})();
"#;

const SIMILAR_SCRIPT: &str = r#"
setTimeout(function () {
  if (confirm('Esiste un ordine simile. Salvare comunque?')) { __doPostBack('ctl00$Main$SaveAnyway', ''); }
}, 0);
"#;

/// The page in the making.
pub(crate) struct OrderView<'a> {
    pub(crate) visit: &'a Visit,
    pub(crate) world: &'a World,
    pub(crate) draft: Draft,
    pub(crate) typed: Typed,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) message: Option<String>,
    asks: bool,
}

/// The page of an order that is not there, or not this agent's.
pub(super) fn not_found(site: Site) -> Show {
    Show { title: "Ordine", main: site.missing("Ordine non trovato."), ..Show::default() }
}

/// The page of an order that was just deleted.
pub(super) fn gone(site: Site, message: &str) -> Show {
    Show { title: "Ordine", main: site.message(message), ..Show::default() }
}

impl<'a> OrderView<'a> {
    pub(super) fn new(visit: &'a Visit, world: &'a World, draft: Draft, typed: Typed) -> Self {
        Self { visit, world, draft, typed, refusals: Vec::new(), message: None, asks: false }
    }

    pub(super) fn refusing(mut self, refusals: impl IntoIterator<Item = Refusal>) -> Self {
        self.refusals.extend(refusals);
        self
    }

    pub(super) fn saying(mut self, message: String) -> Self {
        self.message = Some(message);
        self
    }

    /// Asks whether a similar order is meant, as soon as the page is there.
    pub(super) fn asking(mut self) -> Self {
        self.asks = true;
        self
    }

    pub(super) fn show(self) -> Show {
        let order = self.draft.number.and_then(|number| self.world.order_of(self.visit.user(), number));
        let state = order.map(|order| order.state);
        let sent = order.is_some_and(|order| order.is_sent());
        let (main, script) = match self.visit.site {
            Site::Archibald => (self.main(state, sent), self.script(sent)),
            Site::Gestionale => (gestionale::order(&self, sent), gestionale::order_script(sent, self.asks)),
        };
        Show {
            title: "Ordine",
            main,
            state: self.state(),
            guarded: !sent,
            dirty: !sent && self.changed(),
            script,
        }
    }

    fn main(&self, state: Option<OrderState>, sent: bool) -> String {
        let mut parts = vec![
            self.message.as_deref().map_or_else(String::new, |message| span("Message", message)),
            summary(self.refusals.iter().map(|refusal| refusal.text.as_str())),
            self.identity(state.map_or("", state_text)),
            self.header(sent),
        ];
        if !sent {
            parts.push(self.line_editor());
        }
        parts.push(self.lines(sent));
        parts.push(if sent { String::new() } else { self.buttons() });
        parts.join("\n")
    }

    fn script(&self, sent: bool) -> String {
        let popup = if sent { "" } else { POPUP_SCRIPT };
        popup.to_owned() + if self.asks { SIMILAR_SCRIPT } else { "" }
    }

    fn identity(&self, state: &str) -> String {
        let number = self.draft.number.map(|number| number.to_string()).unwrap_or_default();
        format!(
            r#"<div class="row-field"><label>Numero</label> {} <label>Stato</label> {}</div>"#,
            span("Number", &number),
            span("State", state)
        )
    }

    /// What the customer's update panel holds.
    pub(super) fn customer(&self, disabled: &str) -> String {
        let code = &self.typed.customer;
        let name = self.world.customer_of(self.visit.user(), code).map_or("", |c| &c.name);
        [
            input("Customer", code, disabled),
            span("CustomerName", name),
            validator("Customer", self.error("Customer")),
        ]
        .join(" ")
    }

    pub(super) fn state(&self) -> Value {
        json!(self.draft)
    }

    fn header(&self, sent: bool) -> String {
        let (typed, disabled) = (&self.typed, if sent { r#"disabled="disabled""# } else { "" });
        let look_up = format!(r#"<input type="button" id="ctl00_Main_CustomerLookup" value="…" />{POPUP}"#);
        let customer = format!(
            r#"<div class="row-field"><label for="ctl00_Main_Customer">Cliente</label>
<span id="ctl00_Main_CustomerPanel">{}</span> {}</div>"#,
            self.customer(disabled),
            if sent { "" } else { &look_up }
        );
        let note = format!(
            "<textarea name=\"{MAIN}Note\" id=\"ctl00_Main_Note\" rows=\"3\" cols=\"60\" {disabled}>\n{}</textarea>",
            esc(&typed.note)
        );
        [
            customer,
            row("Data", "Date", &input("Date", &typed.date, disabled), self.error("Date")),
            row(
                "Riferimento",
                "Reference",
                &input("Reference", &typed.reference, disabled),
                self.error("Reference"),
            ),
            row("Note", "Note", &note, self.error("Note")),
        ]
        .join("\n")
    }

    fn line_editor(&self) -> String {
        const AUTO_POST_BACK: &str =
            r#"onchange="setTimeout(function(){__doPostBack('ctl00$Main$LineProduct','')},0)""#;
        let typed = &self.typed;
        let product = self.world.product(&typed.product);
        let product_field = [
            input("LineProduct", &typed.product, AUTO_POST_BACK),
            span("LineDescription", product.map_or("", |p| &p.description)),
            span("LinePrice", &product.map(|p| p.price.italian()).unwrap_or_default()),
        ]
        .join(" ");
        let quantity = input("LineQuantity", &typed.quantity, "");
        let discount = input("LineDiscount", &typed.discount, "");
        [
            row("Articolo", "LineProduct", &product_field, self.error("LineProduct")),
            row("Quantità", "LineQuantity", &quantity, self.error("LineQuantity")),
            row("Sconto %", "LineDiscount", &discount, self.error("LineDiscount")),
            button("AddLine", "Aggiungi", ""),
        ]
        .join("\n")
    }

    fn lines(&self, sent: bool) -> String {
        let lines: Vec<(usize, &Line)> = (1..).zip(&self.draft.lines).collect();
        let grid = Grid { name: "Lines", columns: &COLUMNS, page: self.draft.page };
        [
            validator("Lines", self.error("Lines")),
            grid.render(&lines, |(position, line)| self.cells(*position, line, sent)),
            format!(r#"<div>Righe: {}</div>"#, span("LineCount", &self.draft.lines.len().to_string())),
            format!(
                r#"<div>Totale: {}</div>"#,
                span("Total", &self.world.total(&self.draft.lines).italian())
            ),
        ]
        .join("\n")
    }

    fn cells(&self, position: usize, line: &Line, sent: bool) -> Vec<String> {
        let product = self.world.product(&line.product);
        let id = format!("ctl00_Main_Lines_Remove_{position}");
        let remove = post_link(&id, "ctl00$Main$Lines", &format!("Remove${position}"), "Rimuovi");
        vec![
            position.to_string(),
            esc(&line.product),
            esc(product.map_or("", |p| &p.description)),
            line.quantity.to_string(),
            product.map(|p| p.price.italian()).unwrap_or_default(),
            line.discount.italian(),
            self.world.line_total(line).italian(),
            if sent { String::new() } else { remove },
        ]
    }

    fn buttons(&self) -> String {
        const ASK_DELETE: &str = r#"onclick="return confirm('Eliminare l\'ordine?')""#;
        const ASK_SEND: &str = r#"onclick="return confirm('Inviare l\'ordine a Verona?')""#;
        let mut buttons = vec![button("Save", "Salva", "")];
        if self.draft.number.is_some() {
            buttons.push(button("Delete", "Elimina", ASK_DELETE));
            buttons.push(button("Send", "Invia a Verona", ASK_SEND));
        }
        buttons.join(" ")
    }

    /// Something would be lost by leaving.
    fn changed(&self) -> bool {
        let order = self.draft.number.and_then(|number| self.world.order_of(self.visit.user(), number));
        self.draft.dirty
            || self.typed != order.map(|order| Typed::of(order, self.visit.site)).unwrap_or_default()
    }

    pub(crate) fn error(&self, field: &str) -> Option<&str> {
        self.refusals.iter().find(|refusal| refusal.field == field).map(|refusal| refusal.text.as_str())
    }
}
