//! Operations that wait, drained by one worker: how many a second, at what cost, and in whose turn.
//!
//! | workload | what |
//! | --- | --- |
//! | W1 | no-op operations, as many agents as operations |
//! | W2 | no-op operations over 1,000 agents, one at a time and in order within each |
//! | W3 | 2,000 operations of 20 ms over 60 agents, half of them of one: how long the others wait for it |
//!
//! One JSON line a run; a run that was not alone, in order and once for every operation fails.
use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_benches::Failure;
use archibald_benches::machine::{Busy, cpu_of_this_process};
use archibald_benches::store::{Cost, Opened, Place};
use archibald_benches::wait::{Waits, rounded};
use archibald_benches::work::{Ledger, agent, enqueue, operation};
use archibald_core::id::AgentId;
use archibald_core::operation::NewOperation;
use archibald_runtime::{Archibald, RuntimeConfig};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use clap::{Parser, ValueEnum};
use serde::Serialize;

#[derive(Debug, Parser)]
struct Options {
    /// sqlite:PATH, postgres://…, postgres (a private cluster) or memory
    #[arg(long, default_value = "postgres")]
    store: String,
    /// Which workloads
    #[arg(long, value_delimiter = ',', default_value = "w1,w2,w3")]
    workload: Vec<Workload>,
    /// Operations that run together [default: 10 and 50, for W3 10 and 60]
    #[arg(long, value_delimiter = ',')]
    concurrency: Vec<usize>,
    /// Operations of a run [default: 20000, for W3 2000]
    #[arg(long)]
    operations: Option<usize>,
    /// Seconds after which a run is given up
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// Print the statements that were made most often to standard error
    #[arg(long)]
    statements: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Workload {
    W1,
    W2,
    W3,
}

#[derive(Debug, Serialize)]
struct Outcome {
    workload: Workload,
    store: &'static str,
    concurrency: usize,
    ops: usize,
    ops_per_s: f64,
    makespan_s: f64,
    enqueues_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_others_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_others_p99_ms: Option<f64>,
    worker_cpu_s: f64,
    store_cpu_s: f64,
    statements_per_op: f64,
    wal_bytes_per_op: f64,
    overlaps: u64,
    order_breaks: u64,
    double_starts: u64,
    load: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let place = Place::find(&options.store)?;
    for workload in &options.workload {
        let concurrency = match (&options.concurrency[..], workload) {
            ([], Workload::W3) => vec![10, 60],
            ([], _) => vec![10, 50],
            (given, _) => given.to_vec(),
        };
        for concurrency in concurrency {
            eprintln!("{workload:?} at {concurrency}");
            let outcome = run(&options, &place, *workload, concurrency).await?;
            println!("{}", serde_json::to_string(&outcome)?);
        }
    }
    Ok(())
}

impl Workload {
    fn operations(self, asked: Option<usize>) -> Result<Vec<NewOperation>, Failure> {
        let count = asked.unwrap_or(if self == Self::W3 { 2_000 } else { 20_000 });
        let takes = if self == Self::W3 { Duration::from_millis(20) } else { Duration::ZERO };
        let whose = |number: usize| match self {
            Self::W1 => number,
            Self::W2 => number % 1_000,
            Self::W3 if number.is_multiple_of(2) => 0,
            Self::W3 => 1 + number / 2 % 59,
        };
        (0..count).map(|number| operation(agent(whose(number))?, number, takes)).collect()
    }
}

async fn run(
    options: &Options,
    place: &Place,
    workload: Workload,
    concurrency: usize,
) -> Result<Outcome, Failure> {
    let mut opened = place.open().await?;
    let operations = workload.operations(options.operations)?;
    let count = operations.len();
    let enqueued = enqueue(&opened.ports, operations).await?;
    let before = opened.cost().await?;
    let drained = drain(&opened, concurrency, count, Duration::from_secs(options.timeout)).await?;
    let cost = opened.cost().await?.since(&before);
    if options.statements {
        for (calls, millis, text) in opened.statements().await? {
            eprintln!("{calls:>8} {millis:>10.1} ms  {text}");
        }
    }
    opened.close().await;
    Ok(outcome((workload, place.name(), concurrency), count, enqueued, &drained, cost))
}

struct Drained {
    ledger: Arc<Ledger>,
    began: Instant,
    makespan: Duration,
    cpu: f64,
    busy: Busy,
}

/// From the start of a worker until it has settled everything.
async fn drain(
    opened: &Opened,
    concurrency: usize,
    count: usize,
    limit: Duration,
) -> Result<Drained, Failure> {
    let ledger = Arc::new(Ledger::default());
    let config = RuntimeConfig { concurrency, reserved_interactive: 0, ..RuntimeConfig::default() };
    let ports = opened.ports.ports(FakeErp::new(concurrency), Arc::new(FixedCredentials::new()));
    let archibald = Archibald::builder(ports).config(config).action(ledger.action()).build()?;
    let (began, before, busy) = (Instant::now(), cpu_of_this_process(), Busy::now());
    let worker = archibald.start().ok_or("the worker was started before")?;
    let ended = ledger.until(count, limit).await;
    let whole = worker.drain(Duration::from_secs(30)).await;
    ended?;
    if !whole {
        return Err("what ran was not settled in time".into());
    }
    let (makespan, cpu) = (began.elapsed(), cpu_of_this_process() - before);
    ledger.broken().check()?;
    Ok(Drained { ledger, began, makespan, cpu, busy })
}

fn outcome(
    (workload, store, concurrency): (Workload, &'static str, usize),
    count: usize,
    enqueued: Duration,
    drained: &Drained,
    cost: Cost,
) -> Outcome {
    let each = |value: f64| rounded(value / count as f64);
    let (seconds, broken) = (drained.makespan.as_secs_f64(), drained.ledger.broken());
    let others = (workload == Workload::W3).then(|| waits_of_others(drained));
    Outcome {
        workload,
        store,
        concurrency,
        ops: count,
        ops_per_s: rounded(count as f64 / seconds),
        makespan_s: rounded(seconds),
        enqueues_per_s: rounded(count as f64 / enqueued.as_secs_f64()),
        wait_others_p50_ms: others.as_ref().and_then(|others| others.percentile(50)),
        wait_others_p99_ms: others.as_ref().and_then(|others| others.percentile(99)),
        worker_cpu_s: rounded(drained.cpu),
        store_cpu_s: rounded(cost.cpu),
        statements_per_op: each(cost.statements),
        wal_bytes_per_op: each(cost.wal),
        overlaps: broken.overlaps,
        order_breaks: broken.order_breaks,
        double_starts: broken.double_starts,
        load: rounded(drained.busy.of_others(drained.cpu + cost.cpu)),
    }
}

/// From the beginning until each one's start, without those of the agent who has half of all.
fn waits_of_others(drained: &Drained) -> Waits {
    let hot = agent(0).ok();
    let is_other = |agent: &AgentId| Some(agent) != hot.as_ref();
    let starts = drained.ledger.starts();
    Waits::of(
        starts.values().filter(|(agent, _)| is_other(agent)).map(|(_, at)| at.duration_since(drained.began)),
    )
}
