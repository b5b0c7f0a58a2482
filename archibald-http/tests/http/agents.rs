//! Agents that operators add, change and remove; and that no password comes out again. What the log says is in the server's
//! own tests.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::port::{
    AgentAdmin, CredentialError, CredentialProvider, CredentialStore, Credentials, ListedAgent,
    OperationFilter, OperationStore,
};
use archibald_http::{TokenEntry, TokenSet};
use archibald_testing::credentials::FixedCredentials;
use async_trait::async_trait;
use axum::http::Method;
use serde_json::{Value, json};

use crate::device::Device;
use crate::door::{Door, agent};
use crate::server::{Answer, OPERATOR, Server, config, request};

/// What no answer may contain.
const SECRET: &str = "s3cret";

/// Who was added; nancy and janet stand in the file.
#[derive(Default)]
pub struct Added {
    pub credentials: FixedCredentials,
    /// Who is kept, and cannot be read.
    pub unreadable: Mutex<BTreeSet<AgentId>>,
    /// Who was unlocked.
    pub unlocked: Mutex<Vec<AgentId>>,
    /// From where and how far was read who there are.
    pub read: Mutex<Vec<(String, u32)>>,
}

/// The door to agents that a [`Door`] has.
pub struct Admin {
    pub added: Arc<Added>,
    pub door: Door,
}

