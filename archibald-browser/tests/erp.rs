//! The flows against the simulated ERP, in a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::sync::Arc;

use archibald_browser::page_map::PageMap;
use archibald_core::effect::{ActOutcome, NotSent};
use archibald_core::erp::OrderQuery;
use archibald_core::port::{ArchibaldClient, ClientError, Credentials, LoginError};
use archibald_testing::erp::{Fault, FaultRule};
use common::office::{Office, Shut, told};
use common::seconds;

#[tokio::test]
async fn an_order_of_many_lines_is_saved_and_read_back_and_found() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let wanted = office.wanted(23);
    let (outcome, reference) = desk.create(1, &wanted).await;
    let ActOutcome::Done(order) = outcome else { panic!("{outcome:?}") };
    assert_eq!(archibald_core::erp::differences(&wanted, &reference, &order), Vec::<String>::new());
    assert_eq!(order.lines[0].quantity, 1200);
    assert_eq!(desk.numbers_with(1).await, std::slice::from_ref(&order.number));
    assert_eq!(desk.numbers_with(2).await, Vec::<String>::new());
    assert_eq!(desk.client.read_order(&order.number).await.unwrap(), Some(order));
    assert_eq!(desk.client.read_order("999999").await.unwrap(), None);
    assert_eq!(office.erp.ledger().len(), 1);
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn every_fault_of_a_save_is_told_apart_and_no_click_is_two_orders() {
    let office = Office::open().await;
    office.strike_every_save().await;
    office.close().await;
}

#[tokio::test]
async fn what_the_site_does_not_accept_is_refused_in_its_own_words() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let mut wanted = office.wanted(1);
    wanted.lines[0].product = "A9999".into();
    let (outcome, _) = desk.create(1, &wanted).await;
    assert!(matches!(&outcome, ActOutcome::Refused(text) if text.contains("Articolo")), "{outcome:?}");
    let mut wanted = office.wanted(1);
    wanted.customer = "NOBODY".into();
    let (outcome, _) = desk.create(2, &wanted).await;
    assert!(matches!(&outcome, ActOutcome::Refused(text) if text.contains("liente")), "{outcome:?}");
    let gate = Arc::new(Shut);
    let outcome = desk.client.create_order(&office.wanted(1), "x", desk.intent(3).await, gate).await;
    assert_eq!(outcome, ActOutcome::NotSent(NotSent::LeaseLost));
    office.erp.expire(None);
    let (outcome, _) = desk.create(4, &office.wanted(1)).await;
    assert_eq!(outcome, ActOutcome::NotSent(NotSent::SessionExpired));
    assert!(office.erp.ledger().is_empty());
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn a_login_is_refused_in_the_sites_own_words_and_customers_are_read_page_by_page() {
    let office = Office::open().await;
    let context = office.context().await;
    let page = context.new_page().await.unwrap();
    let who = Credentials { user: office.user.clone(), password: "wrong".into() };
    let refused = office.site.login(&page, &seconds(20), &who).await.unwrap_err();
    assert!(
        matches!(&refused, LoginError::Refused { text, .. } if text.contains("non corretti")),
        "{refused}"
    );
    drop((page, context));

    let desk = office.desk().await;
    let mut codes = Vec::new();
    for n in 1.. {
        let shown = desk.client.read_customers(n).await.unwrap();
        codes.extend(shown.customers.into_iter().map(|customer| customer.code));
        if n >= shown.pages {
            break;
        }
    }
    let mut expected: Vec<_> = office.data.assignments()[&office.user].iter().cloned().collect();
    codes.sort();
    expected.sort();
    assert_eq!(codes, expected);
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn a_control_that_the_map_does_not_know_is_refused_and_named_with_evidence() {
    let mut map = PageMap::simulator().unwrap();
    map.orders.harmless.remove("ctl00$Main$Search");
    let office = Office::open_with(map).await;
    let desk = office.desk().await;
    let error = desk.client.find_orders(&OrderQuery::default()).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("page orders") && said.contains("ctl00$Main$Search"), "{said}");
    let names: Vec<_> = desk.client.capture().await.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["page", "screenshot", "requests"]);
    drop(desk);
    office.close().await;
}

/// The question is dismissed unread and kept as evidence; whether the order is there is for the probe.
#[tokio::test]
async fn a_question_after_the_save_is_dismissed_and_kept() {
    let office = Office::open().await;
    let desk = office.desk().await;
    office.erp.script([FaultRule::next("Order.aspx", "ctl00$Main$Save", Fault::Similar)]);
    let (outcome, _) = desk.create(1, &office.wanted(1)).await;
    assert!(matches!(outcome, ActOutcome::Ambiguous { answered: true, .. }), "{outcome:?}");
    let evidence = desk.client.capture().await;
    let dialogs = evidence.iter().find(|it| it.name == "dialogs").unwrap();
    let said = String::from_utf8_lossy(&dialogs.bytes);
    assert!(said.contains("simile") && said.contains("accepted: false"), "{said}");
    assert!(office.erp.ledger().is_empty());
    drop(desk);
    office.close().await;
}
