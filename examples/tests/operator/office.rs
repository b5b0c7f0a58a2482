//! The simulated ERP and a server before it, as processes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use archibald_testing::data::{DataSet, Order, password_of};
use archibald_testing::erp::ErpControl;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub const OPERATOR: &str = "the-operators-token-of-this-test";

/// Two agents, nancy and another.
pub struct Office {
    pub url: String,
    pub control: ErpControl,
    pub data: DataSet,
    client: Client,
    server: Option<Running>,
    /// The server's.
    args: Vec<String>,
    _erp: Running,
    folder: TempDir,
}

/// Killed when dropped.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Office {
    pub async fn open() -> Self {
        Self::open_with("direct").await
    }

    /// With a browser between the server and the ERP, and sessions that are kept.
    pub async fn open_with_a_browser() -> Self {
        Self::open_with("chromium").await
    }

    async fn open_with(driver: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = DataSet::generate(1, 2, 8);
        let erp = [
            "--listen",
            "127.0.0.1:0",
            "--control",
            "127.0.0.1:0",
            "--latency-ms",
            "5",
            "--agents",
            "2",
            "--orders",
            "8",
            "--seed",
            "1",
        ];
        let (erp, line) = start(env!("CARGO_BIN_EXE_erp"), &erp, folder.path());
        let (url, control) = line.strip_prefix("listening on ").unwrap().split_once(" control ").unwrap();
        let (agents, tokens) = (folder.path().join("agents.toml"), folder.path().join("tokens.toml"));
        secret(&agents, &agents_file(&data));
        secret(&tokens, &format!("[[token]]\nvalue = \"{OPERATOR}\"\nscope = \"operator\"\n"));
        let mut args: Vec<String> =
            "--listen 127.0.0.1:0 --worker-id w1 --store memory --settle 1s --list-lag 1s --act-budget 3s"
                .split(' ')
                .map(str::to_owned)
                .collect();
        args.extend(["--driver", driver, "--erp", url].map(str::to_owned));
        for (name, file) in [("--agents", &agents), ("--tokens", &tokens)] {
            args.extend([name.to_owned(), file.to_str().unwrap().to_owned()]);
        }
        if driver == "chromium" {
            secret(&folder.path().join("session.key"), &"5e".repeat(32));
            let kept = "--session-key session.key --session-dir sessions";
            let few = "--browsers 1 --contexts 3 --concurrency 2";
            args.extend([kept, few].join(" ").split(' ').map(str::to_owned));
        }
        let (server, url) = serve(&args, folder.path());
        let client = Client::builder().no_proxy().build().unwrap();
        let control = ErpControl::new(control).unwrap();
        Self { url, control, data, client, server: Some(server), args, _erp: erp, folder }
    }

    /// The server is killed, and another one starts over what it kept on disk, somewhere else.
    pub fn restart_server(&mut self) {
        drop(self.server.take());
        let (server, url) = serve(&self.args, self.folder.path());
        (self.server, self.url) = (Some(server), url);
    }

    pub fn board(&self) -> String {
        format!("{}/board#token={OPERATOR}", self.url)
    }

    /// An order of the first agent's.
    pub fn order(&self, number: usize) -> &Order {
        let user = &self.data.agents[0].user;
        self.data.workload(false).into_iter().filter(|order| order.agent == *user).nth(number).unwrap()
    }

    /// Submits it; answers its id.
    pub async fn submit(&self, order: &Order) -> String {
        let lines: Vec<Value> = order
            .lines
            .iter()
            .map(|line| json!({ "product": line.product, "quantity": line.quantity, "discount": line.discount }))
            .collect();
        let payload = json!({ "customer": order.customer, "date": order.date, "lines": lines });
        let key = format!("order-{}", order.id);
        let body = json!({ "kind": "submit-order", "payload": payload, "key": key });
        let accepted = self.post(&format!("/v1/agents/{}/operations", order.agent), &body).await;
        accepted["id"].as_str().unwrap().to_owned()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(OPERATOR).json(body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub async fn operation(&self, agent: &str, id: &str) -> Value {
        let url = format!("{}/v1/agents/{agent}/operations/{id}", self.url);
        self.client.get(url).bearer_auth(OPERATOR).send().await.unwrap().json().await.unwrap()
    }

    /// Waits until the operation is in this state.
    pub async fn until(&self, agent: &str, id: &str, state: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let operation = self.operation(agent, id).await;
            if operation["state"] == state {
                return operation;
            }
            assert!(Instant::now() < until, "not {state}: {operation}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn serve(args: &[String], folder: &Path) -> (Running, String) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (server, line) = start(env!("CARGO_BIN_EXE_server"), &args, folder);
    let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("no server: {line:?}"));
    (server, url.to_owned())
}

fn agents_file(data: &DataSet) -> String {
    let one = |user: &str| {
        format!("[[agent]]\nid = \"{user}\"\nuser = \"{user}\"\npassword = \"{}\"\n", password_of(user))
    };
    data.agents.iter().map(|agent| one(&agent.user)).collect()
}

fn secret(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// Starts a program; answers its first line.
pub fn start(program: &str, args: &[&str], folder: &Path) -> (Running, String) {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("TMPDIR", folder).stdout(Stdio::piped()).stderr(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ARCHIBALD_") {
            command.env_remove(name);
        }
    }
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let running = Running(child);
    lines.read_line(&mut line).unwrap();
    // Read on, so that the program never waits for us.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    (running, line.trim_end().to_owned())
}
