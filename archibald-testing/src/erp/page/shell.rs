//! What surrounds every page: the form with its hidden fields, menu, overlay, and WebForms' script.

use hyper::StatusCode;
use serde_json::Value;

use super::{Page, Show, Visit};
use crate::erp::html::{esc, post_link};
use crate::erp::site::{Site, gestionale};
use crate::erp::view_state::generator;
use crate::erp::web::{Answer, delta};

const STYLE: &str = "body{font-family:sans-serif;margin:1em}.grid{border-collapse:collapse}.grid td,.grid th{border:1px \
solid #999;padding:2px 6px}.validator-shown,.validation-summary{color:#c00}#ctl00_Menu a{margin-right:1em}\
.row-field label{display:inline-block;width:9em}#ctl00_Loading{display:none;position:fixed;inset:0;\
background:rgba(255,255,255,.6);z-index:99}.popup{position:fixed;top:10%;left:20%;background:#fff;border:2px solid \
#666;padding:1em;z-index:50}";

const SCRIPT: &str = r#"
var theForm = document.forms['aspnetForm'];
function loading(on) { document.getElementById('ctl00_Loading').style.display = on ? 'block' : 'none'; }
function __doPostBack(target, argument) {
  dirty = false;
  loading(true);
  theForm.__EVENTTARGET.value = target;
  theForm.__EVENTARGUMENT.value = argument;
  theForm.submit();
}
// No overlay here: nothing keeps anybody from pressing a button twice.
theForm.addEventListener('submit', function () { dirty = false; });
// Asynchronous postbacks, as an update panel makes them: the answer replaces panels and hidden fields.
var inAsyncPostBack = false;
var pageRequestManager = { get_isInAsyncPostBack: function () { return inAsyncPostBack; } };
window.Sys = { WebForms: { PageRequestManager: { getInstance: function () { return pageRequestManager; } } } };
function asyncPostBack(target, argument) {
  var fields = new URLSearchParams(new FormData(theForm));
  fields.set('__EVENTTARGET', target);
  fields.set('__EVENTARGUMENT', argument);
  fields.set('__ASYNCPOST', 'true');
  inAsyncPostBack = true;
  loading(true);
  fetch(theForm.action, { method: 'POST', body: fields, headers: { 'X-MicrosoftAjax': 'Delta=true' } })
    .then(function (answer) { return answer.text(); })
    .then(applyDelta)
    .catch(function (error) { alert('Sys.WebForms.PageRequestManagerServerErrorException: ' + error.message); })
    .finally(function () { inAsyncPostBack = false; loading(false); });
}
function applyDelta(text) {
  if (text.indexOf('1|#||4|') !== 0) { throw new Error('the message received from the server could not be parsed'); }
  for (var at = 7; at < text.length;) {
    var head = /^(\d+)\|([^|]*)\|([^|]*)\|/.exec(text.slice(at));
    var from = at + head[0].length, to = from + Number(head[1]), content = text.slice(from, to);
    at = to + 1;
    if (head[2] === 'updatePanel') { document.getElementById(head[3]).innerHTML = content; }
    if (head[2] === 'hiddenField') { document.getElementById(head[3]).value = content; }
    if (head[2] === 'pageRedirect') { dirty = false; location.href = content; }
  }
}
if (guarded) {
  theForm.addEventListener('input', function () { dirty = true; });
  window.addEventListener('beforeunload', function (event) {
    if (dirty) { event.preventDefault(); event.returnValue = 'Le modifiche non salvate andranno perse.'; }
  });
}
"#;

pub(super) fn render(visit: &Visit, show: &Show) -> Answer {
    if visit.site == Site::Gestionale {
        return gestionale::render(visit, show);
    }
    let (guarded, dirty) = (show.guarded, show.dirty);
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"it\"><head><meta charset=\"utf-8\"><title>{title} - Archibald</title>\
         <style>{STYLE}</style></head><body>\n\
         <form method=\"post\" action=\"{action}\" id=\"aspnetForm\" name=\"aspnetForm\">\n{hidden}\n{head}\n\
         <h1>{title}</h1>\n<div id=\"ctl00_Main\">\n{main}\n</div>\n\
         <div id=\"ctl00_Loading\">Caricamento…</div>\n</form>\n\
         <script>var guarded = {guarded}, dirty = {dirty};{SCRIPT}{script}</script>\n</body></html>\n",
        title = esc(show.title),
        action = esc(&visit.url),
        hidden = hidden_fields(visit, &show.state),
        head = head(visit),
        main = show.main,
        script = show.script,
    );
    Answer::html(StatusCode::OK, html)
}

pub(super) fn render_panel(visit: &Visit, id: &str, html: &str, state: &Value) -> Answer {
    let fields = hidden_values(visit, state);
    let hidden = fields.iter().map(|(name, value)| ("hiddenField", *name, value.as_str()));
    Answer::text(delta(std::iter::once(("updatePanel", id, html)).chain(hidden)))
}

/// The hidden fields that every WebForms page has.
pub(crate) fn hidden_fields(visit: &Visit, state: &Value) -> String {
    let field = |(name, value): &(&str, String)| {
        format!(r#"<input type="hidden" name="{name}" id="{name}" value="{}" />"#, esc(value))
    };
    hidden_values(visit, state).iter().map(field).collect::<Vec<_>>().join("\n")
}

fn hidden_values(visit: &Visit, state: &Value) -> [(&'static str, String); 5] {
    let (page, session) = (visit.site.file(visit.page), visit.seal_session());
    [
        ("__EVENTTARGET", String::new()),
        ("__EVENTARGUMENT", String::new()),
        ("__VIEWSTATE", visit.key.seal(page, session, state)),
        ("__VIEWSTATEGENERATOR", generator(page)),
        ("__EVENTVALIDATION", visit.key.seal(page, session, &Value::from("events"))),
    ]
}

fn head(visit: &Visit) -> String {
    let Some(agent) = visit.agent.as_ref().filter(|_| visit.page != Page::Login) else {
        return String::new();
    };
    let link = |(name, url, label): &(&str, &str, &str)| {
        format!(r#"<a id="ctl00_Menu_{name}" href="/{url}">{}</a>"#, esc(label))
    };
    let menu: String = [
        ("Home", "Default.aspx", "Inizio"),
        ("Orders", "Orders.aspx", "Ordini"),
        ("NewOrder", "Order.aspx", "Nuovo ordine"),
        ("Customers", "Customers.aspx", "Clienti"),
        ("NewCustomer", "Customer.aspx", "Nuovo cliente"),
        ("Products", "Products.aspx", "Articoli"),
        ("Prices", "Prices.aspx", "Prezzi"),
    ]
    .iter()
    .map(link)
    .collect();
    format!(
        r#"<div id="ctl00_Header"><span id="ctl00_UserName">{}</span> (<span id="ctl00_FullName">{}</span>) {}</div>
<div id="ctl00_Menu">{menu}</div>"#,
        esc(&agent.user),
        esc(&agent.full_name),
        post_link("ctl00_Logout", "ctl00$Logout", "", "Esci"),
    )
}
