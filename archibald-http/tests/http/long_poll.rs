use std::sync::atomic::Ordering;

use axum::http::Method;
use serde_json::{Value, json};

use crate::door::agent;
use crate::server::{Answer, NANCY, Server, request, soon};

async fn poll(server: &Server, query: &str) -> Answer {
    let path = format!("/v1/agents/nancy/events?{query}");
    server.send(request(Method::GET, NANCY, &path, &[("Accept", "application/json")], None)).await
}

async fn cursor(server: &Server) -> String {
    let snapshot = poll(server, "wait=0").await.json();
    assert_eq!(snapshot["frame"], "snapshot");
    snapshot["cursor"].as_str().unwrap().to_owned()
}

/// Returns once a poll has read the log (for `hello` and for events) and found nothing.
async fn polled(server: &Server, reads_before: u64) {
    soon(async {
        while server.bus.reads() < reads_before + 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn types(batch: &Value) -> Vec<&str> {
    batch["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_poll_returns_what_there_is_or_nothing() {
    let server = Server::start().await;
    let place = cursor(&server).await;
    let nothing = poll(&server, &format!("wait=0&cursor={place}")).await;
    assert_eq!(nothing.status, 200);
    let empty = json!({ "frame": "batch", "from": place, "to": place, "events": [] });
    assert_eq!(nothing.json(), empty);
    server.door.submit(&agent("nancy"), "a").await;
    let batch = poll(&server, &format!("wait=20&cursor={place}")).await.json();
    assert_eq!((&batch["from"], types(&batch)), (&json!(place), vec!["operation.queued"]));
}

#[tokio::test]
async fn a_poll_waits_for_what_comes() {
    let server = Server::start().await;
    let place = cursor(&server).await;
    let query = format!("wait=20&cursor={place}");
    let reads = server.bus.reads();
    let (answer, ()) = tokio::join!(poll(&server, &query), async {
        polled(&server, reads).await;
        server.door.submit(&agent("nancy"), "a").await;
    });
    assert_eq!(types(&answer.json()), ["operation.queued"]);
}

#[tokio::test]
async fn a_poll_ends_with_the_server_or_the_store() {
    let server = Server::start().await;
    let place = cursor(&server).await;
    server.bus.broken.store(true, Ordering::SeqCst);
    poll(&server, &format!("wait=20&cursor={place}")).await.problem(503, "unavailable");
    server.bus.broken.store(false, Ordering::SeqCst);
    let query = format!("wait=60&cursor={place}");
    let reads = server.bus.reads();
    let (answer, ()) = tokio::join!(poll(&server, &query), async {
        polled(&server, reads).await;
        server.shutdown.cancel();
    });
    answer.problem(503, "unavailable");
}

#[tokio::test]
async fn a_poll_for_nonsense_is_refused() {
    let server = Server::start().await;
    for query in ["wait=-1", "wait=soon", "cursor=x", "cursor=", "waits=3"] {
        poll(&server, query).await.problem(400, "bad-request");
    }
}
