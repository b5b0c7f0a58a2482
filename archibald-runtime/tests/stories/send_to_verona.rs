use archibald_testing::fake_erp::Write;
use serde_json::json;

use crate::verb::{Verb, assert_ends, assert_ends_after, delete_all, open_order, send_all, sent_order};

fn verb() -> Verb {
    Verb {
        kind: "send-to-verona",
        payload: json!({ "order": "20001" }),
        world: open_order,
        looks: 1,
        write: Write::OrderSent("20001".into()),
        repair: None,
        result: json!({ "order": "20001" }),
    }
}

#[tokio::test]
async fn a_sending_is_journaled_like_every_effect() {
    verb().stands_the_journal().await;
}

#[tokio::test]
async fn a_sending_is_applied_once_whatever_goes_wrong() {
    verb().stands_every_fault().await;
}

#[tokio::test]
async fn what_there_is_decides_about_a_sending() {
    let payload = json!({ "order": "20001" });
    let missing = "rejected: there is no order 20001";
    assert_ends("send-to-verona", &payload, |_| {}, missing, &[]).await;
    let already = r#"completed {"already":true,"order":"20001"}"#;
    assert_ends("send-to-verona", &payload, sent_order, already, &[]).await;
    let done = r#"completed {"order":"20001"}"#;
    assert_ends_after("send-to-verona", &payload, open_order, send_all, done, &[]).await;
    let gone = "rejected: there is no order 20001 any more";
    assert_ends_after("send-to-verona", &payload, open_order, delete_all, gone, &[]).await;
}
