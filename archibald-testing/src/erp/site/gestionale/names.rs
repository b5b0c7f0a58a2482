//! What this site calls pages, controls, parameters and arguments, and how that is read.

use super::parts::PREFIX;
use crate::erp::html::MAIN;
use crate::erp::page::Page;

/// The pages' name of a control, and this site's.
const CONTROLS: [(&str, &str); 35] = [
    ("LoginButton", "btnEntra"),
    ("User", "txtUtente"),
    ("Password", "txtParola"),
    ("Search", "imgCerca"),
    ("SearchText", "txtTesto"),
    ("FilterCustomer", "txtFiltroCliente"),
    ("FilterDate", "txtFiltroData"),
    ("FilterReference", "txtFiltroRiferimento"),
    ("FilterNumber", "txtFiltroNumero"),
    ("Orders", "grdOrdini"),
    ("Customers", "grdClienti"),
    ("Products", "grdArticoli"),
    ("Prices", "grdPrezzi"),
    ("Lines", "grdRighe"),
    ("Customer", "txtCliente"),
    ("CustomerPopup", "lkpCliente"),
    ("Date", "txtDataOrdine"),
    ("Reference", "txtVsRif"),
    ("Note", "txtAnnotazioni"),
    ("LineProduct", "txtArticolo"),
    ("LineQuantity", "txtPezzi"),
    ("LineDiscount", "txtSconto"),
    ("AddLine", "lnkInserisci"),
    ("Save", "lnkRegistra"),
    ("SaveAnyway", "lnkRegistraComunque"),
    ("Delete", "lnkElimina"),
    ("Send", "lnkTrasmetti"),
    ("Name", "txtRagioneSociale"),
    ("Vat", "txtPartitaIva"),
    ("Street", "txtVia"),
    ("City", "txtLocalita"),
    ("PostalCode", "txtCap"),
    ("Country", "txtNazione"),
    ("Email", "txtPosta"),
    ("Phone", "txtTelefono"),
];
/// The link that logs out, which is the master page's: here and as the pages know it.
pub(super) const LOG_OUT: &str = "ctl00$lnkUscita";
const KNOWN_LOG_OUT: &str = "ctl00$Logout";
/// Parameters of addresses.
const PARAMETERS: [(&str, &str); 2] = [("number", "numero"), ("code", "codice")];

pub(crate) fn file(page: Page) -> &'static str {
    match page {
        Page::Login => "Accesso.aspx",
        Page::Default => "Principale.aspx",
        Page::Customers => "Clienti.aspx",
        Page::Customer => "SchedaCliente.aspx",
        Page::Products => "Articoli.aspx",
        Page::Prices => "Listini.aspx",
        Page::Orders => "Ordini.aspx",
        Page::Order => "SchedaOrdine.aspx",
    }
}

pub(crate) fn read_parameter(name: String, value: String) -> Option<(String, String)> {
    if name == "ReturnUrl" {
        return Some((name, value));
    }
    let (known, _) = PARAMETERS.iter().find(|(_, ours)| *ours == name)?;
    Some(((*known).to_owned(), value))
}

/// A field as the pages know it; one that is no control of this site is left out.
pub(crate) fn read_field(name: String, value: String) -> Option<(String, String)> {
    match name.as_str() {
        "__EVENTTARGET" | "__CALLBACKID" => Some((name, read_target(&value))),
        "__EVENTARGUMENT" => Some((name, read_argument(&value))),
        hidden if hidden.starts_with("__") => Some((name, value)),
        // An image that was pressed posts where, and no value.
        field => Some((known(field.strip_suffix(".x").unwrap_or(field))?, value)),
    }
}

/// A target that is no control of this site is none of the other's either.
fn read_target(target: &str) -> String {
    match target {
        "" => String::new(),
        LOG_OUT => KNOWN_LOG_OUT.to_owned(),
        _ => known(target).unwrap_or_else(|| format!("unknown control {target}")),
    }
}

/// `PN1` is the second page, `CANC0` takes the first line out, `SCELTA:ROSSI` picks that customer.
fn read_argument(argument: &str) -> String {
    let counted = |prefix: &str| argument.strip_prefix(prefix)?.parse::<usize>().ok()?.checked_add(1);
    if let Some(page) = counted("PN") {
        return format!("Page${page}");
    }
    if let Some(line) = counted("CANC") {
        return format!("Remove${line}");
    }
    argument.strip_prefix("SCELTA:").map(|code| format!("Pick${code}")).unwrap_or_default()
}

fn known(name: &str) -> Option<String> {
    let control = name.strip_prefix(PREFIX)?;
    CONTROLS.iter().find(|(_, ours)| *ours == control).map(|(known, _)| format!("{MAIN}{known}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_control_has_another_name_here() {
        let known: BTreeSet<&str> = CONTROLS.iter().map(|(known, _)| *known).collect();
        let ours: BTreeSet<&str> = CONTROLS.iter().map(|(_, ours)| *ours).collect();
        assert_eq!((known.len(), ours.len()), (CONTROLS.len(), CONTROLS.len()));
        assert!(known.is_disjoint(&ours));
    }

    #[test]
    fn the_other_sites_names_and_arguments_mean_nothing() {
        let read = |name: &str, value: &str| read_field(name.to_owned(), value.to_owned());
        assert_eq!(read("ctl00$Main$Save", "x"), None);
        let (_, target) = read("__EVENTTARGET", "ctl00$Main$Save").unwrap();
        assert!(!target.starts_with(MAIN), "{target}");
        for argument in ["Page$2", "Remove$1", "Pick$ROSSI", "PN", "PNx", "CANC-1", "PN18446744073709551615"]
        {
            assert_eq!(read_argument(argument), "", "{argument}");
        }
        assert_eq!((read_argument("PN1"), read_argument("CANC0")), ("Page$2".into(), "Remove$1".into()));
        assert_eq!(read("ctl00$cphCorpo$imgCerca.x", "3").unwrap().0, "ctl00$Main$Search");
        assert_eq!(read_parameter("number".into(), "1".into()), None);
    }
}