impl Admin {
    fn refuse_fixed(agent: &AgentId) -> Result<(), CredentialError> {
        match ["nancy", "janet"].contains(&agent.as_str()) {
            true => Err(CredentialError::Fixed(agent.clone())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl AgentAdmin for Admin {
    async fn list(&self, after: &str, limit: u32) -> Result<Vec<ListedAgent>, CredentialError> {
        self.added.read.lock().unwrap().push((after.to_owned(), limit));
        let fixed = ["janet", "nancy"].map(|name| ListedAgent {
            agent: agent(name),
            user: Some(format!("{name}.file")),
            kept: false,
        });
        let unreadable = self.added.unreadable.lock().unwrap().clone();
        let unreadable = unreadable.into_iter().map(|agent| ListedAgent { agent, user: None, kept: true });
        let added = self.added.credentials.list("", u32::MAX).await?;
        let mut all = [fixed.to_vec(), unreadable.collect(), added].concat();
        all.retain(|listed| listed.agent.as_str() > after);
        all.sort_by(|one, other| one.agent.cmp(&other.agent));
        all.truncate(limit as usize);
        Ok(all)
    }

    async fn find(&self, agent: &AgentId) -> Result<Option<ListedAgent>, CredentialError> {
        let read = self.added.read.lock().unwrap().clone();
        let all = self.list("", u32::MAX).await?;
        *self.added.read.lock().unwrap() = read;
        Ok(all.into_iter().find(|listed| listed.agent == *agent))
    }

    async fn add(&self, agent: &AgentId, credentials: &Credentials) -> Result<(), CredentialError> {
        if Self::refuse_fixed(agent).is_err() {
            return Err(CredentialError::Exists(agent.clone()));
        }
        self.added.credentials.add(agent, credentials).await
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), CredentialError> {
        Self::refuse_fixed(agent)?;
        if self.added.unreadable.lock().unwrap().remove(agent) {
            return Ok(());
        }
        let filter =
            OperationFilter { state: Some("available".into()), limit: 1, ..OperationFilter::default() };
        let waiting = OperationStore::list(&self.door.store, agent, &filter).await?.records.pop();
        if let Some(record) = waiting {
            let operation = record.operation.id;
            return Err(CredentialError::Busy { agent: agent.clone(), operation, state: "available" });
        }
        CredentialStore::remove(&self.added.credentials, agent).await
    }

    async fn change_password(&self, agent: &AgentId, password: &str) -> Result<(), CredentialError> {
        Self::refuse_fixed(agent)?;
        if self.added.unreadable.lock().unwrap().contains(agent) {
            return Err(CredentialError::Unreadable(agent.clone()));
        }
        self.added.credentials.change_password(agent, password).await
    }

    async fn unlock(&self, agent: &AgentId) -> Result<(), CredentialError> {
        if Self::refuse_fixed(agent).is_ok() && self.added.credentials.credentials(agent).is_none() {
            return Err(CredentialError::Unknown(agent.clone()));
        }
        self.added.unlocked.lock().unwrap().push(agent.clone());
        Ok(())
    }
}

async fn ask(server: &Server, method: Method, path: &str, body: Option<Value>) -> Answer {
    let answer = server.send(request(method, OPERATOR, path, &[], body.map(|body| body.to_string()))).await;
    assert!(!answer.text().to_lowercase().contains(SECRET), "{}", answer.text());
    answer
}

async fn add(server: &Server, id: &str) -> Answer {
    let body = json!({ "id": id, "user": format!("{id}.d"), "password": SECRET });
    ask(server, Method::POST, "/v1/admin/agents", Some(body)).await
}

#[tokio::test]
async fn an_agent_is_added_seen_and_asked_for() {
    let server = Server::start().await;
    let added = add(&server, "andrew").await;
    assert_eq!((added.status.as_u16(), added.header("location")), (201, "/v1/admin/agents/andrew"));
    let expected = json!({ "id": "andrew", "user": "andrew.d", "kept": true, "readable": true, "locked_out": false, "waiting": 0, "streams": 0 });
    assert_eq!(added.json(), expected);
    assert_eq!(ask(&server, Method::GET, added.header("location"), None).await.json(), expected);
    let who = server.door.added.credentials.credentials(&agent("andrew")).unwrap();
    assert_eq!((who.user.as_str(), who.password.as_str()), ("andrew.d", SECRET));
    assert_eq!(server.get(OPERATOR, "/v1/agents/andrew/snapshot").await.status, 200);
    let other = json!({ "id": "andrew", "user": "andrew.d", "password": format!("{SECRET}, the second") });
    ask(&server, Method::POST, "/v1/admin/agents", Some(other)).await.problem(409, "agent-exists");
    assert_eq!(add(&server, "andrew").await.json(), expected, "the same again is no other");
    add(&server, "nancy").await.problem(409, "agent-exists");
    let all = ask(&server, Method::GET, "/v1/admin/agents", None).await.json();
    let seen = all["items"].as_array().unwrap().iter().map(|one| (&one["id"], &one["user"], &one["kept"]));
    let (andrew, janet, nancy) = (json!("andrew"), json!("janet"), json!("nancy"));
    let users = [json!("andrew.d"), json!("janet.file"), json!("nancy.file")];
    let kept = [json!(true), json!(false)];
    let expected =
        [(&andrew, &users[0], &kept[0]), (&janet, &users[1], &kept[1]), (&nancy, &users[2], &kept[1])];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    ask(&server, Method::GET, "/v1/admin/agents/nobody", None).await.problem(404, "not-found");
}

/// However many there are: only those on the page are read.
#[tokio::test]
async fn no_more_agents_are_read_than_the_page_has() {
    let server = Server::start().await;
    for name in ["a1", "a2", "a3", "b1", "b2"] {
        add(&server, name).await;
    }
    let page = async |query: &str| {
        server.door.added.read.lock().unwrap().clear();
        let page = ask(&server, Method::GET, &format!("/v1/admin/agents?{query}"), None).await.json();
        let names =
            page["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
        let read = server.door.added.read.lock().unwrap().clone();
        (names.collect::<Vec<_>>().join(" "), page["next"].clone(), read)
    };
    let read =
        |pages: &[(&str, u32)]| pages.iter().map(|(after, n)| ((*after).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(page("limit=2").await, ("a1 a2".into(), json!("a2"), read(&[("", 3)])));
    assert_eq!(page("limit=2&after=a2").await, ("a3 b1".into(), json!("b1"), read(&[("a2", 3)])));
    assert_eq!(page("limit=9&after=janet").await, ("nancy".into(), json!(null), read(&[("janet", 10)])));
    for name in ["a1", "b2"] {
        OperationStore::pause(&server.door.store, &agent(name).into(), "holidays", false).await.unwrap();
    }
    OperationStore::pause(&server.door.store, &agent("gone").into(), "holidays", false).await.unwrap();
    assert_eq!(page("paused=true&limit=1").await, ("a1".into(), json!("a1"), read(&[])));
    assert_eq!(page("paused=true&limit=1&after=a1").await, ("b2".into(), json!(null), read(&[])));
    let skipping = read(&[("", 2), ("a2", 2)]);
    assert_eq!(page("paused=false&limit=1").await, ("a2".into(), json!("a2"), skipping));
    let one = ask(&server, Method::GET, "/v1/admin/agents/a3", None).await;
    assert_eq!((one.status.as_u16(), server.door.added.read.lock().unwrap().len()), (200, 2));
}

#[tokio::test]
async fn an_agent_is_removed_once_it_has_nothing_to_do() {
    let server = Server::start().await;
    let path = "/v1/admin/agents/andrew";
    ask(&server, Method::DELETE, path, None).await.problem(404, "not-found");
    add(&server, "andrew").await;
    let id = server.door.submit(&agent("andrew"), "k").await;
    let busy = ask(&server, Method::DELETE, path, None).await.problem(409, "agent-busy");
    assert_eq!(busy["operation"], id.to_string());
    assert!(busy["detail"].as_str().unwrap().contains("is available, and not final"), "{busy}");
    server.door.complete(&agent("andrew"), id).await;
    assert_eq!(ask(&server, Method::DELETE, path, None).await.status, 204);
    ask(&server, Method::DELETE, path, None).await.problem(404, "not-found");
    ask(&server, Method::GET, path, None).await.problem(404, "not-found");
    server.get(OPERATOR, "/v1/agents/andrew/snapshot").await.problem(404, "not-found");
}

#[tokio::test]
async fn an_agent_that_cannot_be_read_is_listed_and_removed() {
    let server = Server::start().await;
    server.door.added.unreadable.lock().unwrap().insert(agent("laura"));
    let path = "/v1/admin/agents/laura";
    let laura = ask(&server, Method::GET, path, None).await.json();
    assert_eq!((&laura["readable"], laura.get("user"), &laura["kept"]), (&json!(false), None, &json!(true)));
    let all = ask(&server, Method::GET, "/v1/admin/agents", None).await.json();
    let names: Vec<_> = all["items"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(names, ["janet", "laura", "nancy"]);
    server.get(OPERATOR, "/v1/agents/laura/snapshot").await.problem(404, "not-found");
    let body = json!({ "password": SECRET });
    let told = ask(&server, Method::PUT, &format!("{path}/password"), Some(body)).await;
    let told = told.problem(409, "agent-unreadable");
    assert!(told["detail"].as_str().unwrap().contains("remove it and add it again"), "{told}");
    assert_eq!(ask(&server, Method::DELETE, path, None).await.status, 204);
    ask(&server, Method::GET, path, None).await.problem(404, "not-found");
}

#[tokio::test]
async fn the_devices_of_an_agent_that_is_removed_are_let_go() {
    let tokens = [TokenEntry::agent(agent("andrew"), "token-of-andrew"), TokenEntry::operator(OPERATOR)];
    let tokens = Arc::new(TokenSet::new(tokens).unwrap());
    let server = Server::start_as(tokens, config(), Default::default(), Door::default()).await;
    add(&server, "andrew").await;
    let path = "/v1/agents/andrew/events";
    let mut device = Device::connect(server.address, "token-of-andrew", path, None).await;
    device.expect("snapshot").await;
    assert_eq!(ask(&server, Method::DELETE, "/v1/admin/agents/andrew", None).await.status, 204);
    assert_eq!(device.expect("bye").await.data["reason"], "revoked");
    server.get("token-of-andrew", path).await.problem(404, "not-found");
    // Its token is nobody's now: neither does it say who it was, nor does it sign in.
    server.get("token-of-andrew", "/v1/me").await.problem(401, "unauthorized");
    let sign_in = json!({ "token": "token-of-andrew" }).to_string();
    let sign_in = request(Method::POST, "", "/v1/session", &[], Some(sign_in));
    server.send(sign_in).await.problem(401, "unauthorized");

    // Somebody removed it in another process: this one still has its device, and lets it go.
    add(&server, "andrew").await;
    let mut device = Device::connect(server.address, "token-of-andrew", path, None).await;
    device.expect("snapshot").await;
    server.door.added.credentials.remove(&agent("andrew"));
    ask(&server, Method::DELETE, "/v1/admin/agents/andrew", None).await.problem(404, "not-found");
    assert_eq!(device.expect("bye").await.data["reason"], "revoked");
}

/// Removed in another process: this one's streams end at the next heartbeat, an operator's too.
#[tokio::test]
async fn the_devices_of_an_agent_that_is_gone_are_let_go_by_themselves() {
    let tokens = [TokenEntry::agent(agent("andrew"), "token-of-andrew"), TokenEntry::operator(OPERATOR)];
    let tokens = Arc::new(TokenSet::new(tokens).unwrap());
    let mut config = config();
    config.stream.heartbeat = Duration::from_millis(50);
    let server = Server::start_as(tokens, config, Default::default(), Door::default()).await;
    add(&server, "andrew").await;
    let path = "/v1/agents/andrew/events";
    let mut devices = vec![];
    for token in ["token-of-andrew", OPERATOR] {
        let mut device = Device::connect(server.address, token, path, None).await;
        device.expect("snapshot").await;
        device.expect("heartbeat").await;
        devices.push(device);
    }
    server.door.added.credentials.remove(&agent("andrew"));
    for mut device in devices {
        assert_eq!(device.expect("bye").await.data["reason"], "revoked");
    }
}

#[tokio::test]
async fn a_password_is_changed_and_a_lock_out_ended() {
    let server = Server::start().await;
    add(&server, "andrew").await;
    let change = |name: &str| {
        let path = format!("/v1/admin/agents/{name}/password");
        let body = json!({ "password": format!("{SECRET}, the second") });
        let server = &server;
        async move { ask(server, Method::PUT, &path, Some(body)).await }
    };
    assert_eq!(change("andrew").await.status, 204);
    let who = server.door.added.credentials.credentials(&agent("andrew")).unwrap();
    assert_eq!(who, Credentials { user: "andrew.d".into(), password: format!("{SECRET}, the second") });
    let fixed = change("nancy").await.problem(409, "agent-fixed");
    assert!(fixed["detail"].as_str().unwrap().contains("stands in the agents file"), "{fixed}");
    change("nobody").await.problem(404, "not-found");
    ask(&server, Method::DELETE, "/v1/admin/agents/nancy", None).await.problem(409, "agent-fixed");

    let why = "the ERP refused the login of user \"andrew.d\": Account bloccato";
    OperationStore::pause(&server.door.store, &agent("andrew").into(), why, false).await.unwrap();
    let locked = ask(&server, Method::GET, "/v1/admin/agents/andrew", None).await.json();
    assert_eq!((&locked["locked_out"], &locked["paused"]["why"]), (&json!(true), &json!(why)));
    for name in ["andrew", "nancy"] {
        let path = format!("/v1/admin/agents/{name}/unlock");
        assert_eq!(ask(&server, Method::POST, &path, None).await.status, 204);
    }
    let nobody = "/v1/admin/agents/nobody/unlock";
    ask(&server, Method::POST, nobody, None).await.problem(404, "not-found");
    assert_eq!(*server.door.added.unlocked.lock().unwrap(), [agent("andrew"), agent("nancy")]);
}

/// However a password is sent wrongly, what is wrong is told without it.
#[tokio::test]
async fn bad_fields_are_named_and_never_repeated() {
    let server = Server::start().await;
    add(&server, "andrew").await;
    let add = |user: Value, password: Value| json!({ "id": "laura", "user": user, "password": password });
    let (new, password) = ("/v1/admin/agents", "/v1/admin/agents/andrew/password");
    let long = SECRET.repeat(40);
    for (method, path, body, pointers) in [
        (Method::POST, new, add(json!(""), json!(SECRET)), &["/user"][..]),
        (Method::POST, new, add(json!("a\nb"), json!("")), &["/user", "/password"]),
        (Method::POST, new, add(json!("laura"), json!(long)), &["/password"]),
        (Method::POST, new, add(json!("laura"), json!([SECRET])), &["/password"]),
        (Method::POST, new, add(json!("laura"), json!({ "is": SECRET })), &["/password"]),
        (Method::POST, new, add(json!("laura"), json!("s3cret\u{0}")), &["/password"]),
        (Method::POST, new, json!({ "id": "NANCY", "user": "n", "password": SECRET }), &["/id"]),
        (Method::POST, new, json!({ "user": "n", "password": SECRET }), &[""]),
        (Method::POST, new, json!({ "id": "n", "user": "n", "passwort": SECRET }), &[""]),
        (Method::POST, new, json!({ "id": "S3CRET", "user": "n", "password": "x" }), &["/id"]),
        (Method::POST, new, json!({ "id": ", got S3CRET", "user": "n", "password": "x" }), &["/id"]),
        (Method::POST, new, json!({ "id": "n", "user": "n", SECRET: "x" }), &[""]),
        (Method::POST, new, json!({ "id": "n", "a/s3cret, expected s3cret": "x" }), &[""]),
        (Method::PUT, password, json!(", expected s3cret"), &[""]),
        (Method::POST, new, json!(SECRET), &[""]),
        (Method::PUT, password, json!({ "password": "" }), &["/password"]),
        (Method::PUT, password, json!({ "password": "s3cret\n" }), &["/password"]),
        (Method::PUT, password, json!(SECRET), &[""]),
        (Method::PUT, password, json!({}), &[""]),
    ] {
        ask(&server, method, path, Some(body)).await.pointers(pointers);
    }
    let number = ask(&server, Method::PUT, password, Some(json!({ "password": 7_301_946 }))).await;
    number.pointers(&["/password"]);
    assert!(!number.text().contains("7301946"), "{}", number.text());
    assert!(number.text().contains("must be a string"), "{}", number.text());
    let unknown = ask(&server, Method::PUT, password, Some(json!({ "passwort": SECRET }))).await;
    let told = unknown.json()["errors"][0]["detail"].clone();
    assert_eq!(told, "has a field that is not known: expected `password`");
    let id = json!({ "id": "S3CRET", "user": "n", "password": "x" });
    let told = ask(&server, Method::POST, new, Some(id)).await.json()["errors"][0]["detail"].clone();
    assert_eq!(told, "agent must be 1 to 64 characters of a-z, 0-9, '.', '_' and '-'");
    let broken = request(Method::PUT, OPERATOR, password, &[], Some(r#"{"password": "s3cret"#.into()));
    let broken = server.send(broken).await;
    broken.problem(400, "bad-request");
    assert!(!broken.text().contains(SECRET), "{}", broken.text());
    let who = server.door.added.credentials.credentials(&agent("andrew")).unwrap();
    assert_eq!(who.password, SECRET, "it stays as it was");
    assert!(!server.door.added.credentials.agents().contains(&agent("laura")));
}

#[tokio::test]
async fn where_agents_cannot_be_added_there_are_no_such_routes() {
    let door = Door::default();
    door.keeps_agents.store(false, Ordering::Relaxed);
    let server = Server::start_with(config(), Default::default(), door).await;
    add(&server, "andrew").await.problem(404, "not-found");
    for (method, path, body) in [
        (Method::DELETE, "/v1/admin/agents/nancy", None),
        (Method::PUT, "/v1/admin/agents/nancy/password", Some(json!({ "password": SECRET }))),
        (Method::POST, "/v1/admin/agents/nancy/unlock", None),
    ] {
        ask(&server, method, path, body).await.problem(404, "not-found");
    }
    let nancy = ask(&server, Method::GET, "/v1/admin/agents/nancy", None).await.json();
    assert_eq!((&nancy["id"], nancy.get("user"), &nancy["kept"]), (&json!("nancy"), None, &json!(false)));
}
