//! Everything that people get wrong, and what the programs say to it: exit code or status, and words that name
//! the thing. The lists below are the cases; each is tried with the real programs.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod agents;
mod api;
mod programs;

use serde_json::{Value, json};

use crate::api::{Api, NANCY, OPERATOR};
use crate::programs::{Folder, Running};

/// A command line as in a shell, from a folder with the files of [`Folder::prepared`]; the exit code; what
/// standard error must contain. `{taken}` is an address on which a server listens, which has `used.db` open.
const DO_NOT_RUN: &[(&str, i32, &[&str])] = &[
    // Chromium is missing.
    (
        "CHROME=/nonexistent server --driver chromium",
        3,
        &["/nonexistent", "install the package `chromium-headless-shell` or `chromium`"],
    ),
    // It is there and cannot start.
    ("CHROME=/bin/false server --driver chromium", 3, &["no browser can be had", "ended before it listened"]),
    // Nothing else takes its place by itself, not even where the environment would have it.
    (
        "CHROME=/nonexistent ARCHIBALD_DRIVER=direct demo --once --orders 1",
        3,
        &["/nonexistent", "install the package `chromium"],
    ),
    // Somebody has the port.
    ("server --listen {taken}", 1, &["cannot listen on {taken}", "in use"]),
    ("erp --listen {taken} --control 127.0.0.1:0", 1, &["cannot listen on {taken} for the ERP port"]),
    ("erp --listen 127.0.0.1:0 --control {taken}", 1, &["cannot listen on {taken} for the control port"]),
    // The data folder.
    ("erp --data no-such-folder", 1, &["--data", "cannot read no-such-folder"]),
    ("erp --data garbage.db", 1, &["--data", "cannot read garbage.db"]),
    ("erp --data empty", 1, &["--data", "cannot read empty/", ".csv"]),
    ("demo --once --data no-such-folder", 1, &["--data", "cannot read no-such-folder"]),
    ("demo --once --data empty", 1, &["--data", "cannot read empty/", ".csv"]),
    // The store.
    ("server --store sqlite:garbage.db", 1, &["garbage.db is no SQLite database"]),
    ("server --store sqlite:damaged.db", 1, &["damaged.db"]),
    ("server --store sqlite:empty", 1, &["empty is not a file"]),
    ("server --store sqlite:used.db", 1, &["used.db is in use by another process", "PostgreSQL"]),
    ("server --store mysql://localhost/db", 2, &["store (from --store) must be", "mysql://localhost/db"]),
    ("demo --once --workers 2", 2, &["--workers 2 needs PostgreSQL", "--store postgres"]),
    ("demo --once --workers 2 --store sqlite:new.db", 2, &["--workers 2 needs PostgreSQL"]),
    // Settings, wherever they come from.
    ("server --browsers many", 2, &["browsers (from --browsers) must be a whole number", "\"many\""]),
    ("ARCHIBALD_LEASE=soon server", 2, &["lease (from ARCHIBALD_LEASE) must be a time", "\"soon\""]),
    ("BROWSER_POOL_SIZE=0 server", 2, &["browsers (from BROWSER_POOL_SIZE)", "\"0\""]),
    (
        "server --config settle-later.toml",
        2,
        &["settle (from the configuration file) must be a time", "\"later\""],
    ),
    ("server --config browser.toml", 2, &["browser.toml", "unknown key \"browser\"", "browsers"]),
    (
        "server --config six-fields.toml",
        2,
        &["six-fields.toml", "schedule 1 (sync-orders): cron must be five fields", "it has 6 fields"],
    ),
    (
        "server --config no-sync.toml",
        2,
        &["schedule sync-all: kind must be one of sync-customers, sync-orders", "got \"sync-all\""],
    ),
    ("server --config no-such-file", 2, &["no-such-file"]),
    ("server --driver firefox", 2, &["driver (from --driver) must be chromium", "\"firefox\""]),
    ("server --log-format loud", 2, &["log-format (from --log-format) must be text or json"]),
    ("server --no-such-flag", 2, &["--no-such-flag"]),
    ("erp --faults often", 2, &["--faults", "often"]),
    ("demo --once --driver firefox", 2, &["--driver", "firefox"]),
    (
        "server --browsers 2 --contexts 3 --concurrency 7",
        2,
        &["concurrency 7 is more", "2 browsers × 3 contexts = 6"],
    ),
    (
        "demo --once --browsers 2 --contexts 3 --concurrency 7 --orders 1",
        2,
        &["concurrency 7 is more", "2 browsers × 3 contexts = 6"],
    ),
    // Secrets and doors.
    ("server --agents readable.toml", 2, &["readable.toml", "may be read by others (mode 644)", "chmod 600"]),
    (
        "server --session-key readable.toml",
        2,
        &["key readable.toml can be read by others (mode 644)", "readable by its owner only"],
    ),
    ("server --session-key tokens.toml", 2, &["a key must be 64 hexadecimal digits"]),
    (
        "server --agents-key readable.toml",
        2,
        &["agents cannot be kept", "key readable.toml can be read by others"],
    ),
    ("server --agents-key tokens.toml", 2, &["agents cannot be kept", "a key must be 64 hexadecimal digits"]),
    ("server --session-key no-such-file", 2, &["no-such-file"]),
    ("server --agents no-such-file", 2, &["no-such-file"]),
    ("server --tokens no-such-file", 2, &["no-such-file"]),
    ("server --jwt-key no-such-file", 2, &["no-such-file"]),
    ("server --jwt-key readable.key", 2, &["readable.key", "may be read by others (mode 644)", "chmod 600"]),
    ("ARCHIBALD_JWT_KEY=short.key server", 2, &["short.key", "at least 32 bytes, got 9"]),
    ("server token --jwt-key short.key --operator", 2, &["short.key", "at least 32 bytes, got 9"]),
    ("server token --operator", 2, &["no token can be made", "--jwt-key"]),
    ("server token", 2, &["--agent", "--operator"]),
    ("server token --agent nancy --ttl soon", 2, &["ttl (from --ttl) must be a time", "\"soon\""]),
    ("server --erp http://127.0.0.1:9", 2, &["agents", "a file, unless the ERP is simulated"]),
    // What a page map is checked with.
    (
        "server --check-page-map --erp http://127.0.0.1:9",
        2,
        &["agents", "a file, unless the ERP is simulated"],
    ),
    (
        "server --check-page-map --agents agents.toml --agent Robert",
        2,
        &["agent (from --agent) must be one of the agents that --agents names", "\"Robert\""],
    ),
    ("server --check-page-map --page-map no-such-file", 2, &["no-such-file: "]),
    ("server --check-page-map --page-map browser.toml", 2, &["browser.toml: ", "browser"]),
    (
        "server --check-page-map --report garbage.db",
        2,
        &["report (from --report) must be a folder", "garbage.db"],
    ),
    (
        "server --check-page-map --agents agents.toml --erp nowhere",
        2,
        &["erp (from --erp) must be an address", "\"nowhere\""],
    ),
    (
        "server --check-page-map --erp-ca garbage.db",
        2,
        &["erp-ca (from --erp-ca) must be left out unless --erp is an https:// address"],
    ),
    ("server --check-page-map --page-budget soon", 2, &["page-budget (from --page-budget) must be a time"]),
    ("CHROME=/nonexistent server --check-page-map", 3, &["/nonexistent", "install the package `chromium"]),
    // Authorities are for TLS, and there must be some in the file.
    (
        "server --store memory --erp http://127.0.0.1:9 --agents agents.toml --erp-ca ca.pem",
        2,
        &["erp-ca (from --erp-ca) must be left out unless --erp is an https:// address", "\"ca.pem\""],
    ),
    (
        "CHROME=/bin/false server --driver chromium --no-worker --store memory --erp https://127.0.0.1:9 \
         --agents agents.toml --erp-ca garbage.db",
        1,
        &["the ERP cannot be used", "the file of certificate authorities garbage.db", "no certificate in it"],
    ),
    ("server --listen 0.0.0.0:0", 2, &["listen (from --listen)", "--tokens", "\"0.0.0.0:0\""]),
    ("server --listen somewhere", 2, &["listen (from --listen)", "\"somewhere\""]),
];

