//! Another vendor's pages, driven by their page map alone, in a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use archibald_core::effect::ActOutcome;
use archibald_core::erp::{OrderQuery, differences};
use archibald_core::port::ArchibaldClient;
use archibald_testing::erp::EffectKind;
use common::office::Office;

#[tokio::test]
async fn an_order_is_saved_once_read_back_changed_sent_and_deleted() {
    let office = Office::open_at_the_other_site().await;
    let desk = office.desk().await;
    // More lines than one page of them shows.
    let wanted = office.wanted(22);
    let (outcome, reference) = desk.create(1, &wanted).await;
    let ActOutcome::Done(saved) = outcome else { panic!("{outcome:?}") };
    assert_eq!(office.posts("Order.aspx", "Save"), 1);
    let read = desk.client.read_order(&saved.number).await.unwrap().unwrap();
    assert_eq!(read, saved);
    assert_eq!(differences(&wanted, &reference, &read), Vec::<String>::new());
    let by_reference = OrderQuery { reference: Some(reference.clone()), ..OrderQuery::default() };
    let found = desk.client.find_orders(&by_reference).await.unwrap();
    assert_eq!(found.iter().map(|order| order.number.as_str()).collect::<Vec<_>>(), [saved.number.as_str()]);
    assert_eq!((found[0].date, found[0].sent), (wanted.date, false));

    let fewer = office.wanted(2);
    let changed = desk.edit(&saved.number, &fewer, &reference).await;
    assert!(matches!(&changed, ActOutcome::Done(order) if order.lines.len() == 2), "{changed:?}");
    let sent = desk.send(&saved.number).await;
    assert!(matches!(&sent, ActOutcome::Done(order) if order.sent), "{sent:?}");
    let (other, _) = desk.create(2, &fewer).await;
    let ActOutcome::Done(other) = other else { panic!("{other:?}") };
    assert!(matches!(desk.delete(&other.number).await, ActOutcome::Done(())));
    assert_eq!(desk.client.read_order(&other.number).await.unwrap(), None);
    let kinds: Vec<_> = office.effects().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [
            EffectKind::OrderSaved,
            EffectKind::OrderEdited,
            EffectKind::OrderSent,
            EffectKind::OrderSaved,
            EffectKind::OrderDeleted
        ]
    );
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn lists_are_read_to_their_end_and_a_customer_is_found() {
    let office = Office::open_at_the_other_site().await;
    let desk = office.desk().await;
    let (mut products, mut page) = (Vec::new(), 1);
    loop {
        let read = desk.client.read_products(page).await.unwrap();
        products.extend(read.products);
        if page >= read.pages {
            break;
        }
        page += 1;
    }
    let told: Vec<_> = products.iter().map(|it| (it.code.clone(), it.discontinued)).collect();
    let known: Vec<_> = office.data.products.iter().map(|it| (it.code.clone(), it.discontinued)).collect();
    assert!(page > 1, "the list has several pages");
    assert_eq!(told, known);
    let own = office.wanted(1).customer;
    let customer = desk.client.read_customer(&own).await.unwrap().unwrap();
    let found = desk.client.find_customers(&customer.name).await.unwrap();
    assert!(found.iter().any(|it| it.code == own && it.vat == customer.vat), "{found:?}");
    assert_eq!(desk.client.read_customer("C9999").await.unwrap(), None);
    assert!(office.effects().is_empty());
    drop(desk);
    office.close().await;
}
