//! The life of an order.

use archibald_testing::data::Order;
use archibald_testing::erp::{EffectKind, ErpControl, Fault, FaultRule, HandOrder, OrderContent, OrderState};

use super::{
    follow, has, lines, logged_in, rows, save_order, start, submit, text, two_lines, type_order, value,
};
use crate::browser::data;

fn content(order: &Order, reference: &str) -> OrderContent {
    OrderContent {
        customer: order.customer.clone(),
        date: order.date,
        reference: reference.to_owned(),
        note: String::new(),
        lines: order.lines.clone(),
    }
}

#[tokio::test]
async fn an_order_is_typed_saved_once_and_found_by_its_reference() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let order = two_lines();
    let saved = save_order(&mut browser, &order, "rif. <1> & co").await.unwrap();
    assert_eq!(text(&saved, "cphCorpo_lblNumero"), "20001");
    assert_eq!(text(&saved, "cphCorpo_pnlEsito"), "Registrazione eseguita: ordine n. 20001");
    assert_eq!(text(&saved, "cphCorpo_lblSituazione"), "In lavorazione");
    assert_eq!(erp.ledger().len(), 1);
    assert_eq!(erp.ledger()[0].order, Some(content(&order, "rif. <1> & co")));
    assert_eq!(erp.stats().posts["Order.aspx"]["ctl00$Main$AddLine"], 2, "counted by the first site's names");

    let list = browser.get("/Ordini.aspx").await;
    let found = submit(
        &mut browser,
        &list,
        &[("txtFiltroRiferimento", "<1>"), ("imgCerca.x", "3"), ("imgCerca.y", "4")],
    )
    .await;
    let rows = rows(&found);
    let shown = |class: &str| rows[0][class].clone();
    assert_eq!((rows.len(), shown("c-num"), shown("c-rif")), (1, "20001".into(), "rif. <1> & co".into()));
    assert_eq!((shown("c-data"), shown("c-cod")), (order.date.to_string(), order.customer.clone()));
    assert!(found.body.contains(r#"<a href="/SchedaOrdine.aspx?numero=20001">Apri</a>"#));

    let again = browser.get("/SchedaOrdine.aspx?numero=20001").await;
    assert_eq!(
        (value(&again, "txtVsRif"), value(&again, "txtDataOrdine")),
        ("rif. <1> & co".into(), order.date.to_string())
    );
    let lines = lines(&again);
    assert_eq!(
        (lines.len(), lines[0]["c-sconto"].as_str(), lines[0]["c-pezzi"].as_str()),
        (2, "12.50", "12")
    );
    assert_eq!((lines[1]["c-pos"].as_str(), lines[1]["c-art"].as_str()), ("2", "A0002"));
}

#[tokio::test]
async fn orders_are_found_by_each_filter() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let order = two_lines();
    save_order(&mut browser, &order, "alpha").await.unwrap();
    let date = order.date.to_string();
    let list = browser.get("/Ordini.aspx").await;
    for (filter, hit, miss) in [
        ("txtFiltroCliente", order.customer.as_str(), "NOBODY"),
        ("txtFiltroData", date.as_str(), "1990-01-01"),
        ("txtFiltroRiferimento", "ALPHA", "beta"),
        ("txtFiltroNumero", "20001", "20002"),
    ] {
        for (wanted, count) in [(hit, 1), (miss, 0)] {
            let found = submit(&mut browser, &list, &[(filter, wanted), ("imgCerca.x", "1")]).await;
            assert_eq!(rows(&found).len(), count, "{filter} {wanted}");
        }
    }
    let wrong = submit(&mut browser, &list, &[("txtFiltroData", "22/11/2026"), ("imgCerca.x", "1")]).await;
    assert_eq!(text(&wrong, "cphCorpo_txtFiltroData_err"), "Data errata: scrivere aaaa-mm-gg.");
}

#[tokio::test]
async fn lines_and_orders_come_twenty_a_page_by_number() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let line = two_lines().lines.remove(0);
    let long = Order { lines: vec![line; 25], ..two_lines() };
    let saved = save_order(&mut browser, &long, "long").await.unwrap();
    assert_eq!((lines(&saved).len(), text(&saved, "cphCorpo_lblNumeroRighe").as_str()), (20, "25"));
    let second = follow(&mut browser, &saved, &[], "grdRighe", "PN1").await;
    assert_eq!((lines(&second).len(), lines(&second)[4]["c-pos"].as_str()), (5, "25"));
    let fewer = follow(&mut browser, &second, &[], "grdRighe", "CANC24").await;
    assert_eq!(text(&fewer, "cphCorpo_lblNumeroRighe"), "24");

    let control = ErpControl::new(&erp.control_url()).unwrap();
    for n in 0..30 {
        let by_hand = HandOrder {
            number: None,
            agent: "nancy".to_owned(),
            state: OrderState::Open,
            content: content(&two_lines(), &format!("bulk {n}")),
        };
        control.put_order(&by_hand).await.unwrap();
    }
    let list = browser.get("/Ordini.aspx").await;
    let found = submit(&mut browser, &list, &[("txtFiltroRiferimento", "bulk"), ("imgCerca.x", "1")]).await;
    assert_eq!((rows(&found).len(), text(&found, "cphCorpo_grdOrdini_totale").as_str()), (20, "30 elementi"));
    assert!(found.body.contains("<b>1</b><a ") && !found.body.contains("Successiva"));
    let next = follow(&mut browser, &found, &[], "grdOrdini", "PN1").await;
    assert_eq!((rows(&next).len(), rows(&next)[9]["c-rif"].as_str()), (10, "bulk 0"));
    assert!(next.body.contains("</a><b>2</b><small"));
    assert_eq!(follow(&mut browser, &found, &[], "grdOrdini", "Page$2").await.status, 500);
}

