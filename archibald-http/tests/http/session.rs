//! Browsers: sign in once, a cookie from then on, and pages of others get nowhere with it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use archibald_http::{ApiConfig, JwtKey, Principal, Rate, ServeLimits};
use axum::http::Method;
use serde_json::json;

use crate::door::{Door, agent};
use crate::server::{Answer, JANET, NANCY, OPERATOR, Server, config, request};
use crate::websocket::{Socket, no_streams};

const HERE: (&str, &str) = ("origin", "http://localhost");

async fn sign_in(server: &Server, token: &str) -> Answer {
    server.post("", "/v1/session", &[], &json!({ "token": token })).await
}

/// The cookie as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn ask(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let body =
        (method == Method::POST).then(|| r#"{"kind":"submit-order","key":"k","payload":{}}"#.to_owned());
    server.send(request(method, "", path, headers, body)).await
}

#[tokio::test]
async fn a_token_becomes_a_cookie_that_reads_and_writes_and_is_over_after_signing_out() {
    let server = Server::start().await;
    let signed_in = sign_in(&server, NANCY).await;
    let me = signed_in.json();
    assert_eq!(
        (&me["name"], &me["scope"], &me["agents"]),
        (&json!("nancy"), &json!("agent"), &json!(["nancy"]))
    );
    let cookie = cookie(&signed_in);
    let with = ("cookie", cookie.as_str());
    assert_eq!(ask(&server, Method::GET, "/v1/me", &[with]).await.json()["name"], "nancy");
    let operations = "/v1/agents/nancy/operations";
    assert_eq!(ask(&server, Method::POST, operations, &[with, HERE]).await.status, 422);
    ask(&server, Method::GET, "/v1/agents/janet/operations", &[with]).await.problem(404, "not-found");
    let out = ask(&server, Method::DELETE, "/v1/session", &[with, HERE]).await;
    assert_eq!(out.status, 204);
    assert!(
        out.header("set-cookie").starts_with("archibald_session=; ")
            && out.header("set-cookie").contains("Max-Age=0")
    );
    ask(&server, Method::GET, "/v1/me", &[with]).await.problem(401, "unauthorized");
    assert_eq!(ask(&server, Method::DELETE, "/v1/session", &[with, HERE]).await.status, 204);
    assert_eq!(ask(&server, Method::DELETE, "/v1/session", &[]).await.status, 204);
}

