//! Logging in, sessions and their ends.

use std::time::Duration;

use archibald_testing::data::password_of;
use archibald_testing::erp::{Behaviour, ErpControl, ErpOptions, ErpSimulator, WRONG_PASSWORDS};

use crate::browser::{Browser, Cause, fast, order_of, start};

#[tokio::test]
async fn a_login_leads_where_one_wanted_to_go_and_shows_who_one_is() {
    let erp = start().await;
    let mut browser = Browser::new(&erp);
    let turned_away = browser.get("/Order.aspx?number=5").await;
    assert_eq!(turned_away.status, 302);
    let login = turned_away.location.unwrap();
    assert_eq!(login, "/Login.aspx?ReturnUrl=%2FOrder.aspx%3Fnumber%3D5");
    let answer = browser.log_in(&login, "nancy", &password_of("nancy")).await;
    assert_eq!((answer.status, answer.location.as_deref()), (302, Some("/Order.aspx?number=5")));
    let home = browser.get("/Default.aspx").await;
    assert_eq!(home.text("ctl00_UserName"), "nancy");
    assert_eq!(erp.stats().logins, 1);
}

#[tokio::test]
async fn a_wrong_password_is_refused_in_words() {
    let erp = start().await;
    let mut browser = Browser::new(&erp);
    let answer = browser.log_in("/Login.aspx", "nancy", "wrong").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text("LoginError"), "Nome utente o password non corretti.");
    assert_eq!(browser.get("/Default.aspx").await.status, 302);
    assert_eq!((erp.stats().logins, erp.stats().logins_refused), (0, 1));
}

#[tokio::test]
async fn too_many_wrong_passwords_in_a_row_lock_the_account_until_it_is_unlocked() {
    let erp = start().await;
    let mut browser = Browser::new(&erp);
    let mut earlier = Browser::logged_in(&erp, "nancy").await;
    for wrong in 1..=WRONG_PASSWORDS {
        let text = browser.log_in("/Login.aspx", "Nancy", "wrong").await.text("LoginError");
        let locked = wrong == WRONG_PASSWORDS;
        let expected = if locked { "Account bloccato" } else { "Nome utente o password non corretti." };
        assert_eq!(text, expected, "{wrong}");
    }
    let right = browser.log_in("/Login.aspx", "nancy", &password_of("nancy")).await;
    assert_eq!((right.status, right.text("LoginError").as_str()), (200, "Account bloccato"));
    assert_eq!(earlier.get("/Default.aspx").await.status, 200, "who is inside stays there");
    Browser::logged_in(&erp, "anne").await;
    let control = ErpControl::new(&erp.control_url()).unwrap();
    assert!(control.unlock("nobody").await.is_err());
    control.unlock("nancy").await.unwrap();
    Browser::logged_in(&erp, "nancy").await;
}

#[tokio::test]
async fn a_right_password_forgives_the_wrong_ones_before() {
    let erp = start().await;
    for _ in 0..3 {
        for _ in 1..WRONG_PASSWORDS {
            let refused = Browser::new(&erp).log_in("/Login.aspx", "nancy", "wrong").await;
            assert_eq!(refused.text("LoginError"), "Nome utente o password non corretti.");
        }
        Browser::logged_in(&erp, "nancy").await;
    }
    for _ in 0..=WRONG_PASSWORDS {
        let refused = Browser::new(&erp).log_in("/Login.aspx", "nobody", "wrong").await;
        assert_eq!(refused.text("LoginError"), "Nome utente o password non corretti.", "nothing to lock");
    }
}

