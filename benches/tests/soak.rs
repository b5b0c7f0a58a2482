//! Real worker processes over one PostgreSQL, some of them killed every second and the database twice: judged
//! by the event log and by what reached the world outside.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, NotSent, Receipt, Settle, Verdict};
use archibald_core::error::{EnqueueError, FieldError};
use archibald_core::event::{Cursor, Event};
use archibald_core::id::{AgentId, EffectName, OperationId, OperationKey, OperationKind, Target, WorkerId};
use archibald_core::operation::{Class, NewOperation, Operation};
use archibald_core::port::{CommitGate, EventBus, EventRead, OperationStore};
use archibald_pg::{PgOptions, PgStore};
use archibald_runtime::{
    Action, ActionContext, Archibald, Completion, EffectAction, Interrupted, Ports, Prepared, RuntimeConfig,
};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use archibald_testing::postgres::{Cluster, ClusterOptions};
use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How many; `ARCHIBALD_SOAK_OPERATIONS` says otherwise, such as 20,000.
const OPERATIONS: usize = 600;
/// Of so many agents; `ARCHIBALD_SOAK_AGENTS` says otherwise, such as 500.
const AGENTS: usize = 50;
const WORKERS: usize = 4;
/// Operations that a worker runs at a time.
const CONCURRENCY: usize = 4;
/// What an operation takes at the ERP.
const TAKES: Duration = Duration::from_millis(100);
/// So many are killed each second,
const KILLED: usize = 2;
/// for a second per so many operations, about as long as they take; then there is peace.
const OPERATIONS_A_SECOND: usize = 75;
/// Twice what a hundred operations take on a busy machine.
const LIMIT_A_HUNDRED: Duration = Duration::from_secs(25);

/// Set for the copies of this test that are workers: who, the store's URL, the ledger.
const WORKER: &str = "ARCHIBALD_SOAK_WORKER";

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_and_databases_lose_nothing_and_do_nothing_twice() {
    if let Ok(worker) = env::var(WORKER) {
        return work(&worker).await;
    }
    let (operations, agents) = (count("OPERATIONS", OPERATIONS), count("AGENTS", AGENTS));
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger(folder.path().join("ledger"));
    fs::write(&ledger.0, "").unwrap();
    let cluster = Cluster::start(&ClusterOptions { fsync: false, ..ClusterOptions::default() }).unwrap();
    let store = PgStore::connect(&cluster.url(), PgOptions::default()).await.unwrap();
    let mut soak = Soak { url: cluster.url(), ledger, workers: vec![], killed: 0 };
    (0..WORKERS).for_each(|number| soak.employ(number));
    let asked = tokio::spawn(ask(store.clone(), operations, agents));

    let (began, mut restarts, mut seconds) = (Instant::now(), 0, 0);
    let limit = LIMIT_A_HUNDRED * operations.div_ceil(100) as u32;
    loop {
        let ended = soak.ledger.lines();
        if asked.is_finished() && block_in_place(|| unfinished(&cluster)) == 0 {
            break;
        }
        assert!(began.elapsed() < limit, "{ended} of {operations} within {limit:?}");
        if restarts < 2 && ended >= operations * (restarts + 1) / 3 {
            restarts += 1;
            block_in_place(|| {
                // Once as a crash of its own, once the postmaster alone.
                if restarts == 2 {
                    cluster.kill().unwrap();
                }
                cluster.restart().unwrap();
            });
        }
        if seconds < operations.div_ceil(OPERATIONS_A_SECOND) {
            soak.kill_some(seconds).await;
            seconds += 1;
        }
        sleep(Duration::from_secs(1)).await;
    }
    let acknowledged = asked.await.unwrap();
    assert_eq!((acknowledged.len(), restarts), (operations, 2));
    let killed = soak.killed;
    assert!(killed > 0);
    let retried = judge(&store, &acknowledged, &soak.ledger).await;
    let took = began.elapsed();
    println!("{operations} operations of {agents} agents, {killed} kills, {retried} retried, in {took:?}");
}

fn count(name: &str, usual: usize) -> usize {
    env::var(format!("ARCHIBALD_SOAK_{name}")).map_or(usual, |given| given.parse().unwrap())
}

fn unfinished(cluster: &Cluster) -> usize {
    cluster
        .sql("postgres", "select count(*) from archibald.operations where finished_at is null")
        .unwrap()
        .parse()
        .unwrap()
}

