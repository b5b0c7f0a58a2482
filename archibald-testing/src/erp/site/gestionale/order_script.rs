//! Scripts of `SchedaOrdine.aspx`.

/// The look-up: a callback fills its list, an update panel takes what was picked.
pub(super) const LOOK_UP: &str = r"
(function () {
  var nome = 'cphCorpo_lkpCliente', finestra = document.getElementById(nome);
  var testo = document.getElementById(nome + '_testo'), voci = document.getElementById(nome + '_voci');
  function trova() {
    velo(true);
    invia({ __CALLBACKID: 'ctl00$cphCorpo$lkpCliente', __CALLBACKPARAM: testo.value }, function (risposta) {
      velo(false);
      if (risposta === null || risposta.charAt(0) !== 's') { alert('Errore di comunicazione'); return; }
      voci.innerHTML = risposta.slice(1);
    });
  }
  document.getElementById(nome + '_apri').onclick = function () { finestra.hidden = false; trova(); return false; };
  document.getElementById(nome + '_trova').onclick = trova;
  document.getElementById(nome + '_chiudi').onclick = function () { finestra.hidden = true; };
  voci.onclick = function (evento) {
    var voce = evento.target.closest('li');
    if (!voce) { return; }
    modificato = true;
    finestra.hidden = true;
    aggiorna('ctl00$cphCorpo$lkpCliente', 'SCELTA:' + voce.getAttribute('data-codice'));
  };
})();
";

/// The question whether a similar order is meant, as soon as the page is there.
pub(super) const SIMILAR: &str = r"
setTimeout(function () {
  if (confirm('Risulta già un ordine analogo. Registrare lo stesso?')) {
    __doPostBack('ctl00$cphCorpo$lnkRegistraComunque', '');
  }
}, 0);
";