#[tokio::test]
async fn the_cookie_is_for_this_site_alone_and_not_for_scripts() {
    for (secure_cookies, secure) in [(true, "; Secure"), (false, "")] {
        let config = ApiConfig { secure_cookies, ..config() };
        let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
        let answer = sign_in(&server, NANCY).await;
        let (id, attributes) = answer.header("set-cookie").split_once(';').unwrap();
        let (rules, age) = attributes.split_once("; Max-Age=").unwrap();
        assert_eq!(rules, " Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(age, format!("43200{secure}"));
        assert_eq!(id.len(), "archibald_session=".len() + 64);
        assert!(!answer.text().contains(&id["archibald_session=".len()..]) && !answer.text().contains(NANCY));
    }
}

#[tokio::test]
async fn a_page_of_another_origin_writes_nothing_and_follows_nothing() {
    let server = Server::start().await;
    let cookie = cookie(&sign_in(&server, NANCY).await);
    let with = ("cookie", cookie.as_str());
    let foreign = ["http://evil.example", "null", "http://localhost:81"];
    let origins = foreign.map(|origin| vec![with, ("origin", origin)]).into_iter().chain([vec![with]]);
    for headers in origins {
        for path in ["/v1/agents/nancy/operations", "/v1/agents/nancy/operations/x/cancel", "/v1/nothing"] {
            ask(&server, Method::POST, path, &headers).await.problem(403, "foreign-origin");
        }
        ask(&server, Method::DELETE, "/v1/session", &headers).await.problem(403, "foreign-origin");
        assert_eq!(Socket::open(&server, "/v1/agents/nancy/ws", &headers).await.err(), Some(403));
    }
    assert_eq!(ask(&server, Method::GET, "/v1/me", &[with]).await.status, 200, "nobody was signed out");
    let mut socket = Socket::open(&server, "/v1/agents/nancy/ws", &[with, HERE]).await.unwrap();
    socket.expect("snapshot").await;
    let body = json!({ "token": NANCY });
    let foreign = server.post("", "/v1/session", &[("origin", "http://evil.example")], &body).await;
    foreign.problem(403, "foreign-origin");
}

#[tokio::test]
async fn a_bearer_token_needs_no_origin_and_goes_before_a_cookie() {
    let server = Server::start().await;
    let cookie = cookie(&sign_in(&server, NANCY).await);
    let headers = [("cookie", cookie.as_str()), ("origin", "http://evil.example")];
    let me = server.send(request(Method::GET, JANET, "/v1/me", &headers, None)).await.json();
    assert_eq!(me["name"], "janet");
    let wrong = server.send(request(Method::GET, "wrong", "/v1/me", &headers, None)).await;
    wrong.problem(401, "unauthorized");
}

#[tokio::test]
async fn signing_out_ends_the_streams_of_that_session_and_no_others() {
    let server = Server::start().await;
    let cookies = [cookie(&sign_in(&server, NANCY).await), cookie(&sign_in(&server, NANCY).await)];
    let mut sockets = vec![];
    for cookie in &cookies {
        let headers = [("cookie", cookie.as_str()), HERE];
        let mut socket = Socket::open(&server, "/v1/agents/nancy/ws", &headers).await.unwrap();
        socket.expect("snapshot").await;
        sockets.push(socket);
    }
    let mut device = server.follow(None).await;
    ask(&server, Method::DELETE, "/v1/session", &[("cookie", &cookies[0]), HERE]).await;
    assert_eq!(sockets[0].expect("bye").await["reason"], "signed_out");
    sockets[1].expect("heartbeat").await;
    device.expect("heartbeat").await;
}

#[tokio::test]
async fn an_operator_ends_the_sessions_and_streams_of_an_agent() {
    let server = Server::start().await;
    let [nancys, janets, operators] = [NANCY, JANET, OPERATOR];
    let [nancys, janets, operators] =
        [sign_in(&server, nancys).await, sign_in(&server, janets).await, sign_in(&server, operators).await]
            .map(|answer| cookie(&answer));
    let headers = [("cookie", nancys.as_str()), HERE];
    let mut socket = Socket::open(&server, "/v1/agents/nancy/ws", &headers).await.unwrap();
    let mut device = server.follow(None).await;
    socket.expect("snapshot").await;
    device.expect("snapshot").await;
    let revoke = "/v1/admin/sessions/revoke";
    let body = json!({ "agent": "nancy" });
    server.post(NANCY, revoke, &[], &body).await.problem(404, "not-found");
    let revoked = server.post("", revoke, &[("cookie", &operators), HERE], &body).await.json();
    assert_eq!(revoked, json!({ "sessions": 1, "streams": 2 }));
    assert_eq!(socket.expect("bye").await["reason"], "revoked");
    assert_eq!(device.expect("bye").await.data["reason"], "revoked");
    ask(&server, Method::GET, "/v1/me", &[("cookie", &nancys)]).await.problem(401, "unauthorized");
    assert_eq!(ask(&server, Method::GET, "/v1/me", &[("cookie", &janets)]).await.status, 200);
    let own = server.post(OPERATOR, revoke, &[], &json!({ "name": "operator" })).await.json();
    assert_eq!(own["sessions"], 1);
    ask(&server, Method::GET, "/v1/me", &[("cookie", &operators)]).await.problem(401, "unauthorized");
    for (body, pointers) in [
        (json!({}), &["/agent"]),
        (json!({ "agent": "nobody" }), &["/agent"]),
        (json!({ "agent": "nancy", "name": "x" }), &["/agent"]),
    ] {
        server.post(OPERATOR, revoke, &[], &body).await.pointers(pointers);
    }
}

#[tokio::test]
async fn who_fails_too_often_waits_and_success_does_not_count() {
    let sign_in_rate = Rate { burst: 3, per_second: 0.01 };
    let config = ApiConfig { sign_in_rate, ..config() };
    let server = Server::start_with(config, ServeLimits::default(), Door::default()).await;
    for _ in 0..20 {
        assert_eq!(sign_in(&server, NANCY).await.status, 200);
    }
    for _ in 0..3 {
        sign_in(&server, "wrong").await.problem(401, "unauthorized");
    }
    for token in ["wrong", NANCY] {
        let refused = sign_in(&server, token).await;
        refused.problem(429, "too-often");
        assert!((1..=100).contains(&refused.header("retry-after").parse::<u32>().unwrap()));
    }
    assert_eq!(server.get(NANCY, "/v1/me").await.status, 200, "what is signed in goes on");
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let key = JwtKey::new("a secret that is long enough for it").unwrap();
    let hour = Duration::from_secs(3600);
    let nancy = Principal::agent(agent("nancy"));
    let ends = |span: Duration| key.sign(&nancy, SystemTime::now() - hour, span).unwrap();
    let (over, short, long) = (ends(hour / 2), ends(hour), ends(hour + Duration::from_secs(600)));
    let server = Server::start_as(Arc::new(key), config(), Default::default(), Default::default()).await;
    sign_in(&server, &over).await.problem(401, "unauthorized");
    let max_age = |answer: &Answer| -> u64 {
        let cookie = answer.header("set-cookie");
        cookie.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap()
    };
    // Both with the few seconds that clocks may differ.
    assert!((0..=10).contains(&max_age(&sign_in(&server, &short).await)));
    assert!((600..=610).contains(&max_age(&sign_in(&server, &long).await)));
    assert_eq!(server.get(&long, "/v1/me").await.json()["name"], "nancy");
    no_streams(&server).await;
}