/// The workers that run now.
struct Soak {
    url: String,
    ledger: Ledger,
    workers: Vec<Child>,
    killed: usize,
}

impl Soak {
    fn employ(&mut self, number: usize) {
        let worker = format!("w{number} {} {}", self.url, self.ledger.0.display());
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed_workers_and_databases_lose_nothing_and_do_nothing_twice"])
            .env(WORKER, worker)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.workers.insert(number.min(self.workers.len()), child);
    }

    /// In turn, and restarted at once.
    async fn kill_some(&mut self, round: usize) {
        for n in 0..KILLED {
            let number = (round * KILLED + n) % self.workers.len();
            let mut worker = self.workers.remove(number);
            worker.kill().await.unwrap();
            self.killed += 1;
            self.employ(number);
        }
    }
}

/// Each agent's device asks for one after the other, until each is acknowledged.
async fn ask(store: PgStore, operations: usize, agents: usize) -> Vec<(AgentId, OperationId, u64)> {
    let devices = (0..agents).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut acknowledged = vec![];
            for n in (number..operations).step_by(agents) {
                let new = no_op(&agent(number), n);
                acknowledged.push(loop {
                    match store.enqueue(new.clone()).await {
                        Ok(enqueued) => break (new.agent, new.id, enqueued.record.operation.position),
                        Err(EnqueueError::Store(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                });
            }
            acknowledged
        })
    });
    join_all(devices).await.into_iter().flat_map(Result::unwrap).collect()
}

/// Returns how many were begun more than once.
async fn judge(store: &PgStore, acknowledged: &[(AgentId, OperationId, u64)], ledger: &Ledger) -> usize {
    let times = ledger.times();
    let mut agents: BTreeMap<_, HashMap<_, _>> = BTreeMap::new();
    for (agent, id, position) in acknowledged {
        assert_eq!(times.get(id), Some(&1), "{id} at the ERP");
        agents.entry(agent).or_default().insert(*id, *position);
    }
    assert_eq!(times.len(), acknowledged.len(), "nothing that nobody asked for");
    let mut retried = 0;
    for (agent, positions) in agents {
        let starts = alone_and_once(&log(store, agent).await, &positions);
        retried += starts.values().filter(|(_, times)| *times > 1).count();
        let mut undisturbed: Vec<_> = starts
            .into_iter()
            .filter(|(_, (_, times))| *times == 1)
            .map(|(id, (seq, _))| (seq, id))
            .collect();
        undisturbed.sort_unstable();
        let order: Vec<_> = undisturbed.iter().map(|(_, id)| positions[id]).collect();
        assert!(order.is_sorted(), "{agent}: {order:?}");
    }
    retried
}

/// When each was first started, and how often; what begins ends before the next begins, and each completes once.
fn alone_and_once(log: &[Event], asked: &HashMap<OperationId, u64>) -> HashMap<OperationId, (u64, u32)> {
    let (mut running, mut completed, mut starts) = (None, HashSet::new(), HashMap::new());
    for event in log {
        let Some(operation) = event.event.operation else { continue };
        match event.event.kind.as_str() {
            "operation.queued" | "operation.step" => {}
            "operation.started" => {
                assert_eq!(running.replace(operation), None, "two at once: {event:?}");
                starts.entry(operation).or_insert((event.seq, 0)).1 += 1;
            }
            ended => {
                assert_eq!(running.take(), Some(operation), "ended and not begun: {event:?}");
                let done = ended == "operation.completed";
                assert!(!done || completed.insert(operation), "completed twice: {event:?}");
            }
        }
    }
    assert_eq!(running, None);
    assert_eq!(completed, asked.keys().copied().collect(), "each is completed");
    starts
}

/// The whole log of an agent, which has no hole.
async fn log(store: &PgStore, agent: &AgentId) -> Vec<Event> {
    let epoch = store.head(agent).await.unwrap().epoch;
    let (mut log, mut place) = (vec![], Cursor { epoch, seq: 0 });
    loop {
        let EventRead::Batch { to, events, .. } = EventBus::read(store, agent, place, 500).await.unwrap()
        else {
            panic!("the whole log is there")
        };
        if events.is_empty() {
            return log;
        }
        assert!(events.iter().map(|event| event.seq).eq(place.seq + 1..=to.seq), "no hole");
        log.extend(events);
        place = to;
    }
}

