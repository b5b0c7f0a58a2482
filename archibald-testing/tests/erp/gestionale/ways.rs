//! Logging in, sessions, failures, and the pages that are not about orders.

use archibald_testing::data::password_of;
use archibald_testing::erp::{EffectKind, ErpControl, Fault, FaultRule, WRONG_PASSWORDS};

use super::{
    follow, has, log_in, logged_in, rows, save_order, start, submit, text, try_follow, two_lines, type_order,
    value,
};
use crate::browser::{Browser, data};

#[tokio::test]
async fn a_wrong_password_is_refused_until_the_account_is_locked() {
    let erp = start().await;
    let mut browser = Browser::new(&erp);
    for wrong in 1..=WRONG_PASSWORDS {
        let answer = log_in(&mut browser, "/Accesso.aspx", "nancy", "wrong").await;
        let says = if wrong == WRONG_PASSWORDS { "Utenza disabilitata" } else { "Credenziali errate." };
        assert_eq!((answer.status, text(&answer, "cphCorpo_lblMessaggio").as_str()), (200, says));
    }
    assert_eq!(browser.get("/Principale.aspx").await.status, 302);
    assert_eq!(erp.stats().logins_refused, u64::from(WRONG_PASSWORDS));
}

#[tokio::test]
async fn an_ended_session_leads_to_the_login_page_and_back() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let page = type_order(&mut browser, &two_lines(), "x").await;
    ErpControl::new(&erp.control_url()).unwrap().expire(Some("nancy")).await.unwrap();
    let turned_away = follow(&mut browser, &page, &[], "lnkRegistra", "").await;
    assert_eq!(turned_away.status, 302);
    let login = turned_away.location.unwrap();
    assert_eq!(login, "/Accesso.aspx?ReturnUrl=%2FSchedaOrdine.aspx");
    let back = log_in(&mut browser, &login, "nancy", &password_of("nancy")).await;
    assert_eq!(back.location.as_deref(), Some("/SchedaOrdine.aspx"));
    let fresh = browser.get("/SchedaOrdine.aspx").await;
    assert_eq!(text(&fresh, "cphCorpo_lblNumeroRighe"), "0");
    assert_eq!(text(&fresh, "lblOperatore"), "nancy");
    assert!(erp.ledger().is_empty());
}

#[tokio::test]
async fn a_logout_ends_the_session() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let home = browser.get("/Principale.aspx").await;
    let answer = browser.post(&home, &[("__EVENTTARGET", "ctl00$lnkUscita")]).await.unwrap();
    assert_eq!(answer.location.as_deref(), Some("/Accesso.aspx"));
    assert_eq!(browser.get("/Principale.aspx").await.status, 302);
}

#[tokio::test]
async fn failures_have_pages_of_their_own() {
    for (fault, status, id, effects) in [
        (Fault::FailBefore, 500, "pnlErrore", 0),
        (Fault::FailAfter, 500, "pnlErrore", 1),
        (Fault::Recycle, 500, "pnlErrore", 0),
        (Fault::Maintenance, 503, "avvisoSospensione", 0),
        (Fault::Reject, 200, "cphCorpo_pnlAvvisi", 0),
    ] {
        let erp = start().await;
        erp.script([FaultRule::next("Order.aspx", "Save", fault)]);
        let mut browser = logged_in(&erp, "nancy").await;
        let answer = save_order(&mut browser, &two_lines(), "x").await.unwrap();
        assert_eq!((answer.status, has(&answer, id)), (status, true), "{fault}");
        assert!(!answer.body.contains("yellow-title") && !answer.body.contains("Server Error"), "{fault}");
        assert_eq!((erp.ledger().len(), erp.stats().faults[fault.name()]), (effects, 1), "{fault}");
    }
}

#[tokio::test]
async fn a_dropped_answer_leaves_the_order_there() {
    let erp = start().await;
    erp.script([FaultRule::next("Order.aspx", "Save", Fault::DropAfter)]);
    let mut browser = logged_in(&erp, "nancy").await;
    assert!(save_order(&mut browser, &two_lines(), "x").await.is_none());
    assert_eq!(erp.ledger().len(), 1);
    assert_eq!(value(&browser.get("/SchedaOrdine.aspx?numero=20001").await, "txtVsRif"), "x");
}

