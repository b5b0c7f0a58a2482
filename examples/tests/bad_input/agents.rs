//! A wrong password that somebody gave over HTTP, until the right one is there and the order is done.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, OPERATOR};
use crate::good_order;
use crate::programs::{Folder, Running};

const AGENTS: &str = "/v1/admin/agents";
const NANCY: &str = "/v1/admin/agents/nancy";
const WRONG: &str = "wr0ng-s3cret";
const RIGHT: &str = "nancy-secret";

fn server(erp: &Running, key: &str) -> String {
    let quick = "--settle 100ms --list-lag 10ms --tokens tokens.toml";
    let erp = erp.address();
    format!("server --store sqlite:new.db --erp http://{erp} --agents-key {key} {quick}")
}

#[tokio::test]
async fn a_wrong_password_is_corrected_over_http_and_the_waiting_order_is_done() {
    let folder = Folder::prepared();
    let erp = Running::start(&folder, "erp --listen 127.0.0.1:0 --control 127.0.0.1:0 --latency-ms 0");
    let first = Running::start(&folder, &server(&erp, "agents.key"));
    let api = Api::of(first.address());
    let new = json!({ "id": "nancy", "user": "nancy", "password": WRONG });
    let (status, added) = api.operator(Method::POST, AGENTS, Some(new)).await;
    assert_eq!((status, &added["kept"], &added["user"]), (201, &json!(true), &json!("nancy")), "{added:#}");
    let waiting = submit(&api, "hers").await;
    let paused = api.first_paused().await;
    assert!(paused["why"].as_str().unwrap().contains("Nome utente o password non corretti."), "{paused}");
    assert_eq!(api.get(OPERATOR, NANCY).await["locked_out"], true);

    let (status, busy) = api.operator(Method::DELETE, NANCY, None).await;
    assert_eq!((status, busy["operation"].as_str()), (409, Some(waiting.as_str())), "{busy:#}");
    let other = json!({ "id": "nancy", "user": "nancy", "password": RIGHT });
    let (status, again) = api.operator(Method::POST, AGENTS, Some(other)).await;
    assert_eq!((status, &again["type"]), (409, &json!("urn:archibald:problem:agent-exists")));
    // The same wrong one once more, and once more it is tried once.
    assert_eq!(api.operator(Method::POST, &format!("{NANCY}/unlock"), None).await.0, 204);
    api.first_paused().await;
    let right = json!({ "password": RIGHT });
    assert_eq!(api.operator(Method::PUT, &format!("{NANCY}/password"), Some(right)).await.0, 204);
    let hers = api.final_one("nancy", &waiting).await;
    assert_eq!(hers["state"], "completed", "{hers:#}");
    assert_eq!(api.get(OPERATOR, NANCY).await["locked_out"], false);
    let log = first.drained();
    for line in ["agent added", "agent unlocked", "an agent's password was changed"] {
        let line =
            log.lines().find(|logged| logged.contains(line)).unwrap_or_else(|| panic!("{line}: {log}"));
        assert!(line.contains("nancy") && line.contains("operator"), "{line}");
    }
    assert_no_secret(&folder, &log);

    // Another key opens nothing; the right one has all as it was.
    let refused = folder.end_of(&server(&erp, "other.key")).await;
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(refused.stderr.contains("none of the 1 agents that were added can be read with this key"));
    let second = Running::start(&folder, &server(&erp, "agents.key"));
    let api = Api::of(second.address());
    let id = submit(&api, "another").await;
    assert_eq!(api.final_one("nancy", &id).await["state"], "completed");
    assert_eq!(api.operator(Method::DELETE, NANCY, None).await.0, 204);
    assert_eq!(api.operator(Method::DELETE, NANCY, None).await.0, 404);
    assert_eq!(api.get(OPERATOR, AGENTS).await["items"], json!([]));
    let log = second.drained();
    assert!(log.contains("agent removed"), "{log}");
    assert_no_secret(&folder, &log);
}

async fn submit(api: &Api, key: &str) -> String {
    let body = json!({ "kind": "submit-order", "key": key, "payload": good_order() });
    let (status, operation): (u16, Value) = api.submit(Some(OPERATOR), "nancy", &body).await;
    assert!([200, 202].contains(&status), "{operation:#}");
    operation["id"].as_str().unwrap().to_owned()
}

fn assert_no_secret(folder: &Folder, log: &str) {
    let file = std::fs::read(folder.path("new.db")).unwrap();
    for secret in [WRONG, RIGHT] {
        assert!(!log.contains(secret), "{secret} in {log}");
        assert!(!file.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret} in the file");
    }
}
