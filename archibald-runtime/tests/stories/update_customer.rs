use archibald_testing::fake_erp::{FakeErp, SaveFault, Write};
use serde_json::json;

use crate::support::House;
use crate::verb::{Verb, assert_ends, assert_ends_after, customer};

fn rossi(erp: &FakeErp) {
    erp.add_customers([customer("C1", "Rossi", "1", "Verona"), customer("C2", "Rossi", "2", "Verona")]);
}

fn verb() -> Verb {
    Verb {
        kind: "update-customer",
        payload: json!({ "customer": "C1", "name": "Rossi & Figli", "city": "Milano", "vat": "1", "phone": "1" }),
        world: rossi,
        looks: 1,
        write: Write::CustomerUpdated("C1".into()),
        repair: Some(Write::CustomerUpdated("C1".into())),
        result: json!({ "customer": "C1", "changed": ["name", "city", "phone"] }),
    }
}

#[tokio::test]
async fn an_update_is_journaled_like_every_effect() {
    verb().stands_the_journal().await;
}

#[tokio::test]
async fn an_update_is_applied_once_whatever_goes_wrong() {
    verb().stands_every_fault().await;
}

/// The form is saved whole, so the ERP may spoil what nobody asked it to change; and says so in its answer.
#[tokio::test]
async fn what_the_erp_spoils_beside_the_wanted_is_repaired_too() {
    let phone = Verb {
        payload: json!({ "customer": "C1", "phone": "1" }),
        result: json!({ "customer": "C1", "changed": ["phone"] }),
        ..verb()
    };
    let house = phone.is_repaired(SaveFault::Altered).await.unwrap();
    let city = |erp: &FakeErp| erp.by_hand(|records| records.customers[0].city.clone());
    assert_eq!(city(&house.erp), "Verona");
}

/// Whoever looked at it before we did has the last word.
#[tokio::test]
async fn what_a_person_changed_since_is_left_alone() {
    let payload = json!({ "customer": "C1", "phone": "1" });
    let house = House::open();
    rossi(&house.erp);
    house.erp.fail_next_save(SaveFault::Altered);
    let id = house.enqueue("nancy", "update-customer", "k1", payload).await;
    house.saw("nancy", id, "operation.retrying").await;
    house.erp.by_hand(|records| records.customers[0].city = "Milano".into());
    house.completed("nancy", id).await;
    assert_eq!(house.erp.customers()[0].city, "Milano");
    assert_eq!(house.erp.writes(), [Write::CustomerUpdated("C1".into())]);
}

/// An ERP that writes a field in its own way at every save is no doubt for a person, unless somebody named it.
#[tokio::test]
async fn what_the_erp_spoils_again_is_left_to_it() {
    let payload = json!({ "customer": "C1", "phone": "1" });
    let house = House::open();
    rossi(&house.erp);
    house.erp.fail_next_save(SaveFault::Altered);
    house.erp.fail_next_save(SaveFault::Altered);
    let id = house.enqueue("nancy", "update-customer", "k1", payload).await;
    house.completed("nancy", id).await;
    assert_eq!((house.erp.writes().len(), house.erp.customers()[0].phone.as_str()), (2, "1"));
}

#[tokio::test]
async fn what_there_is_decides_about_an_update() {
    let payload = json!({ "customer": "C1", "city": "Verona" });
    let missing = "rejected: there is no customer C1";
    assert_ends("update-customer", &payload, |_| {}, missing, &[]).await;
    let nothing = r#"completed {"changed":[],"customer":"C1"}"#;
    assert_ends("update-customer", &payload, rossi, nothing, &[]).await;
    let payload = json!({ "customer": "C1", "city": "Milano" });
    let gone = "rejected: there is no customer C1 any more";
    let remove = |erp: &FakeErp| erp.by_hand(|records| records.customers.clear());
    assert_ends_after("update-customer", &payload, rossi, remove, gone, &[]).await;
    let by_hand = |erp: &FakeErp| erp.by_hand(|records| records.customers[0].city = "Milano".into());
    let found = r#"completed {"changed":["city"],"customer":"C1"}"#;
    assert_ends_after("update-customer", &payload, rossi, by_hand, found, &[]).await;
}
