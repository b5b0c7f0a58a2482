//! One operation at a time: from the request to the start of its handler.
//!
//! W5: 200 operations of 60 agents, one every 50 ms. One JSON line.
use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_benches::Failure;
use archibald_benches::machine::{Busy, cpu_of_this_process};
use archibald_benches::store::Place;
use archibald_benches::wait::{Waits, rounded};
use archibald_benches::work::{Ledger, agent, kind};
use archibald_core::id::OperationKey;
use archibald_core::port::{EnqueueRequest, Operations};
use archibald_runtime::{Archibald, RuntimeConfig};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use clap::Parser;
use serde::Serialize;
use serde_json::json;

const AGENTS: usize = 60;

#[derive(Debug, Parser)]
struct Options {
    /// sqlite:PATH, postgres://…, postgres (a private cluster) or memory
    #[arg(long, default_value = "postgres")]
    store: String,
    /// How many operations
    #[arg(long, default_value_t = 200)]
    operations: usize,
    /// Milliseconds between two of them
    #[arg(long, default_value_t = 50)]
    every: u64,
}

#[derive(Debug, Serialize)]
struct Outcome {
    workload: &'static str,
    store: &'static str,
    ops: usize,
    enqueue_p50_ms: Option<f64>,
    enqueue_p99_ms: Option<f64>,
    start_p50_ms: Option<f64>,
    start_p99_ms: Option<f64>,
    worker_cpu_s: f64,
    store_cpu_s: Option<f64>,
    statements_per_op: Option<f64>,
    rows_per_op: Option<f64>,
    pages_per_op: Option<f64>,
    wal_bytes_per_op: Option<f64>,
    load: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let place = Place::find(&options.store)?;
    let mut opened = place.open().await?;
    let ledger = Arc::new(Ledger::default());
    let credentials = FixedCredentials::new();
    for number in 0..AGENTS {
        credentials.set(agent(number)?, "user", "password");
    }
    let ports = opened.ports.ports(FakeErp::new(10), Arc::new(credentials));
    let archibald =
        Archibald::builder(ports).config(RuntimeConfig::default()).action(ledger.action()).build()?;
    let worker = archibald.start().ok_or("the worker was started before")?;
    // Connections are made and statements prepared before it counts.
    let warm = ask(&archibald, 0..AGENTS, Duration::from_millis(5)).await?;
    ledger.until(warm.len(), Duration::from_secs(30)).await?;

    let (before, cpu, busy) = (opened.cost().await?, cpu_of_this_process(), Busy::now());
    let every = Duration::from_millis(options.every);
    let asked = ask(&archibald, AGENTS..AGENTS + options.operations, every).await?;
    ledger.until(warm.len() + asked.len(), Duration::from_secs(30)).await?;
    worker.drain(Duration::from_secs(30)).await;
    let (cost, cpu) = (opened.cost().await?.since(&before), cpu_of_this_process() - cpu);
    opened.close().await?;
    ledger.broken().check()?;

    let starts = ledger.starts();
    let started = |asked: &Asked| starts.get(&asked.operation).map(|(_, at)| at.duration_since(asked.at));
    let starts = Waits::of(asked.iter().filter_map(started));
    let answers = Waits::of(asked.iter().map(|asked| asked.answered));
    let each = |value: Option<f64>| value.map(|value| rounded(value / asked.len() as f64));
    let outcome = Outcome {
        workload: "W5",
        store: place.name(),
        ops: asked.len(),
        enqueue_p50_ms: answers.percentile(50),
        enqueue_p99_ms: answers.percentile(99),
        start_p50_ms: starts.percentile(50),
        start_p99_ms: starts.percentile(99),
        worker_cpu_s: rounded(cpu),
        store_cpu_s: cost.cpu.map(rounded),
        statements_per_op: each(cost.statements),
        rows_per_op: each(cost.rows),
        pages_per_op: each(cost.pages),
        wal_bytes_per_op: each(cost.wal),
        load: rounded(busy.of_others(cpu + cost.cpu.unwrap_or(0.0))),
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

struct Asked {
    operation: archibald_core::id::OperationId,
    at: Instant,
    answered: Duration,
}

/// Asks for one operation after another, and waits for each answer in between.
async fn ask(
    archibald: &Archibald,
    numbers: std::ops::Range<usize>,
    every: Duration,
) -> Result<Vec<Asked>, Failure> {
    let mut asked = vec![];
    let mut ticks = tokio::time::interval(every);
    for number in numbers {
        ticks.tick().await;
        let request = EnqueueRequest {
            agent: agent(number % AGENTS)?,
            kind: kind()?.to_string(),
            payload: json!({ "micros": 0 }),
            key: OperationKey::new(format!("k{number}"))?,
            run_at: None,
            origin: None,
            trace: false,
        };
        let at = Instant::now();
        let operation = archibald.enqueue(request).await?.record.operation.id;
        asked.push(Asked { operation, at, answered: at.elapsed() });
    }
    Ok(asked)
}
