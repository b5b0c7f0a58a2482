//! The board stays light: 60 agents, 10,000 operations, events all the time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archibald_core::time::Timestamp;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::browser::Tab;

const AGENTS: usize = 60;
const OPERATIONS: usize = 10_000;
/// Events a second: each agent ends an operation and begins another one every twelve seconds.
const EVENTS: u64 = 20;
/// Events that come at once, before those.
const FIRST: usize = AGENTS + 1;
/// What the main thread may work in a second, and what the page may hold.
const BUSY_MS: f64 = 50.0;
const HEAP_MB: f64 = 50.0;
const STATES: [&str; 6] = ["completed", "completed", "completed", "available", "rejected", "failed"];

/// How long it is watched: a minute, or so many seconds.
fn duration() -> Duration {
    let asked = std::env::var("ARCHIBALD_BOARD_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(60))
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_operations_of_sixty_agents_cost_little() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(axum::serve(listener, server()).into_future());
    let tab = Tab::open(&format!("{base}/board#token=any"), (1440, 1000), "light").await;
    tab.until("parseInt(document.querySelector('#count').innerText) >= 10000").await;
    let rows: usize = tab.read("document.querySelectorAll('#list [role=option]').length").await;
    assert!(rows < 60, "{rows} rows for a list of {OPERATIONS}");
    tab.command("Performance.enable", json!({ "timeDomain": "threadTicks" })).await;
    tab.command("HeapProfiler.collectGarbage", json!({})).await;
    let before = metrics(&tab).await;
    sleep(duration()).await;
    let after = metrics(&tab).await;
    let seconds = duration().as_secs_f64();
    let each = |name: &str| (after[name] - before[name]) * 1000.0 / seconds;
    let busy = each("TaskDuration");
    tab.command("HeapProfiler.collectGarbage", json!({})).await;
    let heap = metrics(&tab).await["JSHeapUsedSize"] / 1e6;
    println!(
        "board: {busy:.1} ms of the main thread a second over {seconds:.0} s (scripts {:.1}, styles {:.1}, layout {:.1}), \
         heap {heap:.1} MB ({:.1} MB before collection)",
        each("ScriptDuration"),
        each("RecalcStyleDuration"),
        each("LayoutDuration"),
        after["JSHeapUsedSize"] / 1e6
    );
    tab.shot("board-load").await;
    tab.is_well().await;
    let done: usize = tab.read("+document.querySelector('#tiles li:nth-child(6) b').innerText").await;
    assert!(done > OPERATIONS / 2, "{done}");
    assert!(busy < BUSY_MS, "{busy:.1} ms a second");
    assert!(heap < HEAP_MB, "{heap:.1} MB");
    tab.close().await;
    serving.abort();
}

/// What Chromium counts: CPU seconds of the main thread by what they went for, bytes of the heap in use.
async fn metrics(tab: &Tab) -> BTreeMap<String, f64> {
    let answer = tab.command("Performance.getMetrics", json!({})).await;
    let metrics = answer["metrics"].as_array().unwrap().iter();
    let named =
        |metric: &Value| (metric["name"].as_str().unwrap().to_owned(), metric["value"].as_f64().unwrap());
    metrics.map(named).collect()
}

fn server() -> Router {
    let me = async || axum::Json(json!({ "name": "operator", "scope": "operator", "agents": agents() }));
    Router::new()
        .route("/v1/me", get(me))
        .route("/v1/session", post(me))
        .route("/v1/admin/events", get(overviews))
        .route("/v1/admin/activity", get(activity))
        .fallback(file)
}

async fn file(request: Request) -> Response {
    match archibald_http::page_file(request.uri().path()) {
        Some((media_type, bytes)) => ([(header::CONTENT_TYPE, media_type)], bytes).into_response(),
        None => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

fn agents() -> Vec<String> {
    (0..AGENTS).map(|number| format!("agent-{number:02}")).collect()
}

async fn overviews() -> Response {
    events(|number| {
        let overview = json!({
            "waiting": {}, "running": {}, "paused": [], "slots": 10, "peak_running": 10, "probes": number,
            "preemptions": 0, "draining": false,
            "workers": [{ "worker": "w1", "slots": 10, "drains": false, "since": at(0), "until": at(60) }],
            "pool": { "browsers": 3, "capacity": 15, "in_use": number % 15, "idle": 3, "logins": 60, "evictions": 0, "crashes": 0 },
        });
        (Duration::from_secs(1), event("overview", &overview))
    })
}

async fn activity() -> Response {
    events(|number| match usize::try_from(number).unwrap() {
        0 => (Duration::ZERO, event("hello", &json!({ "agents": agents(), "heartbeat_ms": 15_000 }))),
        1 => (Duration::ZERO, event("history", &history())),
        place @ 2..=FIRST => (Duration::ZERO, event("operations", &operations(place - 2))),
        place => (Duration::from_millis(1000 / EVENTS), event("events", &happens(place - FIRST - 1))),
    })
}

/// The fullest day that there can be: of every minute all that is told apart.
fn history() -> Value {
    let waits: Vec<[u64; 2]> = (0..96).map(|bin| [10 + bin * bin, bin + 1]).collect();
    let tally = json!({ "completed": 240, "rejected": 40, "failed": 20, "in_doubt": 1, "cancelled": 5, "waits": waits });
    let minute = |ago: i64| {
        let at = Timestamp::from_micros(now().as_micros() - ago * 60_000_000);
        json!({ "at": at, "interactive": tally, "background": tally })
    };
    json!({ "minutes": (0..24 * 60).rev().map(minute).collect::<Vec<_>>() })
}

fn operations(agent: usize) -> Value {
    let mine = (0..OPERATIONS).filter(|number| number % AGENTS == agent);
    let rows: Vec<Value> = mine.map(|number| row(agent, number)).collect();
    json!({ "agent": agents()[agent], "operations": rows })
}

fn row(agent: usize, number: usize) -> Value {
    let state = STATES[number / AGENTS % STATES.len()];
    let mut row = json!({
        "id": id(number), "agent": agents()[agent], "kind": "submit-order", "class": "interactive", "state": state,
        "created_at": at(number / 10), "run_at": at(number / 10), "attempts": 1, "worker": "w1", "started_at": at(number / 10 + 1),
    });
    match state {
        "available" => {}
        "completed" => row["result"] = json!({ "order": (20_000 + number).to_string() }),
        _ => row["problem"] = format!("product A{:04} is not sold any more", number % 50).into(),
    }
    if state != "available" {
        row["finished_at"] = at(number / 10 + 5);
    }
    row
}

/// Each agent's next operation is queued, started, makes a step, and is completed.
fn happens(number: usize) -> Value {
    let (agent, change) = (number % AGENTS, number / AGENTS % 4);
    let operation = number / (4 * AGENTS) * AGENTS + agent;
    let (kind, state) =
        [("queued", "available"), ("started", "running"), ("step", "running"), ("completed", "completed")]
            [change];
    let event = json!({
        "seq": number, "at": now(), "type": format!("operation.{kind}"), "operation": id(OPERATIONS + operation),
        "kind": "submit-order", "class": "interactive", "state": state, "step": "act", "worker": "w1", "attempt": 1,
        "result": { "order": "30000" },
    });
    json!({ "agent": agents()[agent], "events": [event] })
}

fn id(number: usize) -> String {
    format!("01980000-0000-7000-8000-{number:012}")
}

fn at(second: usize) -> Value {
    let (hour, minute, second) = (8 + second / 3600, second / 60 % 60, second % 60);
    format!("2026-11-22T{hour:02}:{minute:02}:{second:02}Z").into()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// Events by their number, each after a pause.
fn events(make: fn(u64) -> (Duration, String)) -> Response {
    let events = stream::unfold(0, move |number| async move {
        let (pause, text) = make(number);
        sleep(pause).await;
        Some((Ok::<_, Infallible>(Bytes::from(text)), number + 1))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}
