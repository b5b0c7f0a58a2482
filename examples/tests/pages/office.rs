//! The simulated ERP and a server before it, as processes; the server can be killed and started again.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use archibald_testing::data::{DataSet, Order, password_of};
use archibald_testing::erp::ErpControl;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub const TOKEN: &str = "the-token-of-the-agent-in-this-test";
/// Of somebody else who works here.
pub const COLLEAGUES_TOKEN: &str = "the-token-of-the-colleague-in-this-test";

/// One agent with customers and products, and a colleague who has nothing yet.
pub struct Office {
    pub url: String,
    pub agent: String,
    pub colleague: String,
    pub control: ErpControl,
    /// An order that the agent could make.
    pub order: Order,
    pub customer: String,
    pub products: Vec<String>,
    client: Client,
    server: Option<Running>,
    erp_url: String,
    _erp: Running,
    folder: TempDir,
}

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Office {
    /// Opens with the agent's customers and products read from the ERP.
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = DataSet::generate(1, 2, 8);
        let erp = "--listen 127.0.0.1:0 --control 127.0.0.1:0 --latency-ms 30 --agents 2 --orders 8 --seed 1";
        let erp: Vec<&str> = erp.split(' ').collect();
        let (erp, line) = start(env!("CARGO_BIN_EXE_erp"), &erp, folder.path());
        let (erp_url, control) = line.strip_prefix("listening on ").unwrap().split_once(" control ").unwrap();
        let [agent, colleague] = [0, 1].map(|place| data.agents[place].user.clone());
        let (mut agents, mut tokens) = (String::new(), String::new());
        for (user, token) in [(&agent, TOKEN), (&colleague, COLLEAGUES_TOKEN)] {
            let password = password_of(user);
            agents += &format!("[[agent]]\nid = {user:?}\nuser = {user:?}\npassword = {password:?}\n");
            tokens += &format!("[[token]]\nvalue = {token:?}\nagent = {user:?}\n");
        }
        secret(&folder.path().join("agents.toml"), &agents);
        secret(&folder.path().join("tokens.toml"), &tokens);
        let order = data.workload(false).into_iter().find(|order| order.agent == agent).unwrap();
        let products = data.products.iter().filter(|product| !product.discontinued);
        let mut office = Self {
            url: "http://127.0.0.1:0".to_owned(),
            agent,
            colleague,
            control: ErpControl::new(control).unwrap(),
            customer: order.customer.clone(),
            order: order.clone(),
            products: products.map(|product| product.code.clone()).collect(),
            client: Client::builder().no_proxy().build().unwrap(),
            server: None,
            erp_url: erp_url.to_owned(),
            _erp: erp,
            folder,
        };
        office.start_server();
        for kind in ["sync-customers", "sync-products"] {
            office.carry_out(kind).await;
        }
        office
    }

    /// Where the app is, signed in.
    pub fn app(&self) -> String {
        format!("{}/app#token={TOKEN}", self.url)
    }

    /// As kill -9 does.
    pub fn kill_server(&mut self) {
        self.server = None;
    }

    /// On the address that it had before, with what it had on disk.
    pub fn start_server(&mut self) {
        let folder = self.folder.path();
        let listen = self.url.strip_prefix("http://").unwrap();
        let store = format!("sqlite:{}", folder.join("archibald.db").display());
        let mut args =
            vec!["--listen", listen, "--store", &store, "--erp", &self.erp_url, "--driver", "direct"];
        args.extend("--worker-id w1 --settle 1s --list-lag 1s --act-budget 3s".split(' '));
        let (agents, tokens) = (folder.join("agents.toml"), folder.join("tokens.toml"));
        args.extend(["--agents", agents.to_str().unwrap(), "--tokens", tokens.to_str().unwrap()]);
        let (server, line) = start(env!("CARGO_BIN_EXE_server"), &args, folder);
        self.url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        self.server = Some(server);
    }

    /// Asks for this order, as another device would, and does not wait for it.
    pub async fn submit(&self, payload: &Value) {
        let url = format!("{}/v1/agents/{}/operations", self.url, self.agent);
        let body = json!({ "kind": "submit-order", "payload": payload, "key": "a-submission" });
        let answer = self.client.post(url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub async fn get(&self, path: &str) -> Value {
        self.get_as(TOKEN, &self.agent, path).await
    }

    /// Of the colleague's.
    pub async fn colleagues(&self, path: &str) -> Value {
        self.get_as(COLLEAGUES_TOKEN, &self.colleague, path).await
    }

    async fn get_as(&self, token: &str, agent: &str, path: &str) -> Value {
        let url = format!("{}/v1/agents/{agent}/{path}", self.url);
        self.client.get(url).bearer_auth(token).send().await.unwrap().json().await.unwrap()
    }

    /// Changes the quantity of a pending order's first line, as another device would.
    pub async fn set_quantity(&self, id: &str, quantity: u32) {
        let order = self.get(&format!("pending-orders/{id}")).await;
        let mut content = order["content"].clone();
        content["lines"][0]["quantity"] = quantity.into();
        let url = format!("{}/v1/agents/{}/pending-orders/{id}", self.url, self.agent);
        let request = self.client.put(url).bearer_auth(TOKEN).json(&json!({ "content": content }));
        let answer = request.header("If-Match", format!("\"{}\"", order["version"])).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Deletes a pending order, as another device would.
    pub async fn delete(&self, id: &str) {
        let order = self.get(&format!("pending-orders/{id}")).await;
        let url = format!("{}/v1/agents/{}/pending-orders/{id}", self.url, self.agent);
        let request = self.client.delete(url).bearer_auth(TOKEN);
        let answer = request.header("If-Match", format!("\"{}\"", order["version"])).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Waits until there are so many pending orders with this quantity in their first line, and no others.
    pub async fn keeps(&self, quantities: &[u64]) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let orders = self.get("pending-orders").await;
            let lines = orders["items"].as_array().unwrap().iter().map(|order| &order["content"]["lines"][0]);
            let found: Vec<u64> = lines.filter_map(|line| line["quantity"].as_u64()).collect();
            if found == quantities {
                return;
            }
            assert!(Instant::now() < until, "{found:?} instead of {quantities:?}: {orders}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an order was asked for.
    pub async fn orders_something(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.get("operations?kind=submit-order").await["items"].as_array().unwrap().is_empty() {
            assert!(Instant::now() < until, "no order is asked for");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn carry_out(&self, kind: &str) {
        let url = format!("{}/v1/agents/{}/operations", self.url, self.agent);
        let body = json!({ "kind": kind, "payload": {} });
        let request = self.client.post(url).bearer_auth(TOKEN).header("Idempotency-Key", kind);
        let answer: Value =
            request.header("Prefer", "wait=60").json(&body).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["state"], "completed", "{answer}");
    }
}

fn secret(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// Starts a program; answers its first line.
fn start(program: &str, args: &[&str], folder: &Path) -> (Running, String) {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("TMPDIR", folder).stdout(Stdio::piped()).stderr(log);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ARCHIBALD_") {
            command.env_remove(name);
        }
    }
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let running = Running(child);
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "{}", std::fs::read_to_string(folder.join("log")).unwrap());
    // Read on, so that the program never waits for us.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    (running, line.trim_end().to_owned())
}
