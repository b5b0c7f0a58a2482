use archibald_core::effect::{IntentBasis, IntentRequest};
use archibald_core::id::EffectName;
use archibald_core::port::OperationStore;
use archibald_core::record::{Disposition, Evidence, Settlement};
use serde_json::{Value, json};
use std::time::Duration;

use crate::door::agent;
use crate::server::{NANCY, OPERATOR, Server};

fn path(id: impl std::fmt::Display) -> String {
    format!("/v1/agents/nancy/operations/{id}")
}

/// An operation whose one effect was released and is in doubt, with two things to look at.
async fn doubt(server: &Server) -> String {
    let nancy = agent("nancy");
    let id = server.door.submit(&nancy, "doubtful").await;
    let lease = server.door.start(&nancy, id).await.lease;
    let request = IntentRequest {
        effect: EffectName::new("save-order").unwrap(),
        basis: IntentBasis::NothingReleased,
        mark: None,
        baseline: json!([]),
        budget: Duration::from_secs(10),
        margin: Duration::from_secs(5),
    };
    let intent = server.door.store.intend(&lease, &request).await.unwrap();
    server.door.store.release(&intent).await.unwrap();
    let see = |name: &str, media_type: &str, bytes: &[u8]| Evidence {
        name: name.into(),
        media_type: media_type.into(),
        bytes: bytes.into(),
    };
    let evidence =
        vec![see("screenshot", "image/png", b"png"), see("dom", "text/html", b"<script>alert(1)</script>")];
    let doubt = Disposition::Doubt { evidence: "no answer came".into() };
    server.door.store.settle(&lease, Settlement { evidence, ..doubt.into() }).await.unwrap();
    path(id)
}

#[tokio::test]
async fn operations_are_listed_newest_first_filtered_and_paged() {
    let server = Server::start().await;
    let nancy = agent("nancy");
    for key in ["a", "b", "c"] {
        let id = server.door.submit(&nancy, key).await;
        if key == "b" {
            server.door.complete(&nancy, id).await;
        }
    }
    let get =
        async |query: &str| server.get(NANCY, &format!("/v1/agents/nancy/operations?{query}")).await.json();
    let keys = |page: &Value| {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&get("").await), ["c", "b", "a"]);
    assert_eq!(keys(&get("state=completed").await), ["b"]);
    assert_eq!(keys(&get("kind=sync-customers").await), [""; 0]);
    let first = get("limit=2").await;
    assert_eq!(keys(&first), ["c", "b"]);
    let second = get(&format!("limit=2&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!((keys(&second), second.get("next")), (vec!["a".to_owned()], None));
}

#[tokio::test]
async fn a_waiting_operation_is_cancelled_once_and_a_final_one_not() {
    let server = Server::start().await;
    let id = server.door.submit(&agent("nancy"), "k").await;
    let cancelled = server.post(NANCY, &format!("{}/cancel", path(id)), &[], &json!({})).await;
    assert_eq!(cancelled.status, 200);
    assert_eq!(cancelled.json()["state"], "cancelled");
    assert_eq!(cancelled.json()["problem"], json!({ "detail": "cancelled by nancy" }));
    let again = server.post(NANCY, &format!("{}/cancel", path(id)), &[], &json!({})).await;
    let problem = again.problem(409, "wrong-state");
    assert_eq!(problem["detail"], "an operation that is cancelled cannot be cancelled");
}

#[tokio::test]
async fn a_failed_operation_is_tried_again() {
    let server = Server::start().await;
    let nancy = agent("nancy");
    let id = server.door.submit(&nancy, "k").await;
    let retry = format!("{}/retry", path(id));
    server.post(NANCY, &retry, &[], &json!({})).await.problem(409, "wrong-state");
    server.door.end(&nancy, id, Disposition::Fail { why: "spent".into(), absent: None }).await;
    let failed = server.get(NANCY, &path(id)).await.json();
    assert_eq!(failed["problem"], json!({ "detail": "spent", "effect": "none" }));
    assert_eq!(failed["attempts"][0]["outcome"], "failed: spent");
    assert_eq!(failed.get("why"), None, "it does not wait");
    let retried = server.post(OPERATOR, &retry, &[], &json!({})).await;
    assert_eq!((retried.status.as_u16(), &retried.json()["state"]), (200, &json!("available")));
}

#[tokio::test]
async fn a_doubt_shows_what_is_known_of_it() {
    let server = Server::start().await;
    let path = doubt(&server).await;
    let operation = server.get(NANCY, &path).await.json();
    assert_eq!(operation["state"], "in_doubt");
    assert_eq!(operation["effects"][0]["name"], "save-order");
    assert_eq!(operation["effects"][0]["state"], "released");
    assert_eq!(operation["evidence"][1]["name"], "dom");

    let picture = server.get(NANCY, operation["evidence"][0]["href"].as_str().unwrap()).await;
    assert_eq!((&picture.bytes[..], picture.header("content-type")), (&b"png"[..], "image/png"));
    let page = server.get(NANCY, &format!("{path}/evidence/1")).await;
    assert_eq!(page.header("content-disposition"), "attachment");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("sandbox") && !policy.contains("self"), "it must not run: {policy}");
    server.get(NANCY, &format!("{path}/evidence/2")).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_person_decides_a_doubt_and_is_on_record() {
    let server = Server::start().await;
    let path = doubt(&server).await;
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    let body = json!({ "outcome": "applied", "receipt": { "order": "7" }, "note": "saw it" });
    let resolved = server.post(OPERATOR, &format!("{path}/resolve"), &[], &body).await;
    assert_eq!(resolved.status, 200, "{}", resolved.text());
    assert_eq!(resolved.json()["state"], "available");
    assert_eq!(resolved.json()["effects"][0]["receipt"], json!({ "order": "7" }));
    let batch = device.expect("batch").await;
    let event = &batch.data["events"][0];
    assert_eq!((&event["by"], &event["resolved"]), (&json!("operator: saw it"), &json!("applied")));
    let again = json!({ "outcome": "abandon" });
    server.post(OPERATOR, &format!("{path}/resolve"), &[], &again).await.problem(409, "wrong-state");
}

#[tokio::test]
async fn a_decision_has_to_make_sense() {
    let server = Server::start().await;
    let path = format!("{}/resolve", doubt(&server).await);
    for (body, pointers) in [
        (json!({ "outcome": "applied" }), &["/receipt"][..]),
        (json!({ "outcome": "applied", "receipt": null }), &["/receipt"]),
        (json!({ "outcome": "abandon", "receipt": {} }), &["/receipt"]),
        (json!({ "outcome": "maybe" }), &["/outcome"]),
        (json!({ "outcome": "abandon", "force": true }), &["/force"]),
        (json!({ "outcome": "abandon", "note": "x".repeat(501) }), &["/note"]),
        (json!({ "outcome": "abandon", "note": "\u{0}" }), &["/note"]),
    ] {
        server.post(NANCY, &path, &[], &body).await.pointers(pointers);
    }
    let abandoned = server.post(NANCY, &path, &[], &json!({ "outcome": "abandon" })).await.json();
    assert_eq!(abandoned["problem"], json!({ "detail": "no answer came", "effect": "unknown" }));
}