#[tokio::test]
async fn what_cannot_run_ends_with_a_word_about_it() {
    let folder = Folder::prepared();
    let server = Running::start(&folder, "server --store sqlite:used.db");
    let taken = server.address();
    let mut wrong = Vec::new();
    for &(line, code, says) in DO_NOT_RUN {
        let ended = folder.end_of(&line.replace("{taken}", taken)).await;
        let unsaid = says.iter().map(|said| said.replace("{taken}", taken));
        let unsaid: Vec<_> = unsaid.filter(|said| !ended.stderr.contains(said)).collect();
        if ended.code != Some(code) || !unsaid.is_empty() || !ended.stdout.is_empty() {
            wrong.push(format!("{line}\n  not {code} and {unsaid:?}: {ended:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(folder.left_behind(), Vec::<String>::new());
}

/// A request that is refused.
struct Refused {
    token: Option<&'static str>,
    agent: &'static str,
    body: Value,
    status: u16,
    /// What the problem must contain: a pointer among its errors where it begins with a slash, else a part of
    /// its detail.
    says: &'static [&'static str],
}

fn refused_requests() -> Vec<Refused> {
    let by = |token, agent, status, says| {
        let body = json!({ "kind": "submit-order", "key": "k", "payload": good_order() });
        Refused { token, agent, body, status, says }
    };
    let body = |body, status, says| Refused { token: Some(NANCY), agent: "nancy", body, status, says };
    let order =
        |payload, says| body(json!({ "kind": "submit-order", "key": "k", "payload": payload }), 422, says);
    let changed = |pointer: &str, value: Value, says| {
        let mut payload = good_order();
        *payload.pointer_mut(pointer).unwrap() = value;
        order(payload, says)
    };
    let unknown = json!({ "kind": "submit-ordre", "key": "k", "payload": {} });
    let wrong_line = json!({ "product": "", "quantity": 0, "discount": "101" });
    vec![
        by(None, "nancy", 401, &["Authorization: Bearer"]),
        by(Some("wrong-token"), "nancy", 401, &["Authorization: Bearer"]),
        by(Some(NANCY), "andrew", 404, &["nothing is found"]),
        by(Some(OPERATOR), "nobody", 404, &["nothing is found"]),
        body(unknown, 422, &["/kind", "submit-ordre", "known kinds are", "submit-order", "sync-customers"]),
        body(json!({ "key": "k", "payload": {} }), 422, &["kind"]),
        body(json!({ "kind": "submit-order", "payload": good_order() }), 400, &["Idempotency-Key"]),
        body(json!({ "kind": "submit-order", "key": "", "payload": good_order() }), 422, &["/key"]),
        order(json!("an order"), &["/payload"]),
        order(json!({ "date": "2026-11-22", "lines": [] }), &["/payload", "customer"]),
        changed("/customer", json!(7), &["/payload/customer"]),
        changed("/date", json!("tomorrow"), &["/payload/date"]),
        changed("/lines", json!({}), &["/payload/lines"]),
        changed("/lines", json!([]), &["/payload/lines"]),
        changed("/lines/0/quantity", json!("three"), &["/payload/lines/0/quantity"]),
        changed(
            "/lines/0",
            wrong_line,
            &["/payload/lines/0/product", "/payload/lines/0/quantity", "/payload/lines/0/discount"],
        ),
    ]
}

#[tokio::test]
async fn what_cannot_be_accepted_is_refused_by_name() {
    let folder = Folder::prepared();
    let server = Running::start(&folder, "server --store memory --tokens tokens.toml");
    let api = Api::of(server.address());
    let mut wrong = Vec::new();
    for Refused { token, agent, body, status, says } in refused_requests() {
        let (got, problem) = api.submit(token, agent, &body).await;
        let pointers = problem["errors"].as_array().into_iter().flatten().map(|error| &error["pointer"]);
        let pointers: Vec<_> = pointers.filter_map(Value::as_str).collect();
        let detail = problem["detail"].as_str().unwrap_or_default();
        let is_said = |said: &&str| {
            if said.starts_with('/') { pointers.contains(said) } else { detail.contains(said) }
        };
        if got != status || !says.iter().all(is_said) || problem["status"] != status {
            wrong.push(format!("{body} for {agent}\n  not {status} and {says:?}: {got} {problem:#}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(api.get(NANCY, "/v1/agents/nancy/operations").await["items"], json!([]));
    server.drained();
}

/// What of a good order is replaced, and the ERP's own words to it.
const REJECTED_ORDERS: &[(&str, &str, &str)] = &[
    ("/customer", "C9999", "Cliente sconosciuto."),
    ("/lines/0/product", "A9999", "Articolo sconosciuto."),
    ("/lines/0/product", "A0008", "Articolo fuori produzione."),
];

#[tokio::test]
async fn what_the_erp_does_not_know_ends_rejected_in_its_own_words() {
    let folder = Folder::prepared();
    let (_erp, server) = erp_and_server(&folder, "agents.toml");
    let api = Api::of(server.address());
    for &(pointer, value, words) in REJECTED_ORDERS {
        let mut payload = good_order();
        *payload.pointer_mut(pointer).unwrap() = json!(value);
        let operation = api.finished(NANCY, "nancy", value, &payload).await;
        assert_eq!(operation["state"], "rejected", "{operation:#}");
        let why = operation["problem"]["detail"].as_str().unwrap();
        assert!(why.contains(words), "{value}: {why}");
    }
    let operation = api.finished(NANCY, "nancy", "good", &good_order()).await;
    assert_eq!(operation["state"], "completed", "{operation:#}");
    server.drained();
    assert!(!folder.path("new.db-wal").exists(), "after the end everything is in the one file");
}

/// Andrew's password is wrong: he is paused with the ERP's words, his order waits, and Nancy's is done.
#[tokio::test]
async fn a_wrong_password_stops_its_agent_and_nobody_else() {
    let folder = Folder::prepared();
    let (_erp, server) = erp_and_server(&folder, "wrong-password.toml");
    let api = Api::of(server.address());
    let body = json!({ "kind": "submit-order", "key": "his", "payload": good_order() });
    let (status, waiting) = api.submit(Some(OPERATOR), "andrew", &body).await;
    assert_eq!(status, 202, "{waiting:#}");
    let hers = api.finished(NANCY, "nancy", "hers", &good_order()).await;
    assert_eq!(hers["state"], "completed", "{hers:#}");

    let paused = api.first_paused().await;
    assert_eq!(paused["agent"], "andrew");
    let why = paused["why"].as_str().unwrap();
    assert!(
        why.contains("refused the login of user \"andrew\": Nome utente o password non corretti."),
        "{why}"
    );
    let path = format!("/v1/agents/andrew/operations/{}", waiting["id"].as_str().unwrap());
    let his = api.get(OPERATOR, &path).await;
    assert_eq!(his["state"], "available", "{his:#}");
    assert!(his["why"].to_string().contains("paused"), "{his:#}");
    server.drained();
}

fn erp_and_server(folder: &Folder, agents: &str) -> (Running, Running) {
    let erp = Running::start(folder, "erp --listen 127.0.0.1:0 --control 127.0.0.1:0 --latency-ms 0");
    let quick = "--settle 100ms --list-lag 10ms --tokens tokens.toml";
    let server =
        format!("server --store sqlite:new.db --erp http://{} --agents {agents} {quick}", erp.address());
    let server = Running::start(folder, &server);
    (erp, server)
}

fn good_order() -> Value {
    json!({ "customer": "C0001", "date": "2026-11-22",
        "lines": [{ "product": "A0001", "quantity": 3, "discount": "5" }] })
}
