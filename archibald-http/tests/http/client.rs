//! The JavaScript client and what else runs without a page, by Node's own tests against a real server.

use std::process::Stdio;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::door::{Door, agent};
use crate::server::{NANCY, Server, config, soon};
use archibald_core::port::EventBus;
use archibald_http::{ApiConfig, Rate, ServeLimits};

const TESTS: [&str; 6] = ["board", "money", "refusals", "session", "stream", "writes"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_resumes_and_writes_once() {
    if !has_node().await {
        eprintln!("skipped: no `node` of version 20 or newer is installed, which runs these tests");
        return;
    }
    // Tests ask faster than people do.
    let config = ApiConfig { rate: Rate { burst: 100_000, per_second: 100_000.0 }, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let control = control(&server.door).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/js");
    let run = Command::new("node")
        .args(["--test", "--test-concurrency=1"])
        .args(TESTS.map(|name| format!("{folder}/{name}.test.mjs")))
        .env("ARCHIBALD_URL", format!("http://{}", server.address))
        .env("CONTROL_URL", control)
        .env("NANCY_TOKEN", NANCY)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(300), run).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("\n# tests 0\n"), "{said}");
}

/// What no device may ask for.
async fn control(door: &Door) -> String {
    let router = Router::new()
        .route("/order", post(order))
        .route("/new-epoch", post(new_epoch))
        .with_state(door.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Accepts an order and carries it out: three events.
async fn order(State(door): State<Door>) -> String {
    let nancy = agent("nancy");
    let id = door.submit(&nancy, &uuid::Uuid::now_v7().to_string()).await;
    door.complete(&nancy, id).await;
    id.to_string()
}

async fn new_epoch(State(door): State<Door>) {
    door.store.new_epoch().await.unwrap();
}

async fn has_node() -> bool {
    let Ok(output) = soon(Command::new("node").arg("--version").output()).await else { return false };
    let version = String::from_utf8_lossy(&output.stdout);
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|text| text.parse().ok());
    major.is_some_and(|major: u32| major >= 20)
}
