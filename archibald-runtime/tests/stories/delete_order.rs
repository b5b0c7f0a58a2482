use archibald_core::id::Collection;
use archibald_core::port::{Operations, RowQuery};
use archibald_testing::fake_erp::Write;
use serde_json::json;

use crate::support::{House, agent, order};
use crate::verb::{Verb, assert_ends, assert_ends_after, delete_all, open_order, send_all, sent_order};

fn verb() -> Verb {
    Verb {
        kind: "delete-order",
        payload: json!({ "order": "20001" }),
        world: open_order,
        looks: 1,
        write: Write::OrderDeleted("20001".into()),
        repair: None,
        result: json!({ "order": "20001" }),
    }
}

#[tokio::test]
async fn a_deletion_is_journaled_like_every_effect() {
    verb().stands_the_journal().await;
}

#[tokio::test]
async fn a_deletion_is_applied_once_whatever_goes_wrong() {
    verb().stands_every_fault().await;
}

#[tokio::test]
async fn what_there_is_decides_about_a_deletion() {
    let payload = json!({ "order": "20001" });
    let missing = "rejected: there is no order 20001";
    assert_ends("delete-order", &payload, |_| {}, missing, &[]).await;
    let sent = "rejected: order 20001 was sent to Verona already";
    assert_ends("delete-order", &payload, sent_order, sent, &[]).await;
    let gone = r#"completed {"order":"20001"}"#;
    assert_ends_after("delete-order", &payload, open_order, delete_all, gone, &[]).await;
    assert_ends_after("delete-order", &payload, open_order, send_all, sent, &[]).await;
}

#[tokio::test]
async fn a_deleted_draft_is_gone_from_the_local_rows_and_devices_are_told() {
    let house = House::open();
    let mut draft = order();
    draft["pending_order"] = json!("d1");
    house.enqueue("nancy", "submit-order", "k1", draft).await;
    let delete = house.enqueue("nancy", "delete-order", "k2", json!({ "pending_order": "d1" })).await;
    assert_eq!(house.completed("nancy", delete).await, json!({ "order": "O-1" }));
    assert!(house.erp.orders().is_empty());
    let told = house.saw("nancy", delete, "order.updated").await.event.data;
    assert_eq!((&told["id"], &told["doc"]), (&json!("O-1"), &json!(null)));
    let query =
        RowQuery { collection: Collection::new("orders").unwrap(), search: None, after: None, limit: 10 };
    assert_eq!(house.archibald.rows(&agent("nancy"), &query).await.unwrap().rows, []);
}
