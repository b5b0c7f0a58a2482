//! What surrounds every page of this site.

use hyper::StatusCode;

use super::SITE;
use super::names::LOG_OUT;
use crate::erp::html::esc;
use crate::erp::page::shell::hidden_fields;
use crate::erp::page::{Page, Show, Visit};
use crate::erp::web::Answer;

/// The name in every title.
pub(super) const PRODUCT: &str = "Gestionale Agenti";

const STYLE: &str = "body{font:14px serif;margin:0}#navigazione{list-style:none;background:#246;margin:0;padding:6px}\
#navigazione li{display:inline;margin-right:1em}#navigazione a{color:#fff}.voce,.testata{display:grid;\
grid-auto-flow:column;grid-auto-columns:1fr;border-bottom:1px solid #bcd}.errore,.avvisi{color:#b00}\
.tasto{border:1px solid #246;padding:2px 8px}.sfoglia>*{margin-right:6px}#velo{visibility:hidden;position:fixed;\
inset:0;background:rgba(0,0,0,.3);z-index:90}#velo.acceso{visibility:visible}.finestra{position:fixed;top:8%;\
left:25%;background:#ffe;border:3px double #246;padding:1em;z-index:60}.finestra li{cursor:pointer}";

const SCRIPT: &str = r"
var theForm = document.forms['form1'];
function velo(acceso) { document.getElementById('velo').className = acceso ? 'acceso' : ''; }
function __doPostBack(eventTarget, eventArgument) {
  modificato = false;
  // Grids and fields only: nothing keeps anybody from pressing a command twice.
  if (/\$(grd|txt)[A-Z]/.test(eventTarget)) { velo(true); }
  theForm.__EVENTTARGET.value = eventTarget;
  theForm.__EVENTARGUMENT.value = eventArgument;
  theForm.submit();
}
theForm.addEventListener('submit', function () { modificato = false; });
var inCorso = false;
window.Sys = { WebForms: { PageRequestManager: { getInstance: function () {
  return { get_isInAsyncPostBack: function () { return inCorso; } };
} } } };
function invia(campi, fatto) {
  var dati = new URLSearchParams(new FormData(theForm)), richiesta = new XMLHttpRequest();
  Object.keys(campi).forEach(function (nome) { dati.set(nome, campi[nome]); });
  richiesta.open('POST', theForm.action);
  richiesta.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded; charset=utf-8');
  if (campi.__ASYNCPOST) { richiesta.setRequestHeader('X-MicrosoftAjax', 'Delta=true'); }
  richiesta.onload = function () { fatto(richiesta.responseText); };
  richiesta.onerror = function () { fatto(null); };
  richiesta.send(dati.toString());
}
// What an update panel does: the answer is `length|type|id|content|`, again and again.
function aggiorna(eventTarget, eventArgument) {
  inCorso = true;
  velo(true);
  invia({ __EVENTTARGET: eventTarget, __EVENTARGUMENT: eventArgument, __ASYNCPOST: 'true' }, function (testo) {
    inCorso = false;
    velo(false);
    if (testo === null || testo.slice(0, 7) !== '1|#||4|') { alert('Risposta del server non valida'); return; }
    for (var qui = 7, capo; (capo = /^(\d+)\|([^|]*)\|([^|]*)\|/.exec(testo.slice(qui)));) {
      var da = qui + capo[0].length, contenuto = testo.slice(da, da + Number(capo[1]));
      qui = da + Number(capo[1]) + 1;
      if (capo[2] === 'updatePanel') { document.getElementById(capo[3]).innerHTML = contenuto; }
      if (capo[2] === 'hiddenField') { document.getElementById(capo[3]).value = contenuto; }
      if (capo[2] === 'pageRedirect') { modificato = false; location.href = contenuto; }
    }
  });
}
if (custodito) {
  theForm.addEventListener('input', function () { modificato = true; });
  window.addEventListener('beforeunload', function (evento) {
    if (modificato) { evento.preventDefault(); evento.returnValue = 'Uscire senza registrare?'; }
  });
}
";

/// A page, whole.
pub(crate) fn render(visit: &Visit, show: &Show) -> Answer {
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"it\"><head><meta charset=\"utf-8\"><title>{PRODUCT} :: {title}</title>\
         <style>{STYLE}</style></head><body>\n\
         <form name=\"form1\" method=\"post\" action=\"{action}\" id=\"form1\">\n<div class=\"aspNetHidden\">\n\
         {hidden}\n</div>\n{banner}<table id=\"impianto\"><caption>{title}</caption><tr><td id=\"corpo\">\n\
         {main}\n</td></tr></table>\n<div id=\"velo\"><span>Attendere...</span></div>\n</form>\n\
         <script>var custodito = {guarded}, modificato = {dirty};{SCRIPT}{script}</script>\n</body></html>\n",
        title = title(visit.page),
        action = esc(&visit.url),
        hidden = hidden_fields(visit, &show.state),
        banner = banner(visit),
        main = show.main,
        guarded = show.guarded,
        dirty = show.dirty,
        script = show.script,
    );
    Answer::html(StatusCode::OK, html)
}

fn title(page: Page) -> &'static str {
    match page {
        Page::Login => "Identificazione",
        Page::Default => "Pagina principale",
        Page::Customers => "Elenco clienti",
        Page::Customer => "Scheda cliente",
        Page::Products => "Catalogo articoli",
        Page::Prices => "Listini",
        Page::Orders => "Elenco ordini",
        Page::Order => "Scheda ordine",
    }
}

fn banner(visit: &Visit) -> String {
    let Some(agent) = visit.agent.as_ref().filter(|_| visit.page != Page::Login) else {
        return String::new();
    };
    let item = |page: Page| format!(r#"<li><a href="/{}">{}</a></li>"#, SITE.file(page), title(page));
    let items: String = Page::ALL.into_iter().filter(|page| *page != Page::Login).map(item).collect();
    let leave = esc(&format!("javascript:__doPostBack('{LOG_OUT}','')"));
    format!(
        "<ul id=\"navigazione\">{items}<li><a id=\"lnkUscita\" href=\"{leave}\">Chiudi sessione</a></li></ul>\n\
         <div id=\"operatore\">Operatore: <i id=\"lblOperatore\">{}</i>, {}</div>\n",
        esc(&agent.user),
        esc(&agent.full_name),
    )
}
