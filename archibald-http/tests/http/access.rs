//! Who reaches what: every route under `/v1`, by hand, and held against the description by `openapi`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use archibald_http::{AuthError, Authenticator, Principal, TokenEntry, TokenSet};
use async_trait::async_trait;
use axum::http::Method;

use crate::door::agent;

use crate::server::{Answer, JANET, NANCY, OPERATOR, Server, config, request};

const ID: &str = "0192f0c1-2d3e-7abc-8def-0123456789ab";

/// Method and path, with `{agent}` for the agent.
fn of_agent() -> Vec<(Method, String)> {
    let mut routes = vec![(Method::POST, "/v1/agents/{agent}/operations".to_owned())];
    for verb in ["cancel", "retry", "resolve"] {
        routes.push((Method::POST, format!("/v1/agents/{{agent}}/operations/{ID}/{verb}")));
    }
    routes.push((Method::GET, format!("/v1/agents/{{agent}}/operations/{ID}")));
    for method in [Method::GET, Method::POST] {
        routes.push((method, "/v1/agents/{agent}/pending-orders".to_owned()));
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        routes.push((method, format!("/v1/agents/{{agent}}/pending-orders/{ID}")));
    }
    routes.push((Method::POST, format!("/v1/agents/{{agent}}/pending-orders/{ID}/submit")));
    routes.push((Method::GET, format!("/v1/agents/{{agent}}/operations/{ID}/evidence/0")));
    for what in ["operations", "customers", "products", "prices", "orders", "snapshot", "events", "ws"] {
        routes.push((Method::GET, format!("/v1/agents/{{agent}}/{what}")));
    }
    routes
}

fn of_operator() -> Vec<(Method, String)> {
    vec![
        (Method::GET, "/v1/admin/overview".into()),
        (Method::POST, "/v1/admin/pause".into()),
        (Method::POST, "/v1/admin/drain".into()),
        (Method::POST, "/v1/admin/resume".into()),
        (Method::POST, "/v1/admin/sessions/revoke".into()),
        (Method::POST, "/v1/admin/workers/drain".into()),
        (Method::GET, "/v1/admin/workers".into()),
        (Method::GET, "/v1/admin/agents".into()),
        (Method::POST, "/v1/admin/agents".into()),
        (Method::GET, "/v1/admin/agents/{agent}".into()),
        (Method::DELETE, "/v1/admin/agents/{agent}".into()),
        (Method::PUT, "/v1/admin/agents/{agent}/password".into()),
        (Method::POST, "/v1/admin/agents/{agent}/unlock".into()),
        (Method::GET, "/v1/admin/operations".into()),
        (Method::GET, "/v1/admin/doubts".into()),
        (Method::GET, "/v1/admin/pool".into()),
        (Method::GET, "/v1/admin/pool/{agent}/picture".into()),
        (Method::GET, "/v1/admin/events".into()),
        (Method::GET, "/v1/admin/activity".into()),
    ]
}

/// What can be asked without a token: to get a session, and to end it.
pub fn open() -> Vec<(Method, String)> {
    [Method::POST, Method::DELETE].map(|method| (method, "/v1/session".to_owned())).to_vec()
}

/// Every route under `/v1` as the description spells it.
pub fn all() -> Vec<(Method, String)> {
    let routes =
        of_agent().into_iter().chain(of_operator()).chain([(Method::GET, "/v1/me".to_owned())]).chain(open());
    routes
        .map(|(method, path)| (method, path.replace(ID, "{id}").replace("evidence/0", "evidence/{n}")))
        .collect()
}

async fn ask(server: &Server, token: &str, method: &Method, path: &str) -> Answer {
    let body = (*method == Method::POST).then(|| "{}".to_owned());
    server.send(request(method.clone(), token, path, &[], body)).await
}

