//! Nothing of the first site's looks is here.

use std::collections::BTreeSet;

use super::{logged_in, save_order, start, try_follow, two_lines, type_order};
use crate::browser::{self, Browser, Page, attribute};

/// Ids and names of a page, but for the hidden fields of every WebForms page.
fn names(page: &Page) -> BTreeSet<String> {
    assert_eq!(page.status, 200);
    let tags = page.body.split('<').skip(1).map(|rest| rest.split('>').next().unwrap());
    let named = tags.flat_map(|tag| [attribute(tag, " id"), attribute(tag, " name")]);
    named.flatten().filter(|name| !name.starts_with("__")).collect()
}

async fn all_names(browser: &mut Browser, paths: [&str; 8]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for path in paths {
        all.extend(names(&browser.get(path).await));
    }
    all
}

#[tokio::test]
async fn no_id_and_no_control_has_the_name_that_it_has_at_the_first_site() {
    let erp = browser::start().await;
    let mut first = Browser::logged_in(&erp, "nancy").await;
    first.save_order(&two_lines(), "x").await.unwrap();
    let paths = ["Login", "Default", "Orders", "Order", "Customers", "Customer", "Products", "Prices"]
        .map(|name| format!("/{name}.aspx"));
    let mut theirs = all_names(&mut first, paths.each_ref().map(String::as_str)).await;
    theirs.extend(names(&first.get("/Order.aspx?number=20001").await));

    let other = start().await;
    let mut second = logged_in(&other, "nancy").await;
    save_order(&mut second, &two_lines(), "x").await.unwrap();
    let files = [
        "/Accesso.aspx",
        "/Principale.aspx",
        "/Ordini.aspx",
        "/SchedaOrdine.aspx",
        "/Clienti.aspx",
        "/SchedaCliente.aspx",
        "/Articoli.aspx",
        "/Listini.aspx",
    ];
    let mut ours = all_names(&mut second, files).await;
    ours.extend(names(&second.get("/SchedaOrdine.aspx?numero=20001").await));
    assert!(theirs.contains("ctl00$Main$Save") && theirs.contains("ctl00_Main_Delete"));
    assert!(ours.contains("ctl00$cphCorpo$txtVsRif") && ours.contains("cphCorpo_lnkElimina"));
    let shared: Vec<_> = ours.intersection(&theirs).collect();
    assert!(shared.is_empty(), "{shared:?}");
    for path in paths {
        assert_eq!(second.get(&path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_first_sites_controls_do_nothing_here() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let page = type_order(&mut browser, &two_lines(), "x").await;
    for target in ["ctl00$Main$Save", "ctl00$Logout"] {
        assert_eq!(browser.post(&page, &[("__EVENTTARGET", target)]).await.unwrap().status, 500, "{target}");
    }
    assert_eq!(browser.post(&page, &[("ctl00$Main$Save", "Salva")]).await.unwrap().status, 500);
    assert_eq!(try_follow(&mut browser, &page, &[], "Save", "").await.unwrap().status, 500);
    let other = browser.get("/SchedaOrdine.aspx?number=20001").await;
    assert!(other.body.contains("txtVsRif"), "a parameter of another name is none: a new order");
    assert!(erp.ledger().is_empty());
}
