use archibald_core::record::Disposition;
use archibald_core::time::Timestamp;
use axum::http::Method;
use serde_json::{Value, json};

use crate::door::{Door, agent};
use crate::server::{NANCY, Server, config, request, soon};

fn order() -> Value {
    json!({ "kind": "submit-order", "payload": { "customer": "ALFKI" } })
}

#[tokio::test]
async fn an_order_is_accepted_and_found_where_it_says() {
    let server = Server::start().await;
    let answer = server.enqueue(&[("Idempotency-Key", "k1")], &order()).await;
    assert_eq!(answer.status, 202);
    let operation = answer.json();
    let id = operation["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/agents/nancy/operations/{id}"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let created_at = operation["created_at"].as_str().unwrap();
    assert_eq!(
        operation,
        json!({
            "id": id,
            "agent": "nancy",
            "kind": "submit-order",
            "class": "interactive",
            "state": "available",
            "key": "k1",
            "payload": { "customer": "ALFKI" },
            "run_at": created_at,
            "created_at": created_at,
            "attempts": [],
            "effects": [],
            "evidence": [],
            "why": [{ "reason": "no_slot" }],
        })
    );
    assert_eq!(server.get(NANCY, answer.header("location")).await.json(), operation);
}

#[tokio::test]
async fn the_same_key_again_is_the_same_operation_and_with_another_body_an_error() {
    let server = Server::start().await;
    let first = server.enqueue(&[("Idempotency-Key", "k1")], &order()).await;
    let mut by_body = order();
    by_body["key"] = "k1".into();
    let again = server.enqueue(&[], &by_body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, "true"));
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert_eq!(first.header("idempotency-replayed"), "");

    let other = json!({ "kind": "submit-order", "payload": { "customer": "OTHER" } });
    let reused = server.enqueue(&[("Idempotency-Key", "k1")], &other).await;
    let problem = reused.problem(422, "key-reused");
    assert_eq!(problem["operation"], first.json()["id"]);
    reused.pointers(&["/key"]);
}

#[tokio::test]
async fn header_and_key_are_one_and_the_same_thing() {
    let server = Server::start().await;
    server.enqueue(&[], &order()).await.problem(400, "bad-request");
    let mut body = order();
    body["key"] = "k1".into();
    server.enqueue(&[("Idempotency-Key", "k2")], &body).await.pointers(&["/key"]);
    assert_eq!(server.enqueue(&[("Idempotency-Key", "k1")], &body).await.status, 202);
    let twice = [("Idempotency-Key", "k1"), ("Idempotency-Key", "k1")];
    server.enqueue(&twice, &order()).await.problem(400, "bad-request");
    server.enqueue(&[("Idempotency-Key", "")], &order()).await.problem(400, "bad-request");
    let long = "k".repeat(201);
    server.enqueue(&[("Idempotency-Key", &long)], &order()).await.problem(400, "bad-request");
}

#[tokio::test]
async fn what_cannot_be_accepted_names_the_place() {
    let server = Server::start().await;
    for (body, pointers) in [
        (json!({ "kind": "submit-order", "payload": {}, "class": "interactive" }), &["/class"][..]),
        (json!({ "payload": {} }), &[""]),
        (json!({ "kind": "submit-order" }), &[""]),
        (json!({ "kind": 1, "payload": {} }), &["/kind"]),
        (json!({ "kind": "submit-order", "payload": {} }), &["/payload/customer"]),
        (json!({ "kind": "make-tea", "payload": {} }), &["/kind"]),
        (json!({ "kind": "submit-order", "payload": {}, "run_at": "tomorrow" }), &["/run_at"]),
        (json!({ "kind": "submit-order", "payload": {}, "key": "a\nb" }), &["/key"]),
        (json!({ "kind": "submit-order", "payload": { "customer": "A\u{0}" } }), &["/payload/customer"]),
        (json!([]), &[""]),
    ] {
        server.enqueue(&[("Idempotency-Key", "k")], &body).await.pointers(pointers);
    }
    let page = server.get(NANCY, "/v1/agents/nancy/operations").await;
    assert_eq!(page.json()["items"], json!([]), "nothing of it was stored");
}

#[tokio::test]
async fn a_later_time_the_origin_and_the_wish_for_a_trace_are_kept() {
    let server = Server::start().await;
    let mut body = order();
    body["run_at"] = "2126-11-22T09:00:00+01:00".into();
    body["trace"] = true.into();
    let headers = [("Idempotency-Key", "k"), ("X-Device-Id", "tablet"), ("X-Mutation-Id", "m7")];
    let answer = server.enqueue(&headers, &body).await;
    assert_eq!(answer.json()["run_at"], "2126-11-22T08:00:00.000000Z");
    let id = answer.json()["id"].as_str().unwrap().parse().unwrap();
    let kept = server.bus.store.clone();
    let record =
        archibald_core::port::OperationStore::get(&kept, &agent("nancy"), id).await.unwrap().unwrap();
    let origin = record.operation.origin.unwrap();
    assert_eq!((origin.device.as_deref(), origin.mutation.as_deref()), (Some("tablet"), Some("m7")));
    assert!(record.operation.run_at > Timestamp::EPOCH);
    assert!(record.operation.trace);

    let long = "d".repeat(201);
    let headers = [("Idempotency-Key", "k2"), ("X-Device-Id", long.as_str())];
    let problem = server.enqueue(&headers, &order()).await.problem(400, "bad-request");
    assert!(problem["detail"].as_str().unwrap().contains("X-Device-Id"));
}

