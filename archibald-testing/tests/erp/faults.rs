//! What each fault shows to the client, and what it leaves at the ERP.

use std::time::Duration;

use archibald_testing::data::{Line, Order, Percent};
use archibald_testing::erp::{ErpOptions, ErpSimulator, Fault, FaultRule, LedgerEntry, RunningErp};

use crate::browser::{Browser, Cause, Page, borrowed, fast, order_of, start, until};

/// An order with a discount and a note's worth of detail, so that every distortion shows.
fn order() -> Order {
    let line = |product: &str, discount| Line { product: product.to_owned(), quantity: 7, discount };
    Order { lines: vec![line("A0001", Percent(1250)), line("A0002", Percent(0))], ..order_of("nancy") }
}

fn strike_save(erp: &RunningErp, fault: Fault) {
    erp.script([FaultRule::next("Order.aspx", "Save", fault)]);
}

/// Saves an order that meets the fault.
async fn struck(fault: Fault) -> (RunningErp, Browser, Option<Page>) {
    let erp = start().await;
    strike_save(&erp, fault);
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let answer = browser.save_order(&order(), "mark").await;
    assert_eq!(erp.stats().faults[fault.name()], 1);
    (erp, browser, answer)
}

fn only(erp: &RunningErp) -> LedgerEntry {
    let ledger = erp.ledger();
    assert_eq!(ledger.len(), 1);
    ledger[0].clone()
}

#[tokio::test]
async fn fail_before_is_a_500_and_nothing_happened() {
    let (erp, mut browser, answer) = struck(Fault::FailBefore).await;
    assert_eq!(answer.unwrap().status, 500);
    assert!(erp.ledger().is_empty());
    assert!(browser.save_order(&order(), "again").await.unwrap().has("Message"), "it struck once");
}

#[tokio::test]
async fn fail_after_is_a_500_and_the_order_is_there() {
    let (erp, _, answer) = struck(Fault::FailAfter).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("Server Error in '/' Application.") && !answer.body.contains("20001"));
    assert_eq!(only(&erp).fault, Some(Fault::FailAfter));
}

#[tokio::test]
async fn drop_after_is_no_answer_and_the_order_is_there() {
    let (erp, mut browser, answer) = struck(Fault::DropAfter).await;
    assert!(answer.is_none());
    assert_eq!(only(&erp).number, "20001");
    assert!(!browser.get("/Order.aspx?number=20001").await.has("NotFound"));
}

#[tokio::test]
async fn hang_after_is_no_answer_and_the_session_waits_for_the_request_limit() {
    let erp = start().await;
    strike_save(&erp, Fault::HangAfter);
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let (page, header) = browser.type_order(&order(), "mark").await;
    let mut other_tab = browser.new_tab();
    let fields = borrowed(&header);
    let hanging = browser.try_submit(&page, &fields, Cause::Button("Save"));
    let applied = until(|| erp.ledger().len() == 1);
    tokio::select! {
        _ = hanging => panic!("answered"),
        () = applied => {}
    }
    let started = std::time::Instant::now();
    assert_eq!(other_tab.get("/Orders.aspx").await.rows("Orders").len(), 1);
    assert!(started.elapsed() > fast().behaviour.request_limit / 2, "the hanging request held the session");
}

#[tokio::test]
async fn late_applies_the_order_only_after_the_client_gave_up() {
    let behaviour =
        archibald_testing::erp::Behaviour { request_limit: Duration::from_secs(600), ..fast().behaviour };
    let erp = ErpSimulator::start(ErpOptions { behaviour, ..fast() }).await.unwrap();
    strike_save(&erp, Fault::Late);
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let (page, header) = browser.type_order(&order(), "mark").await;
    let fields = borrowed(&header);
    {
        let waiting = browser.try_submit(&page, &fields, Cause::Button("Save"));
        tokio::select! {
            _ = waiting => panic!("answered"),
            () = until(|| erp.stats().faults.contains_key("late")) => {}
        }
        assert!(erp.ledger().is_empty());
    }
    until(|| erp.ledger().len() == 1).await;
    assert_eq!(only(&erp).fault, Some(Fault::Late));
}