/// Until killed, or until the test is gone.
async fn work(worker: &str) {
    std::thread::spawn(|| {
        std::io::stdin().read_to_end(&mut vec![]).ok();
        std::process::exit(0);
    });
    let words: Vec<_> = worker.split(' ').collect();
    let [name, url, ledger] = words[..] else { panic!("{worker}") };
    let store = loop {
        // It may be the database's turn.
        if let Ok(store) = PgStore::connect(url, PgOptions::default()).await {
            break Arc::new(store);
        }
    };
    let name = format!("{name}-{}", std::process::id());
    let config = RuntimeConfig {
        worker: WorkerId::new(name).unwrap(),
        concurrency: CONCURRENCY,
        lease: Duration::from_secs(4),
        lease_margin: Duration::from_millis(200),
        act_budget: Duration::from_secs(2),
        settle: Settle { request: Duration::from_millis(500), lists: Duration::from_millis(100) },
        sweep: Duration::from_secs(1),
        ..RuntimeConfig::default()
    };
    let ports = Ports::new(store, FakeErp::new(CONCURRENCY * 2), Arc::new(FixedCredentials::new()));
    let action = Action::Effect(Arc::new(NoOp(Ledger(ledger.into()))));
    let archibald = Archibald::builder(ports).action(action).config(config).build().unwrap();
    let _worker = archibald.start().unwrap();
    std::future::pending().await
}

/// What reached the world outside: a line for each effect, by whatever process, that outlives it.
struct Ledger(PathBuf);

impl Ledger {
    fn note(&self, operation: OperationId) {
        let mut file = OpenOptions::new().append(true).open(&self.0).unwrap();
        // In one write, so that lines of several processes do not mix.
        file.write_all(format!("{operation}\n").as_bytes()).unwrap();
    }

    fn times(&self) -> HashMap<OperationId, u32> {
        let mut times = HashMap::new();
        for line in read(&self.0).lines() {
            *times.entry(line.parse().unwrap()).or_default() += 1;
        }
        times
    }

    fn lines(&self) -> usize {
        read(&self.0).lines().count()
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Does nothing but being seen.
struct NoOp(Ledger);

#[async_trait]
impl EffectAction for NoOp {
    fn kind(&self) -> OperationKind {
        OperationKind::new("no-op").unwrap()
    }

    fn validate(&self, _: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        Ok(None)
    }

    fn effect(&self) -> EffectName {
        EffectName::new("note").unwrap()
    }

    fn mark(&self, _: &Operation) -> Option<Mark> {
        None
    }

    async fn prepare(&self, _: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        Ok(Prepared::Act { baseline: Value::Null })
    }

    async fn act(
        &self,
        context: &ActionContext<'_>,
        _: &Value,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        let permit = match gate.open(intent).await {
            Ok(permit) => permit,
            Err(error) => return ActOutcome::NotSent(NotSent::Other(error.to_string())),
        };
        if std::time::Instant::now() >= permit.until() {
            return ActOutcome::NotSent(NotSent::LeaseLost);
        }
        self.0.note(context.operation.id);
        sleep(TAKES).await;
        ActOutcome::Done(Receipt(json!({})))
    }

    async fn probe(
        &self,
        context: &ActionContext<'_>,
        _: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted> {
        let is_there = self.0.times().contains_key(&context.operation.id);
        Ok(if is_there { Verdict::Found(Receipt(json!({}))) } else { Verdict::Absent })
    }

    fn complete(&self, _: &Operation, _: &Receipt) -> Completion {
        Completion { result: json!({}), rows: vec![] }
    }
}

fn agent(number: usize) -> AgentId {
    AgentId::new(format!("agent-{number}")).unwrap()
}

fn no_op(agent: &AgentId, key: usize) -> NewOperation {
    NewOperation {
        id: OperationId(Uuid::now_v7()),
        agent: agent.clone(),
        kind: OperationKind::new("no-op").unwrap(),
        class: Class::Interactive,
        key: OperationKey::new(format!("k{key}")).unwrap(),
        target: None,
        once_per_target: false,
        payload: json!({}),
        run_at: None,
        origin: None,
        queue_limit: 1_000_000,
        trace: false,
    }
}
