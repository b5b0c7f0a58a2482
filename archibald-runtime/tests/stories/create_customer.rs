use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::{Receipt, Settle};
use archibald_core::port::Operations;
use archibald_core::record::Resolution;
use archibald_runtime::{NoFailpoints, RuntimeConfig};
use archibald_testing::fake_erp::{FakeErp, SaveFault, Write};
use serde_json::json;

use crate::support::{House, agent, quick};
use crate::verb::{Verb, assert_ends, customer, told};

/// Two customers of one name, one of them without a VAT number.
fn two_rossi(erp: &FakeErp) {
    erp.add_customers([customer("C1", "Rossi", "1", "Verona"), customer("C2", "Rossi", "", "Milano")]);
}

fn creates() -> Verb {
    Verb {
        kind: "create-customer",
        payload: json!({ "name": "Rossi", "vat": "3", "city": "Torino", "phone": "1" }),
        world: two_rossi,
        looks: 2,
        write: Write::CustomerCreated("N0001".into()),
        repair: Some(Write::CustomerUpdated("N0001".into())),
        result: json!({ "customer": "N0001" }),
    }
}

fn adopts() -> Verb {
    Verb {
        kind: "create-customer",
        payload: json!({ "name": "Rossi", "vat": "1", "city": "Torino", "phone": "1" }),
        world: two_rossi,
        looks: 3,
        write: Write::CustomerUpdated("C1".into()),
        repair: Some(Write::CustomerUpdated("C1".into())),
        result: json!({ "customer": "C1", "adopted": true }),
    }
}

#[tokio::test]
async fn a_new_customer_is_journaled_like_every_effect() {
    creates().stands_the_journal().await;
}

#[tokio::test]
async fn a_new_customer_is_created_once_whatever_goes_wrong() {
    creates().stands_every_fault().await;
}

#[tokio::test]
async fn an_adoption_is_journaled_like_every_effect() {
    adopts().stands_the_journal().await;
}

#[tokio::test]
async fn an_adoption_is_applied_once_whatever_goes_wrong() {
    adopts().stands_every_fault().await;
}

#[tokio::test]
async fn who_there_is_decides_about_a_new_customer() {
    let payload = json!({ "name": "Rossi", "vat": "1", "city": "Verona" });
    let nothing = r#"completed {"adopted":true,"customer":"C1"}"#;
    assert_ends("create-customer", &payload, two_rossi, nothing, &[]).await;
    let payload = json!({ "name": "Bianchi", "vat": "1" });
    let others = r#"rejected: VAT number 1 is another customer's: wanted "Bianchi", found C1 "Rossi""#;
    assert_ends("create-customer", &payload, two_rossi, others, &[]).await;
}

/// A name alone identifies nobody.
#[tokio::test]
async fn a_customer_is_not_taken_for_another_of_the_same_name() {
    for fault in
        [None, Some(SaveFault::Lost { applied: true }), Some(SaveFault::ServerError { applied: false })]
    {
        let house = House::open();
        two_rossi(&house.erp);
        fault.into_iter().for_each(|fault| house.erp.fail_next_save(fault));
        let id =
            house.enqueue("nancy", "create-customer", "k1", json!({ "name": "Rossi", "city": "Roma" })).await;
        assert_eq!(house.completed("nancy", id).await, json!({ "customer": "N0001" }));
        assert_eq!(house.erp.writes(), [Write::CustomerCreated("N0001".into())]);
        let cities: Vec<_> = house.erp.customers().into_iter().map(|customer| customer.city).collect();
        assert_eq!(cities, ["Verona", "Milano", "Roma"]);
    }
}

/// A sync that runs between the lost answer and the probe makes the new customer known, not somebody else's.
#[tokio::test]
async fn a_sync_in_between_does_not_hide_the_customer_from_its_probe() {
    let house = House::open();
    two_rossi(&house.erp);
    house.erp.fail_next_save(SaveFault::Lost { applied: true });
    let payload = json!({ "name": "Rossi", "city": "Roma" });
    let id = house.enqueue("nancy", "create-customer", "k1", payload).await;
    house.saw("nancy", id, "operation.retrying").await;
    let sync = house.enqueue("nancy", "sync-customers", "s1", json!({})).await;
    assert_eq!(house.completed("nancy", sync).await["created"], json!(3));
    assert_eq!(house.completed("nancy", id).await, json!({ "customer": "N0001" }));
    assert_eq!(house.erp.customers().len(), 3);
}

/// Both are asked for at once, and the answer to the first is lost: each has its own.
#[tokio::test]
async fn two_customers_of_one_name_are_two_customers() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: true });
    let payload = json!({ "name": "Rossi" });
    let first = house.enqueue("nancy", "create-customer", "k1", payload.clone()).await;
    house.saw("nancy", first, "operation.retrying").await;
    let second = house.enqueue("nancy", "create-customer", "k2", payload).await;
    let numbers = [house.completed("nancy", first).await, house.completed("nancy", second).await];
    assert_ne!(numbers[0], numbers[1]);
    assert_eq!(house.erp.customers().len(), 2);
}

/// Another operation of the agent brought it, so it is neither ours nor a doubt.
#[tokio::test]
async fn what_another_operation_created_is_not_taken_for_ours() {
    // Long enough that the other one is done before the first is asked for.
    let settle = Settle { request: Duration::from_secs(3), lists: Duration::from_millis(50) };
    let house = House::with(RuntimeConfig { settle, ..quick() }, Arc::new(NoFailpoints));
    house.erp.fail_next_save(SaveFault::Lost { applied: false });
    let first = house.enqueue("nancy", "create-customer", "k1", json!({ "name": "Rossi" })).await;
    house.saw("nancy", first, "operation.retrying").await;
    let alike = json!({ "name": "Rossi", "vat": "1" });
    let second = house.enqueue("nancy", "create-customer", "k2", alike).await;
    assert_eq!(house.completed("nancy", second).await, json!({ "customer": "N0001" }));
    assert_eq!(house.completed("nancy", first).await, json!({ "customer": "N0002" }));
}

#[tokio::test]
async fn a_new_look_alike_is_for_a_person_to_judge() {
    let house = House::open();
    house.erp.fail_next_save(SaveFault::Lost { applied: false });
    let payload = json!({ "name": "Rossi", "vat": "1" });
    let id = house.enqueue("nancy", "create-customer", "k1", payload).await;
    house.saw("nancy", id, "operation.retrying").await;
    house.erp.add_customers([customer("C9", "Rossi srl", "1", "")]);
    let state = house.finished("nancy", id).await.operation.state;
    assert_eq!(told(&state), "in doubt: customers that are new and look like it: C9");
    assert!(house.erp.writes().is_empty());
    let unnamed = Resolution::Applied { receipt: Receipt(json!({})) };
    let refused = house.archibald.resolve(&agent("nancy"), id, "operator", &unnamed).await.unwrap_err();
    assert_eq!(refused.to_string(), "/receipt/customer must be the customer's code, as a text");
    house.archibald.resolve(&agent("nancy"), id, "operator", &Resolution::NotApplied).await.unwrap();
    assert_eq!(house.completed("nancy", id).await, json!({ "customer": "N0001" }));
}