#[tokio::test]
async fn nobody_gets_anywhere_without_a_token() {
    let server = Server::start().await;
    let nowhere =
        [(Method::GET, "/v1/me"), (Method::GET, "/v1/nothing"), (Method::DELETE, "/v1/agents/nancy")];
    let nowhere = nowhere.map(|(method, path)| (method, path.to_owned()));
    for (method, path) in of_agent().into_iter().chain(of_operator()).chain(nowhere) {
        let path = path.replace("{agent}", "nancy");
        for token in ["", "wrong", "token-of-nanc", "token-of-nancy2"] {
            let answer = ask(&server, token, &method, &path).await;
            answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
        }
    }
    for scheme in ["Basic dG9rZW4tb2YtbmFuY3k=", "token-of-nancy", "Bearer", "Bearer\ttoken-of-nancy"] {
        let headers = [("authorization", scheme)];
        let answer = server.send(request(Method::GET, "", "/v1/me", &headers, None)).await;
        answer.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_foreign_agent_and_one_that_does_not_exist_are_the_same_404() {
    let server = Server::start().await;
    for (method, path) in of_agent() {
        let foreign = ask(&server, JANET, &method, &path.replace("{agent}", "nancy")).await;
        let problem = foreign.problem(404, "not-found");
        for agent in ["nobody", "NANCY", "nancy%20d", "%00", "..", "%2e%2e"] {
            for token in [JANET, OPERATOR] {
                let answer = ask(&server, token, &method, &path.replace("{agent}", agent)).await;
                assert_eq!(answer.problem(404, "not-found"), problem, "{method} {path} {agent}");
            }
        }
    }
}

#[tokio::test]
async fn an_agent_sees_no_sign_of_what_is_the_operators() {
    let server = Server::start().await;
    for (method, path) in of_operator() {
        let path = path.replace("{agent}", "nancy");
        ask(&server, NANCY, &method, &path).await.problem(404, "not-found");
        // The streams would never end; `admin_lists` follows them.
        if !["/v1/admin/events", "/v1/admin/activity"].contains(&path.as_str()) {
            assert_ne!(ask(&server, OPERATOR, &method, &path).await.status, 404);
        }
    }
}

#[tokio::test]
async fn an_operator_reaches_every_agent_and_an_agent_its_own() {
    let server = Server::start().await;
    for (token, agent) in [(OPERATOR, "nancy"), (OPERATOR, "janet"), (NANCY, "nancy"), (JANET, "janet")] {
        let answer = server.get(token, &format!("/v1/agents/{agent}/snapshot")).await;
        assert_eq!(answer.status, 200, "{token} {agent}");
    }
}

#[tokio::test]
async fn a_token_tells_its_holder_what_it_reaches() {
    let server = Server::start().await;
    let me = server.get(NANCY, "/v1/me").await.json();
    assert_eq!(me, serde_json::json!({ "name": "nancy", "scope": "agent", "agents": ["nancy"] }));
    let me = server.get(OPERATOR, "/v1/me").await.json();
    assert_eq!(
        me,
        serde_json::json!({ "name": "operator", "scope": "operator", "agents": ["janet", "nancy"] })
    );
}

/// Knows nancy for a moment, and cannot be asked about anybody called `gone`.
struct Moment(Duration);

#[async_trait]
impl Authenticator for Moment {
    async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
        match token {
            NANCY => {
                let expires_at = Some(SystemTime::now() + self.0);
                Ok(Principal { expires_at, ..Principal::agent(agent("nancy")) })
            }
            "gone" => Err(AuthError::Unavailable("the directory is down".into())),
            _ => Err(AuthError::Refused),
        }
    }
}

async fn with(authenticator: impl Authenticator + 'static) -> Server {
    Server::start_as(Arc::new(authenticator), config(), Default::default(), Default::default()).await
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let server = with(Moment(Duration::from_millis(300))).await;
    let mut device = server.follow(None).await;
    device.expect("snapshot").await;
    assert_eq!(device.expect("bye").await.data["reason"], "expired");
    assert!(device.next().await.is_none());
}

#[tokio::test]
async fn several_may_know_a_token_and_one_that_cannot_tell_is_not_passed_over() {
    let tokens = TokenSet::new([TokenEntry::operator(OPERATOR), TokenEntry::operator("gone")]).unwrap();
    let all: Vec<Arc<dyn Authenticator>> = vec![Arc::new(Moment(Duration::from_secs(60))), Arc::new(tokens)];
    let server = with(all).await;
    assert_eq!(server.get(NANCY, "/v1/me").await.json()["name"], "nancy");
    assert_eq!(server.get(OPERATOR, "/v1/me").await.json()["name"], "operator");
    server.get("nobody", "/v1/me").await.problem(401, "unauthorized");
    let unavailable = server.get("gone", "/v1/me").await;
    unavailable.problem(503, "unavailable");
    assert!(!unavailable.text().contains("directory"));
}
