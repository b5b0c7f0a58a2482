//! What an operator sees: lists with filters and pages, the process, and the overview as it changes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use archibald_core::port::{Minute, Tally};
use archibald_core::record::Disposition;
use archibald_http::{ApiConfig, ServeLimits, StreamConfig};
use serde_json::{Value, json};

use crate::device::Device;
use crate::door::{Door, agent};
use crate::server::{NANCY, OPERATOR, Server, config, soon};

/// All pages of a list, each of at most `limit`.
async fn pages(server: &Server, path: &str, limit: usize) -> Vec<Vec<Value>> {
    let mut pages = vec![];
    let mut after = String::new();
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = server.get(OPERATOR, &format!("{path}{separator}limit={limit}{after}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        pages.push(page["items"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return pages,
        }
    }
}

fn ids(pages: &[Vec<Value>]) -> Vec<String> {
    pages.iter().flatten().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn operations_of_all_agents_are_listed_by_agent_newest_first() {
    let server = Server::start().await;
    let mut expected = vec![];
    for name in ["janet", "nancy"] {
        let mut own = vec![];
        for number in 0..5 {
            own.push(server.door.submit(&agent(name), &format!("k{number}")).await.to_string());
        }
        own.reverse();
        expected.extend(own);
    }
    for limit in [1, 2, 3, 5, 10, 500] {
        let pages = pages(&server, "/v1/admin/operations", limit).await;
        assert_eq!(ids(&pages), expected, "{limit}");
        assert!(pages.iter().all(|page| page.len() <= limit));
    }
    let nancys = ids(&pages(&server, "/v1/admin/operations?agent=nancy", 2).await);
    assert_eq!(nancys, expected[5..]);
    assert_eq!(ids(&pages(&server, "/v1/admin/operations?agent=nobody", 2).await), [""; 0]);
    assert_eq!(ids(&pages(&server, "/v1/admin/operations?kind=sync-customers", 2).await), [""; 0]);
    for after in ["x", "~", "1~NANCY", "x~nancy"] {
        let path = format!("/v1/admin/operations?after={after}");
        server.get(OPERATOR, &path).await.problem(400, "bad-request");
    }
}

#[tokio::test]
async fn doubts_of_all_agents_are_in_one_list() {
    let server = Server::start().await;
    let mut doubts = vec![];
    for name in ["janet", "nancy"] {
        server.door.submit(&agent(name), "waits").await;
        let id = server.door.submit(&agent(name), "doubtful").await;
        let evidence = "who knows".to_owned();
        server.door.end(&agent(name), id, Disposition::Doubt { evidence }).await;
        doubts.push(id.to_string());
    }
    assert_eq!(ids(&pages(&server, "/v1/admin/doubts", 1).await), doubts);
    assert_eq!(ids(&pages(&server, "/v1/admin/operations?state=in_doubt", 10).await), doubts);
}

#[tokio::test]
async fn agents_are_listed_with_what_they_do() {
    let server = Server::start().await;
    let body = json!({ "agent": "nancy", "why": "holidays" });
    assert_eq!(server.post(OPERATOR, "/v1/admin/pause", &[], &body).await.status, 204);
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    let all = pages(&server, "/v1/admin/agents", 1).await;
    assert_eq!(ids(&all), ["janet", "nancy"]);
    let janet = json!({ "id": "janet", "user": "janet.file", "kept": false, "readable": true, "locked_out": false, "waiting": 0, "streams": 0 });
    assert_eq!(all[0][0], janet);
    assert_eq!((&all[1][0]["paused"]["why"], &all[1][0]["streams"]), (&json!("holidays"), &json!(1)));
    assert_eq!(ids(&pages(&server, "/v1/admin/agents?paused=true", 9).await), ["nancy"]);
    assert_eq!(ids(&pages(&server, "/v1/admin/agents?paused=false", 9).await), ["janet"]);
    assert_eq!(ids(&pages(&server, "/v1/admin/agents?busy=true", 9).await), [""; 0]);
}

#[tokio::test]
async fn workers_tell_of_themselves_and_this_one_drains_when_it_is_asked_to() {
    let config = ApiConfig { worker: "w1".into(), ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let worker = async || server.get(OPERATOR, "/v1/admin/workers").await.json()["items"][0].clone();
    let own = worker().await;
    assert_eq!((&own["id"], &own["slots"], &own["draining"]), (&json!("w1"), &json!(10), &json!(false)));
    assert_eq!(own["load"], json!({ "running": 0, "peak_running": 0 }));
    assert!(own["since"].as_str() < own["until"].as_str());
    let other = server.get(OPERATOR, "/v1/admin/workers").await.json()["items"][1].clone();
    assert_eq!((&other["id"], &other["load"]), (&json!("w2"), &json!(null)));
    assert_eq!(server.get(OPERATOR, "/v1/admin/pool").await.json()["in_use"], 0);
    assert!(!server.drain_asked.is_cancelled());
    server.post(NANCY, "/v1/admin/workers/drain", &[], &json!({})).await.problem(404, "not-found");
    assert!(!server.drain_asked.is_cancelled());
    assert_eq!(server.post(OPERATOR, "/v1/admin/workers/drain", &[], &json!({})).await.status, 202);
    soon(server.drain_asked.cancelled()).await;
    assert_eq!(worker().await["draining"], true);
}

#[tokio::test]
async fn an_operator_follows_the_overview() {
    let config = ApiConfig { overview_interval: Duration::from_millis(20), ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let mut console = Device::connect(server.address, OPERATOR, "/v1/admin/events", None).await;
    assert_eq!(console.expect("overview").await.data["paused"], json!([]));
    let beat = console.next().await.unwrap();
    assert_eq!(beat.name, "heartbeat", "nothing changed");
    let body = json!({ "agent": "nancy" });
    server.post(OPERATOR, "/v1/admin/pause", &[], &body).await;
    assert_eq!(console.expect("overview").await.data["paused"][0]["agent"], "nancy");
    server.post(OPERATOR, "/v1/admin/sessions/revoke", &[], &json!({ "name": "operator" })).await;
    assert_eq!(console.expect("bye").await.data["reason"], "revoked");
    assert!(console.next().await.is_none());
}

#[tokio::test]
async fn an_operator_follows_what_happens_to_all_agents() {
    let server = Server::start().await;
    let (nancy, janet) = (agent("nancy"), agent("janet"));
    let waits = server.door.submit(&nancy, "waits").await.to_string();
    let path = "/v1/admin/activity";
    let mut console = Device::connect(server.address, OPERATOR, path, None).await;
    assert_eq!(console.expect("hello").await.data["agents"], json!(["janet", "nancy"]));
    let mut lists = [console.expect("operations").await.data, console.expect("operations").await.data];
    lists.sort_by_key(|list| list["agent"].to_string());
    assert_eq!(lists[0], json!({ "agent": "janet", "operations": [] }));
    let row = &lists[1]["operations"][0];
    assert_eq!(
        (&row["id"], &row["state"], &row["attempts"]),
        (&json!(waits), &json!("available"), &json!(0))
    );
    assert!(row.get("payload").is_none(), "{row}");
    let id = server.door.submit(&janet, "later").await;
    let mut seen = vec![];
    while seen.is_empty() {
        let frame = console.next().await.unwrap();
        if frame.name == "events" {
            seen.push(frame.data);
        }
    }
    assert_eq!((&seen[0]["agent"], &seen[0]["events"][0]["operation"]), (&json!("janet"), &json!(id)));
    let mut one = Device::connect(server.address, OPERATOR, &format!("{path}?agent=nancy"), None).await;
    assert_eq!(one.expect("hello").await.data["agents"], json!(["nancy"]));
    assert_eq!(one.expect("operations").await.data["agent"], "nancy");
    assert_eq!(one.expect("heartbeat").await.id, None);
    server.post(OPERATOR, "/v1/admin/sessions/revoke", &[], &json!({ "name": "operator" })).await;
    assert_eq!(one.expect("bye").await.data["reason"], "revoked");
}

fn minute(at: &str, completed: u32) -> Minute {
    let interactive = Tally { completed, waits: vec![(119, completed)], ..Tally::default() };
    Minute { at: at.parse().unwrap(), interactive, background: Tally::default() }
}

#[tokio::test]
async fn whoever_looks_at_all_agents_is_told_of_the_last_hours_and_goes_on_from_there() {
    let stream = StreamConfig { heartbeat: Duration::from_millis(20), ..config().stream };
    let config = ApiConfig { stream, ..config() };
    let door = Door::default();
    let [first, second] = ["2026-11-22T08:00:00Z", "2026-11-22T08:07:00Z"];
    door.minutes.lock().unwrap().extend([minute(first, 3), minute(second, 1)]);
    let server = Server::start_with(config, ServeLimits::default(), door).await;
    let path = "/v1/admin/activity";
    let mut console = Device::connect(server.address, OPERATOR, path, None).await;
    console.expect("hello").await;
    let told = console.expect("history").await.data;
    let of = |at: &str, completed: u32| json!({ "at": at.replace('Z', ".000000Z"), "interactive": { "completed": completed, "waits": [[119, completed]] } });
    assert_eq!(told, json!({ "minutes": [of(first, 3), of(second, 1)] }));
    console.expect("operations").await;
    console.expect("operations").await;
    console.expect("heartbeat").await;
    server.door.minutes.lock().unwrap()[1] = minute(second, 2);
    let mut next = async || loop {
        let frame = soon(console.next()).await.unwrap();
        if frame.name != "heartbeat" {
            return (frame.name, frame.data);
        }
    };
    assert_eq!(next().await, ("history".to_owned(), json!({ "minutes": [of(second, 2)] })));
    let third = "2026-11-22T08:08:00Z";
    server.door.minutes.lock().unwrap().push(minute(third, 1));
    assert_eq!(next().await, ("history".to_owned(), json!({ "minutes": [of(second, 2), of(third, 1)] })));
    let mut one = Device::connect(server.address, OPERATOR, &format!("{path}?agent=nancy"), None).await;
    one.expect("hello").await;
    one.expect("operations").await;
    one.expect("heartbeat").await;
}

/// Only its own rows come anew; where nothing can be read any more the console is told.
#[tokio::test]
async fn an_agent_whose_log_could_not_be_read_is_followed_again() {
    let stream = StreamConfig { retry: Duration::from_millis(20), ..config().stream };
    let config = ApiConfig { stream, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    let mut console = Device::connect(server.address, OPERATOR, "/v1/admin/activity", None).await;
    console.expect("hello").await;
    console.expect("operations").await;
    console.expect("operations").await;
    server.bus.failing.store(1, Ordering::SeqCst);
    let mut next = async |name: &str| loop {
        let frame = soon(console.next()).await.unwrap();
        if frame.name == name {
            return frame.data;
        }
        assert_eq!(frame.name, "heartbeat", "{:?}", frame.data);
    };
    let rows = next("operations").await;
    assert_eq!(rows["operations"], json!([]), "{rows}");
    server.bus.broken.store(true, Ordering::SeqCst);
    let bye = next("bye").await;
    assert_eq!(bye["reason"], "unavailable");
    assert!((20..=60).contains(&bye["retry_ms"].as_u64().unwrap()), "{bye}");
}

#[tokio::test]
async fn what_a_session_in_use_shows_is_a_picture_that_nobody_keeps() {
    let server = Server::start().await;
    let picture = server.get(OPERATOR, "/v1/admin/pool/nancy/picture").await;
    assert_eq!((picture.status.as_u16(), picture.header("content-type")), (200, "image/jpeg"));
    assert_eq!((picture.header("cache-control"), &picture.bytes[..]), ("no-store", &b"\xff\xd8 nancy's"[..]));
    for nobodys in ["janet", "nobody", "NANCY", "%00", ".."] {
        let none = server.get(OPERATOR, &format!("/v1/admin/pool/{nobodys}/picture")).await;
        none.problem(404, "not-found");
    }
    server.door.is_blind.store(true, Ordering::Relaxed);
    let never = server.get(OPERATOR, "/v1/admin/pool/nancy/picture").await;
    never.problem(404, "no-pictures");
}