#[tokio::test]
async fn a_form_that_was_not_issued_to_this_session_is_refused() {
    let erp = start().await;
    let mut nancy = logged_in(&erp, "nancy").await;
    let page = type_order(&mut nancy, &two_lines(), "x").await;
    let mut anne = logged_in(&erp, "anne").await;
    let foreign = try_follow(&mut anne, &page, &[], "lnkRegistra", "").await.unwrap();
    assert_eq!(foreign.status, 500);
    assert!(text(&foreign, "lblErrore").starts_with("Convalida MAC"));
    let forged = [("__EVENTVALIDATION", "bm8="), ("__EVENTTARGET", "ctl00$cphCorpo$lnkRegistra")];
    assert_eq!(nancy.post(&page, &forged).await.unwrap().status, 500);
    assert_eq!((erp.stats().view_states_refused, erp.ledger().len()), (2, 0));
}

#[tokio::test]
async fn a_customer_is_created_found_and_edited() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let page = browser.get("/SchedaCliente.aspx").await;
    let wrong = follow(&mut browser, &page, &[("txtPosta", "nowhere")], "lnkRegistra", "").await;
    assert_eq!(text(&wrong, "cphCorpo_txtRagioneSociale_err"), "Indicare la denominazione.");
    assert!(has(&wrong, "cphCorpo_txtPosta_err") && erp.ledger().is_empty());
    let fields = [("txtRagioneSociale", "Forno <Nuovo>"), ("txtLocalita", "Verona"), ("txtCap", "37100")];
    let saved = follow(&mut browser, &page, &fields, "lnkRegistra", "").await;
    assert_eq!(text(&saved, "cphCorpo_lblCodice"), "N0001");
    assert_eq!(text(&saved, "cphCorpo_pnlEsito"), "Registrazione eseguita: cliente N0001");

    let list = browser.get("/Clienti.aspx").await;
    let found = submit(&mut browser, &list, &[("txtTesto", "<nuovo>"), ("imgCerca.x", "1")]).await;
    let rows = rows(&found);
    assert_eq!(
        (rows.len(), rows[0]["c-cod"].as_str(), rows[0]["c-localita"].as_str()),
        (1, "N0001", "Verona")
    );
    let card = browser.get("/SchedaCliente.aspx?codice=N0001").await;
    let edited = follow(&mut browser, &card, &[("txtTelefono", "045 1")], "lnkRegistra", "").await;
    assert_eq!(
        (value(&edited, "txtTelefono").as_str(), value(&edited, "txtCap").as_str()),
        ("045 1", "37100")
    );
    let kinds: Vec<EffectKind> = erp.ledger().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EffectKind::CustomerSaved, EffectKind::CustomerEdited]);
}

#[tokio::test]
async fn a_customer_is_picked_in_the_look_up() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    let page = browser.get("/SchedaOrdine.aspx").await;
    let (data, seen) = (data(), data().assignments());
    let code = seen["nancy"].first().unwrap();
    let name = &data.customers.iter().find(|customer| customer.code == *code).unwrap().name;
    let asks = [("__CALLBACKID", "ctl00$cphCorpo$lkpCliente"), ("__CALLBACKPARAM", code.as_str())];
    let items = browser.post(&page, &asks).await.unwrap();
    assert!(items.body.starts_with("s<li ") && items.body.contains(&format!(r#"data-codice="{code}""#)));
    let pick = format!("SCELTA:{code}");
    let picks = [
        ("__EVENTTARGET", "ctl00$cphCorpo$lkpCliente"),
        ("__EVENTARGUMENT", pick.as_str()),
        ("__ASYNCPOST", "true"),
    ];
    let panel = browser.post(&page, &picks).await.unwrap();
    assert!(panel.body.starts_with("1|#||4|") && panel.body.contains("|updatePanel|cphCorpo_upCliente|"));
    assert_eq!(
        (value(&panel, "txtCliente"), text(&panel, "cphCorpo_lblNomeCliente")),
        (code.clone(), name.clone())
    );
    erp.expire(None);
    let expired = browser.post(&page, &picks).await.unwrap();
    assert!(expired.body.contains("|pageRedirect||/Accesso.aspx?ReturnUrl="), "{}", expired.body);
}

#[tokio::test]
async fn products_and_prices_are_paged_through() {
    let erp = start().await;
    let mut browser = logged_in(&erp, "nancy").await;
    for (path, grid, total) in [("/Articoli.aspx", "grdArticoli", 80), ("/Listini.aspx", "grdPrezzi", 160)] {
        let mut page = browser.get(path).await;
        let mut all = rows(&page);
        for number in 1..total / 20 {
            page = follow(&mut browser, &page, &[], grid, &format!("PN{number}")).await;
            all.extend(rows(&page));
        }
        assert_eq!(text(&page, &format!("cphCorpo_{grid}_totale")), format!("{total} elementi"));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), total, "{path}");
    }
    let row = &rows(&browser.get("/Articoli.aspx").await)[7];
    assert_eq!((row["c-art"].as_str(), row["c-vendibile"].as_str()), ("A0008", "N"));
}
