use axum::http::Method;
use serde_json::json;

use crate::server::{NANCY, OPERATOR, Server, request};

#[tokio::test]
async fn every_answer_carries_an_id_and_the_headers_that_protect() {
    let server = Server::start().await;
    for path in ["/", "/healthz", "/nothing", "/v1/nothing", "/v1/agents/nancy/snapshot"] {
        let answer = server.get(NANCY, path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'self'"));
        assert!(!policy.contains("unsafe"));
        assert_eq!(answer.header("access-control-allow-origin"), "");
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
    let with_id = |id: &'static str| request(Method::GET, "", "/healthz", &[("X-Request-Id", id)], None);
    assert_eq!(server.send(with_id("trace-7.b_c")).await.header("x-request-id"), "trace-7.b_c");
    assert_eq!(server.send(with_id("two words")).await.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let server = Server::start().await;
    for (method, path) in [
        (Method::GET, "/nothing"),
        (Method::GET, "/v1"),
        (Method::GET, "/v1/nothing"),
        (Method::GET, "/v1/agents/nancy"),
        (Method::GET, "/v1/agents/nancy/nothing"),
        (Method::GET, "/v1/admin/nothing"),
        (Method::GET, "/v1/agents/nancy/operations/not-a-uuid"),
        (Method::GET, "/v1/agents/nancy/operations/0192f0c1-2d3e-7abc-8def-0123456789ab"),
        (Method::POST, "/v1/agents/nancy/operations/0192f0c1-2d3e-7abc-8def-0123456789ab/cancel"),
        (Method::GET, "/v1/agents/nancy/operations/0192f0c1-2d3e-7abc-8def-0123456789ab/evidence/-1"),
    ] {
        server.send(request(method, OPERATOR, path, &[], None)).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_wrong_method_names_those_that_are_right() {
    let server = Server::start().await;
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/agents/nancy/operations", "POST,GET,HEAD"),
        (Method::PUT, "/v1/agents/nancy/snapshot", "GET,HEAD"),
        (Method::GET, "/v1/admin/pause", "POST"),
        (Method::POST, "/healthz", "GET,HEAD"),
        (Method::POST, "/", "GET,HEAD"),
    ] {
        let answer = server.send(request(method, OPERATOR, path, &[], None)).await;
        answer.problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
}

#[tokio::test]
async fn a_bad_query_names_the_parameter() {
    let server = Server::start().await;
    for (query, named) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("stat=running", "stat"),
        ("state=sleeping", "sleeping"),
        ("kind=Submit", "kind"),
        ("after=x", "after"),
        ("after=%00", "NUL"),
    ] {
        let answer = server.get(NANCY, &format!("/v1/agents/nancy/operations?{query}")).await;
        let problem = answer.problem(400, "bad-request");
        assert!(problem["detail"].as_str().unwrap().contains(named), "{query}: {problem}");
    }
    let answer = server.get(NANCY, "/v1/agents/nancy/customers?search=a%00b").await;
    answer.problem(400, "bad-request");
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing_and_the_server_goes_on() {
    let server = Server::start().await;
    let body = json!({ "kind": "submit-order", "payload": { "customer": "PANIC" }, "key": "k" });
    let answer = server.enqueue(&[], &body).await;
    answer.problem(500, "internal");
    assert!(!answer.text().contains("asked to panic"));
    assert_eq!(server.get("", "/healthz").await.status, 200);
    assert!(server.get("", "/metrics").await.text().contains("archibald_panics_total 1\n"));
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_to_come_back_from() {
    use std::sync::atomic::Ordering;
    let server = Server::start().await;
    server.bus.broken.store(true, Ordering::SeqCst);
    let answer = server.get(NANCY, "/v1/agents/nancy/snapshot").await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!answer.text().contains("disk"), "causes are for the log");
}