#[tokio::test]
async fn expire_and_kick_lead_to_the_login_and_nothing_happened() {
    for fault in [Fault::Expire, Fault::Kick] {
        let (erp, mut browser, answer) = struck(fault).await;
        let to = answer.unwrap().location.unwrap();
        assert_eq!(to, "/Login.aspx?ReturnUrl=%2FOrder.aspx");
        assert_eq!(browser.get("/Default.aspx").await.status, 302);
        assert!(erp.ledger().is_empty());
    }
}

#[tokio::test]
async fn slow_is_the_answer_late() {
    let started = std::time::Instant::now();
    let (erp, _, answer) = struck(Fault::Slow).await;
    assert!(started.elapsed() >= fast().behaviour.slow);
    assert_eq!(answer.unwrap().text("Number"), only(&erp).number);
}

#[tokio::test]
async fn reject_is_a_message_on_the_same_form() {
    let (erp, _, answer) = struck(Fault::Reject).await;
    let answer = answer.unwrap();
    assert!(answer.has("ValidationSummary") && !answer.has("Message"));
    assert_eq!((answer.status, answer.value("Reference").as_str()), (200, "mark"));
    assert_eq!((answer.text("Number").as_str(), answer.text("LineCount").as_str()), ("", "2"));
    assert!(erp.ledger().is_empty());
}

#[tokio::test]
async fn maintenance_keeps_everybody_out_for_a_while() {
    let (erp, mut browser, answer) = struck(Fault::Maintenance).await;
    let mut anne = Browser::new(&erp);
    for page in [answer.unwrap(), browser.get("/Orders.aspx").await, anne.get("/Login.aspx").await] {
        assert_eq!(page.status, 503);
        assert!(page.body.contains(r#"id="maintenance""#));
    }
    assert!(erp.ledger().is_empty());
    while browser.get("/Orders.aspx").await.status == 503 {}
    assert!(browser.save_order(&order(), "after").await.unwrap().has("Message"));
}

#[tokio::test]
async fn half_saves_the_header_and_loses_the_lines() {
    let (erp, mut browser, answer) = struck(Fault::Half).await;
    let stored = only(&erp).order.unwrap();
    assert_eq!((stored.reference.as_str(), stored.lines.len()), ("mark", 0));
    assert_eq!(browser.get("/Order.aspx?number=20001").await.text("LineCount"), "0");
    let answer = answer.unwrap();
    assert!(answer.status == 500 || answer.text("LineCount") == "0");
}

#[tokio::test]
async fn half_answers_now_with_success_and_now_with_a_500() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let erp = ErpSimulator::start(ErpOptions { seed, ..fast() }).await.unwrap();
        strike_save(&erp, Fault::Half);
        let mut browser = Browser::logged_in(&erp, "nancy").await;
        seen.insert(browser.save_order(&order(), "mark").await.unwrap().status);
    }
    assert_eq!(Vec::from_iter(seen), [200, 500]);
}

#[tokio::test]
async fn altered_says_success_and_shows_what_it_saved_instead() {
    let (erp, _, answer) = struck(Fault::Altered).await;
    let stored = only(&erp).order.unwrap();
    assert_ne!(stored.lines, order().lines);
    let answer = answer.unwrap();
    assert_eq!(answer.text("Message"), "Ordine 20001 salvato.");
    assert_eq!(answer.rows("Lines")[0]["discount"], stored.lines[0].discount.italian());
}

#[tokio::test]
async fn similar_asks_and_saves_only_if_told_so() {
    let (erp, mut browser, answer) = struck(Fault::Similar).await;
    let question = answer.unwrap();
    assert!(question.body.contains("confirm('Esiste un ordine simile.") && !question.has("Message"));
    assert!(erp.ledger().is_empty());
    let saved = browser.submit(&question, &[], Cause::Link("ctl00$Main$SaveAnyway", "")).await;
    assert_eq!(saved.text("Number"), "20001");
    assert_eq!(only(&erp).order.unwrap().lines, order().lines);
}