#[tokio::test]
async fn a_return_url_of_another_site_is_ignored() {
    let erp = start().await;
    for elsewhere in ["//evil.example", "http%3A%2F%2Fevil.example", "%2F%5Cevil.example"] {
        let mut browser = Browser::new(&erp);
        let path = format!("/Login.aspx?ReturnUrl={elsewhere}");
        let answer = browser.log_in(&path, "anne", &password_of("anne")).await;
        assert_eq!(answer.location.as_deref(), Some("/Default.aspx"), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_logout_ends_the_session() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let home = browser.get("/Default.aspx").await;
    let answer = browser.submit(&home, &[], Cause::Link("ctl00$Logout", "")).await;
    assert_eq!(answer.location.as_deref(), Some("/Login.aspx"));
    assert_eq!(browser.get("/Default.aspx").await.status, 302);
}

#[tokio::test]
async fn a_session_that_expires_in_the_middle_of_an_order_loses_what_was_typed() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let (page, _) = browser.type_order(&order_of("nancy"), "x").await;
    ErpControl::new(&erp.control_url()).unwrap().expire(Some("nancy")).await.unwrap();
    let answer = browser.submit(&page, &[], Cause::Button("Save")).await;
    assert_eq!(answer.status, 302);
    let login = answer.location.unwrap();
    assert!(login.starts_with("/Login.aspx?ReturnUrl="), "{login}");
    let back = browser.log_in(&login, "nancy", &password_of("nancy")).await;
    let fresh = browser.get(&back.location.unwrap()).await;
    assert_eq!(fresh.text("LineCount"), "0");
    assert!(erp.ledger().is_empty());
}

#[tokio::test]
async fn a_form_of_an_earlier_session_is_a_yellow_page() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let (old, _) = browser.type_order(&order_of("nancy"), "x").await;
    erp.expire(None);
    browser.log_in("/Login.aspx", "nancy", &password_of("nancy")).await;
    let answer = browser.submit(&old, &[], Cause::Button("Save")).await;
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("Validation of viewstate MAC failed."));
    assert_eq!(erp.stats().view_states_refused, 1);
    assert!(erp.ledger().is_empty());
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it() {
    let behaviour = Behaviour { idle: Duration::ZERO, ..fast().behaviour };
    let erp = ErpSimulator::start(ErpOptions { behaviour, ..fast() }).await.unwrap();
    let mut browser = Browser::new(&erp);
    browser.log_in("/Login.aspx", "nancy", &password_of("nancy")).await;
    assert_eq!(browser.get("/Default.aspx").await.status, 302);
}

#[tokio::test]
async fn a_second_login_ends_the_first_only_where_that_is_the_habit() {
    for single_session in [false, true] {
        let behaviour = Behaviour { single_session, ..fast().behaviour };
        let erp = ErpSimulator::start(ErpOptions { behaviour, ..fast() }).await.unwrap();
        let mut first = Browser::logged_in(&erp, "nancy").await;
        let mut other = Browser::logged_in(&erp, "anne").await;
        let _second = Browser::logged_in(&erp, "nancy").await;
        let expected = if single_session { 302 } else { 200 };
        assert_eq!(first.get("/Default.aspx").await.status, expected);
        assert_eq!(other.get("/Default.aspx").await.status, 200);
    }
}

#[tokio::test]
async fn requests_of_one_session_wait_for_each_other_and_those_of_others_do_not() {
    let behaviour = Behaviour { latency: Duration::from_millis(100), ..fast().behaviour };
    let erp = ErpSimulator::start(ErpOptions { behaviour, ..fast() }).await.unwrap();
    let browser = Browser::logged_in(&erp, "nancy").await;
    let mut tabs: Vec<Browser> = (0..3).map(|_| browser.new_tab()).collect();
    futures::future::join_all(tabs.iter_mut().map(|tab| tab.get("/Orders.aspx"))).await;
    let stats = erp.stats();
    assert_eq!((stats.max_parallel, stats.max_parallel_of_a_session), (1, 1));

    let (mut nancy, mut anne) = (browser, Browser::logged_in(&erp, "anne").await);
    futures::future::join(nancy.get("/Orders.aspx"), anne.get("/Orders.aspx")).await;
    let stats = erp.stats();
    assert_eq!((stats.max_parallel, stats.max_parallel_of_a_session), (2, 1));
    assert_eq!(stats.max_parallel_by_user["nancy"], 1);
}

#[tokio::test]
async fn a_changed_password_counts_from_the_next_login_on() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    ErpControl::new(&erp.control_url()).unwrap().set_password("nancy", "new").await.unwrap();
    assert_eq!(browser.get("/Default.aspx").await.status, 200);
    let old = Browser::new(&erp).log_in("/Login.aspx", "nancy", &password_of("nancy")).await;
    assert!(old.has("LoginError"));
    assert_eq!(Browser::new(&erp).log_in("/Login.aspx", "nancy", "new").await.status, 302);
}

#[tokio::test]
async fn what_is_no_page_neither_waits_nor_opens_a_session() {
    let behaviour = Behaviour { latency: Duration::from_secs(600), ..fast().behaviour };
    let erp = ErpSimulator::start(ErpOptions { behaviour, ..fast() }).await.unwrap();
    let mut browser = Browser::new(&erp);
    assert_eq!(browser.get("/favicon.ico").await.status, 404);
    assert_eq!(browser.get("/").await.location.as_deref(), Some("/Default.aspx"));
    assert_eq!((browser.cookie_header().as_str(), erp.stats().max_parallel), ("", 0));
}
