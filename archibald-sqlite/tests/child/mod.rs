//! This test program once more, as a process that can be killed.
#![allow(dead_code)]

pub(crate) mod pending_orders;

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::{IntentBasis, IntentRequest, Receipt};
use archibald_core::id::{AgentId, EffectName, OperationId, OperationKey, OperationKind, WorkerId};
use archibald_core::operation::{Class, NewOperation};
use archibald_core::port::{AgentLock, LeaseRequest, OperationStore};
use archibald_core::record::Disposition;
use archibald_sqlite::{Durability, SqliteOptions, SqliteStore};
use serde_json::json;
use uuid::Uuid;

const ROLE: &str = "ARCHIBALD_TEST_ROLE";
const FILE: &str = "ARCHIBALD_TEST_FILE";
const ROUND: &str = "ARCHIBALD_TEST_ROUND";

/// A running child. It is killed and waited for at the latest when it is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(role: &str, file: &Path) -> Self {
        Self::start_round(role, file, 0)
    }

    pub(crate) fn start_round(role: &str, file: &Path, round: u32) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["the_child", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(FILE, file)
            .env(ROUND, round.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, said }
    }

    /// The next line, or nothing when it ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        self.said.next().and_then(Result::ok)
    }

    /// Kill -9, and what it said before it died.
    pub(crate) fn kill(&mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.said.by_ref().map_while(Result::ok).collect()
    }

    /// All that it says until it ends by itself.
    pub(crate) fn output(mut self) -> String {
        let said: Vec<_> = self.said.by_ref().map_while(Result::ok).collect();
        assert!(self.process.wait().unwrap().success());
        said.join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// What the child does; nothing in the process of the tests.
pub(crate) fn main() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let file = PathBuf::from(std::env::var(FILE).unwrap());
    let round: u32 = std::env::var(ROUND).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let durability = if role == "lazy" { Durability::ProcessCrash } else { Durability::Full };
        let options = SqliteOptions { durability, ..SqliteOptions::default() };
        match SqliteStore::open(&file, options).await {
            Err(error) => say(&format!("refused: {error}")),
            Ok(store) if role == "open" => {
                say("opened");
                store.close().await;
            }
            Ok(store) if role == "work" => work(Arc::new(store), round).await,
            Ok(store) if role == "pending-orders" => pending_orders::work(Arc::new(store), round).await,
            Ok(store) => flood(Arc::new(store), round).await,
        }
    });
}

/// Eight agents that enqueue as fast as they can, and run every fourth operation through its whole journal.
/// Each line says what was acknowledged before it was written.
async fn work(store: Arc<SqliteStore>, round: u32) {
    let workers = (0..8).map(|n| tokio::spawn(work_as(store.clone(), format!("agent-{n}"), round)));
    futures::future::join_all(workers).await;
}

async fn work_as(store: Arc<SqliteStore>, agent: String, round: u32) {
    for n in 0u32.. {
        let key = format!("{round}-{n}");
        let id = enqueue(&store, &agent, &key).await;
        say(&format!("queued {agent} {key}"));
        if n.is_multiple_of(4) {
            run_through(&store, &agent, &key, id).await;
        }
    }
}

/// 64 callers for eight agents, who only enqueue.
async fn flood(store: Arc<SqliteStore>, round: u32) {
    let callers = (0..64).map(|caller| {
        let (store, agent) = (store.clone(), format!("agent-{}", caller % 8));
        tokio::spawn(async move {
            for n in 0u32.. {
                let key = format!("{round}-{caller}-{n}");
                enqueue(&store, &agent, &key).await;
                say(&format!("queued {agent} {key}"));
            }
        })
    });
    futures::future::join_all(callers).await;
}

async fn run_through(store: &SqliteStore, agent: &str, key: &str, id: OperationId) {
    let lease = store.lease(&lease_request(agent, id)).await.unwrap().lease;
    let effect = EffectName::new("save-order").unwrap();
    let request = IntentRequest {
        effect: effect.clone(),
        basis: IntentBasis::NothingReleased,
        mark: None,
        baseline: json!(null),
        budget: Duration::from_secs(1),
        margin: Duration::from_secs(1),
    };
    let intent = store.intend(&lease, &request).await.unwrap();
    store.release(&intent).await.unwrap();
    say(&format!("released {agent} {key}"));
    store.record(&lease, &effect, &Receipt(json!({ "order": key }))).await.unwrap();
    say(&format!("recorded {agent} {key}"));
    let completed = Disposition::Complete { result: json!({ "order": key }) };
    store.settle(&lease, completed.into()).await.unwrap();
    say(&format!("completed {agent} {key}"));
}

/// One line, written whole.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).ok();
    out.flush().ok();
}

pub(crate) async fn enqueue(store: &SqliteStore, agent: &str, key: &str) -> OperationId {
    store.enqueue(new_operation(agent, key)).await.unwrap().record.operation.id
}

pub(crate) fn new_operation(agent: &str, key: &str) -> NewOperation {
    NewOperation {
        id: OperationId(Uuid::now_v7()),
        agent: AgentId::new(agent).unwrap(),
        kind: OperationKind::new("submit-order").unwrap(),
        class: Class::Interactive,
        key: OperationKey::new(key).unwrap(),
        target: None,
        once_per_target: false,
        payload: json!({ "customer": "ALFKI", "lines": [{ "product": "A0001", "quantity": "2" }] }),
        run_at: None,
        origin: None,
        queue_limit: 1_000_000,
        trace: false,
    }
}

pub(crate) fn lease_request(agent: &str, operation: OperationId) -> LeaseRequest {
    LeaseRequest {
        agent: AgentId::new(agent).unwrap(),
        operation,
        worker: WorkerId::new("w1").unwrap(),
        ttl: Duration::from_secs(60),
    }
}