#[tokio::test]
async fn a_product_fills_its_price_by_a_postback() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let page = browser.get("/SchedaOrdine.aspx").await;
    let product = &data().products[0];
    let fields = [("txtCliente", "typed before"), ("txtArticolo", product.code.as_str())];
    let filled = follow(&mut browser, &page, &fields, "txtArticolo", "").await;
    let price = product.price.to_string();
    assert_eq!(text(&filled, "cphCorpo_lblListino").replace(',', ""), price);
    assert_eq!(text(&filled, "cphCorpo_lblDenominazione"), product.description);
    assert_eq!(value(&filled, "txtCliente"), "typed before");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_this_sites_words_and_nothing_is_saved() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let page = type_order(&mut browser, &two_lines(), "x").await;
    let long = "x".repeat(41);
    for (control, wrong, link, says) in [
        ("txtCliente", "NOBODY", "lnkRegistra", "Codice cliente inesistente."),
        ("txtDataOrdine", "22/11/2026", "lnkRegistra", "Data errata: scrivere aaaa-mm-gg."),
        ("txtVsRif", long.as_str(), "lnkRegistra", "Vs. rif.: massimo 40 caratteri."),
        ("txtArticolo", "A0008", "lnkInserisci", "L'articolo non è più vendibile."),
        ("txtSconto", "12,5", "lnkInserisci", "Percentuale di sconto errata."),
        ("txtPezzi", "1.5", "lnkInserisci", "Numero di pezzi errato."),
    ] {
        let answer = follow(&mut browser, &page, &[(control, wrong)], link, "").await;
        assert_eq!(text(&answer, &format!("cphCorpo_{control}_err")), says);
        assert!(answer.body.contains(&format!("<p>{}</p>", says.replace('\'', "&#39;"))), "{says}");
        assert_eq!(
            (value(&answer, control).as_str(), text(&answer, "cphCorpo_lblNumero").as_str()),
            (wrong, "")
        );
    }
    assert!(erp.ledger().is_empty());
}

#[tokio::test]
async fn an_order_is_edited_sent_and_then_stays_as_it_is() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let open = save_order(&mut browser, &two_lines(), "before").await.unwrap();
    let note = [("txtVsRif", "after"), ("txtAnnotazioni", "prima riga\r\nseconda")];
    let edited = follow(&mut browser, &open, &note, "lnkRegistra", "").await;
    assert_eq!(text(&edited, "cphCorpo_lblNumero"), "20001");
    let sent = follow(&mut browser, &edited, &[], "lnkTrasmetti", "").await;
    assert_eq!(text(&sent, "cphCorpo_pnlEsito"), "Trasmissione eseguita: ordine n. 20001");
    assert_eq!(text(&sent, "cphCorpo_lblSituazione"), "Trasmesso");
    for gone in ["lnkRegistra", "lnkElimina", "lnkTrasmetti", "lnkInserisci", "lkpCliente"] {
        assert!(
            has(&open, &format!("cphCorpo_{gone}")) && !has(&sent, &format!("cphCorpo_{gone}")),
            "{gone}"
        );
    }
    for link in ["lnkRegistra", "lnkElimina", "lnkTrasmetti"] {
        let refused = follow(&mut browser, &open, &[], link, "").await;
        assert!(refused.body.contains("Ordine trasmesso: non modificabile."), "{link}");
    }
    let ledger = erp.ledger();
    let kinds: Vec<EffectKind> = ledger.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EffectKind::OrderSaved, EffectKind::OrderEdited, EffectKind::OrderSent]);
    assert_eq!(ledger[1].order.as_ref().unwrap().note, "prima riga\nseconda");
}

#[tokio::test]
async fn a_deleted_order_is_gone() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let open = save_order(&mut browser, &two_lines(), "x").await.unwrap();
    let gone = follow(&mut browser, &open, &[], "lnkElimina", "").await;
    assert_eq!(text(&gone, "cphCorpo_pnlEsito"), "Eliminazione eseguita: ordine n. 20001");
    let missing = browser.get("/SchedaOrdine.aspx?numero=20001").await;
    assert_eq!(text(&missing, "cphCorpo_pnlAssente"), "Nessun ordine con questo numero.");
    assert_eq!(erp.orders(), []);
}

#[tokio::test]
async fn a_similar_order_is_asked_about_and_saved_only_when_confirmed() {
    let erp = start().await;
    erp.script([FaultRule::next("Order.aspx", "Save", Fault::Similar)]);
    let mut browser = logged_in(&erp, "nancy").await;
    let asked = save_order(&mut browser, &two_lines(), "x").await.unwrap();
    assert!(asked.body.contains("confirm('Risulta già un ordine analogo.") && erp.ledger().is_empty());
    let saved = follow(&mut browser, &asked, &[], "lnkRegistraComunque", "").await;
    assert_eq!(text(&saved, "cphCorpo_lblNumero"), "20001");
    assert_eq!(erp.ledger().len(), 1);
}