#[tokio::test]
async fn who_prefers_to_wait_gets_the_end_or_a_202() {
    let server = Server::start().await;
    let nancy = agent("nancy");
    let headers = [("Idempotency-Key", "k1"), ("Prefer", "wait=20")];
    let body = order();
    let (answer, ()) = tokio::join!(server.enqueue(&headers, &body), async {
        let id = queued(&server).await;
        server.door.complete(&nancy, id).await;
    });
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (200, "wait=20"));
    let operation = answer.json();
    assert_eq!(
        (&operation["state"], &operation["result"]),
        (&json!("completed"), &json!({ "order": "1042" }))
    );
    assert!(operation["finished_at"].is_string());

    let headers = [("Idempotency-Key", "k2"), ("Prefer", "wait=0")];
    assert_eq!(server.enqueue(&headers, &order()).await.status, 202);
}

#[tokio::test]
async fn a_doubt_ends_the_wait_and_is_no_final_state() {
    let server = Server::start().await;
    let headers = [("Idempotency-Key", "k1"), ("Prefer", "wait=20")];
    let body = order();
    let (answer, ()) = tokio::join!(server.enqueue(&headers, &body), async {
        let id = queued(&server).await;
        let doubt = Disposition::Doubt { evidence: "two orders look like it".into() };
        server.door.end(&agent("nancy"), id, doubt).await;
    });
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["problem"], json!({ "detail": "two orders look like it" }));
}

#[tokio::test]
async fn a_wait_ends_when_the_server_stops() {
    let server = Server::start().await;
    let headers = [("Idempotency-Key", "k1"), ("Prefer", "wait=60")];
    let body = order();
    let (answer, ()) = tokio::join!(server.enqueue(&headers, &body), async {
        queued(&server).await;
        server.shutdown.cancel();
    });
    assert_eq!(answer.status, 202);
    soon(server.serving).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_is_a_conflict_that_names_the_limit() {
    let door = Door { queue_limit: Some(1), ..Door::default() };
    let server = Server::start_with(config(), Default::default(), door).await;
    assert_eq!(server.enqueue(&[("Idempotency-Key", "k1")], &order()).await.status, 202);
    let problem = server.enqueue(&[("Idempotency-Key", "k2")], &order()).await.problem(409, "queue-full");
    assert!(problem["detail"].as_str().unwrap().contains('1'));
}

#[tokio::test]
async fn what_is_not_a_json_body_is_refused_by_its_own_status() {
    let server = Server::start().await;
    let path = "/v1/agents/nancy/operations";
    let send = async |headers: &[(&str, &str)], body: String| {
        let headers = [&[("Idempotency-Key", "k")], headers].concat();
        server.send(request(Method::POST, NANCY, path, &headers, Some(body))).await
    };
    let twice = format!("{0} {0}", order());
    for body in ["", "{", twice.as_str(), "\"\\ud800\"", "{\"kind\":\"a\\"] {
        send(&[], body.into()).await.problem(400, "bad-request");
    }
    let repeated = r#"{"kind":"submit-order","kind":"x","payload":{}}"#;
    assert_eq!(send(&[], repeated.into()).await.status, 422);
    let deep = format!(r#"{{"kind":"submit-order","payload":{}}}"#, "[".repeat(5000));
    send(&[], deep).await.problem(400, "bad-request");
    send(&[("Content-Type", "text/plain")], order().to_string()).await.problem(415, "unsupported-media-type");
    let padded = format!("{}{}", order(), " ".repeat(64 * 1024));
    send(&[], padded).await.problem(413, "too-large");
    let charset = [("Content-Type", "application/json; charset=utf-8")];
    assert_eq!(send(&charset, order().to_string()).await.status, 202);
}

/// The id of the operation that waits, once there is one.
async fn queued(server: &Server) -> archibald_core::id::OperationId {
    use archibald_core::port::{EventBus, OperationStore};
    let mut wakeups = server.bus.store.subscribe(&agent("nancy"));
    loop {
        let tickets = server.bus.store.waiting(&agent("nancy"), None, 1).await.unwrap();
        if let [ticket] = tickets.as_slice() {
            return ticket.operation;
        }
        tokio::time::timeout(crate::server::PATIENCE, wakeups.changed()).await.unwrap().unwrap();
    }
}
