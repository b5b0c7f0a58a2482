use std::sync::atomic::Ordering;

use axum::http::Method;
use serde_json::json;

use crate::server::{OPERATOR, Server, request};

#[tokio::test]
async fn an_operator_pauses_and_resumes_an_agent() {
    let server = Server::start().await;
    let paused = async || {
        let overview = server.get(OPERATOR, "/v1/admin/overview").await;
        assert_eq!(overview.status, 200);
        let paused = overview.json()["paused"].as_array().unwrap().clone();
        paused.into_iter().map(|one| (one["agent"].clone(), one["why"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(paused().await, []);
    let pause = json!({ "agent": "nancy", "why": "holidays" });
    assert_eq!(server.post(OPERATOR, "/v1/admin/pause", &[], &pause).await.status, 204);
    assert_eq!(paused().await, [(json!("nancy"), json!("holidays"))]);
    let resume = json!({ "agent": "nancy" });
    assert_eq!(server.post(OPERATOR, "/v1/admin/resume", &[], &resume).await.status, 204);
    assert_eq!(paused().await, []);
    assert_eq!(server.post(OPERATOR, "/v1/admin/pause", &[], &resume).await.status, 204);
    assert_eq!(paused().await[0].1, "paused by an operator");
}

#[tokio::test]
async fn an_operator_pauses_and_drains_kinds_and_everything() {
    let server = Server::start().await;
    let paused = async || server.get(OPERATOR, "/v1/admin/overview").await.json()["paused"].clone();
    let scopes = [json!({ "everything": true }), json!({ "kind": "submit-order" })];
    for (scope, way) in scopes.iter().zip(["drain", "pause"]) {
        assert_eq!(server.post(OPERATOR, &format!("/v1/admin/{way}"), &[], scope).await.status, 204);
    }
    let (everything, kind) = (&paused().await[0], &paused().await[1]);
    assert_eq!((&everything["scope"], &everything["drains"]), (&json!("everything"), &json!(true)));
    assert_eq!((&kind["scope"], &kind["kind"]), (&json!("kind"), &json!("submit-order")));
    assert_eq!(kind["drains"], false);
    for scope in &scopes {
        assert_eq!(server.post(OPERATOR, "/v1/admin/resume", &[], scope).await.status, 204);
    }
    assert_eq!(paused().await, json!([]));
}

#[tokio::test]
async fn what_to_pause_has_to_be_something() {
    let server = Server::start().await;
    for (body, pointers) in [
        (json!({ "agent": "nobody" }), &["/agent"][..]),
        (json!({ "agent": "NANCY" }), &["/agent"]),
        (json!({}), &[""]),
        (json!({ "everything": false }), &[""]),
        (json!({ "agent": "nancy", "everything": true }), &[""]),
        (json!({ "agent": "nancy", "kind": "submit-order" }), &[""]),
        (json!({ "kind": "submit-odrer" }), &["/kind"]),
        (json!({ "agent": "nancy", "way": "typo" }), &["/way"]),
        (json!({ "agent": "nancy", "why": "a\u{0}" }), &["/why"]),
    ] {
        server.post(OPERATOR, "/v1/admin/pause", &[], &body).await.pointers(pointers);
    }
}

#[tokio::test]
async fn it_lives_is_ready_and_counts() {
    let server = Server::start().await;
    assert_eq!(server.get("", "/healthz").await.status, 200);
    assert_eq!(server.get("", "/readyz").await.status, 200);
    let metrics = server.get("", "/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text().contains("\n# TYPE archibald_slots gauge\narchibald_slots 10\n"));
    for line in metrics.text().lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.split_once(' ').unwrap();
        assert!(name.starts_with("archibald_") && value.parse::<u64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn it_is_not_ready_while_the_worker_drains() {
    let server = Server::start().await;
    server.door.draining.store(true, Ordering::Relaxed);
    let answer = server.send(request(Method::GET, "", "/readyz", &[], None)).await;
    answer.problem(503, "unavailable");
    assert_eq!(server.get("", "/healthz").await.status, 200);
}