#[tokio::test]
async fn recycle_forgets_sessions_and_keys_but_no_data() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    browser.save_order(&order(), "kept").await.unwrap();
    let mut anne = Browser::new(&erp);
    let login = anne.get("/Login.aspx").await;
    strike_save(&erp, Fault::Recycle);
    let answer = browser.save_order(&order(), "lost").await.unwrap();
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("Validation of viewstate MAC failed."));
    assert_eq!(browser.get("/Orders.aspx").await.status, 302);
    let fields = [("User", "anne"), ("Password", "anne-secret")];
    let stale = anne.submit(&login, &fields, Cause::Button("LoginButton")).await;
    assert_eq!(stale.status, 500, "a login form from before carries the old key's seal");
    assert_eq!(only(&erp).order.unwrap().reference, "kept");
}

#[tokio::test]
async fn truncate_breaks_off_in_the_body_and_the_order_is_there() {
    let (erp, _, answer) = struck(Fault::Truncate).await;
    assert!(answer.is_none());
    assert_eq!(only(&erp).fault, Some(Fault::Truncate));
}

#[tokio::test]
async fn stale_list_hides_the_row_for_a_while_while_the_order_is_there() {
    let (_erp, mut browser, answer) = struck(Fault::StaleList).await;
    assert_eq!(answer.unwrap().text("Number"), "20001");
    assert!(browser.get("/Orders.aspx").await.rows("Orders").is_empty());
    assert_eq!(browser.get("/Order.aspx?number=20001").await.text("Number"), "20001");
    while browser.get("/Orders.aspx").await.rows("Orders").is_empty() {}
}

#[tokio::test]
async fn a_rule_may_strike_a_harmless_postback_or_a_page_load_of_one_user() {
    let erp = start().await;
    let rule = |control| FaultRule::next("Order.aspx", control, Fault::FailBefore);
    erp.script([
        FaultRule { user: Some("nancy".to_owned()), ..rule("GET") },
        FaultRule { nth: 2, ..rule("AddLine") },
    ]);
    let mut anne = Browser::logged_in(&erp, "anne").await;
    assert_eq!(anne.get("/Order.aspx").await.status, 200);
    let mut nancy = Browser::logged_in(&erp, "nancy").await;
    assert_eq!(nancy.get("/Order.aspx").await.status, 500);
    let page = nancy.get("/Order.aspx").await;
    let fields = [("LineProduct", "A0001"), ("LineQuantity", "1")];
    assert_eq!(nancy.submit(&page, &fields, Cause::Button("AddLine")).await.status, 200);
    assert_eq!(nancy.submit(&page, &fields, Cause::Button("AddLine")).await.status, 500);
}

#[tokio::test]
async fn deleting_and_sending_meet_faults_too() {
    for button in ["Delete", "Send"] {
        let erp = start().await;
        let mut browser = Browser::logged_in(&erp, "nancy").await;
        let page = browser.save_order(&order(), "mark").await.unwrap();
        erp.script([
            FaultRule::next("Order.aspx", button, Fault::FailBefore),
            FaultRule { nth: 2, ..FaultRule::next("Order.aspx", button, Fault::FailAfter) },
        ]);
        assert_eq!(browser.submit(&page, &[], Cause::Button(button)).await.status, 500);
        assert_eq!(erp.ledger().len(), 1, "{button} before");
        assert_eq!(browser.submit(&page, &[], Cause::Button(button)).await.status, 500);
        assert_eq!(erp.ledger().len(), 2, "{button} after");
    }
}

#[tokio::test]
async fn chance_strikes_as_the_seed_says_and_the_ledger_tells_what_came_of_it() {
    let run = async |seed| {
        let options = ErpOptions { seed, faults: "some".parse().unwrap(), ..fast() };
        let erp = ErpSimulator::start(options).await.unwrap();
        for _ in 0..25 {
            // A fresh browser each time: expired sessions are no matter here.
            let mut browser = Browser::logged_in(&erp, "nancy").await;
            browser.save_order(&order(), "mark").await;
        }
        let met: Vec<Option<Fault>> = erp.ledger().iter().map(|entry| entry.fault).collect();
        (erp.stats().faults, met)
    };
    let (faults, met) = run(5).await;
    assert!(faults.values().sum::<u64>() >= 5, "{faults:?}");
    for (name, count) in &faults {
        let applied = met.iter().flatten().filter(|fault| fault.name() == name).count() as u64;
        let without_effect = ["fail-before", "expire", "reject"].contains(&name.as_str());
        assert_eq!(applied, if without_effect { 0 } else { *count }, "{name}");
    }
    assert_eq!(run(5).await, (faults, met));
}
